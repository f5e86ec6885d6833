"""DOCX as a translator of documents sees it: paragraphs of text in a package that otherwise stays as it is."""

import io
import re
import zipfile
from collections.abc import Callable, Iterator

from lxml import etree

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_PARTS = re.compile(r"word/(document|header|footer|footnotes|endnotes)\d*\.xml")
_PRESERVED = "{http://www.w3.org/XML/1998/namespace}space"


def paragraphs(data: bytes) -> list[str]:
    """The paragraphs that have any text, part by part.

    Raises:
        ValueError: for what is no DOCX.
    """
    found: list[str] = []
    rewritten(data, lambda text: found.append(text) or text)  # type: ignore[func-returns-value]
    return found


def rewritten(data: bytes, of: Callable[[str], str]) -> bytes:
    """The document with each paragraph's text replaced; a paragraph's words all look as its first did.

    Raises:
        ValueError: for what is no DOCX.
    """
    buffer = io.BytesIO()
    try:
        with (
            zipfile.ZipFile(io.BytesIO(data)) as package,
            zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as written,
        ):
            if not any(name.startswith("word/document") for name in package.namelist()):
                raise ValueError("no document in the package")
            for part in package.infolist():
                content = package.read(part)
                written.writestr(part, _part(content, of) if _PARTS.fullmatch(part.filename) else content)
    except (zipfile.BadZipFile, etree.XMLSyntaxError):
        raise ValueError("no DOCX") from None
    return buffer.getvalue()


def _part(content: bytes, of: Callable[[str], str]) -> bytes:
    root = etree.fromstring(content, etree.XMLParser(resolve_entities=False, no_network=True))
    for texts in _texts_by_paragraph(root):
        text = "".join(node.text or "" for node in texts)
        if text.strip():
            for node, said in zip(texts, [of(text), *[""] * len(texts)], strict=False):
                node.text = said
                node.set(_PRESERVED, "preserve")
    return bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8", standalone=True))


def _texts_by_paragraph(root: etree._Element) -> Iterator[list[etree._Element]]:
    """The text nodes of each paragraph, less those of paragraphs within it."""
    for paragraph in root.iter("{*}p"):
        yield [node for node in paragraph.iter("{*}t") if next(node.iterancestors("{*}p")) is paragraph]
