"""HTML: the text a reader sees, each block element a line, the cells of a row parted by tabs.

Nothing a page refers to is ever fetched, and its scripts and styles are dropped.
"""

import re

from lxml import etree

from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.extraction.engine import Extraction
from medpipe_assets.extraction.plain_text import MAX_TEXT_BYTES, decode, extraction_of

_UNSEEN = frozenset({"script", "style", "head", "template", "noscript", "svg", "math", "object", "iframe", "select"})
_LINES = frozenset({
    "address", "article", "aside", "blockquote", "body", "br", "caption", "center", "dd", "details", "dialog", "div",
    "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header",
    "hr", "html", "legend", "li", "main", "nav", "ol", "p", "pre", "section", "summary", "table", "tbody", "tfoot",
    "thead", "tr", "ul",
})  # fmt: skip
_CELLS = frozenset({"td", "th"})
_DECLARED = re.compile(rb"<(?:meta[^>]{0,200}charset|\?xml[^>]{0,100}encoding)\s*=\s*[\"']?\s*([\w-]+)", re.IGNORECASE)
_SPACE = re.compile(r"[^\S\xa0]+")


def extract(data: bytes) -> Extraction:
    """The visible text of an HTML page, as one page.

    Raises:
        DocumentError: too_large above `plain_text.MAX_TEXT_BYTES`, or nested too deep; corrupt; empty.
    """
    if len(data) > MAX_TEXT_BYTES:
        raise DocumentError(Reason.TOO_LARGE, f"HTML of more than {MAX_TEXT_BYTES >> 20} MB")
    parser = etree.HTMLParser(no_network=True, remove_comments=True, remove_pis=True, huge_tree=True)
    try:
        root = etree.fromstring(_decoded(data), parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise DocumentError(Reason.CORRUPT, f"HTML: {type(error).__name__}") from None
    if any(error.type_name == "ERR_RESOURCE_LIMIT" for error in parser.error_log):  # the rest of it is missing
        raise DocumentError(Reason.TOO_LARGE, "HTML of more elements inside each other than are read")
    if root is None:
        raise DocumentError(Reason.EMPTY, "HTML without elements")
    parts: list[str] = []
    _collect(root, parts)
    lines = (" ".join(line.split(" ")).strip(" ") for line in "".join(parts).split("\n"))
    return extraction_of("\n".join(line.strip(" \t") for line in lines if line.strip()))


def _decoded(data: bytes) -> str:
    """The page as text: what it declares of its encoding holds only if its bytes agree."""
    declared = _DECLARED.search(data[:4096])
    text = None
    if declared:
        try:
            text = data.decode(declared[1].decode("ascii"))
        except (LookupError, UnicodeDecodeError):
            text = None
    text = decode(data) if text is None else text
    text = re.sub(r"^\s*<\?xml[^>]*\?>", "", text.replace("\0", ""))  # lxml refuses a declaration in decoded text
    return text.encode("utf-8", errors="replace").decode("utf-8")


def _collect(root: etree._Element, parts: list[str]) -> None:
    """The text of all elements that are seen, however deep they lie."""
    unseen: etree._Element | None = None  # the outermost element that is not seen, while the walk is inside it
    for event, element in etree.iterwalk(root, events=("start", "end")):
        begins = event == "start"
        if unseen is None and (not isinstance(element.tag, str) or element.tag in _UNSEEN):
            unseen = element
        if unseen is None:
            parts.append(_edge(element.tag, begins))
            _text(element.text if begins else None, parts)
        elif element is unseen and not begins:
            unseen = None
        if unseen is None and not begins and element is not root:
            _text(element.tail, parts)


def _edge(tag: str, begins: bool) -> str:
    """What parts an element from what is before it, or after."""
    return "\n" if tag in _LINES else "\t" if tag in _CELLS and not begins else ""


def _text(text: str | None, parts: list[str]) -> None:
    if text:
        parts.append(_SPACE.sub(" ", text).replace("\xa0", " "))
