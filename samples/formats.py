"""Notes in the formats without layout: plain text, HTML, RTF and DOCX, as bytes, with the text that a reader sees.

Written by hand where a library would put the clock or chance into the file. Same note, same bytes.
"""

import html
import io
import re
import textwrap
import zipfile
from collections.abc import Iterable, Mapping
from html.entities import codepoint2name

from samples.notes import Block, Note

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a ZIP entry can bear."""


def plain(note: Note, encoding: str, newline: str = "\n", width: int = 88) -> tuple[bytes, str]:
    """Plain text, wrapped; UTF-16 gets its byte order mark."""
    lines: list[str] = []
    for block in note.blocks:
        if block.kind == "heading":
            lines += ["", block.lines[0][0].upper()]
        elif block.kind in ("fields", "table"):
            lines += ["  ".join(row) for row in block.lines]
        else:
            lines += [piece for (line,) in block.lines for piece in textwrap.wrap(line, width, break_on_hyphens=False)]
        if block.kind in ("letterhead", "title", "fields", "table", "paragraph", "items"):
            lines.append("")
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
    return text.replace("\n", newline).encode(encoding), text


def web(note: Note) -> tuple[bytes, str]:
    """An HTML page with a style sheet, named entities for accents and real tables."""
    tags = {"title": "h1", "heading": "h2", "paragraph": "p", "letterhead": "p", "signature": "p", "items": "p"}
    body: list[str] = []
    for block in note.blocks:
        if block.kind in ("fields", "table"):
            cells = ("".join(f"<td>{_entities(c)}</td>" for c in row) for row in block.lines)
            body.append("<table>" + "".join(f"<tr>{row}</tr>" for row in cells) + "</table>")
        elif block.kind in tags:
            tag = tags[block.kind]
            body += [f"<{tag}>{_entities(line)}</{tag}>" for (line,) in block.lines]
    page = (
        f'<!DOCTYPE html>\n<html lang="{note.language}">\n<head><meta charset="us-ascii"><title>sample</title>\n'
        "<style>body { font-family: serif } td { border: 1px solid #999; padding: 2px 8px }</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )
    return page.encode("ascii"), text_of(note.blocks)


def rich(note: Note) -> tuple[bytes, str]:
    """RTF in code page 1252."""
    out = ["{\\rtf1\\ansi\\ansicpg1252\\deff0{\\fonttbl{\\f0\\froman Times New Roman;}}\\fs22"]
    for block in note.blocks:
        for row in block.lines:
            if block.kind == "table":
                borders = "".join(f"\\cellx{2300 * (n + 1)}" for n in range(len(row)))
                out.append(f"\\trowd{borders} " + "".join(f"{_rtf(c)}\\intbl\\cell " for c in row) + "\\row")
            else:
                bold = ("\\b ", "\\b0 ") if block.kind in ("title", "heading") else ("", "")
                out.append(f"\\pard {bold[0]}{_rtf(' '.join(row))}{bold[1]}\\par")
    return ("\n".join(out) + "\n}\n").encode("ascii"), text_of(note.blocks)


def docx(note: Note) -> tuple[bytes, str]:
    """DOCX with a page header, a text box (holding the note's footer), headings and tables."""
    body = [_text_box(note.footer), *(_word_block(block) for block in note.blocks)]
    parts = {
        "[Content_Types].xml": _CONTENT_TYPES,
        "_rels/.rels": _relations({"rId1": ("officeDocument", "word/document.xml")}),
        "word/_rels/document.xml.rels": _relations({"rId1": ("header", "header1.xml")}),
        "word/header1.xml": f"<w:hdr {_SPACES}>{_paragraph(note.header)}</w:hdr>",
        "word/document.xml": f"<w:document {_SPACES}><w:body>{''.join(body)}"
        '<w:sectPr><w:headerReference w:type="default" r:id="rId1"/><w:pgSz w:w="11906" w:h="16838"/></w:sectPr>'
        "</w:body></w:document>",
    }
    declared = {name: f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n{xml}' for name, xml in parts.items()}
    text = "\n".join((note.header, note.footer, text_of(note.blocks)))
    return archive({name: xml.encode() for name, xml in declared.items()}), text


def archive(members: Mapping[str, bytes]) -> bytes:
    """A ZIP of the members in their order, with no time of day in it."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as stream:
        for name, data in members.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type, entry.external_attr, entry.create_system = zipfile.ZIP_DEFLATED, 0o644 << 16, 3
            stream.writestr(entry, data)
    return out.getvalue()


def text_of(blocks: Iterable[Block]) -> str:
    """The text of blocks, a line a paragraph or row."""
    return "\n".join(" ".join(row) for block in blocks for row in block.lines)


def _entities(text: str) -> str:
    named = (
        f"&{codepoint2name[ord(c)]};" if ord(c) > 127 and ord(c) in codepoint2name else c for c in html.escape(text)
    )
    return "".join(named).encode("ascii", "xmlcharrefreplace").decode()


def _rtf(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("{", "\\{").replace("}", "\\}")
    return "".join(c if c < "\x80" else f"\\'{c.encode('cp1252')[0]:02x}" for c in escaped)


_SPACES = " ".join(
    f'xmlns:{prefix}="{uri}"'
    for prefix, uri in (
        ("w", "http://schemas.openxmlformats.org/wordprocessingml/2006/main"),
        ("r", "http://schemas.openxmlformats.org/officeDocument/2006/relationships"),
        ("v", "urn:schemas-microsoft-com:vml"),
    )
)
_WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml"
_CONTENT_TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    f'<Override PartName="/word/document.xml" ContentType="{_WORD}.document.main+xml"/>'
    f'<Override PartName="/word/header1.xml" ContentType="{_WORD}.header+xml"/></Types>'
)


def _relations(targets: Mapping[str, tuple[str, str]]) -> str:
    base = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    rows = "".join(f'<Relationship Id="{i}" Type="{base}/{t}" Target="{to}"/>' for i, (t, to) in targets.items())
    return f'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{rows}</Relationships>'


def _paragraph(text: str, bold: bool = False) -> str:
    weight = "<w:rPr><w:b/></w:rPr>" if bold else ""
    return f'<w:p><w:r>{weight}<w:t xml:space="preserve">{html.escape(text, quote=False)}</w:t></w:r></w:p>'


def _text_box(text: str) -> str:
    return (
        '<w:p><w:r><w:pict><v:shape type="#box" style="width:240pt;height:24pt"><v:textbox><w:txbxContent>'
        f"{_paragraph(text)}</w:txbxContent></v:textbox></v:shape></w:pict></w:r></w:p>"
    )


def _word_block(block: Block) -> str:
    if block.kind in ("fields", "table"):
        width = max(len(row) for row in block.lines)
        grid = "".join('<w:gridCol w:w="2200"/>' for _ in range(width))
        rows = ("".join(f"<w:tc>{_paragraph(cell)}</w:tc>" for cell in row) for row in block.lines)
        return f"<w:tbl><w:tblGrid>{grid}</w:tblGrid>{''.join(f'<w:tr>{row}</w:tr>' for row in rows)}</w:tbl>"
    return "".join(_paragraph(line, block.kind in ("title", "heading")) for (line,) in block.lines)
