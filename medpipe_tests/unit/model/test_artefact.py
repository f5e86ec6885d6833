"""The model file: the same bytes for the same content, nothing read that is damaged or foreign."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from medpipe_assets.errors import ConfigurationError
from medpipe_assets.model import artefact

ARRAYS = {"b/x": np.arange(6, dtype=np.uint64).reshape(2, 3), "a": np.array([0.5, 1.5], np.float32)}


@given(
    arrays=st.dictionaries(
        st.text("abc/", min_size=1, max_size=5),
        npst.arrays(st.sampled_from([np.float32, np.int32, np.uint64]), npst.array_shapes(min_side=0, max_dims=3)),
        max_size=4,
    )
)
def test_what_is_written_is_read_again(tmp_path_factory: pytest.TempPathFactory, arrays: dict[str, np.ndarray]) -> None:
    path = tmp_path_factory.mktemp("model") / "m"
    artefact.write(path, {"version": 1}, arrays)
    opened = artefact.opened(path)
    assert dict(opened.about) == {"version": 1} and set(opened.arrays) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(opened.arrays[name], array)
        assert opened.arrays[name].dtype == array.dtype


def test_the_order_in_which_arrays_were_made_does_not_show() -> None:
    assert artefact.written({"a": 1, "b": 2}, ARRAYS) == artefact.written(
        {"b": 2, "a": 1}, dict(reversed(list(ARRAYS.items())))
    )


def test_the_fingerprint_is_told_without_reading_the_file_and_changes_with_it(tmp_path: Path) -> None:
    first = artefact.write(tmp_path / "m", {}, ARRAYS)
    assert artefact.fingerprint(tmp_path / "m") == first == artefact.opened(tmp_path / "m").fingerprint
    assert artefact.write(tmp_path / "m", {}, {}) != first


def test_a_part_has_the_arrays_below_a_name(tmp_path: Path) -> None:
    artefact.write(tmp_path / "m", {}, ARRAYS)
    assert list(artefact.opened(tmp_path / "m").part("b")) == ["x"]


@pytest.mark.parametrize("place", [90, -1])
def test_a_damaged_file_is_refused(tmp_path: Path, place: int) -> None:
    data = bytearray(artefact.written({}, ARRAYS))
    data[place] ^= 1
    (tmp_path / "m").write_bytes(data)
    with pytest.raises(ConfigurationError, match="damaged"):
        artefact.opened(tmp_path / "m")


@pytest.mark.parametrize(("content", "said"), [(b"x", "not a model"), (b"medpipe-model 99 abc\n", "format 99")])
def test_another_file_is_refused_with_what_to_do(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "m").write_bytes(content)
    for read in (artefact.opened, artefact.fingerprint):
        with pytest.raises(ConfigurationError, match=f"{said}.*medpipe model build"):
            read(tmp_path / "m")
