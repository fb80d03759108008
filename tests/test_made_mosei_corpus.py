"""Made MOSEI files as a corpus that any recipe can name: written once, whole or not at all, never mixed up."""

import json
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError
from rich.console import Console
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from emotiwave import api
from emotiwave.config import Recipe, parse_recipe, read_recipe
from emotiwave.datasets import mosei
from emotiwave.datasets.made_mosei import MadeMoseiSettings, keeping, write_made_mosei
from emotiwave.datasets.made_mosei_corpus import MadeMoseiCorpusSettings, load
from emotiwave.errors import DatasetError
from emotiwave.types import BAYES_OPTIMAL, Corpus

SMALL: dict[str, Any] = {
    "n_videos": 16,
    "segments_per_video": 2,
    "shortest": 2.0,
    "longest": 3.0,
    "sizes": {"text": 12, "audio": 9, "vision": 11},
    "rates": {"audio": 10.0, "vision": 5.0},
}
SHARES = {"train": 0.5, "validation": 0.25, "test": 0.25}
FILES = {
    "CMU_MOSEI_Labels.csd",
    "CMU_MOSEI_TimestampedWords.csd",
    "CMU_MOSEI_TimestampedWordVectors.csd",
    "CMU_MOSEI_COVAREP.csd",
    "CMU_MOSEI_VisualOpenFace2.csd",
    "standard_folds.json",
    "made_truth.json",
    "made_truth.npz",
}
QUIET = Console(quiet=True)


def settings(root: Path | None, **changes: Any) -> MadeMoseiCorpusSettings:
    return MadeMoseiCorpusSettings.model_validate(SMALL | {"root": root} | changes)


def recipe(folder: Path, name: str = "made_mosei", **changes: Any) -> Recipe:
    made = SMALL | changes if name == "made_mosei" else {}
    tables = {
        "dataset": {"name": name, "root": str(folder / "made")} | made,
        "features": {"store": str(folder / f"store of {name}"), "frames": 20},
        "model": {"name": "lstm_concat", "size": "small"},
        "evaluation": {"thresholds": "validation", "bootstrap": 0},
        "training": {"epochs": 2, "patience": 0, "learning_rate": 1e-3, "accelerator": "cpu"},
    }
    return parse_recipe(tables, source="test")


def content(folder: Path) -> dict[str, tuple[int, int]]:
    return {path.name: ((stat := path.stat()).st_size, stat.st_mtime_ns) for path in folder.iterdir()}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("written") / "made"
    load(settings(root))
    return root


@pytest.fixture
def made(written: Path, tmp_path: Path) -> Path:
    """A folder of made files of its own."""
    return Path(shutil.copytree(written, tmp_path / "made"))


# --- written once


def test_files_are_written_once_and_then_used_again(tmp_path: Path) -> None:
    first = load(settings(tmp_path / "deep" / "made"))
    before = content(tmp_path / "deep" / "made")
    assert before.keys() == FILES
    assert os.listdir(tmp_path / "deep") == ["made"], "nothing is left beside them"
    again = load(settings(tmp_path / "deep" / "made"))
    assert content(tmp_path / "deep" / "made") == before
    assert again.utterances == first.utterances


def test_they_are_those_that_write_made_mosei_writes(tmp_path: Path) -> None:
    direct = write_made_mosei(tmp_path / "direct", MadeMoseiSettings(**SMALL))
    loaded = load(settings(tmp_path / "direct"))
    row = {name: index for index, name in enumerate(direct.ids)}
    assert loaded.posteriors is not None
    for utterance_row, utterance in enumerate(loaded.utterances):
        for name, posterior in direct.posteriors.items():
            np.testing.assert_array_equal(loaded.posteriors[name][utterance_row], posterior[row[utterance.id]])


