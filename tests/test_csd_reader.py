import itertools
import json
import os
import subprocess
import sys
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from emotiwave.datasets.csd import reader
from emotiwave.datasets.csd.reader import CsdEntry, CsdFile
from emotiwave.datasets.csd.writer import write_csd
from emotiwave.errors import DatasetError, DataWarning
from tests.tiny_csd import numbered, seconds, write_features, write_spoilt


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "CMU_MOSEI_COVAREP.csd"


def with_intervals(path: Path, intervals: np.ndarray) -> Path:
    """A file of one video ``v`` whose frame k holds k."""
    return write_csd(path, root="R", entries=[("v", numbered(len(intervals)), intervals)], metadata={})


def chosen(path: Path, start: float, end: float) -> list[int]:
    with CsdFile(path) as file:
        return file["v"].frames_between(start, end).tolist()


def test_the_root_is_the_single_key_whatever_the_file_is_called(path):
    with CsdFile(write_features(path, {"v": 2}, root="All of it")) as file:
        assert file.root == "All of it"
        assert file.ids == ("v",)
        assert file.path == path


def test_an_entry_gives_its_frames_and_seconds(path):
    with CsdFile(write_features(path, {"u": 2, "v": 3}, size=4)) as file:
        entry = file["v"]
        assert (entry.n_frames, entry.size, entry.is_text) == (3, 4, False)
        np.testing.assert_allclose(entry.values()[2], [102, 102.1, 102.2, 102.3], rtol=1e-6)
        np.testing.assert_array_equal(entry.values(1, 2), entry.values()[1:2])
        np.testing.assert_array_equal(entry.intervals, [[0, 1], [1, 2], [2, 3]])
        assert [file[name].id for name in file.ids] == ["u", "v"]


def test_ids_are_matched_whole_never_by_prefix(path):
    with CsdFile(write_features(path, {"-a": 1, "-a_1": 2, "b_2": 3})) as file:
        assert file["-a"].n_frames == 1
        assert file["-a_1"].n_frames == 2
        for absent in ("-", "b", "a", "b_", "-a_", "-a_1/features", ".", "", 3):
            assert absent not in file
        for absent in ("b", "a", "-a_1/features", "."):
            with pytest.raises(DatasetError, match="no entry"):
                file[absent]


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0.5, 2.5, [0, 1]),  # the midpoint .5 is on the border and inside, 2.5 is on it and outside
        (0.50001, 2.50001, [1, 2]),
        (0.0, 4.0, [0, 1, 2, 3]),
        (0.0, float("inf"), [0, 1, 2, 3]),
        (3.5, 3.5, []),
        (1.6, 1.9, []),  # inside frame 1, but its midpoint is not
        (9.0, 12.0, []),
        (3.0, 1.0, []),
    ],
)
def test_a_frame_belongs_to_a_segment_by_its_midpoint(path, start, end, expected):
    assert chosen(with_intervals(path, seconds(0, 1, 2, 3)), start, end) == expected


def test_every_frame_is_in_exactly_one_of_adjoining_segments(path):
    """COVAREP windows are longer than their hop and overlap; borders on midpoints count once."""
    starts = np.arange(100) / 100
    with_intervals(path, np.stack([starts - 0.0075, starts + 0.0175], axis=1))
    borders = [-1.0, 0.1, 0.105, 0.325, 0.33, 2.0]
    found = [chosen(path, *pair) for pair in itertools.pairwise(borders)]
    assert list(itertools.chain(*found)) == list(range(100))


def test_frames_of_unsorted_intervals_come_in_order_of_time(path):
    with_intervals(path, seconds(2, 0, 3, 1))
    assert chosen(path, 0, 3) == [1, 3, 0]
    with CsdFile(path) as file:
        np.testing.assert_array_equal(file["v"].between(0, 3).values[:, 0], [1, 3, 0])


@pytest.mark.parametrize("times", [[np.nan, np.nan], [0.0, np.nan], [-np.inf, np.inf], [np.nan, 1.0]])
def test_a_frame_without_time_is_in_no_segment(path, times):
    intervals = seconds(0, 1, 2)
    intervals[1] = times
    with_intervals(path, intervals)
    assert chosen(path, 0, 3) == [0, 2]
    with CsdFile(path) as file:
        np.testing.assert_array_equal(file["v"].between(0, 3).values[:, 0], [0, 2])


