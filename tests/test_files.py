"""Files appear whole or not at all, and errors name the right one."""

from pathlib import Path

import pytest

from emotiwave.files import replace_file, whole_file


def test_a_file_is_replaced_in_one_step_and_leaves_no_other(tmp_path: Path) -> None:
    replace_file(tmp_path / "a", b"one")
    replace_file(tmp_path / "a", b"two")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"two"


def test_what_fails_half_way_leaves_the_old_file(tmp_path: Path) -> None:
    replace_file(tmp_path / "a", b"one")
    with pytest.raises(ZeroDivisionError), whole_file(tmp_path / "a") as scratch:
        scratch.write_bytes(b"%d" % (1 // len(scratch.write_bytes(b"tw") * b"")))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"one"


def test_an_error_names_the_file_and_not_the_scratch_beside_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for place in (tmp_path / "nowhere" / "a", tmp_path / "file" / "a"):
        with pytest.raises(OSError) as told:  # noqa: PT011 - what matters is the file that it names
            replace_file(place, b"one")
        assert told.value.filename == str(place)


def test_an_error_about_another_file_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as told, whole_file(tmp_path / "a"):
        (tmp_path / "source").read_bytes()
    assert told.value.filename == str(tmp_path / "source")
