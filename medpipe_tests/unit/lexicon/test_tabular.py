"""Reading a release of the code set, as a tabular list and as an order file."""

from pathlib import Path

import pytest

from medpipe_assets.errors import ConfigurationError
from medpipe_assets.lexicon.tabular import CODE_FIRST, EXCLUDES1, USE_ADDITIONAL, CodeSet, read

XML = """<?xml version="1.0" encoding="utf-8"?>
<ICD10CM.tabular><version>2027</version><chapter><name>1</name><desc>One</desc>
<excludes1><note>other things (B20-B24)</note></excludes1>
<section id="A00-A09"><desc>Odd</desc>
<diag><name>A00</name><desc>Odd ache</desc><includes><note>ache of odd kind</note></includes>
  <codeFirst><note>underlying oddity, such as:</note><note>mild oddity (A01.-)</note></codeFirst>
  <useAdditionalCode><note>code to identify smoke (Z77.22)</note><note>gloom (A09)</note></useAdditionalCode>
  <useAdditionalCode><note>code, if applicable, for rage (A08)</note></useAdditionalCode>
  <sevenChrDef><extension char="A">first</extension><extension char="D">later</extension></sevenChrDef>
  <diag><name>A00.0</name><desc>Odd
    ache, left</desc><inclusionTerm><note>Sinistralgia</note></inclusionTerm></diag>
  <diag><name>A00.9</name><desc>Odd ache, unspecified</desc></diag></diag>
<diag><name>A01</name><desc>Oddity</desc></diag>
</section></chapter></ICD10CM.tabular>"""

ORDER = """00001 A00     0 Odd ache                                                     Odd ache
00002 A000    0 Odd ache, left                                               Odd ache, left
00003 A000XXA 1 Odd ache, left, first                                        Odd ache, left, first
00004 A000XXD 1 Odd ache, left, later                                        Odd ache, left, later
00005 A009    0 Odd ache, unspecified                                        Odd ache, unspecified
00006 A009XXA 1 Odd ache, unspecified, first                                 Odd ache, unspecified, first
00007 A009XXD 1 Odd ache, unspecified, later                                 Odd ache, unspecified, later
00008 A01     1 Oddity                                                       Oddity
"""


def written(tmp_path: Path, content: str) -> Path:
    path = tmp_path / "release"
    path.write_text(content, encoding="utf-8")
    return path


@pytest.fixture
def listed(tmp_path: Path) -> CodeSet:
    return read(written(tmp_path, XML))


def test_an_order_file_has_the_codes_of_the_tabular_list_without_its_notes(listed: CodeSet, tmp_path: Path) -> None:
    ordered = read(written(tmp_path, ORDER))
    facts = [
        [(row.code, row.title, row.parent, row.leaf, row.seventh) for row in code_set.rows]
        for code_set in (listed, ordered)
    ]
    assert facts[0] == facts[1]
    assert facts[0][1] == ("A00.0", "Odd ache, left", "A00", True, {"A": "first", "D": "later"})
    assert ordered.rules == []
    assert (listed.rows[1].inclusions, listed.rows[0].includes) == (("Sinistralgia",), ("ache of odd kind",))


def test_a_seventh_character_counts_only_where_the_list_of_all_codes_has_it(tmp_path: Path) -> None:
    codes = tmp_path / "codes.txt"
    codes.write_text("A00\nA000\nA000XXA\nA009\n", encoding="utf-8")
    rows = {row.code: row for row in read(written(tmp_path, XML), codes).rows}
    assert (rows["A00.0"].seventh, rows["A00.9"].seventh) == ({"A": "first"}, {})


def test_notes_become_rules_unless_they_are_conditional_or_about_circumstances(listed: CodeSet) -> None:
    assert [(rule.kind, rule.first, rule.last, rule.targets) for rule in listed.rules] == [
        (CODE_FIRST, "A00", "A00.9", (("A01", "A01"),)),
        (USE_ADDITIONAL, "A00", "A00.9", (("A09", "A09"),)),
        (EXCLUDES1, "A00", "A01", (("B20", "B24"),)),
    ]


@pytest.mark.parametrize("content", ["", "<html></html>", "<broken", "just text"])
def test_a_file_that_is_no_release_is_named(content: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no release of ICD-10-CM"):
        read(written(tmp_path, content))


def test_a_code_without_its_category_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="A000"):
        read(written(tmp_path, ORDER.partition("\n")[2]))
