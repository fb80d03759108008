"""The journal of a store in the making, cut and spoilt at every place: what was finished counts, nothing else."""

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from emotiwave.errors import FeatureError
from emotiwave.features.partial import HEADER_BYTES, JOURNAL, PartialStore
from emotiwave.features.prepared import PreparedModality, PreparedRecording

SIZES = {"a": 3, "b": 2}
LENGTHS = {"v0": {"a": (2, 0), "b": (1, 1)}, "v1": {"a": (0, 0), "b": (3, 0)}, "v2": {"a": (1, 4), "b": (0, 2)}}
KEY = "what is prepared"


def modality(video: str, name: str) -> PreparedModality:
    lengths = LENGTHS[video][name]
    rng = np.random.default_rng([int(video[1]), list(SIZES).index(name)])
    values = rng.standard_normal((sum(lengths), SIZES[name])).astype(np.float32)
    return PreparedModality(values, rng.random((sum(lengths), 2)), lengths, tuple(n > 0 for n in lengths))


def features(video: str) -> PreparedRecording:
    return PreparedRecording(
        recording=video,
        ids=(f"{video}[0]", f"{video}[1]"),
        kept=(True, video == "v2"),
        modalities={name: modality(video, name) for name in SIZES},
        transcripts=("olé", None),
        counts=Counter({"frames": 3}),
        errors=({"recording": video, "modality": "a", "error": "planted"},) if video == "v1" else (),
    )


def append(folder: Path, *videos: str, key: str = KEY, finish: bool = False) -> list[str]:
    """Append those videos that are not there yet; those that were."""
    with PartialStore(folder, SIZES, key) as partial:
        before = [line.recording for line in partial.lines]
        for video in videos:
            if video not in partial.recordings:
                partial.append(features(video))
        if finish:
            partial.finish()
    return before


def arrays(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.npy"))}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole") / "store"
    assert append(folder, *LENGTHS, finish=True) == []
    return arrays(folder)


@pytest.fixture
def two_done(tmp_path: Path) -> Path:
    append(tmp_path / "store", "v0", "v1")
    return tmp_path / "store"


def test_finished_files_are_arrays_of_all_videos_one_after_the_other(tmp_path: Path) -> None:
    append(tmp_path, *LENGTHS, finish=True)
    for name in SIZES:
        parts = [modality(video, name) for video in LENGTHS]
        for array, dtype in (("values", np.float32), ("intervals", np.float64)):
            found = np.load(tmp_path / "sequences" / name / f"{array}.npy", mmap_mode="r")
            assert found.dtype == dtype
            np.testing.assert_array_equal(found, np.concatenate([getattr(part, array) for part in parts]))


def test_a_store_without_any_frame_has_arrays_too(tmp_path: Path) -> None:
    append(tmp_path, finish=True)
    assert np.load(tmp_path / "sequences/a/values.npy").shape == (0, 3)


def test_all_that_was_said_of_a_video_is_there_again(two_done: Path) -> None:
    with PartialStore(two_done, SIZES, KEY) as partial:
        first, second = partial.lines
    assert (first.ids, first.kept, first.transcripts) == (["v0[0]", "v0[1]"], [True, False], ["olé", None])
    assert (first.lengths, first.counts, first.errors) == ({"a": [2, 0], "b": [1, 1]}, {"frames": 3}, [])
    assert second.errors == [{"recording": "v1", "modality": "a", "error": "planted"}]


def test_a_journal_torn_at_any_byte_goes_on_to_the_same_files(
    two_done: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    journal = (two_done / JOURNAL).read_bytes()
    ends = [k + 1 for k, byte in enumerate(journal) if byte == ord("\n")]
    for cut in sorted({*range(0, len(journal), 9), *ends, *(end - 1 for end in ends)}):
        folder = shutil.copytree(two_done, tmp_path / "torn")
        (folder / JOURNAL).write_bytes(journal[:cut])
        assert append(folder, *LENGTHS, finish=True) == ["v0", "v1"][: sum(cut >= end for end in ends[1:])]
        assert arrays(folder) == expected
        assert [json.loads(line).get("recording") for line in (folder / JOURNAL).read_text().splitlines()] == [
            None,
            *LENGTHS,
        ]
        shutil.rmtree(folder)


@pytest.mark.parametrize("garbage", [b"\0" * 200, b"{}\n", b"[]\n", b"3\n", b'{"recording": "v2"}\n', b"\xff\xfe\n"])
def test_a_journal_that_ends_in_garbage_goes_on_before_it(
    two_done: Path, expected: dict[str, bytes], garbage: bytes
) -> None:
    with (two_done / JOURNAL).open("ab") as file:
        file.write(garbage)
    assert append(two_done, *LENGTHS, finish=True) == ["v0", "v1"]
    assert arrays(two_done) == expected


def test_frames_beyond_the_journal_are_cut_off(two_done: Path, expected: dict[str, bytes]) -> None:
    for path in two_done.rglob("*.npy"):
        with path.open("ab") as file:
            file.write(b"half a frame of a video that was never finished")
    assert append(two_done, *LENGTHS, finish=True) == ["v0", "v1"]
    assert arrays(two_done) == expected


@pytest.mark.parametrize(("lost", "left"), [("a/values", []), ("b/values", ["v0"]), ("b/intervals", ["v0"])])
def test_a_line_whose_frames_did_not_reach_the_disk_does_not_count(
    two_done: Path, expected: dict[str, bytes], lost: str, left: list[str]
) -> None:
    """The last frames of b are those of v1; a has none of v1, so there the loss is v0's."""
    path = two_done / "sequences" / f"{lost}.npy"
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1)
    assert append(two_done, *LENGTHS, finish=True) == left
    assert arrays(two_done) == expected


def test_files_that_are_gone_are_made_again(two_done: Path, expected: dict[str, bytes]) -> None:
    shutil.rmtree(two_done / "sequences")
    assert append(two_done, *LENGTHS, finish=True) == []
    assert arrays(two_done) == expected


def test_of_another_preparation_nothing_is_kept(two_done: Path, expected: dict[str, bytes]) -> None:
    (two_done / "sequences" / "c").mkdir()
    assert append(two_done, *LENGTHS, key="something else", finish=True) == []
    assert arrays(two_done) == expected
    assert not (two_done / "sequences" / "c").exists()


def test_finishing_twice_changes_nothing(two_done: Path, expected: dict[str, bytes]) -> None:
    append(two_done, *LENGTHS, finish=True)
    assert append(two_done, *LENGTHS, finish=True) == list(LENGTHS)
    assert arrays(two_done) == expected


def test_only_one_at_a_time(two_done: Path) -> None:
    before = (two_done / JOURNAL).read_bytes()
    with (
        PartialStore(two_done, SIZES, KEY),
        pytest.raises(FeatureError, match="another process is preparing this store; wait until it is done"),
    ):
        PartialStore(two_done, SIZES, "another")
    assert (two_done / JOURNAL).read_bytes() == before


def test_data_begin_where_the_header_ends(tmp_path: Path) -> None:
    append(tmp_path, *LENGTHS)
    path = tmp_path / "sequences/b/values.npy"
    assert path.stat().st_size == HEADER_BYTES + 4 * 2 * (2 + 3 + 2)
    assert path.read_bytes()[HEADER_BYTES : HEADER_BYTES + 16] == modality("v0", "b").values.tobytes()