def test_without_a_root_they_lie_below_emotiwave_stores_by_what_is_made(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    load(settings(None))
    load(settings(None, task="sentiment"))
    (first,) = (tmp_path / "emotiwave-stores").iterdir()
    load(settings(None, seed=1))
    assert len(list((tmp_path / "emotiwave-stores").iterdir())) == 2
    assert {path.name for path in first.iterdir()} == FILES


def test_an_empty_folder_and_a_link_to_one_are_filled(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    load(settings(tmp_path / "link"))
    assert (tmp_path / "link").is_symlink()
    assert {path.name for path in (tmp_path / "disk").iterdir()} == FILES


@pytest.mark.parametrize("task", ["emotions", "intensity", "categorical", "argmax", "sentiment"])
def test_they_load_as_mosei_does(written: Path, task: mosei.MoseiTask) -> None:
    made = load(settings(written, task=task))
    same = mosei.load(mosei.MoseiSettings(root=written, task=task))
    assert (made.name, same.name) == ("made_mosei", "mosei")
    assert made.utterances == same.utterances
    assert made.label_set == same.label_set
    assert made.counts == same.counts
    assert (made.posteriors is None) == (same.posteriors is None) == (task != "emotions")


def test_ties_are_left_out_on_request(tmp_path: Path) -> None:
    kept = load(settings(tmp_path / "made", task="categorical", n_videos=40))
    without = load(settings(tmp_path / "made", task="categorical", n_videos=40, ties="leave_out"))
    assert len(kept.utterances) - len(without.utterances) == kept.counts["utterances with several strongest emotions"]
    assert len(without.utterances) < len(kept.utterances)


# --- never mixed up


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 3}, "seed = 0 instead of 3"),
        ({"traps": False}, "traps = True instead of False"),
        ({"shares": SHARES}, "shares = {.*} instead of {.*}"),
        ({"n_videos": 17, "longest": 3.5}, r"longest = 3.0 instead of 3.5, n_videos = 16 instead of 17"),
    ],
)
def test_files_of_other_settings_are_refused_and_left_alone(made: Path, changes, message) -> None:
    before = content(made)
    with pytest.raises(DatasetError, match=f"made with {message}; name another folder"):
        load(settings(made, **changes))
    assert content(made) == before


def test_files_of_another_version_are_refused(made: Path, monkeypatch) -> None:
    monkeypatch.setattr("emotiwave.datasets.made_mosei.writing.VERSION", 2)
    with pytest.raises(DatasetError, match="version = 1 instead of 2"):
        load(settings(made))


def test_real_segment_times_that_changed_are_noticed(tmp_path: Path) -> None:
    ids = [f"v{k}" for k in range(4)]
    rows = "".join(f"{name},{row},{4 * row},{4 * row + 3}\n" for name in ids for row in (0, 1))
    (tmp_path / "times.csv").write_text(f"video_id,segment,start,end\n{rows}")
    (tmp_path / "folds.json").write_text(json.dumps({"train": ids[:2], "valid": ids[2:3], "test": ids[3:]}))
    given = {"segments": tmp_path / "times.csv", "folds": tmp_path / "folds.json", "n_videos": 4, "traps": False}
    assert len(load(settings(tmp_path / "made", **given)).utterances) == 8
    (tmp_path / "times.csv").write_text(f"video_id,segment,start,end\n{rows.replace('v0,0,0,3', 'v0,0,0,2')}")
    with pytest.raises(DatasetError, match=r"segments = '.*' instead of '.*'"):
        load(settings(tmp_path / "made", **given))
    (tmp_path / "times.csv").unlink()
    with pytest.raises(DatasetError, match=r"times\.csv: cannot be read"):
        load(settings(tmp_path / "made", **given))


def test_anything_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    thesis = tmp_path / "thesis.tex"
    thesis.write_text("precious")
    for root in (thesis, thesis / "below"):
        with pytest.raises(DatasetError, match="or a folder above, is a file"):
            load(settings(root))
    with pytest.raises(DatasetError, match=r"is not empty and holds no whole made files \(no made_truth.json\)"):
        load(settings(tmp_path))
    assert os.listdir(tmp_path) == ["thesis.tex"]
    assert thesis.read_text() == "precious"


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ("", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ("9" * 10_000, "cannot be read"),
        ("\xff", "cannot be read"),
        ("[]", "does not say"),
        ("{}", "does not say"),
        ('{"made_with": {}, "bytes": []}', "does not say"),
        ('{"made_with": {}, "bytes": {}}', "longest = nothing instead of 3.0"),
    ],
)
def test_a_damaged_description_is_named(made: Path, told: str, message: str) -> None:
    (made / "made_truth.json").write_text(told, encoding="latin-1")
    with pytest.raises(DatasetError, match=message):
        load(settings(made))