def test_a_single_frame_without_time_is_in_no_segment(path):
    assert chosen(with_intervals(path, np.full((1, 2), np.nan)), 0, 3) == []


def test_the_same_frames_are_found_as_by_looking_at_each(path):
    rng = np.random.default_rng(3)
    for trial in range(20):
        begins = np.sort(rng.integers(0, 20, size=12) / 2) if trial % 2 else rng.integers(0, 20, size=12) / 2
        intervals = np.stack([begins, begins + rng.integers(0, 4, size=12) / 2], axis=1)
        start, end = sorted(rng.integers(0, 24, size=2) / 2)
        middles = [(a + b) / 2 for a, b in intervals]
        expected = sorted((k for k in range(12) if start <= middles[k] < end), key=lambda k: (middles[k], k))
        path.unlink(missing_ok=True)
        with CsdFile(with_intervals(path, intervals)) as file:
            sequence = file["v"].between(start, end)
        assert sequence.values[:, 0].tolist() == expected
        np.testing.assert_array_equal(sequence.intervals, intervals[expected].reshape(-1, 2) - start)


def test_intervals_count_from_the_start_of_the_segment(path):
    with CsdFile(with_intervals(path, seconds(0, 1, 2))) as file:
        np.testing.assert_array_equal(file["v"].between(0.5, 2.5).intervals, [[-0.5, 0.5], [0.5, 1.5]])


def test_compressed_and_plain_files_read_equal(tmp_path):
    rng = np.random.default_rng(0)
    entries = [(f"v{k}", rng.standard_normal((200, 7)).astype(np.float32), seconds(*range(200))) for k in range(3)]
    plain = write_csd(tmp_path / "plain.csd", root="R", entries=entries, metadata={"dimension names": ["x"]})
    packed = write_csd(
        tmp_path / "p.csd", root="R", entries=entries, metadata={"dimension names": ["x"]}, compression=9
    )
    with CsdFile(plain) as one, CsdFile(packed) as other:
        assert (one.ids, one.dimension_names) == (other.ids, other.dimension_names)
        for video, features, _ in entries:
            assert (one[video].is_chunked, other[video].is_chunked) == (False, True)
            assert one[video].values().tobytes() == other[video].values().tobytes() == features.tobytes()
            sequences = one[video].between(13.2, 77.9), other[video].between(13.2, 77.9)
            assert sequences[0].values.tobytes() == sequences[1].values.tobytes() == features[13:78].tobytes()


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", "<f2", "<i4", "<u2"])
def test_numbers_of_any_type_become_float32(path, dtype):
    write_spoilt(path, lambda group: group.update(features=np.array([[1, 2]], dtype), intervals=np.array([[0, 1]])))
    with CsdFile(path) as file:
        assert file["spoilt"].values().dtype == np.float32
        np.testing.assert_array_equal(file["spoilt"].values(), [[1, 2]])
        assert file["spoilt"].intervals.dtype == np.float64


def test_numbers_beyond_float32_become_infinite_which_is_unobserved(path):
    write_spoilt(path, lambda group: group.update(features=np.array([[1e300, -1e39]]), intervals=np.array([[0, 1.0]])))
    with CsdFile(path) as file:
        np.testing.assert_array_equal(file["spoilt"].values(), [[np.inf, -np.inf]])


def test_words_stay_bytes(path):
    write_spoilt(
        path, lambda group: group.update(features=np.array([[b"sp"], [b"caf\xc3\xa9"]], "S32"), intervals=seconds(0, 1))
    )
    with CsdFile(path) as file:
        entry = file["spoilt"]
        assert entry.is_text
        assert entry.values()[1, 0].decode() == "café"
        assert entry.between(1, 2).values.tolist() == [[b"caf\xc3\xa9"]]


def test_a_video_without_frames_is_empty_not_wrong(path):
    write_csd(path, root="R", entries=[("v", np.empty((0, 5), np.float32), np.empty((0, 2)))], metadata={})
    with CsdFile(path) as file:
        assert file["v"].values().shape == (0, 5)
        assert file["v"].between(0, 9).values.shape == (0, 5)


