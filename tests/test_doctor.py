"""The doctor finds each thing that is planted, as often as it is planted, and nothing in files that are clean."""

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from emotiwave.datasets.made_mosei.settings import MadeMoseiSettings
from emotiwave.datasets.made_mosei.writing import write_made_mosei
from emotiwave.doctor.findings import KINDS, SEVERITIES
from emotiwave.doctor.frames import FrameCheck
from emotiwave.doctor.inspection import Inspection, inspect
from tests.made_csd import IDS, MadeFiles, made_files

Trap = Callable[[MadeFiles], None]
NAN, INF = np.nan, np.inf


def counts(inspection: Inspection) -> dict[tuple[str, str], int]:
    found = Counter({(Path(one.file).name, one.kind): one.count for one in inspection.findings})
    assert len(found) == len(inspection.findings)
    return dict(found)


def label(files: MadeFiles, video: int, column: int, value: float) -> None:
    files.files["Labels"][IDS[video]][0][0, column] = value


def segments(files: MadeFiles, video: int, rows: list[list[float]]) -> None:
    values, _ = files.files["Labels"][IDS[video]]
    files.files["Labels"][IDS[video]] = (np.repeat(values, len(rows), axis=0), np.array(rows))


def values(files: MadeFiles, name: str, video: int):
    return files.files[name][IDS[video]][0]


def times(files: MadeFiles, name: str, video: int):
    return files.files[name][IDS[video]][1]


def label_order(files: MadeFiles) -> None:
    files.names["Labels"] = ["Sentiment", "Happy", "Sad", "Anger", "Surprise", "Fear", "Disgust"]


def label_width(files: MadeFiles) -> None:
    files.files["Labels"] = {video: (rows[:, :6], spans) for video, (rows, spans) in files.files["Labels"].items()}


def label_columns(files: MadeFiles) -> None:
    files.names["Labels"] = None


def labels_out_of_range(files: MadeFiles) -> None:
    label(files, 0, 1, 3.5)
    label(files, 1, 0, -3.01)
    label(files, 2, 1, -0.5)


def labels_non_finite(files: MadeFiles) -> None:
    label(files, 0, 3, NAN)
    label(files, 1, 0, INF)


def empty_segments(files: MadeFiles) -> None:
    segments(files, 0, [[2.0, 2.0]])
    segments(files, 1, [[3.0, 2.0]])
    segments(files, 2, [[1.0, NAN]])


def negative_start(files: MadeFiles) -> None:
    segments(files, 4, [[-0.2, 3.0]])


def several_segments(files: MadeFiles) -> None:
    segments(files, 0, [[0.0, 1.0], [1.0, 2.0]])
    segments(files, 1, [[0.0, 1.0], [1.0, 2.0], [2.0, 4.0]])


def overlapping_segments(files: MadeFiles) -> None:
    segments(files, 0, [[0.0, 4.0], [0.5, 1.5], [2.0, 3.0]])  # all three: the first spans the others


def unsorted_rows(files: MadeFiles) -> None:
    segments(files, 0, [[2.0, 3.0], [0.0, 1.0]])


def not_in_fold(files: MadeFiles) -> None:
    segments(files, 7, [[0.0, 1.0], [1.0, 2.0]])
    files.folds["valid"].remove(IDS[7])


def fold_without_labels(files: MadeFiles) -> None:
    files.folds["test"] += ["nobody", "noone"]


def labels_all_zero(files: MadeFiles) -> None:
    values(files, "Labels", 3)[0, 1:] = 0


def labels_tied(files: MadeFiles) -> None:
    values(files, "Labels", 3)[0, 1:] = [2, 2, 0, 1, 0, 0]
    values(files, "Labels", 4)[0, 1:] = [1, 2, 2, 2, 0, 0]


def class_imbalance(files: MadeFiles) -> None:
    for rows, _ in files.files["Labels"].values():
        rows[0, 3], rows[0, 5] = 0, 0
        rows[0, 1] = 2.5


def leading_dash(files: MadeFiles) -> None:
    files.rename(IDS[0], "-video")