def test_a_description_that_is_too_long_is_not_read(made: Path, monkeypatch) -> None:
    monkeypatch.setattr(keeping, "MAX_TOLD_BYTES", 1000)
    with pytest.raises(DatasetError, match="more than 1,000 bytes"):
        load(settings(made))


@pytest.mark.parametrize("n_bytes", ['"many"', "null", "-1", "{}"])
def test_nonsense_about_bytes_is_no_traceback(made: Path, n_bytes: str) -> None:
    path = made / "made_truth.json"
    told = json.loads(path.read_text())
    told["bytes"]["CMU_MOSEI_COVAREP.csd"] = json.loads(n_bytes)
    path.write_text(json.dumps(told))
    with pytest.raises(DatasetError, match=r"CMU_MOSEI_COVAREP\.csd: has \d+ bytes and was written with"):
        load(settings(made))


@pytest.mark.parametrize("name", ["/etc/passwd", "../other", "a\x1b[2J", "a" * 5000, "a\0b", "\ud800"])
def test_a_description_names_no_files_but_those_that_are_made(made: Path, name: str) -> None:
    path = made / "made_truth.json"
    told = json.loads(path.read_text())
    path.write_text(json.dumps(told | {"bytes": told["bytes"] | {name: 1}}))
    with pytest.raises(DatasetError, match=r"made_truth\.json: names the file .*name another folder") as caught:
        load(settings(made))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300 + len(str(made))
    path.write_text(json.dumps(told | {"bytes": {}}))
    with pytest.raises(DatasetError, match=r"does not name made_truth\.npz"):
        load(settings(made))


@pytest.mark.parametrize("changed", [{"k\x1b[2J" * 500: 1}, {f"k{i}": "x" * 1000 for i in range(1000)}])
def test_what_a_hostile_description_says_stays_short_and_printable(made: Path, changed: dict[str, Any]) -> None:
    path = made / "made_truth.json"
    told = json.loads(path.read_text())
    path.write_text(json.dumps(told | {"made_with": told["made_with"] | changed}))
    with pytest.raises(DatasetError, match="instead of nothing") as caught:
        load(settings(made))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 800 + len(str(made))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda array: np.full_like(array, np.nan), "values outside 0 to 1"),
        (lambda array: array + 7, "values outside 0 to 1"),
        (lambda array: array[:, :3], r"expected \(28, 6\) probabilities"),
        (lambda array: array[:, 0], r"expected \(28, 6\) probabilities"),
        (lambda array: array.astype("U4"), r"expected \(28, 6\) probabilities"),
    ],
)
def test_a_truth_that_holds_no_probabilities_is_refused(made: Path, spoil, message: str) -> None:
    load(settings(made))
    with np.load(made / "made_truth.npz") as truth:
        arrays = {name: array if name == "ids" else spoil(array) for name, array in truth.items()}
    write_truth(made, arrays)
    with pytest.raises(DatasetError, match=message):
        load(settings(made))
    write_truth(made, arrays | {"ids": np.array(3)})
    with pytest.raises(DatasetError, match="is not of these files"):
        load(settings(made))


def write_truth(made: Path, arrays: dict[str, NDArray[Any]]) -> None:
    np.savez(made / "made_truth.npz", **arrays)  # pyright: ignore[reportArgumentType]
    told = json.loads((made / "made_truth.json").read_text())
    told["bytes"]["made_truth.npz"] = (made / "made_truth.npz").stat().st_size
    (made / "made_truth.json").write_text(json.dumps(told))


@pytest.mark.parametrize("name", sorted(FILES - {"made_truth.json"}))
def test_a_file_that_was_cut_off_or_is_gone_is_named(made: Path, name: str) -> None:
    path = made / name
    os.truncate(path, path.stat().st_size - 1)
    with pytest.raises(DatasetError, match=rf"{name}: has \d+ bytes .*; delete the folder"):
        load(settings(made))
    path.unlink()
    with pytest.raises(DatasetError, match=f"{name}: is not there; delete the folder"):
        load(settings(made))