def test_a_hundred_thousand_ids_are_listed_without_opening_one(path, monkeypatch):
    write_features(path, {"v": 2})
    with h5py.File(path, "r+") as file:
        data = file["Features/data"].id
        for k in range(100_000):
            data.links.create_hard(b"w%06d" % k, data, b"v")
    opened = []
    monkeypatch.setattr(reader, "CsdEntry", lambda *entry: opened.append(entry[1]) or CsdEntry(*entry))
    with CsdFile(path) as file:
        assert len(file.ids) == 100_001
        assert "w099999" in file
        assert not opened
        assert file["w000017"].n_frames == 2


# What most videos have


def of_sizes(path: Path, *sizes: int) -> Path:
    """A file of a video per size; size 0 makes one that cannot be read."""
    entries = [(f"v{k:03}", numbered(2, size or 1), seconds(0, 1)) for k, size in enumerate(sizes)]
    write_csd(path, root="R", entries=entries, metadata={})
    with h5py.File(path, "r+") as file:
        for k in (k for k, size in enumerate(sizes) if not size):
            del file[f"R/data/v{k:03}/intervals"]
    return path


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ((3,), 3),
        ((1, 3, 3), 3),
        ((3, 1, 3), 3),
        ((3, 3, 1), 3),
        ((0, 0, 0, 3), 3),
        ((0, 1, 3, 3), 3),
        ((1, *[3] * 99), 3),
        ((*[3] * 26, *[1] * 24), 3),
        ((*[0, 0, 0, 0] * 25, 3), 3),
    ],
    ids=lambda sizes: str(sizes)[:24],
)
def test_the_size_is_that_of_most_videos_that_can_be_read(path, sizes, expected):
    with CsdFile(of_sizes(path, *sizes)) as file:
        assert (file.size, file.holds_words) == (expected, False)


def test_of_many_videos_a_few_that_are_evenly_spaced_are_looked_at(path, monkeypatch):
    """Every fourth of 100; the others might have any size."""
    opened = []
    monkeypatch.setattr(reader, "CsdEntry", lambda *entry: opened.append(entry[1]) or CsdEntry(*entry))
    with CsdFile(of_sizes(path, *[3, 1, 1, 1] * 25)) as file:
        assert file.size == 3
        assert opened == [f"v{k:03}" for k in range(0, 100, 4)]
        assert not file.holds_words
    path.unlink()
    opened.clear()
    with CsdFile(of_sizes(path, *[3] * 49)) as file:
        assert file.size == 3
        assert len(opened) == 25


def test_where_the_spaced_videos_are_all_damaged_the_others_are_looked_at(path):
    with CsdFile(of_sizes(path, *[0, 3] * 25)) as file:
        assert file.ids[::2][:2] == ("v000", "v002")
        assert file.size == 3


def test_a_file_holds_words_if_most_of_its_videos_do(path):
    words = np.array([[b"oh"], [b"sp"]])
    odd = [("a", numbered(2, 1), seconds(0, 1))]
    write_csd(path, root="R", entries=[*odd, *((n, words, seconds(0, 1)) for n in "bc")], metadata={})
    with CsdFile(path) as file:
        assert (file.size, file.holds_words) == (1, True)


@pytest.mark.parametrize(
    ("sizes", "why"), [((), "it has none"), ((0, 0), "v001/intervals is missing")], ids=["none", "damaged"]
)
def test_where_no_video_can_be_read_the_size_is_unknown(path, sizes, why):
    with CsdFile(of_sizes(path, *sizes)) as file, pytest.raises(DatasetError, match=f"no video in it.*{why}"):
        _ = file.size


# Metadata


def write_metadata(path: Path, **values) -> Path:
    write_features(path, {"v": 1})
    with h5py.File(path, "r+") as file:
        for key, value in values.items():
            file["Features"].require_group("metadata")[key.replace("_", " ")] = value
    return path


def dimension_names(path: Path) -> tuple[str, ...] | None:
    with CsdFile(path) as file:
        return file.dimension_names


@pytest.mark.parametrize("value", ['["a", "b"]', b'["a", "b"]', ['["a", "b"]'], np.array([b'["a", "b"]'])])
def test_dimension_names_are_json_however_they_are_stored(path, value):
    assert dimension_names(write_metadata(path, dimension_names=value)) == ("a", "b")


