"""The encoding of a text is told by its bytes, and the text comes back."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medpipe_assets.errors import ConfigurationError, DocumentError
from medpipe_assets.etlt import encodings
from medpipe_assets.etlt.encodings import as_utf8, decoded, encoding_of

ORDER = ("utf-8", "cp1252", "latin-1")


def told(folder: Path, data: bytes, candidates: tuple[str, ...] = ORDER) -> tuple[str, str]:
    path = folder / "text"
    path.write_bytes(data)
    encoding = encoding_of(path, candidates)
    return encoding, as_utf8(path, encoding, folder / "utf8").read_text(encoding="utf-8-sig")


@settings(max_examples=60)
@given(
    text=st.text(st.sampled_from("aeE, \n01éñÑüßçÁ€“”’–"), max_size=60), encoding=st.sampled_from(["utf-8", "cp1252"])
)
def test_european_text_comes_back(tmp_path_factory: pytest.TempPathFactory, text: str, encoding: str) -> None:
    text = "Josef " + text + " end"
    if encoding == "cp1252":
        text = text.replace("ÁÁ", "Á")
    data = text.encode(encoding)
    try:
        other = data.decode("utf-8")
    except UnicodeDecodeError:
        other = text
    assert told(tmp_path_factory.mktemp("text"), data)[1] in (text, other)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
def test_wide_encodings_are_told_with_and_without_a_mark(tmp_path: Path, encoding: str) -> None:
    assert told(tmp_path, "NPI,name\n1,José Ñandú\n".encode(encoding))[1] == "NPI,name\n1,José Ñandú\n"


def test_ascii_is_utf8() -> None:
    assert encoding_of(Path(__file__).parent / "__init__.py", ORDER) == "utf-8"


def test_quotes_and_the_euro_sign_are_cp1252(tmp_path: Path) -> None:
    assert told(tmp_path, b"\x93Jos\xe9\x94 5\x80") == ("cp1252", "“José” 5€")


def test_bytes_that_cp1252_does_not_have_make_it_latin_1(tmp_path: Path) -> None:
    assert told(tmp_path, b"Jos\xe9\x81")[0] == "latin-1"


def test_letters_inside_words_tell_an_encoding_from_another(tmp_path: Path) -> None:
    assert told(tmp_path, "José Muñoz".encode("cp437"), ("utf-8", "cp1252", "cp437")) == ("cp437", "José Muñoz")


def test_a_mark_of_utf8_before_other_bytes_is_no_text(tmp_path: Path) -> None:
    assert told(tmp_path, b"\xef\xbb\xbfNPI,Jos\xe9") == ("cp1252", "NPI,José")


def test_lines_of_another_encoding_among_utf8_are_read_in_theirs(tmp_path: Path) -> None:
    data = "Müller\nNúñez\n".encode() * 9 + "Peña\n".encode("cp1252")
    assert told(tmp_path, data) == ("utf-8+cp1252", "Müller\nNúñez\n" * 9 + "Peña\n")


def test_a_character_across_the_border_of_two_parts_stays_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encodings, "BLOCK", 3)
    path = tmp_path / "text"
    path.write_text("aéñ€😀" * 9, encoding="utf-8")
    assert encoding_of(path, ORDER) == "utf-8"
    assert "".join(decoded(path, "utf-8")) == "aéñ€😀" * 9


def test_text_in_no_encoding_is_corrupt(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="none of the encodings"):
        told(tmp_path, b"a\x81\xff", ("utf-8", "cp1252"))


def test_an_encoding_that_does_not_exist_is_a_mistake_of_the_contract(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="latin-99"):
        told(tmp_path, b"a\xff", ("latin-99",))