def digit_suffix(files: MadeFiles) -> None:
    files.rename(IDS[1], IDS[0] + "_1")
    files.rename(IDS[2], IDS[0] + "_22")  # two digits are no such ending


def root_name(files: MadeFiles) -> None:
    files.roots["COVAREP"] = "covarep features"


def damaged_entries(files: MadeFiles) -> None:
    rows, spans = files.files["COVAREP"][IDS[0]]
    files.files["COVAREP"][IDS[0]] = (rows, spans[:-1])
    rows, spans = files.files["COVAREP"][IDS[5]]
    files.files["COVAREP"][IDS[5]] = (rows[:, :2], spans)


def damaged_labels(files: MadeFiles) -> None:
    rows, spans = files.files["Labels"][IDS[2]]
    files.files["Labels"][IDS[2]] = (rows[:, :6], spans)


def missing_modality(files: MadeFiles) -> None:
    for video in IDS[3:6]:
        del files.files["COVAREP"][video]


def non_finite(files: MadeFiles) -> None:
    values(files, "COVAREP", 0)[5, 0] = NAN
    values(files, "COVAREP", 0)[6] = -INF, INF, 1.0
    values(files, "COVAREP", 9)[0] = -INF
    values(files, "COVAREP", 9)[1] = 3e38, 3e38, -1  # large, but a number


def constant_columns(files: MadeFiles) -> None:
    for rows, _ in files.files["COVAREP"].values():
        rows[:, 1] = 7.0


def all_zero_frames(files: MadeFiles) -> None:
    values(files, "glove", 0)[2:4] = 0
    values(files, "glove", 3)[0] = 1.0, 0.0, 0.0
    values(files, "glove", 4)[0] = 0


def failed_frames(files: MadeFiles) -> None:
    values(files, "OpenFace", 2)[3:6, 2] = 0  # success
    values(files, "OpenFace", 2)[5:7, 1] = 0  # confidence


def negative_intervals(files: MadeFiles) -> None:
    times(files, "COVAREP", 0)[0, 0] = -0.05


def inverted_intervals(files: MadeFiles) -> None:
    times(files, "COVAREP", 0)[3] = times(files, "COVAREP", 0)[3, ::-1].copy()
    times(files, "COVAREP", 1)[3, 1] = NAN
    times(files, "COVAREP", 2)[3, 1] = times(files, "COVAREP", 2)[3, 0]  # an instant is no fault


def overlapping_intervals(files: MadeFiles) -> None:
    times(files, "COVAREP", 0)[3, 1] += 0.0005  # half a percent of 0.1 s
    times(files, "COVAREP", 0)[7, 1] += 0.002
    times(files, "COVAREP", 1)[7, 1] += 0.2  # reaches over two more: both begin too early


def unsorted_intervals(files: MadeFiles) -> None:
    for video in (0, 1):
        rows, spans = files.files["OpenFace"][IDS[video]]
        files.files["OpenFace"][IDS[video]] = (rows, spans[::-1].copy())


def pause_tokens(files: MadeFiles) -> None:
    values(files, "words", 0)[[1, 5], 0] = b"sp"
    values(files, "words", 8)[0, 0] = b"sp"
    values(files, "words", 8)[1, 0] = b"spell"


def fewer_vectors_than_words(files: MadeFiles) -> None:
    for video in (2, 5):
        rows, spans = files.files["glove"][IDS[video]]
        files.files["glove"][IDS[video]] = (rows[:-1], spans[:-1])


def long_segments(files: MadeFiles) -> None:
    n = 450  # 150 Hz for 3 s: 450 frames in the segment, of which 300 would be kept
    for video in (0, 1):
        spans = 0.5 + np.stack([np.arange(n), np.arange(1, n + 1)], axis=1) / 150
        files.files["COVAREP"][IDS[video]] = (np.random.default_rng(video).normal(size=(n, 3)), spans)


def segments_without_frames(files: MadeFiles) -> None:
    segments(files, 0, [[10.0, 12.0]])
    segments(files, 1, [[0.2, 0.31]])  # one frame of each is enough