@pytest.mark.parametrize(
    "value", ["a, b", "[]", '["a", 1]', '{"a": 1}', "null", "[" * 100_000, "9" * 100_000, b"\xff\xfe", 3.5]
)
def test_metadata_that_is_no_list_of_names_names_nothing(path, value):
    assert dimension_names(write_metadata(path, dimension_names=value)) is None


@pytest.mark.parametrize("n_bytes", [512, 4096])
def test_names_are_read_behind_what_a_user_put_before_the_hdf5(path, n_bytes):
    """Addresses count from the end of the user block."""
    with h5py.File(path, "w", userblock_size=n_bytes) as file:
        file["R/data/v/features"], file["R/data/v/intervals"] = numbered(2), seconds(0, 1)
        file["R/metadata/dimension names"] = '["smile", "frown"]'
    with path.open("r+b") as raw:
        raw.write(b"made by hand")
    assert dimension_names(path) == ("smile", "frown")
    with CsdFile(path) as file:
        np.testing.assert_array_equal(file["v"].values(), numbered(2))


def test_no_metadata_names_nothing(path):
    write_features(path, {"v": 1})
    assert dimension_names(path) is None
    with h5py.File(path, "r+") as file:
        del file["Features/metadata"]
    assert dimension_names(path) is None


def test_other_metadata_is_not_read(path):
    assert dimension_names(write_metadata(path, dimension_names='["a"]', md5=np.arange(9), notes=h5py.Empty("S3"))) == (
        "a",
    )


