"""Documents as the toy engines read them: a format's first eight bytes, then text; pages parted by form feeds."""

PNG = b"\x89PNG\r\n\x1a\n"
PDF = b"%PDF-1.7"


def png(text: str) -> bytes:
    return PNG + text.encode()


def pdf(*pages: str) -> bytes:
    return PDF + "\f".join(pages).encode()