LABELS, AUDIO, VISION = "Labels.csd", "COVAREP.csd", "OpenFace.csd"
FEATURES = (AUDIO, VISION, "words.csd", "glove.csd")
TABLE: list[tuple[Trap, dict[tuple[str, str], int]]] = [
    (label_order, {(LABELS, "label_order"): 2}),
    (label_width, {(LABELS, "label_width"): 10, ("standard_folds.json", "fold_without_labels"): 10}),
    (label_columns, {(LABELS, "label_columns"): 7}),
    (labels_out_of_range, {(LABELS, "labels_out_of_range"): 3}),
    (labels_non_finite, {(LABELS, "labels_non_finite"): 2}),
    (empty_segments, {(LABELS, "empty_segments"): 3}),
    (negative_start, {(LABELS, "negative_start"): 1}),
    (several_segments, {(LABELS, "several_segments"): 2}),
    (overlapping_segments, {(LABELS, "overlapping_segments"): 3, (LABELS, "several_segments"): 1}),
    (unsorted_rows, {(LABELS, "unsorted_rows"): 1, (LABELS, "several_segments"): 1}),
    (not_in_fold, {(LABELS, "not_in_fold"): 2, (LABELS, "several_segments"): 1}),
    (fold_without_labels, {("standard_folds.json", "fold_without_labels"): 2}),
    (labels_all_zero, {(LABELS, "labels_all_zero"): 1}),
    (labels_tied, {(LABELS, "labels_tied"): 2}),
    (class_imbalance, {(LABELS, "class_imbalance"): 2}),
    (leading_dash, {(LABELS, "leading_dash"): 1}),
    (digit_suffix, {(LABELS, "digit_suffix"): 1}),
    (root_name, {(AUDIO, "root_name"): 1}),
    (damaged_entries, {(AUDIO, "damaged_entries"): 2}),
    (damaged_labels, {(LABELS, "damaged_labels"): 1, ("standard_folds.json", "fold_without_labels"): 1}),
    (missing_modality, {(AUDIO, "missing_modality"): 3}),
    (non_finite, {(AUDIO, "non_finite"): 3}),
    (constant_columns, {(AUDIO, "constant_columns"): 1}),
    (all_zero_frames, {("glove.csd", "all_zero_frames"): 3}),
    (failed_frames, {(VISION, "failed_frames"): 4}),
    (negative_intervals, {(AUDIO, "negative_intervals"): 1}),
    (inverted_intervals, {(AUDIO, "inverted_intervals"): 2}),
    (overlapping_intervals, {(AUDIO, "overlapping_intervals"): 3}),
    (unsorted_intervals, {(VISION, "unsorted_intervals"): 2}),
    (pause_tokens, {("words.csd", "pause_tokens"): 3}),
    (fewer_vectors_than_words, {("glove.csd", "fewer_vectors_than_words"): 2}),
    (long_segments, {(AUDIO, "long_segments"): 2}),
    (segments_without_frames, {(file, "segments_without_frames"): 1 for file in FEATURES}),
]


def test_clean_files_have_no_finding(tmp_path):
    inspection = inspect([made_files().write(tmp_path)])
    assert inspection.findings == ()
    assert not inspection.needs_decision
    assert len(inspection.facts) == 6


@pytest.mark.parametrize(("trap", "planted"), TABLE, ids=[trap.__name__ for trap, _ in TABLE])
def test_what_is_planted_is_found_and_nothing_else(tmp_path, trap, planted):
    files = made_files()
    trap(files)
    assert counts(inspect([files.write(tmp_path)])) == planted


