"""One video cut out of its files, with numbers small enough to work out by hand."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from emotiwave.datasets.csd.writer import write_csd
from emotiwave.errors import DatasetError
from emotiwave.features import video as video_module
from emotiwave.features.prepared import PreparedRecording
from emotiwave.features.settings import FeatureSettings
from emotiwave.features.video import VideoReader
from emotiwave.types import Segment, Utterance

NAN, INF = np.nan, np.inf
Frames = tuple[Sequence[Sequence[float]], Sequence[tuple[float, float]]]


def each_second(*values: float, start: float = 0.0) -> Frames:
    """One feature, one frame a second."""
    return [[v] for v in values], [(start + i, start + i + 1) for i in range(len(values))]


def write(path: Path, videos: Mapping[str, Frames], names: list[str] | None = None) -> Path:
    rows = (
        (
            name,
            np.array(values, np.float32).reshape(len(times), -1 if values else 1),
            np.array(times, np.float64).reshape(-1, 2),
        )
        for name, (values, times) in videos.items()
    )
    return write_csd(path, root=path.stem, entries=rows, metadata={} if names is None else {"dimension names": names})


def write_words(path: Path, *words: tuple[str, float, float], video: str = "v") -> Path:
    tokens = np.array([[word.encode()] for word, _, _ in words], dtype="S32")
    rows = [(video, tokens, np.array([(start, end) for _, start, end in words]))]
    return write_csd(path, root="words", entries=rows, metadata={})


def utterances(*times: tuple[float, float], video: str = "v") -> list[Utterance]:
    return [
        Utterance(id=f"{video}[{i}]", split="train", label="x", segment=Segment(video, start, end))
        for i, (start, end) in enumerate(times)
    ]


def read(
    files: Mapping[str, Path],
    *times: tuple[float, float],
    words: Path | None = None,
    require: Literal["any", "all"] = "any",
    **settings: Any,
) -> PreparedRecording:
    with VideoReader(files, words, FeatureSettings.model_validate(settings), require) as reader:
        return reader.read("v", utterances(*times))


def frames_of(found: PreparedRecording, name: str) -> list[list[Any]]:
    """Per utterance the first feature of every frame; None for NaN."""
    prepared = found.modalities[name]
    column = [None if np.isnan(v) else float(v) for v in prepared.values[:, 0]]
    ends = np.cumsum(prepared.lengths)
    return [column[end - n : end] for end, n in zip(ends, prepared.lengths, strict=True)]


@pytest.fixture
def audio(tmp_path: Path) -> dict[str, Path]:
    return {"audio": write(tmp_path / "audio.csd", {"v": each_second(1, 2, 3, 4, 5, 6, 7, 8)})}


# --- cutting


def test_a_segment_gets_the_frames_whose_middle_it_holds_and_times_from_its_start(audio: dict[str, Path]) -> None:
    found = read(audio, (4.5, 7.4), (0.0, 1.5), (1.0, 3.0))
    assert frames_of(found, "audio") == [[5, 6, 7], [1], [2, 3]]  # middles 0.5, 1.5, …; 1.5 is no more in [0, 1.5)
    intervals = found.modalities["audio"].intervals
    assert intervals.tolist() == [[-0.5, 0.5], [0.5, 1.5], [1.5, 2.5], [0, 1], [0, 1], [1, 2]]
    assert found.modalities["audio"].values.dtype == np.float32
    assert found.ids == ("v[0]", "v[1]", "v[2]")
    assert found.kept == (True, True, True)


def test_more_frames_are_pooled_over_the_whole_segment(audio: dict[str, Path]) -> None:
    found = read(audio, (0, 8), frames=2)
    assert frames_of(found, "audio") == [[2.5, 6.5]]
    assert found.modalities["audio"].intervals.tolist() == [[0, 4], [4, 8]]
    assert found.counts["utterances of more audio frames than 2"] == 1
    assert frames_of(read(audio, (0, 8), frames=2, collapse="max"), "audio") == [[4, 8]]


def test_more_frames_are_cut_if_asked_for_and_counted(audio: dict[str, Path]) -> None:
    found = read(audio, (0, 8), (6, 8), frames=2, beyond="cut")
    assert frames_of(found, "audio") == [[1, 2], [7, 8]]
    assert found.counts["utterances of more audio frames than 2"] == 1


def test_frames_may_differ_by_modality(audio: dict[str, Path], tmp_path: Path) -> None:
    files = audio | {"face": write(tmp_path / "face.csd", {"v": each_second(*range(1, 100))})}
    found = read(files, (0, 99), frames={"audio": 4})
    assert found.modalities["audio"].lengths == (4,)
    assert found.modalities["face"].lengths == (64,)  # the default


def test_frames_out_of_order_are_put_in_order(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csd", {"v": ([[3], [1], [2]], [(2, 3), (0, 1), (1, 2)])})
    assert frames_of(read({"a": path}, (0, 3)), "a") == [[1, 2, 3]]


@pytest.mark.parametrize("beyond", ["pool", "cut"])
@pytest.mark.parametrize("align", ["none", "words"])
def test_reading_in_small_groups_gives_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beyond: str, align: str
) -> None:
    rng = np.random.default_rng(3)
    values = rng.standard_normal((200, 3))
    values[rng.integers(0, 200, 40)] = NAN
    path = write(tmp_path / "a.csd", {"v": (values.tolist(), [(i / 10, (i + 1) / 10) for i in range(200)])})
    words = write_words(tmp_path / "w.csd", *(("w", i / 2, i / 2 + 0.4) for i in range(40)))
    times = [(12.0, 19.0), (0.0, 3.0), (30.0, 40.0), (2.0, 11.0), (5.0, 5.01), (19.0, 20.0)]

    def both() -> tuple[PreparedRecording, int]:
        blocks = []
        block = video_module._read_block
        with monkeypatch.context() as patch:
            patch.setattr(video_module, "_read_block", lambda *of: blocks.append(1) or block(*of))
            found = read({"a": path}, *times, words=words, frames=7, beyond=beyond, align=align)
        return found, len(blocks)

    at_once, one = both()
    monkeypatch.setattr(video_module, "MAX_BYTES_AT_ONCE", 1)
    one_by_one, many = both()
    assert (one, many) == (1, len(times))
    for name in ("values", "intervals"):
        np.testing.assert_array_equal(getattr(at_once.modalities["a"], name), getattr(one_by_one.modalities["a"], name))
    assert at_once.modalities["a"].lengths == one_by_one.modalities["a"].lengths
    assert (at_once.kept, at_once.counts) == (one_by_one.kept, one_by_one.counts)


# --- what is no measurement


def test_unobserved_frames_are_left_out_of_means_and_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csd", {"v": each_second(1, NAN, 0, 4, -INF, INF, 0, 0)})
    found = read({"a": path}, (0, 8), frames=4)
    assert frames_of(found, "a") == [[1, 4, None, None]]
    assert found.counts["a frames"] == 8
    assert found.counts["a frames not finite or all zero"] == 6


def test_overlapping_segments_count_their_frames_each(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csd", {"v": each_second(1, NAN, 3)})
    found = read({"a": path}, (0, 3), (1, 3))
    assert (found.counts["a frames"], found.counts["a frames not finite or all zero"]) == (5, 2)


def test_where_tracking_failed_nothing_was_observed(tmp_path: Path) -> None:
    rows = [[1, 0.9, 1], [9, 0.0, 1], [9, 0.9, 0], [5, 0.5, 1], [NAN, 0, 0]]
    path = write(
        tmp_path / "a.csd", {"v": (rows, [(i, i + 1) for i in range(5)])}, ["smile", " Confidence", "success "]
    )
    found = read({"a": path}, (0, 5))
    assert frames_of(found, "a") == [[1, None, None, 5, None]]
    assert found.counts["a frames where tracking failed"] == 2
    assert found.counts["a frames not finite or all zero"] == 1
    unnamed = write(tmp_path / "b.csd", {"v": (rows, [(i, i + 1) for i in range(5)])})
    assert frames_of(read({"a": unnamed}, (0, 5)), "a") == [[1, 9, 9, 5, None]]


def test_names_of_more_columns_than_there_are_do_no_harm(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csd", {"v": each_second(1, 2)}, ["smile", "confidence", "success"])
    assert frames_of(read({"a": path}, (0, 2)), "a") == [[1, 2]]


def test_as_zeros_every_frame_is_data(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csd", {"v": ([[1, 8], [NAN, 6], [0, 0], [-INF, 2]], [(i, i + 1) for i in range(4)])})
    found = read({"a": path}, (0, 4), unobserved="zero")
    assert found.modalities["a"].values.tolist() == [[1, 8], [0, 6], [0, 0], [0, 2]]
    pooled = read({"a": path}, (0, 4), unobserved="zero", frames=2)
    assert pooled.modalities["a"].values.tolist() == [[0.5, 7], [0, 1]]


def test_padding_fills_up_with_zeros(audio: dict[str, Path]) -> None:
    found = read(audio, (0, 2), (3, 8), frames=4, beyond="cut", unobserved="zero", pad=True)
    assert frames_of(found, "audio") == [[1, 2, 0, 0], [4, 5, 6, 7]]
    assert found.modalities["audio"].intervals[:4].tolist() == [[0, 1], [1, 2], [2, 2], [2, 2]]


def test_an_utterance_without_an_observed_frame_lacks_the_modality(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csd", {"v": each_second(NAN, 0, 3)})
    found = read({"a": path}, (0, 2), (2, 3), (50, 60))
    assert frames_of(found, "a") == [[], [3], []]
    assert found.modalities["a"].observed == found.kept == (False, True, False)
    assert found.counts["utterances without a"] == 2


# --- several modalities


@pytest.fixture
def two(tmp_path: Path) -> dict[str, Path]:
    return {
        "a": write(tmp_path / "a.csd", {"v": each_second(1, 2, NAN, NAN)}),
        "b": write(tmp_path / "b.csd", {"v": each_second(5, NAN, NAN, 8)}),
    }


def test_any_modality_keeps_an_utterance_or_all_must(two: dict[str, Path]) -> None:
    each = [(0, 1), (1, 2), (2, 3), (3, 4)]
    found = read(two, *each)
    assert found.kept == (True, True, False, True)
    assert (frames_of(found, "a"), frames_of(found, "b")) == ([[1], [2], [], []], [[5], [], [], [8]])
    strict = read(two, *each, require="all")
    assert strict.kept == (True, False, False, False)
    assert (frames_of(strict, "a"), frames_of(strict, "b")) == ([[1], [], [], []], [[5], [], [], []])


def test_a_video_that_a_file_lacks_is_counted_and_the_others_stay(two: dict[str, Path], tmp_path: Path) -> None:
    files = two | {"c": write(tmp_path / "c.csd", {"other": each_second(1)})}
    found = read(files, (0, 1), (3, 4))
    assert found.modalities["c"].lengths == (0, 0)
    assert found.kept == (True, True)
    assert (found.counts["videos without c"], found.counts["utterances without c"]) == (1, 2)
    assert found.errors == ()
    assert read(files, (0, 1), require="all").kept == (False,)


def test_a_video_of_another_size_than_most_is_an_error_row(two: dict[str, Path], tmp_path: Path) -> None:
    videos: dict[str, Frames] = {"a": each_second(1), "v": ([[1, 2]], [(0, 1)]), "w": each_second(1)}
    found = read(two | {"c": write(tmp_path / "c.csd", videos)}, (0, 1))
    assert [(row["recording"], row["modality"]) for row in found.errors] == [("v", "c")]
    assert "'v' has 2 features per frame; the file has 1" in found.errors[0]["error"]
    assert (found.kept, found.modalities["c"].lengths) == ((True,), (0,))
    assert found.counts["utterances without c"] == 1


def test_where_the_first_video_is_the_odd_one_it_alone_is_lost(tmp_path: Path) -> None:
    videos: dict[str, Frames] = {"a": ([[1, 2]], [(0, 1)]), "v": each_second(3), "w": each_second(4)}
    files = {"c": write(tmp_path / "c.csd", videos)}
    with VideoReader(files, None, FeatureSettings()) as reader:
        assert reader.sizes == {"c": 1}
        found = {video: reader.read(video, utterances((0, 1), video=video)) for video in videos}
    assert {video: len(of.errors) for video, of in found.items()} == {"a": 1, "v": 0, "w": 0}
    assert "'a' has 2 features per frame; the file has 1" in found["a"].errors[0]["error"]
    assert [frames_of(found[video], "c") for video in videos] == [[[]], [[3]], [[4]]]


def test_a_video_that_breaks_halfway_is_counted_as_missing_only(
    two: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video_module, "MAX_BYTES_AT_ONCE", 1)
    block = video_module._read_block

    def broken(entry: Any, spans: Any) -> Any:
        if entry.path == two["a"] and spans[0].frames.min() > 0:
            raise DatasetError("planted")
        return block(entry, spans)

    monkeypatch.setattr(video_module, "_read_block", broken)
    found = read(two, (0, 1), (1, 2))
    assert [row["error"] for row in found.errors] == ["planted"]
    assert found.modalities["a"].lengths == (0, 0)
    assert {name: n for name, n in found.counts.items() if "a" in name.split()} == {"utterances without a": 2}
    assert found.counts["b frames"] == 2


def test_words_are_no_features_and_features_no_words(two: dict[str, Path], tmp_path: Path) -> None:
    words = write_words(tmp_path / "w.csd", ("one", 0, 1))
    with pytest.raises(DatasetError, match=r"w\.csd: holds words; a modality needs numbers"):
        read({"text": words}, (0, 1))
    found = read(two, (0, 1), words=two["b"])
    assert [row["modality"] for row in found.errors] == ["words"]
    assert found.transcripts == (None,)
    assert found.kept == (True,)


# --- words

WORDS = (("hello", 0, 2), ("sp", 2, 3), ("big", 3, 4), ("", 4, 4.5), ("world", 5, 7))


def test_transcripts_are_the_words_of_the_segment_without_pauses(audio: dict[str, Path], tmp_path: Path) -> None:
    words = write_words(tmp_path / "w.csd", *WORDS)
    found = read(audio, (0, 8), (0.5, 3.6), (2, 3), words=words)
    assert found.transcripts == ("hello big world", "hello big", "")
    assert read(audio, (0, 8)).transcripts == (None,)
    other = write_words(tmp_path / "o.csd", *WORDS, video="other")
    assert read(audio, (0, 8), words=other).transcripts == (None,)


def test_a_transcript_that_is_no_utf8_is_still_text(audio: dict[str, Path], tmp_path: Path) -> None:
    rows = [("v", np.array([[b"caf\xe9"], [b"ol\xc3\xa9"]], dtype="S32"), np.array([[0.0, 1.0], [1.0, 2.0]]))]
    words = write_csd(tmp_path / "w.csd", root="w", entries=rows, metadata={})
    assert read(audio, (0, 8), words=words).transcripts == ("caf\ufffd olé",)


def test_aligned_to_words_there_is_a_frame_per_word_and_none_for_pauses(audio: dict[str, Path], tmp_path: Path) -> None:
    words = write_words(tmp_path / "w.csd", *WORDS)
    found = read(audio, (0, 8), words=words, align="words")
    assert frames_of(found, "audio") == [[1.5, 4, 6.5]]  # seconds 0-2, 3-4 and 5-7
    assert found.modalities["audio"].intervals.tolist() == [[0, 2], [3, 4], [5, 7]]
    later = read(audio, (3, 8), words=words, align="words")
    assert frames_of(later, "audio") == [[4, 6.5]]
    assert later.modalities["audio"].intervals.tolist() == [[0, 1], [2, 4]]


def test_vectors_are_joined_to_words_by_time_and_not_by_row(tmp_path: Path) -> None:
    """The vectors lack a row for "big"; joined by index, "world" would get it."""
    words = write_words(tmp_path / "w.csd", *WORDS)
    vectors = write(tmp_path / "g.csd", {"v": ([[10], [20], [50]], [(0, 2), (2, 3), (5, 7)])})  # hello, sp, world
    found = read({"text": vectors}, (0, 8), words=words, align="words")
    assert frames_of(found, "text") == [[10, None, 50]]
    assert found.transcripts == ("hello big world",)


def test_more_words_than_the_budget_are_pooled_or_cut(audio: dict[str, Path], tmp_path: Path) -> None:
    words = write_words(tmp_path / "w.csd", *((f"w{i}", i, i + 1) for i in range(8)))
    pooled = read(audio, (0, 8), words=words, align="words", frames=2)
    assert frames_of(pooled, "audio") == [[2.5, 6.5]]
    cut = read(audio, (0, 8), words=words, align="words", frames=2, beyond="cut")
    assert frames_of(cut, "audio") == [[1, 2]]
    for found in (pooled, cut):
        assert found.counts["utterances of more audio frames than 2"] == 1


def test_aligned_modalities_share_their_frames(two: dict[str, Path], tmp_path: Path) -> None:
    words = write_words(tmp_path / "w.csd", ("one", 0, 1), ("two", 1, 2), ("three", 3.2, 3.8))
    found = read(two, (0, 4), words=words, align="words")
    assert (frames_of(found, "a"), frames_of(found, "b")) == ([[1, 2, None]], [[5, None, 8]])


def test_words_within_words_and_out_of_order_lose_no_frame(audio: dict[str, Path], tmp_path: Path) -> None:
    words = write_words(tmp_path / "w.csd", ("later", 6, 8), ("inner", 1, 2), ("outer", 0, 5))
    found = read(audio, (0, 8), words=words, align="words")
    assert found.transcripts == ("outer inner later",)
    assert frames_of(found, "audio") == [[3.25, 2, 7.5]]  # of 1, 3, 4, 5; of 2; of 7, 8


@pytest.mark.parametrize("unobserved", ["mask", "zero"])
def test_an_utterance_without_words_has_nothing_to_be_aligned_to(
    audio: dict[str, Path], tmp_path: Path, unobserved: str
) -> None:
    words = write_words(tmp_path / "w.csd", ("hello", 0, 1), ("sp", 1, 8))
    found = read(audio, (0, 2), (3, 8), words=words, align="words", unobserved=unobserved)
    assert found.modalities["audio"].lengths == (1, 0)
    assert found.kept == (True, False), "frames that fall into no word are no reason to keep an utterance"
    assert found.counts["utterances without audio"] == 1


def test_no_more_is_read_at_once_than_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty segments of 10 frames, 4 bytes each, one after the other; 100 bytes hold two of them, 30 hold none."""
    path = write(tmp_path / "a.csd", {"v": each_second(*range(1, 201))})
    times = [(10.0 * i, 10.0 * i + 10) for i in range(20)]
    expected = [[float(10 * i + k) for k in range(1, 11)] for i in range(20)]
    sizes: list[int] = []
    block = video_module._read_block

    def recorded(entry: Any, spans: Any) -> Any:
        first, values = block(entry, spans)
        sizes.append(len(values))
        return first, values

    monkeypatch.setattr(video_module, "_read_block", recorded)
    for allowed, frames in ((10_000, [200]), (100, [20] * 10), (30, [10] * 20)):
        sizes.clear()
        monkeypatch.setattr(video_module, "MAX_BYTES_AT_ONCE", allowed)
        assert frames_of(read({"a": path}, *times), "a") == expected
        assert sizes == frames
