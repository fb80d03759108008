"""The main job, from files to report, and several seeds of several models together."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from sklearn.metrics import f1_score

from emotiwave import api
from emotiwave.api import demonstration
from emotiwave.config import read_recipe
from emotiwave.datasets.synthetic import SyntheticSettings, load
from emotiwave.errors import CheckpointError, ConfigError, DatasetError, DataWarning, FeatureError
from emotiwave.features.store import write_store
from emotiwave.types import Corpus, LabelSet
from tests.made import small_corpus

QUIET = Console(quiet=True)
QUICK = ("training.epochs=2", "model.name=late", "training.learning_rate=1e-3")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(small_corpus(task="multilabel", n_train=60), tmp_path_factory.mktemp("data") / "store")


def recipe_for(store: Path, *overrides: str):
    path = store.parent / "recipe.toml"
    path.write_text(f'[dataset]\nstore = "{store}"\n')
    return read_recipe(path, (*QUICK, *overrides))


@pytest.fixture(scope="module")
def runs(store: Path) -> list[Path]:
    folder = store.parent / "runs"
    made = [("a", ()), ("b", ("training.seed=1",)), ("c", ("training.modality_dropout=0.0",))]
    return [api.train(recipe_for(store, *over), out=folder / name, console=QUIET).folder for name, over in made]


def test_scores_equal_scikit_learns_on_the_predictions_that_were_written(runs: list[Path]) -> None:
    scores = api.evaluate(runs[0])
    table = pd.read_parquet(runs[0] / "predictions.parquet")
    names = json.loads((runs[0] / "environment.json").read_text())["corpus"]["label_set"]["names"]
    assert len(table) == 7 * 20
    for configuration, rows in table.groupby("configuration"):
        truth, decision = (np.array([[n in held for n in names] for held in rows[c]]) for c in ("truth", "decision"))
        probability = rows[[f"probability_{name}" for name in names]].to_numpy()
        np.testing.assert_array_equal(decision, probability > 0.5)
        expected = f1_score(y_true=truth, y_pred=decision, average="macro", zero_division=0)
        (row,) = [
            s
            for s in scores
            if (s.model, s.metric, s.condition) == ("late", "macro_f1", "configuration")
            and "+".join(s.available or ()) == configuration
        ]
        assert row.value == pytest.approx(expected)


def test_thresholds_are_tuned_on_validation_and_decide_on_test(runs: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(runs[0], folder)
    config = folder / "config.toml"
    config.write_text(config.read_text().replace('thresholds = "fixed"', 'thresholds = "validation"'))
    scores = api.evaluate(folder)
    tuned = json.loads((folder / "thresholds.json").read_text())
    assert (tuned["split"], tuned["n"], tuned["objective"]) == ("validation", 20, "f1")
    table = pd.read_parquet(folder / "predictions.parquet")
    names = list(tuned["thresholds"]["text"])
    for configuration, rows in table.groupby("configuration"):
        limits = np.array([tuned["thresholds"][configuration][name] for name in names])
        truth, decision = (np.array([[n in held for n in names] for held in rows[c]]) for c in ("truth", "decision"))
        probability = rows[[f"probability_{name}" for name in names]].to_numpy()
        np.testing.assert_array_equal(decision, probability > limits)
        (row,) = [
            s for s in scores if s.model == "late" and s.metric == "macro_f1" and s.available == as_key(configuration)
        ]
        assert row.value == pytest.approx(f1_score(y_true=truth, y_pred=decision, average="macro", zero_division=0))
    with pytest.raises(ConfigError, match=r"tuned on 'validation' .*cannot be scored with them; score another split"):
        api.evaluate(folder, split="validation")
    assert "thresholds tuned on validation" in api.write_report(folder).read_text()
    config.write_text(config.read_text().replace('thresholds = "validation"', 'thresholds = "fixed"'))
    api.evaluate(folder)
    assert not (folder / "thresholds.json").exists()


def as_key(configuration: object) -> tuple[str, ...]:
    return tuple(str(configuration).split("+"))


def test_thresholds_need_a_split_to_be_tuned_on(tmp_path: Path) -> None:
    data = write_store(small_corpus(task="multilabel", n_train=60, n_validation=0), tmp_path / "store")
    recipe = recipe_for(data, "training.patience=0", 'evaluation.thresholds="validation"')
    with pytest.raises(
        ConfigError, match=r"tunes on the split 'validation' .*, which synthetic does not have; hold out"
    ):
        api.train(recipe, out=tmp_path / "run", console=QUIET)  # told before the training, not after it
    assert not (tmp_path / "run").exists()


def test_a_continuous_run_goes_the_whole_way(tmp_path: Path) -> None:
    """Ratings instead of classes: train, evaluate, report; decisions are values within their range."""
    corpus = small_corpus(n_train=60)
    values = {"happiness": (3.0, 0.0), "sadness": (-3.0, 0.5), "fear": (-1.0, 3.0)}
    rated = replace(
        corpus,
        label_set=LabelSet("continuous", ("sentiment", "fear"), ((-3.0, 3.0), (0.0, 3.0))),
        utterances=tuple(replace(u, label=values.get(str(u.label), (0.0, 0.0))) for u in corpus.utterances),
        posteriors=None,
    )
    recipe = recipe_for(write_store(rated, tmp_path / "store"), 'evaluation.thresholds="validation"')
    run = api.train(recipe, out=tmp_path / "run", console=QUIET)
    scores = {(s.model, s.metric): s for s in api.evaluate(run) if s.condition == "mean"}
    assert scores["constant", "pearson"].value == 0
    table = pd.read_parquet(tmp_path / "run" / "predictions.parquet")
    truth, decision = (np.stack(list(table[column])) for column in ("truth", "decision"))
    np.testing.assert_array_equal(decision, table[["value_sentiment", "value_fear"]].to_numpy())
    assert scores["late", "mae"].value == pytest.approx(np.abs(truth - decision).mean())
    assert list(json.loads((tmp_path / "run" / "thresholds.json").read_text())["thresholds"]["text"]) == ["fear"]
    assert "Truth against prediction" in api.write_report(run).read_text()


def test_runs_of_other_settings_are_told_apart_and_seeds_are_summarised(runs: list[Path]) -> None:
    scores = api.evaluate(runs)
    models = {score.model for score in scores}
    assert models == {"late (modality_dropout=0.3)", "late (modality_dropout=0.0)", "constant", "bayes_optimal"}
    means = [s for s in scores if s.sd is not None]
    assert {s.model for s in means} == {"late (modality_dropout=0.3)"}
    (mean,) = [s for s in means if s.condition == "mean" and s.metric == "macro_f1"]
    both = [s.value for s in scores if s.model == mean.model and s.condition == "mean" and s.metric == "macro_f1"]
    by_seed = [value for value in both if value != mean.value]
    assert mean.value == pytest.approx(np.mean(by_seed))
    assert mean.sd == pytest.approx(abs(by_seed[0] - by_seed[1]) / 2**0.5)


def test_a_run_records_what_it_was(runs: list[Path], store: Path) -> None:
    environment = json.loads((runs[1] / "environment.json").read_text())
    assert environment["seed"] == 1
    assert environment["corpus"]["digest"] == json.loads((store / "corpus.json").read_text())["digest"]
    assert environment["corpus"]["splits"]["train"] == {"utterances": 60, "groups": 6}
    assert environment["packages"]["torch"]
    assert environment["training"]["n_epochs"] == 2
    assert read_recipe(runs[1] / "config.toml").tables() == recipe_for(store, "training.seed=1").tables()


def test_data_that_changed_since_training_is_refused(runs: list[Path], store: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(runs[0], copy)
    other = write_store(load(SyntheticSettings(seed=9, n_train=40, n_test=20, task="multilabel")), tmp_path / "store")
    (copy / "config.toml").write_text((copy / "config.toml").read_text().replace(str(store), str(other)))
    with pytest.raises(DatasetError, match="the data changed since training"):
        api.evaluate(copy)
    with pytest.raises(DatasetError, match="the data changed since the run began"):
        api.train(read_recipe(copy / "config.toml"), out=copy, resume=True, console=QUIET)


def test_runs_that_cannot_be_compared_are_not_evaluated_together(runs: list[Path], tmp_path: Path) -> None:
    shutil.copytree(runs[0], tmp_path / "data")
    environment = json.loads((runs[0] / "environment.json").read_text())
    environment["corpus"]["digest"] = "0" * 64
    (tmp_path / "data" / "environment.json").write_text(json.dumps(environment))
    with pytest.raises(ConfigError, match="trained on different data"):
        api.evaluate([runs[0], tmp_path / "data"])
    shutil.copytree(runs[0], tmp_path / "split")
    config = (runs[0] / "config.toml").read_text()
    (tmp_path / "split" / "config.toml").write_text(config.replace("bootstrap = 1000", "bootstrap = 10"))
    with pytest.raises(ConfigError, match=r"different \[evaluation\] tables"):
        api.evaluate([runs[0], tmp_path / "split"])


def test_a_truncated_store_is_named(store: Path, tmp_path: Path) -> None:
    shutil.copytree(store, tmp_path / "store")
    values = tmp_path / "store" / "sequences" / "audio" / "values.npy"
    values.write_bytes(values.read_bytes()[:1000])
    with pytest.raises(FeatureError, match=r"audio/values\.npy: truncated or damaged"):
        api.train(recipe_for(tmp_path / "store"), out=tmp_path / "run", console=QUIET)


def test_a_store_whose_values_were_changed_is_refused_although_its_recorded_hash_is_not(
    runs: list[Path], store: Path, tmp_path: Path
) -> None:
    shutil.copytree(store, tmp_path / "store")
    shutil.copytree(runs[0], tmp_path / "run")
    config = tmp_path / "run" / "config.toml"
    config.write_text(config.read_text().replace(str(store), str(tmp_path / "store")))
    values = np.load(tmp_path / "store" / "sequences" / "text" / "values.npy", mmap_mode="r+")
    values[5] = 7.0
    values.flush()
    with pytest.raises(FeatureError, match="text does not match its content hash"):
        api.evaluate(tmp_path / "run")


def test_a_store_that_leaks_between_splits_is_refused(tmp_path: Path) -> None:
    corpus = small_corpus(task="multilabel")
    mixed = tuple(replace(u, dialogue=None, speaker=f"s{i % 4}") for i, u in enumerate(corpus.utterances))
    folder = write_store(replace(corpus, utterances=mixed), tmp_path / "store")
    with pytest.raises(DatasetError, match="speaker 's0' is in two splits"):
        api.train(recipe_for(folder), out=tmp_path / "run", console=QUIET)


def test_a_model_of_another_run_is_refused(store: Path, runs: list[Path], tmp_path: Path) -> None:
    shutil.copytree(runs[0], tmp_path / "run")
    other = api.train(recipe_for(store, "model.size=base"), out=tmp_path / "other", console=QUIET)
    for name in ("model.json", "model.safetensors"):
        shutil.copy(other.folder / name, tmp_path / "run" / name)
    with pytest.raises(
        CheckpointError,
        match=r"model\.size: 'base' in model\.json, 'small' in config\.toml; the model is of another run",
    ):
        api.evaluate(tmp_path / "run")


def test_one_seed_counts_once(runs: list[Path], tmp_path: Path) -> None:
    shutil.copytree(runs[0], tmp_path / "copy")
    with pytest.raises(ConfigError, match="the same recipe with the same seed"):
        api.evaluate([runs[0], tmp_path / "copy"])
    with pytest.raises(ConfigError, match="named twice"):
        api.evaluate([runs[0], runs[0].parent / ".." / runs[0].parent.name / runs[0].name])


def test_resuming_drops_the_scores_of_the_unfinished_model(store: Path, tmp_path: Path) -> None:
    run = api.train(recipe_for(store), out=tmp_path / "run", console=QUIET).folder
    environment = json.loads((run / "environment.json").read_text())
    del environment["training"]  # as a kill before the end leaves it
    (run / "environment.json").write_text(json.dumps(environment))
    with pytest.warns(DataWarning, match="training is not finished"):
        api.evaluate(run)
    assert "**training is not finished**" in (run / "README.md").read_text()
    api.train(recipe_for(store, "evaluation.bootstrap=7"), out=run, resume=True, console=QUIET)
    assert not (run / "scores.jsonl").exists()
    assert read_recipe(run / "config.toml").evaluation.bootstrap == 7


def test_a_recipe_is_never_scored_on_what_chose_its_model(store: Path, runs: list[Path]) -> None:
    with pytest.raises(ConfigError, match="both 'validation'"):
        recipe_for(store, "evaluation.split=validation")
    with pytest.warns(DataWarning, match="'validation' chose this model"):
        api.evaluate(runs[0], split="validation")


def test_a_run_that_never_began_leaves_its_folder_free(store: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="training cannot run with accelerator 'nonsense'"):
        api.train(recipe_for(store, "training.accelerator=nonsense"), out=tmp_path / "run", console=QUIET)
    assert api.train(recipe_for(store), out=tmp_path / "run", console=QUIET).summary.n_epochs == 2


def test_test_is_read_by_evaluate_alone(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training asks the corpus for its train and validation splits, never for test."""
    asked: set[str] = set()
    indices = Corpus.indices

    def spy(self: Corpus, split: str):
        asked.add(split)
        return indices(self, split)

    monkeypatch.setattr(Corpus, "indices", spy)
    api.train(recipe_for(store), out=tmp_path / "run", console=QUIET)
    assert asked == {"train", "validation"}
    api.evaluate(tmp_path / "run")
    assert "test" in asked


def test_a_damaged_run_is_named(runs: list[Path], tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(runs[0], copy)
    (copy / "environment.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"environment\.json: cannot be read"):
        api.evaluate(copy)


def test_the_demo_goes_the_whole_way_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"n_videos": 24, "segments_per_video": 3, "sizes": {"text": 12, "audio": 12, "vision": 16}}
    monkeypatch.setattr(demonstration, "DEMO_MADE", small)
    monkeypatch.setattr(demonstration, "DEMO_EPOCHS", 1)
    scores, page = api.demo(tmp_path / "demo", console=QUIET)
    assert {s.model for s in scores} == {"evidence", "lstm_concat", "constant", "bayes_optimal"}
    assert "bayes" in page.read_text().lower()
    assert "labels_all_zero" in (tmp_path / "demo" / "inspection.html").read_text()
    again, _ = api.demo(tmp_path / "demo", console=QUIET)
    assert [s.value for s in again] == [s.value for s in scores]


def test_the_demo_touches_no_folder_that_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(ConfigError, match="holds no demo"):
        api.demo(tmp_path, console=QUIET)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]