def test_a_folder_of_a_known_corpus_is_told_what_it_lacks(tmp_path, monkeypatch):
    monkeypatch.delenv("EMOTIWAVE_DATA", raising=False)
    whole = write_made_mosei(
        tmp_path, MadeMoseiSettings(n_videos=6, traps=False, sizes={"vision": 12, "text": 10, "audio": 12})
    ).folder
    lacking = {"missing_file", "missing_words", "no_folds"}
    assert not lacking & {one.kind for one in inspect([whole]).findings}
    for name in ("COVAREP", "TimestampedWords"):
        (whole / f"CMU_MOSEI_{name}.csd").unlink()
    (whole / "standard_folds.json").rename(tmp_path / "elsewhere.txt")
    inspection = inspect([whole])
    found = {(Path(one.file).name, one.kind): one.severity for one in inspection.findings if one.kind in lacking}
    assert found == {
        ("CMU_MOSEI_COVAREP.csd", "missing_file"): "decision",
        ("CMU_MOSEI_TimestampedWords.csd", "missing_words"): "warning",
        ("standard_folds.json", "no_folds"): "decision",
    }
    assert inspection.needs_decision
    folds = (tmp_path / "elsewhere.txt").rename(tmp_path / "mine.json")
    for given in (inspect([whole], folds=folds), inspect([whole, folds])):
        assert "no_folds" not in {one.kind for one in given.findings}
    (tmp_path / "data" / "mosei_meta").mkdir(parents=True)
    folds.rename(tmp_path / "data" / "mosei_meta" / "standard_folds.json")
    monkeypatch.setenv("EMOTIWAVE_DATA", str(tmp_path / "data"))
    published = inspect([whole])  # as preparation does
    assert "no_folds" not in {one.kind for one in published.findings}
    assert any("mosei_meta" in facts.file for facts in published.facts)
    assert not lacking & {one.kind for one in inspect([whole / "CMU_MOSEI_Labels.csd"]).findings}


def test_the_table_names_every_kind_of_finding():
    elsewhere = {"unreadable", "split_leakage", "reader_notes", "missing_file", "missing_words", "no_folds"}
    assert {trap.__name__ for trap, _ in TABLE} | elsewhere == set(KINDS)


def test_the_detail_names_the_swap_of_fear_and_disgust(tmp_path):
    files = made_files()
    label_order(files)
    inspection = inspect([files.write(tmp_path)])
    assert inspection.needs_decision
    assert "Fear and disgust are exchanged" in inspection.findings[0].detail


def test_the_detail_tells_the_share_that_a_cap_would_throw_away(tmp_path):
    files = made_files()
    long_segments(files)
    (finding,) = inspect([files.write(tmp_path)]).findings
    assert "2 of 10 (20.0 %)" in finding.detail
    assert f"{100 * 300 / (2 * 450 + 8 * 30):.1f} %" in finding.detail  # 150 of 450 lost, twice; the others have 30


def test_details_give_share_and_at_most_three_examples(tmp_path):
    files = made_files()
    for video in range(5):
        values(files, "COVAREP", video)[:4] = NAN
    (finding,) = inspect([files.write(tmp_path)]).findings
    assert finding.detail == "Frames with NaN or infinity: 20 of 400 (5.0 %), in 'videoa', 'videob', 'videoc'."
    assert finding.share == pytest.approx(0.05)


def test_findings_are_ranked_by_severity_then_by_share(tmp_path):
    files = made_files()
    for trap in (label_order, non_finite, unsorted_intervals, root_name, all_zero_frames, pause_tokens):
        trap(files)
    findings = inspect([files.write(tmp_path)]).findings
    kinds = ["label_order", "unsorted_intervals", "non_finite", "all_zero_frames", "pause_tokens", "root_name"]
    assert [one.kind for one in findings] == kinds
    assert [SEVERITIES.index(one.severity) for one in findings] == [0, 1, 1, 2, 2, 2]


def test_facts_of_a_feature_file(tmp_path):
    files = made_files()
    non_finite(files)
    values(files, "COVAREP", 4)[0] = 0
    facts = {one.name: one for one in inspect([files.write(tmp_path)]).facts}[AUDIO]
    assert (facts.kind, facts.root, facts.size, facts.dtype) == ("features", "COVAREP", 3, "float32")
    assert (facts.n_videos, facts.n_frames, facts.n_unobserved) == (10, 400, 4)
    assert facts.seconds == pytest.approx(40.0)
    assert facts.rate == pytest.approx(10.0)
    assert facts.n_bytes == (tmp_path / AUDIO).stat().st_size


