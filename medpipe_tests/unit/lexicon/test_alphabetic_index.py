"""Reading the Alphabetic Index, as the CDC publishes it and as a table."""

import os
from pathlib import Path

import pytest

from medpipe_assets.errors import ConfigurationError
from medpipe_assets.lexicon.alphabetic_index import Entry, read, wordings

XML = """<?xml version="1.0" encoding="utf-8"?>
<ICD10CM.index><version>2026</version><title>INDEX</title><letter><title>A</title>
<mainTerm><title>Ailment, ailing <nemod>(acute) (dull)</nemod></title><code>R69</code>
  <term level="1"><title>elbow</title><code>M25.52-</code>
    <term level="2"><title>with
      swelling <nemod>(mild)</nemod></title><code>M25.42-</code><manif>L97.-</manif></term></term>
  <term level="1"><title>specified NEC</title><code>R68.89</code></term></mainTerm>
<mainTerm><title>Elbowache</title><see>Ailment, elbow</see></mainTerm>
<mainTerm><title>Nowhere</title><see>condition</see></mainTerm>
</letter></ICD10CM.index>"""

TABLE = """RowID,Letter,Level,Term,See,SeeAlso,NonEssModif,Code
1,A,0,"Ailment, ailing",,,(acute) (dull),R69
2,A,1,elbow,,,,M25.52-
3,A,2,with swelling,,,(mild),M25.42-
4,A,1,specified NEC,,,,R68.89
5,E,0,Elbowache,"Ailment, elbow",,,
6,N,0,Nowhere,condition,,,
"""


@pytest.fixture(params=["xml", "csv", "tsv", "marked"])
def entries(request: pytest.FixtureRequest, tmp_path: Path) -> list[Entry]:
    tabbed = TABLE.replace('"Ailment, ', "Ailment; ").replace(',"', ",").replace('",', ",").replace(",", "\t")
    content = {"xml": XML, "csv": TABLE, "tsv": tabbed.replace(";", ","), "marked": "\ufeff" + XML}[request.param]
    (tmp_path / "index").write_text(content, encoding="utf-8")
    return read(tmp_path / "index")


def test_xml_and_table_say_the_same(entries: list[Entry]) -> None:
    assert [(e.path, e.code, e.see) for e in entries] == [
        (("Ailment, ailing",), "R69", ""),
        (("Ailment, ailing", "elbow"), "M25.52", ""),
        (("Ailment, ailing", "elbow", "with swelling"), "M25.42", ""),
        (("Ailment, ailing", "specified NEC"), "R68.89", ""),
        (("Elbowache",), "", "Ailment, elbow"),
        (("Nowhere",), "", "condition"),
    ]
    assert entries[2].modifiers == ("(acute) (dull)", "", "(mild)")


def test_a_line_is_written_in_either_order_and_by_each_form_of_its_main_term(entries: list[Entry]) -> None:
    found = {(w.text, w.code) for w in wordings(entries)}
    assert {("Ailment elbow", "M25.52"), ("elbow Ailment", "M25.52"), ("elbow ailing", "M25.52")} <= found
    assert ("swelling elbow Ailment", "M25.42") in found


def test_a_line_that_sends_elsewhere_has_the_code_it_sends_to(entries: list[Entry]) -> None:
    assert {w.code for w in wordings(entries) if w.text == "Elbowache"} == {"M25.52"}
    assert not [w for w in wordings(entries) if w.text == "Nowhere"]


def test_what_is_specified_elsewhere_names_nothing(entries: list[Entry]) -> None:
    assert "R68.89" not in {w.code for w in wordings(entries)}


@pytest.mark.parametrize("content", [b"", b"<html></html>", b"<broken", b"Level,Term\n0,x\n", b"\xff\xfe\x00"])
def test_a_file_that_is_no_index_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file.csv").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"file\.csv is no Alphabetic Index"):
        read(tmp_path / "file.csv")


def test_a_missing_index_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="absent"):
        read(tmp_path / "absent")


@pytest.mark.corpora
def test_the_index_of_2025_is_read_whole() -> None:
    path = Path(os.environ.get("MEDPIPE_CORPORA", "corpora")) / "icd10" / "icd10cm_index_2025.csv"
    if not path.is_file():
        pytest.skip("needs the development corpora: set MEDPIPE_CORPORA")
    entries = read(path)
    assert len(entries) == 81_024
    codes = {wording.text: wording.code for wording in wordings(entries)}
    assert (codes["unstable Angina"], codes["Zona"], codes.get("Zymotic")) == ("I20.0", "B02.9", None)