@pytest.mark.parametrize("root", ["bad\0name", "x" * 300])
def test_impossible_paths_are_no_traceback(tmp_path: Path, root: str) -> None:
    with pytest.raises(DatasetError):
        load(settings(tmp_path / root))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(DatasetError, match="cannot be written there"):
        load(settings(tmp_path / "made"))
    tmp_path.chmod(0o700)


# --- whole or not at all


def test_what_was_interrupted_leaves_nothing_and_is_made_again(tmp_path: Path, monkeypatch) -> None:
    written: list[Path] = []

    def interrupted(folder: Path, wished: MadeMoseiSettings) -> None:
        write_made_mosei(folder, wished)
        written.append(folder)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(keeping, "write_made_mosei", interrupted)
        with pytest.raises(KeyboardInterrupt):
            load(settings(tmp_path / "made"))
    assert written
    assert os.listdir(tmp_path) == []
    assert len(load(settings(tmp_path / "made")).utterances) > 0


@pytest.mark.parametrize("same", [True, False])
def test_the_slower_of_two_processes_takes_what_the_faster_has_written(tmp_path: Path, monkeypatch, same: bool) -> None:
    def slowly(folder: Path, wished: MadeMoseiSettings) -> None:
        monkeypatch.setattr(keeping, "write_made_mosei", write_made_mosei)
        load(settings(tmp_path / "made", seed=0 if same else 1))
        faster.update(content(tmp_path / "made"))
        write_made_mosei(folder, wished)

    faster: dict[str, tuple[int, int]] = {}
    monkeypatch.setattr(keeping, "write_made_mosei", slowly)
    if same:
        load(settings(tmp_path / "made"))
    else:
        with pytest.raises(DatasetError, match="seed = 1 instead of 0"):
            load(settings(tmp_path / "made"))
    assert content(tmp_path / "made") == faster
    assert os.listdir(tmp_path) == ["made"]


# --- shares of the folds


def test_videos_are_shared_among_the_folds_as_wished(tmp_path: Path) -> None:
    shares = {"train": 0.5, "validation": 0.125, "test": 0.375}
    loaded = load(settings(tmp_path / "made", shares=shares, traps=False))
    videos = {utterance.dialogue: utterance.split for utterance in loaded.utterances}
    assert Counter(videos.values()) == {"train": 8, "validation": 2, "test": 6}


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"train": 0.5, "test": 0.5}, "needs a number above 0 for each of train, validation, test"),
        ({"train": 1.5, "validation": -0.7, "test": 0.2}, "needs a number above 0"),
        ({"train": 0.5, "validation": 0.2, "test": 0.2}, "add up to 1; got 0.9"),
        ({"train": 0.01, "validation": 0.49, "test": 0.5}, "leaves none of 16 videos to train"),
    ],
)
def test_shares_that_cannot_be_are_refused(shares: dict[str, float], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        settings(None, shares=shares)


# --- the truth goes the whole way


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Corpus]:
    tiny = recipe(tmp_path_factory.mktemp("tiny"), n_videos=100, segments_per_video=4, shares=SHARES)
    assert not api.prepare(tiny, console=QUIET).was_ready
    return tiny, tiny.load_corpus()


def told(folder: Path) -> tuple[list[str], dict[str, NDArray[np.float64]]]:
    with np.load(folder / "made_truth.npz") as arrays:
        return arrays["ids"].tolist(), {name: arrays[name] for name in arrays.files if name != "ids"}


def test_posteriors_stay_with_their_utterances_in_a_store(prepared) -> None:
    tiny, corpus = prepared
    ids, truth = told(tiny.dataset.root)
    assert len(corpus.utterances) < len(ids), "traps leave some out"
    order = [ids.index(utterance.id) for utterance in corpus.utterances]
    assert corpus.posteriors is not None
    assert corpus.posteriors.keys() == truth.keys()
    for name, posterior in truth.items():
        np.testing.assert_array_equal(corpus.posteriors[name], posterior[order])