def test_facts_of_a_label_file(tmp_path):
    files = made_files()
    labels_all_zero(files)
    empty_segments(files)
    labels = {one.name: one for one in inspect([files.write(tmp_path)]).facts}[LABELS].labels
    assert labels is not None
    assert (labels.n_rows, labels.n_segments, labels.named_by) == (10, 7, "metadata")
    assert labels.all_zero_share == pytest.approx(0.1)
    assert labels.class_shares["happiness"] == pytest.approx(0.3)  # videos 0, 5, 6
    assert labels.class_shares["anger"] == pytest.approx(0.4)  # videos 1, 2, 7, 8
    assert labels.class_shares["surprise"] == pytest.approx(0.3)  # videos 2, 8, 9; it was 3, too
    assert labels.folds["train"] == {"videos": 3, "segments": 3}
    assert labels.folds["in no fold"] == {"videos": 0, "segments": 0}
    assert labels.lengths is not None
    assert labels.lengths.counts[3] == 7


def test_presence_counts_videos_by_their_modalities(tmp_path):
    files = made_files()
    missing_modality(files)
    del files.files["OpenFace"][IDS[5]]
    presence = inspect([files.write(tmp_path)]).presence
    assert presence == {("COVAREP", "OpenFace", "glove"): 7, ("OpenFace", "glove"): 2, ("glove",): 1}


def test_a_first_video_of_another_width_is_the_damaged_one(tmp_path):
    files = made_files()
    rows, spans = files.files["COVAREP"][IDS[0]]
    files.files["COVAREP"][IDS[0]] = (rows[:, :2], spans)
    inspection = inspect([files.write(tmp_path)])
    assert counts(inspection) == {(AUDIO, "damaged_entries"): 1}
    assert "'videoa': 2 columns of float32; most videos of the file have 3 of numbers" in inspection.findings[0].detail
    assert {one.name: one for one in inspection.facts}[AUDIO].size == 3


def test_labels_of_one_video_with_another_width_are_damaged_and_the_others_stand(tmp_path):
    files = made_files()
    rows, spans = files.files["Labels"][IDS[0]]
    files.files["Labels"][IDS[0]] = (rows[:, :6], spans)
    inspection = inspect([files.write(tmp_path)])
    assert counts(inspection) == {(LABELS, "damaged_labels"): 1, ("standard_folds.json", "fold_without_labels"): 1}
    assert not inspection.needs_decision


def test_more_rows_than_any_corpus_labels_are_refused(tmp_path, monkeypatch):
    path = made_files().write(tmp_path) / LABELS
    monkeypatch.setattr("emotiwave.doctor.label_table.MAX_ROWS", 10)
    assert inspect([path]).findings == ()
    monkeypatch.setattr("emotiwave.doctor.label_table.MAX_ROWS", 9)
    (finding,) = inspect([path]).findings
    assert (finding.kind, finding.severity) == ("unreadable", "decision")
    assert "holds 10 rows; at most 9 are read" in finding.detail


def test_what_the_reader_warns_of_is_a_finding(tmp_path):
    path = made_files().write(tmp_path) / AUDIO
    with h5py.File(path, "r+") as file:
        file["COVAREP/metadata/dimension names"] = "x" * 5_000_000
    (finding,) = inspect([path]).findings
    assert (finding.kind, finding.count, finding.severity) == ("reader_notes", 1, "warning")
    assert finding.detail.startswith("/COVAREP/metadata/dimension names has 5,000,000 characters; not read")


def test_frames_are_counted_one_by_one():
    values = np.random.default_rng(0).choice(np.float32([0, 1, -1, 3e38, np.nan, np.inf]), (3000, 3))
    values[:50] = 0
    counted = FrameCheck(3, [1]).add(values)
    rows = values.tolist()
    non_finite = [not all(map(math.isfinite, row)) for row in rows]
    all_zero = [row == [0, 0, 0] for row in rows]
    failed = [row[1] <= 0 for row in rows]
    assert (counted.n_non_finite, counted.n_all_zero, counted.n_failed) == (sum(non_finite), sum(all_zero), sum(failed))
    assert counted.n_unobserved == sum(map(any, zip(non_finite, all_zero, failed, strict=True)))
    assert (1.0, -1.0, 0.0) in set(map(tuple, rows))  # a sum of zero is no proof of zeros
    assert (3e38, 3e38) in {tuple(map(float, f"{a:.1g} {b:.1g}".split())) for a, b, _ in rows}  # nor one of infinity