def names_or_warning(path: Path) -> tuple[str, ...] | str | None:
    """The names, or why they were passed over."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        names = dimension_names(path)
    assert {warning.category for warning in caught} <= {DataWarning}
    assert names is None or not caught
    return str(caught[0].message) if caught else names


def test_a_damaged_heap_of_strings_is_passed_over_and_never_loops(path):
    """HDF5 itself runs for ever over some of these."""
    write_metadata(path, dimension_names='["a", "b"]', another="x" * 40)
    content = path.read_bytes()
    heap = content.rindex(b"GCOL", 0, content.index(b'["a", "b"]'))
    outcomes = set()
    for position in range(heap, heap + 120):
        for value in (0x00, 0x01, 0x80, 0xFF):
            spoilt = bytearray(content)
            spoilt[position] = value
            path.write_bytes(spoilt)
            found = names_or_warning(path)
            if isinstance(found, str):
                assert found.startswith(f"{path}: /Features/metadata/dimension names is damaged")
                assert found.endswith("; it is passed over")
                found = "passed over"
            outcomes.add(found)
    assert {("a", "b"), "passed over"} <= outcomes


@pytest.mark.parametrize(
    ("value", "message"), [("x" * 5_000_000, "5,000,000 characters"), (np.array(b"x" * 5_000_000), "5,000,000 bytes")]
)
def test_metadata_bombs_are_passed_over(path, value, message):
    write_metadata(path, dimension_names=value)
    with pytest.warns(DataWarning, match=f"{message}; not read; it is passed over"):
        assert dimension_names(path) is None


def test_metadata_in_chunks_is_passed_over(path):
    """Where its text lies cannot be asked of HDF5; the features are none the worse for it."""
    write_features(path, {"v": 3})
    with h5py.File(path, "r+") as file:
        names = file.create_dataset("Features/metadata/dimension names", (1,), dtype=h5py.string_dtype(), chunks=(1,))
        names[0] = '["a", "b"]'
    with pytest.warns(DataWarning, match="not stored in one piece.*it is passed over"):
        assert dimension_names(path) is None
    with CsdFile(path) as file:
        assert file["v"].n_frames == 3


@pytest.mark.parametrize(
    ("value", "message"), [(np.array([b"x"] * 5), "metadata is one JSON text"), (h5py.Empty("S3"), "holds nothing")]
)
def test_metadata_of_another_shape_is_refused(path, value, message):
    write_metadata(path, dimension_names=value)
    with CsdFile(path) as file, pytest.raises(DatasetError, match=message):
        _ = file.dimension_names


# Files that are damaged, or made to do harm


def refusal(path: Path) -> str:
    with pytest.raises(DatasetError) as caught:
        CsdFile(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_a_truncated_file_is_refused_wherever_it_was_cut(path):
    whole = write_features(path, {f"v{k}": 50 for k in range(5)}).read_bytes()
    for length in [*range(0, len(whole), 997), len(whole) - 1]:
        path.write_bytes(whole[:length])
        assert "download it again" in refusal(path)


@pytest.mark.parametrize("content", [b"", b"%PDF-1.7 no HDF5", b"\x89HDF\r\n\x1a\n", b"\0" * 4096])
def test_what_is_no_hdf5_is_refused(path, content):
    path.write_bytes(content)
    assert "HDF5" in refusal(path)


def test_a_missing_file_a_folder_and_an_unknown_layout_are_refused(path):
    assert "no such file" in refusal(path)
    assert "is no file" in refusal(path.parent)
    for build, message in (
        (lambda file: None, "expected a single root group; got 0"),
        (lambda file: [file.create_group(name) for name in "ab"], "single root group; got 2 .'a', 'b'."),
        (lambda file: file.create_dataset("R", data=[1.0]), "is no group"),
        (lambda file: file.create_group("R/other"), "'other'; expected 'data'"),
        (lambda file: file.create_group("R").create_dataset("data", data=[1.0]), "is no group"),
        (lambda file: file.update(R=h5py.ExternalLink(path, "/")), "links are not followed"),
        (lambda file: file.update(R=h5py.SoftLink("/elsewhere")), "links are not followed"),
        (lambda file: file.create_group("R").update(data=h5py.SoftLink("/R")), "links are not followed"),
        (lambda file: h5py.h5g.create(file.id, b"\xff"), "no text"),
        (lambda file: file.update(R=file["/"]), "expected 'data'"),
    ):
        path.unlink(missing_ok=True)
        with h5py.File(path, "w") as file:
            build(file)
        with pytest.raises(DatasetError, match=message):
            CsdFile(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused(path):
    write_features(path, {"v": 1}).chmod(0)
    assert "no permission" in refusal(path)


def entry_refusal(path: Path, spoil: Callable[[h5py.Group], object]) -> str:
    """Why the video ``spoilt`` is refused, as soon as it is opened; the sound one beside it can still be read."""
    with CsdFile(write_spoilt(path, spoil)) as file:
        assert file["sound"].values().shape == (3, 2)
        with pytest.raises(DatasetError) as caught:
            file["spoilt"]
    assert str(path) in str(caught.value)
    assert "spoilt" in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "features",
    [
        np.ones(3),
        np.ones((3, 2, 1)),
        np.ones((3, 0)),
        np.float64(1),
        np.ones((3, 2), dtype=bool),
        np.ones((3, 2), dtype=complex),
        np.ones((3, 2), dtype=[("a", "f4")]),
        h5py.Empty("f4"),
    ],
    ids=lambda features: f"{features.dtype} {features.shape}",
)
def test_features_of_another_kind_are_refused(path, features):
    entry_refusal(path, lambda group: group.update(features=features, intervals=seconds(0, 1, 2)))


@pytest.mark.parametrize(
    ("dtype", "value"), [(h5py.string_dtype(), b"word"), (h5py.vlen_dtype(np.dtype("f4")), np.ones(2, "f4"))], ids=str
)
def test_features_of_any_length_are_refused(path, dtype, value):
    def spoil(group):
        group.create_dataset("features", (3, 1), dtype=dtype)[0, 0] = value
        group["intervals"] = seconds(0, 1, 2)

    assert "object; expected (frames, size) numbers" in entry_refusal(path, spoil)


def test_a_type_that_numpy_does_not_know_is_refused(path):
    def spoil(group):
        h5py.h5d.create(group.id, b"features", h5py.h5t.UNIX_D32LE, h5py.h5s.create_simple((3, 2)))
        group["intervals"] = seconds(0, 1, 2)

    assert "type unknown" in entry_refusal(path, spoil)


@pytest.mark.parametrize(
    "intervals",
    [seconds(0, 1), seconds(0, 1, 2, 3), np.ones((3, 3)), np.ones(3), np.full((3, 2), b"1")],
    ids=lambda intervals: str(intervals.shape),
)
def test_features_and_intervals_of_different_length_are_refused(path, intervals):
    refused = entry_refusal(path, lambda group: group.update(features=numbered(3), intervals=intervals))
    assert f"3 frames of features but intervals of shape {intervals.shape}" in refused


@pytest.mark.parametrize("lacks", ["features", "intervals"])
def test_an_entry_that_lacks_a_part_is_refused(path, lacks):
    parts = {"features": numbered(3), "intervals": seconds(0, 1, 2)}
    refused = entry_refusal(path, lambda group: group.update({k: v for k, v in parts.items() if k != lacks}))
    assert lacks in refused


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """Another file, with what an entry needs; nothing of it may ever be read."""
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["features"], file["intervals"] = numbered(3, first=666), seconds(0, 1, 2)
    (tmp_path / "secret.bin").write_bytes(numbered(3, first=666).tobytes())
    return tmp_path / "secret.h5"


def external_storage(group: h5py.Group, secret: Path) -> None:
    raw = [(str(secret.with_suffix(".bin")), 0, h5py.h5f.UNLIMITED)]
    group.create_dataset("features", (3, 2), dtype="f4", external=raw)


def virtual(group: h5py.Group, secret: Path) -> None:
    layout = h5py.VirtualLayout((3, 2), dtype="f4")
    layout[:] = h5py.VirtualSource(secret, "features", shape=(3, 2))
    group.create_virtual_dataset("features", layout)


@pytest.mark.parametrize(
    ("lead", "message"),
    [
        (lambda group, secret: group.update(features=h5py.ExternalLink(secret, "features")), "links are not followed"),
        (
            lambda group, secret: group.update(features=h5py.SoftLink("/R/data/sound/features")),
            "links are not followed",
        ),
        (external_storage, "stored in other files"),
        (virtual, "stored in other files"),
    ],
)
def test_nothing_outside_the_file_is_read(path, secret, lead, message):
    def spoil(group):
        lead(group, secret)
        group["intervals"] = seconds(0, 1, 2)

    assert message in entry_refusal(path, spoil)


def test_an_entry_or_metadata_that_is_a_link_is_refused(path, secret):
    write_features(path, {"v": 1})
    with h5py.File(path, "r+") as file:
        file["Features/data/linked"] = h5py.ExternalLink(secret, "/")
        del file["Features/metadata"]
        file["Features/metadata"] = h5py.ExternalLink(secret, "/")
    with CsdFile(path) as file:
        with pytest.raises(DatasetError, match=r"linked is a link.*not followed"):
            file["linked"]
        with pytest.raises(DatasetError, match=r"metadata is a link.*not followed"):
            _ = file.dimension_names


def test_nobody_waits_for_a_pipe(tmp_path):
    """A pipe blocks whoever opens it, be it the file itself or what a link leads to."""
    os.mkfifo(tmp_path / "pipe")
    with h5py.File(tmp_path / "linked.csd", "w") as file:
        file.create_group("R")["data"] = h5py.ExternalLink(tmp_path / "pipe", "/")
    write_features(tmp_path / "meta.csd", {"v": 1})
    with h5py.File(tmp_path / "meta.csd", "r+") as file:
        del file["Features/metadata"]
        file["Features/metadata"] = h5py.ExternalLink(tmp_path / "pipe", "/")
    code = """if True:
        import sys
        from pathlib import Path
        from emotiwave.datasets.csd.reader import CsdFile, DatasetError
        for name in ("pipe", "linked.csd", "meta.csd"):
            try:
                with CsdFile(Path(sys.argv[1]) / name) as file:
                    file.dimension_names
            except DatasetError:
                print(name)
    """
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path], timeout=60, check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == ["pipe", "linked.csd", "meta.csd"]


def test_groups_that_contain_each_other_end_nowhere(path):
    def spoil(group):
        group["features"], group["intervals"] = numbered(3), seconds(0, 1, 2)
        group["up"] = group.parent
        group.parent["loop"] = group.parent

    with CsdFile(write_spoilt(path, spoil)) as file:
        assert file.ids == ("loop", "sound", "spoilt")
        assert file["spoilt"].values().shape == (3, 2)
        with pytest.raises(DatasetError, match="loop/features is missing"):
            file["loop"]


def sparse(group: h5py.Group) -> None:
    """10^12 frames are declared, one chunk of 400 is written."""
    for name, size, dtype in (("features", 74, "f4"), ("intervals", 2, "f8")):
        dataset = group.create_dataset(name, (10**12, size), dtype=dtype, chunks=(400, size))
        dataset[:400] = 1


def huge_chunk(group: h5py.Group) -> None:
    """Reading one frame would unpack 2 GiB."""
    for name, size, dtype in (("features", 2**12, "f4"), ("intervals", 2, "f8")):
        group.create_dataset(name, (2**17, size), dtype=dtype, chunks=(2**17, size), compression="gzip")


def never_written(group: h5py.Group) -> None:
    group.create_dataset("features", (10**9, 713), dtype="f4")
    group.create_dataset("intervals", (10**9, 2), dtype="f8")


@pytest.mark.parametrize("spoil", [sparse, huge_chunk, never_written])
def test_more_than_the_file_can_hold_is_refused_in_little_memory(path, spoil):
    tracemalloc.start()
    try:
        refused = entry_refusal(path, spoil)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "not read" in refused
    assert peak < 5_000_000


def test_a_huge_chunk_of_few_bytes_is_refused(path):
    """The chunk is stored (gzip makes a thousandth of it), so it is the size when unpacked that counts."""

    def spoil(group):
        features = group.create_dataset("features", (1, 2), maxshape=(None, 2), dtype="f4", chunks=(2**26, 2))
        features.id.write_direct_chunk((0, 0), b"\0" * 2**15)
        group["intervals"] = seconds(0)

    assert "chunks of 536,870,912 bytes" in entry_refusal(path, spoil)


def test_too_many_frames_are_refused(path, monkeypatch):
    monkeypatch.setattr(reader, "MAX_FRAMES", 3)
    with CsdFile(write_features(path, {"u": 3, "v": 4})) as file:
        assert file["u"].n_frames == 3
        with pytest.raises(DatasetError, match="4 frames; at most 3"):
            file["v"]


@pytest.mark.parametrize(
    ("dtype", "needed"), [("f4", 8 * 2 * 4), ("f8", 8 * 2 * 8), ("i1", 8 * 2 * 4), ("S3", 8 * 2 * 67)]
)
def test_a_read_needs_no_more_than_it_may(path, monkeypatch, dtype, needed):
    """Bytes are widened to float32, and words become Python strings: what they take then is what counts."""
    write_spoilt(path, lambda group: group.update(features=np.ones((8, 2)).astype(dtype), intervals=seconds(*range(8))))
    monkeypatch.setattr(reader, "MAX_READ_BYTES", needed - 1)
    with CsdFile(path) as file:
        entry = file["spoilt"]
        assert entry.values(0, 7).shape == (7, 2)
        with pytest.raises(DatasetError, match=f"'spoilt': features would take {needed:,} bytes"):
            entry.values()


def test_opening_reads_no_features_and_damage_is_found_on_reading(path):
    write_csd(path, root="R", entries=[("v", numbered(300, 5), seconds(*range(300)))], metadata={}, compression=9)
    with h5py.File(path) as file:
        chunk = file["R/data/v/features"].id.get_chunk_info(0)
    with path.open("r+b") as raw:
        raw.seek(chunk.byte_offset)
        raw.write(b"\xff" * chunk.size)
    with CsdFile(path) as file:
        entry = file["v"]
        assert entry.frames_between(10, 12).tolist() == [10, 11]
        with pytest.raises(DatasetError, match=r"'v': damaged.*download"):
            entry.between(10, 12)


# The writer


def test_a_file_appears_whole_or_not_at_all(path):
    write_features(path, {"old": 1})

    def breaks():
        yield "new", numbered(2), seconds(0, 1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_csd(path, root="R", entries=breaks(), metadata={})
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    with CsdFile(path) as file:
        assert file.ids == ("old",)


def test_files_have_the_layout_that_the_sdk_reads(path):
    write_csd(path, root="R", entries=[("v", numbered(2), seconds(0, 1))], metadata={"version": 1.0})
    with h5py.File(path) as file:
        assert list(file) == ["R"]
        assert set(file["R"]) == {"data", "metadata"}
        assert json.loads(file["R/metadata/root name"][0]) == "R"
        assert json.loads(file["R/metadata/version"][0]) == 1.0
        assert file["R/data/v/features"].shape == file["R/data/v/intervals"].shape == (2, 2)