def test_a_truth_in_another_order_of_rows_is_the_same(tmp_path: Path) -> None:
    first = recipe(tmp_path, n_videos=20)
    api.prepare(first, console=QUIET)
    ids, truth = told(tmp_path / "made")
    order = np.random.default_rng(0).permutation(len(ids))
    shuffled = {name: posterior[order] for name, posterior in truth.items()}
    np.savez(tmp_path / "made" / "made_truth.npz", ids=np.array(ids)[order], **shuffled)  # pyright: ignore
    again = recipe(tmp_path, "mosei")  # which asks less of the files
    api.prepare(again, console=QUIET)
    expected, found = first.load_corpus(), again.load_corpus()
    assert found.utterances == expected.utterances
    assert expected.posteriors is not None
    assert found.posteriors is not None
    for name, posterior in expected.posteriors.items():
        np.testing.assert_array_equal(found.posteriors[name], posterior)


def test_posteriors_fit_the_labels_of_their_own_rows_only(prepared) -> None:
    _, corpus = prepared
    assert corpus.posteriors is not None
    probability, present = corpus.posteriors["text+audio+vision"], corpus.targets

    def surprise(probability: NDArray[np.float64]) -> float:
        return float(-np.log(np.where(present > 0, probability, 1 - probability)).mean())

    entropy = -(probability * np.log(probability) + (1 - probability) * np.log1p(-probability)).mean()
    assert surprise(probability) == pytest.approx(entropy, abs=0.04), "they are as sure as they are right"
    others = np.roll(np.arange(len(present)), 1)
    assert surprise(probability[others]) > 2 * surprise(probability)


def test_no_trained_model_is_above_bayes_rule(prepared) -> None:
    tiny, _ = prepared
    run = api.train(tiny, out=tiny.dataset.root.parent / "run", console=QUIET)
    scores = [s for s in api.evaluate(run.folder) if s.metric == "macro_f1" and s.label is None]
    value = {(s.model, s.condition, s.available): s.value for s in scores}
    rows = [key for key in value if key[0] == "lstm_concat" and key[1] in ("configuration", "mean")]
    assert len(rows) == 8
    for _, condition, available in rows:
        assert value["lstm_concat", condition, available] < value[BAYES_OPTIMAL, condition, available]


def test_nor_is_a_logistic_regression_on_the_mean_frame(prepared) -> None:
    """Another way from the same store: the frames of the right rows hold what the posteriors know."""
    _, corpus = prepared
    frames = [
        np.stack(
            [np.nanmean(s[u.id].values, axis=0) if s.n_frames(u.id) else np.zeros(s.size) for u in corpus.utterances]
        )
        for s in corpus.sequences.values()
    ]
    features = np.concatenate(frames, axis=1)
    features = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-6)
    train, test = corpus.indices("train"), corpus.indices("test")
    assert corpus.posteriors is not None
    learned, best, guessed = [], [], []
    for column in range(corpus.targets.shape[1] - 1):  # fear is too rare here
        target = corpus.targets[:, column]
        model = LogisticRegression(C=0.1, max_iter=500).fit(features[train], target[train])
        learned.append(f1_score(target[test], model.predict(features[test])))
        best.append(f1_score(target[test], corpus.posteriors["text+audio+vision"][test, column] > 0.5))
        guessed.append(f1_score(target[test], np.ones(len(test))))
    assert np.mean(guessed) < np.mean(learned) < np.mean(best)


def test_the_shipped_recipe_is_small_enough_to_compare_on() -> None:
    shipped = read_recipe("made_mosei").dataset
    assert isinstance(shipped, MadeMoseiCorpusSettings)
    utterances = {name: 5 * n for name, n in shipped.videos_by_fold.items()}
    assert utterances == {"train": 975, "validation": 195, "test": 390}
    seconds = shipped.n_videos * shipped.segments_per_video * (shipped.longest + 2.0)  # at most, with gaps
    assert sum(seconds * m.rate * (4 * m.size + 16) for m in shipped.made.values()) < 250e6