def test_folds_that_are_given_win_over_those_in_the_folder(tmp_path):
    folder, elsewhere = tmp_path / "files", tmp_path / "mine.json"
    folder.mkdir()
    made_files().write(folder)
    elsewhere.write_text('{"train": ["videoa"], "valid": [], "test": []}')
    found = counts(inspect([folder], folds=elsewhere))
    assert found == {(LABELS, "not_in_fold"): 9}


def test_blocks_change_nothing(tmp_path, monkeypatch):
    files = made_files()
    for trap in (non_finite, constant_columns, all_zero_frames, failed_frames, pause_tokens):
        trap(files)
    files.write(tmp_path)
    whole = inspect([tmp_path])
    monkeypatch.setattr("emotiwave.doctor.feature_files.BLOCK_BYTES", 40)
    blocks = inspect([tmp_path])
    assert blocks == whole


def test_progress_is_told_video_by_video(tmp_path):
    told = []
    inspect([made_files().write(tmp_path) / AUDIO], progress=lambda *seen: told.append(seen))
    assert told == [(AUDIO, done, 10) for done in range(1, 11)]


def test_labels_of_cmu_mosi_have_one_column(tmp_path):
    files = made_files()
    files.files["CMU_MOSI_Opinion_Labels"] = {
        video: (rows[:, :1], spans) for video, (rows, spans) in files.files.pop("Labels").items()
    }
    files.names["CMU_MOSI_Opinion_Labels"] = ["sentiment"]
    files.write(tmp_path)
    assert counts(inspect([tmp_path / "CMU_MOSI_Opinion_Labels.csd"])) == {}
    (labels,) = [one.labels for one in inspect([tmp_path]).facts if one.labels]
    assert labels.columns == ("sentiment",)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    settings = MadeMoseiSettings(n_videos=20, facet=True, sizes={"vision": 12, "text": 10, "audio": 12}, seed=3)
    return write_made_mosei(tmp_path_factory.mktemp("planted"), settings)


def test_made_mosei_files_hold_what_their_writer_counted(planted):
    found: dict[str, Counter[str]] = {name: Counter() for name in planted.planted_by_file}
    for (file, kind), count in counts(inspect([planted.folder])).items():
        found[file][kind] += count
    assert {name: dict(kinds) for name, kinds in found.items()} == planted.planted_by_file


def test_made_mosei_files_without_traps_have_only_what_labels_bring(tmp_path):
    settings = MadeMoseiSettings(n_videos=12, traps=False, sizes={"vision": 12, "text": 10, "audio": 12})
    made = write_made_mosei(tmp_path, settings)
    by_file: dict[str, dict[str, int]] = {name: {} for name in made.planted_by_file}
    for (file, kind), count in counts(inspect([tmp_path])).items():
        by_file[file][kind] = count
    assert by_file == made.planted_by_file
    severities = {one.severity for one in inspect([tmp_path]).findings}
    assert severities == {"info"}


@pytest.mark.parametrize("spoil", ["label_columns", "label_order", "label_width", "unreadable"])
def test_made_mosei_files_spoilt_on_purpose(tmp_path, spoil):
    settings = MadeMoseiSettings(
        n_videos=6,
        traps=False,
        spoil=(spoil,),
        sizes={"vision": 12, "text": 10, "audio": 12},
        shortest=1.0,
        longest=2.0,
    )
    made = write_made_mosei(tmp_path, settings)
    (file,) = [name for name, kinds in made.planted_by_file.items() if spoil in kinds]
    inspection = inspect([tmp_path])
    assert counts(inspection)[file, spoil] == made.planted_by_file[file][spoil]
    assert inspection.needs_decision == (spoil != "label_columns")
