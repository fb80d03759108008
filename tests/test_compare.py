"""A whole comparison: grids that are trained, gone on with and refused, runs as given, and what is written."""

import json
import shutil
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from emotiwave import api
from emotiwave.api import cells, comparing
from emotiwave.comparison.recipe import read_comparison
from emotiwave.errors import CheckpointError, ConfigError, DatasetError, TrainingError
from emotiwave.evaluation.scoring import score
from emotiwave.references import REFERENCES

SMALL = """
[comparison]
models = ["late", "low_rank"]
references = ["logistic_regression", "bayes_optimal"]
anchor = "late"
seeds = [0, 1]
resamples = 100
notes = ["made for a test"]

[dataset]
name = "synthetic"
n_train = 48
n_validation = 16
n_test = 24

[training]
epochs = 2
patience = 2
batch_size = 16
accelerator = "cpu"
"""


class Here:
    """Runs what a pool of processes would run, in this process."""

    def submit(self, function, *given):
        future = Future()
        try:
            future.set_result(function(*given))
        except BaseException as error:
            future.set_exception(error)
        return future


@contextmanager
def pool_here(processes, begin, *given, tasks_each=None):
    yield Here()


@pytest.fixture
def in_process(monkeypatch):
    monkeypatch.setattr(comparing, "worker_pool", pool_here)


def write(folder, text=SMALL, name="compare_small.toml"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grid")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparing, "worker_pool", pool_here)
        return folder, api.compare(write(folder), out=folder / "out")


def of(comparison, method, place="mean"):
    return next(row for row in comparison.scores if (row.method, row.place) == (method, place))


def test_what_a_grid_finds_is_what_the_runs_scored(grid):
    folder, done = grid
    (comparison,) = done.comparisons
    assert (comparison.n, comparison.seeds, comparison.anchor) == (24, (0, 1), "late")
    means = []
    for seed in (0, 1):
        (run,) = (folder / "out" / "small").glob(f"late-*/seed{seed}")
        rows = [json.loads(line) for line in (run / "scores.jsonl").read_text().splitlines()]
        means += [r["value"] for r in rows if (r["model"], r["condition"], r["metric"]) == ("late", "mean", "macro_f1")]
        constant = [r["value"] for r in rows if (r["model"], r["metric"]) == ("constant", "macro_f1")]
        optimal = [
            r["value"]
            for r in rows
            if (r["model"], r["condition"], r["metric"], r["label"]) == ("bayes_optimal", "mean", "macro_f1", None)
        ]
    assert of(comparison, "late").value == pytest.approx(np.mean(means))
    assert of(comparison, "late").sd == pytest.approx(np.std(means, ddof=1))
    assert [comparison.constant] == pytest.approx(constant)
    assert [of(comparison, "bayes_optimal").value] == pytest.approx(optimal)
    assert of(comparison, "logistic_regression").sd is None  # no seed changes it


def test_a_bound_is_scored_and_compared_with_nothing(grid):
    (comparison,) = grid[1].comparisons
    assert {row.method for row in comparison.differences} == {"low_rank", "logistic_regression"}
    assert of(comparison, "bayes_optimal").value > of(comparison, "late").value


def test_every_method_says_what_it_costs(grid):
    (comparison,) = grid[1].comparisons
    costs = {method.name: method.cost for method in comparison.methods}
    assert list(costs) == ["late", "low_rank", "logistic_regression", "bayes_optimal"]
    assert costs["late"].step_ms > 0
    assert costs["late"].peak_mb > 50
    assert "16 utterances a step" in costs["late"].mode
    assert costs["logistic_regression"].step_ms is None
    assert costs["bayes_optimal"].n_parameters == 0
    run = next((grid[0] / "out" / "small").glob("late-*/seed0"))
    assert costs["late"].n_parameters == json.loads((run / "environment.json").read_text())["training"]["n_parameters"]


def test_what_is_written_names_no_folder(grid):
    folder, done = grid
    for path in (done.numbers, done.table, done.page):
        text = path.read_text(encoding="utf-8")
        assert str(folder) not in text
        assert "made for a test" in text
    numbers = json.loads(done.numbers.read_text())
    assert numbers["recipes"]["small"]["methods"]["late"] == {"set": ["model.name=late"]}
    assert numbers["comparisons"][0]["n"] == 24


def test_folders_of_the_recipe_are_not_written(tmp_path, in_process):
    stored = tmp_path / "private"
    overrides = ["comparison.models=[]", "comparison.references=[]", "comparison.anchor=m", "comparison.seeds=[0]"]
    overrides += ['comparison.methods.m={set=["model.name=late"]}', f"dataset.root={stored}"]
    text = SMALL.replace('"synthetic"\nn_train = 48\nn_validation = 16\nn_test = 24', '"made_mosei"')
    comparison = read_comparison(write(tmp_path, f'{text}\n[features]\nstore = "{stored}"\nframes = 5\n'), overrides)
    described = comparing._described(comparison)
    assert str(stored) not in json.dumps(described)
    assert described["dataset"] == {"name": "made_mosei"}
    assert described["features"] == {"frames": 5}


def test_what_is_done_is_not_done_again_and_gives_the_same(grid, monkeypatch):
    folder, done = grid
    before = done.numbers.read_bytes()
    monkeypatch.setattr(comparing, "_run_tasks", pytest.fail)
    api.compare(folder / "compare_small.toml", out=folder / "out")
    assert done.numbers.read_bytes() == before


def test_processes_of_their_own_give_the_same(grid, tmp_path):
    """As a user runs it; one process here, for the time that starting one takes."""
    overrides = ['comparison.models=["late"]', "comparison.references=[]"]
    done = api.compare(write(tmp_path), out=tmp_path / "out", overrides=overrides, processes=2)
    assert of(done.comparisons[0], "late") == of(grid[1].comparisons[0], "late")
    assert json.loads(next((tmp_path / "out").rglob("cell.json")).read_text())["threads"] == 1


def test_an_interrupted_grid_goes_on(grid, tmp_path, in_process, monkeypatch):
    folder, done = grid
    shutil.copytree(folder / "out", tmp_path / "out")
    (run,) = (tmp_path / "out" / "small").glob("low-rank-*/seed1")
    (run / "cell.json").unlink()
    (reference,) = (tmp_path / "out" / "small").glob("logistic-*/seed0")
    shutil.rmtree(reference)
    trained = []
    evaluate = cells.evaluate
    monkeypatch.setattr(cells, "evaluate", lambda given, **how: trained.append(given) or evaluate(given, **how))
    again = api.compare(folder / "compare_small.toml", out=tmp_path / "out")
    assert trained == [run]
    assert again.comparisons[0].scores == done.comparisons[0].scores


def test_a_changed_recipe_does_not_go_on_in_the_same_folder(grid):
    folder, _ = grid
    with pytest.raises(ConfigError, match="made by another recipe"):
        api.compare(folder / "compare_small.toml", out=folder / "out", overrides=["training.epochs=3"])


def test_data_that_changed_between_runs_is_refused_before_and_after_training(grid, tmp_path, in_process):
    folder, _ = grid
    shutil.copytree(folder / "out", tmp_path / "out")
    (cell,) = (tmp_path / "out" / "small").glob("late-*/seed1")
    environment = json.loads((cell / "environment.json").read_text())
    environment["corpus"]["digest"] = "0" * 64
    (cell / "environment.json").write_text(json.dumps(environment))
    with pytest.raises(DatasetError, match=r"seed1: is of other data .*than other runs"):
        api.compare(folder / "compare_small.toml", out=tmp_path / "out")
    (other,) = (tmp_path / "out" / "small").glob("low-rank-*/seed1")
    (other / "cell.json").unlink()
    with pytest.raises(DatasetError, match=r"seed1: is of other data .content hash 000000000000. than there is now"):
        api.compare(folder / "compare_small.toml", out=tmp_path / "out")
    assert not (other / "cell.json").exists()


def test_versions_that_differ_are_told(grid, tmp_path):
    folder, _ = grid
    shutil.copytree(folder / "out", tmp_path / "out")
    (cell,) = (tmp_path / "out" / "small").glob("late-*/seed1")
    environment = json.loads((cell / "environment.json").read_text())
    environment["packages"]["emotiwave"] = "0.0.1"
    (cell / "environment.json").write_text(json.dumps(environment))
    (found,) = api.compare(folder / "compare_small.toml", out=tmp_path / "out").comparisons
    assert found.notes[0] == "made for a test"
    assert found.notes[1].startswith("Not all was made by the same versions: emotiwave 0.0.1 and ")


def test_two_comparisons_at_once_do_not_share_a_folder(tmp_path, in_process):
    with comparing._held(tmp_path / "out"), pytest.raises(ConfigError, match="another comparison runs in this folder"):
        api.compare(
            write(tmp_path),
            out=tmp_path / "out",
            overrides=["comparison.models=[]", "comparison.anchor=logistic_regression"],
        )


def test_an_error_that_was_mended_is_tried_again_and_divergence_is_not(tmp_path, in_process, monkeypatch):
    fast = '[comparison.methods."fast"]\nset = ["model.name=low_rank", "training.learning_rate=1e30"]\n[dataset]'
    recipe = write(tmp_path, SMALL.replace("[dataset]", fast))
    overrides = ['comparison.models=["late"]', "comparison.references=[]", "comparison.seeds=[0]"]
    evaluate, trained = cells.evaluate, []
    train = cells.train

    def fail(given, **how):
        raise DatasetError("the disk is not there")

    monkeypatch.setattr(cells, "train", lambda *given, **more: trained.append(more["out"]) or train(*given, **more))
    monkeypatch.setattr(cells, "evaluate", fail)
    with pytest.raises(ConfigError, match="every method failed; the first: seed 0: the disk is not there"):
        api.compare(recipe, out=tmp_path / "out", overrides=overrides)
    assert len(trained) == 2
    monkeypatch.setattr(cells, "evaluate", evaluate)
    (found,) = api.compare(recipe, out=tmp_path / "out", overrides=overrides).comparisons
    assert {row.method for row in found.scores} == {"late"}
    assert [method.failure is None for method in found.methods] == [True, False]
    assert len(trained) == 3


def test_a_candidate_that_diverges_loses(tmp_path, in_process):
    rates = 'candidates = [["training.learning_rate=1e30"], ["training.learning_rate=1e-2"]]\n[dataset]'
    overrides = ['comparison.models=["late"]', "comparison.references=[]", "comparison.seeds=[0]"]
    recipe = write(tmp_path, SMALL.replace("[dataset]", rates))
    (found,) = api.compare(recipe, out=tmp_path / "out", overrides=overrides).comparisons
    assert (found.methods[0].failure, found.methods[0].chosen) == (None, "training.learning_rate=1e-2")


def test_a_half_trained_cell_of_another_recipe_is_refused_before_anything_is_trained(grid, tmp_path, in_process):
    folder, _ = grid
    shutil.copytree(folder / "out", tmp_path / "out")
    for path in (tmp_path / "out").rglob("cell.json"):
        path.unlink()
    with pytest.raises(ConfigError, match=r"seed0 was made by another recipe of this name"):
        api.compare(folder / "compare_small.toml", out=tmp_path / "out", overrides=["training.epochs=3"])
    assert not list((tmp_path / "out").rglob("cell.json"))


def test_a_model_that_diverges_is_a_row_that_says_so(tmp_path, in_process):
    methods = '[comparison.methods."too fast"]\nset = ["model.name=low_rank", "training.learning_rate=1e30"]\n[dataset]'
    recipe = write(tmp_path, SMALL.replace("[dataset]", methods))
    done = api.compare(recipe, out=tmp_path / "out", overrides=['comparison.models=["late"]'])
    (comparison,) = done.comparisons
    failed = next(method for method in comparison.methods if method.name == "too fast")
    assert "seed 0: the loss became nan in epoch" in failed.failure
    assert "1 more of 2 runs" in failed.failure
    assert failed.cost is None
    assert str(tmp_path) not in done.numbers.read_text()
    assert {row.method for row in comparison.scores} == {"late", "logistic_regression", "bayes_optimal"}
    assert "too fast" in done.table.read_text()


def test_without_its_anchor_a_comparison_scores_but_compares_nothing(tmp_path, in_process):
    fast = '[comparison.methods."fast"]\nset = ["model.name=late", "training.learning_rate=1e30"]\n[dataset]'
    recipe = write(tmp_path, SMALL.replace('anchor = "late"', 'anchor = "fast"').replace("[dataset]", fast))
    overrides = ["comparison.models=[]", "comparison.seeds=[0]"]
    (comparison,) = api.compare(recipe, out=tmp_path / "out", overrides=overrides).comparisons
    assert comparison.differences == ()
    assert {row.method for row in comparison.scores} == {"logistic_regression", "bayes_optimal"}


def test_validation_chooses_among_candidates_and_test_does_not(tmp_path, in_process, monkeypatch):
    rates = 'candidates = [["training.learning_rate=1e-7"], ["training.learning_rate=1e-2"]]\n[dataset]'
    recipe = write(tmp_path, SMALL.replace("[dataset]", rates))
    overrides = ['comparison.models=["late"]', "comparison.references=[]"]
    scored = []
    evaluate = cells.evaluate
    monkeypatch.setattr(cells, "evaluate", lambda given, **how: scored.append(given.name) or evaluate(given, **how))
    (comparison,) = api.compare(recipe, out=tmp_path / "out", overrides=overrides).comparisons
    assert comparison.methods[0].chosen == "training.learning_rate=1e-2"
    assert scored == ["seed0", "seed1"]  # candidates are never scored on test
    for path in tmp_path.rglob("evaluation.json"):
        choice = json.loads(path.read_text())["choice"]
        assert (choice["split"], choice["chosen"]) == ("validation", ["training.learning_rate=1e-2"])
        assert len(choice["candidates"]) == 2
    (folder,) = (tmp_path / "out" / "small").iterdir()
    best = [pd.read_csv(folder / f"seed0-candidate{n}" / "history.csv")["validation_score"].max() for n in (0, 1)]
    assert best[1] > best[0]
    history = [pd.read_csv(folder / name / "history.csv")["validation_score"] for name in ("seed0-candidate1", "seed0")]
    assert history[0].tolist() == history[1].tolist()


def test_thresholds_of_references_are_tuned_on_validation(tmp_path, in_process):
    text = (
        SMALL.replace("n_train = 48", 'n_train = 48\ntask = "multilabel"')
        + '\n[evaluation]\nthresholds = "validation"\n'
    )
    overrides = ["comparison.models=[]", "comparison.anchor=logistic_regression"]
    (_comparison,) = api.compare(write(tmp_path, text), out=tmp_path / "out", overrides=overrides).comparisons
    (folder,) = (tmp_path / "out" / "small").glob("logistic-*/seed0")
    tuned = json.loads((folder / "thresholds.json").read_text())
    assert tuned["split"] == "validation"
    rows = pd.read_parquet(folder / "predictions.parquet")
    alone = rows[rows["configuration"] == "text"]
    limit = tuned["thresholds"]["text"]["anger"]
    told = alone["probability_anger"] > limit
    assert told.tolist() == alone["decision"].map(lambda names: "anger" in names).tolist()


def test_what_a_run_warned_of_is_a_note(tmp_path, in_process):
    slow = (
        '[comparison.methods."in a hurry"]\nreference = "logistic_regression"\nsettings = { max_iter = 1 }\n[dataset]'
    )
    overrides = ["comparison.models=[]", "comparison.anchor=logistic_regression"]
    recipe = write(tmp_path, SMALL.replace("[dataset]", slow))
    (comparison,) = api.compare(recipe, out=tmp_path / "out", overrides=overrides).comparisons
    assert comparison.notes[0] == "made for a test"
    assert all(note.startswith("in a hurry: ") and "did not settle" in note for note in comparison.notes[1:])
    assert len(comparison.notes) > 1


def test_data_that_is_not_there_is_an_error_before_any_run(tmp_path, in_process):
    with pytest.raises(DatasetError, match="split 'dev' is empty"):
        api.compare(write(tmp_path), out=tmp_path / "out", overrides=["evaluation.split=dev"])
    with pytest.raises(
        ConfigError, match=r"categorical labels have no 'weighted_accuracy'; set comparison.metric to .*uar"
    ):
        api.compare(write(tmp_path), out=tmp_path / "out", overrides=["comparison.metric=weighted_accuracy"])
    unchosen = ["training.selection_split=dev", "training.patience=0", "comparison.candidates=[[], []]"]
    with pytest.raises(DatasetError, match="no split 'dev' on which candidates"):
        api.compare(write(tmp_path), out=tmp_path / "out", overrides=unchosen)
    assert not (tmp_path / "out").exists()


def test_a_fault_in_a_worker_does_not_stop_the_others(tmp_path, in_process, monkeypatch):
    fit = REFERENCES["logistic_regression"].fit
    broken = replace(REFERENCES["logistic_regression"], fit=lambda *_: 1 / 0)
    monkeypatch.setitem(REFERENCES, "logistic_regression", broken)
    overrides = ["comparison.models=[]", "comparison.anchor=logistic_regression"]
    with pytest.raises(ZeroDivisionError):
        api.compare(write(tmp_path), out=tmp_path / "out", overrides=overrides)
    assert [path.parent.parent.name[:5] for path in (tmp_path / "out" / "small").rglob("cell.json")] == ["bayes"]
    monkeypatch.setitem(REFERENCES, "logistic_regression", replace(broken, fit=fit))
    assert api.compare(write(tmp_path), out=tmp_path / "out", overrides=overrides).comparisons[0].n == 24


def test_a_process_that_dies_is_an_error_that_says_how_to_go_on(tmp_path, monkeypatch):
    from concurrent.futures.process import BrokenProcessPool

    @contextmanager
    def pool(processes, begin, *given, tasks_each=None):
        class Dead:
            def submit(self, *_):
                future = Future()
                future.set_exception(BrokenProcessPool("died"))
                return future

        yield Dead()

    monkeypatch.setattr(comparing, "worker_pool", pool)
    with pytest.raises(TrainingError, match=r"a process died.* 4 of 4 methods are not done.*--processes 1"):
        api.compare(write(tmp_path), out=tmp_path / "out")


@pytest.fixture
def runs(grid):
    return sorted((grid[0] / "out" / "small").glob("l*/seed*")), grid[1].comparisons[0]


def test_run_folders_are_compared_as_a_grid_is(runs, tmp_path):
    folders, whole = runs
    models = [folder for folder in folders if (folder / "config.toml").exists()]
    (found,) = api.compare(models, out=tmp_path / "out").comparisons
    assert found.anchor == "late"
    assert found.seeds == (0, 1)
    for row in found.scores:
        assert row.value == pytest.approx(of(whole, row.method, row.place).value)
    assert {method.name for method in found.methods} == {"late", "low_rank"}
    assert all(method.cost.seconds > 0 for method in found.methods)


def test_runs_that_cannot_be_compared_are_refused_and_the_difference_is_listed(runs, tmp_path):
    models = [folder for folder in runs[0] if (folder / "config.toml").exists()]
    late, low_rank = [[f for f in models if f.parent.name.startswith(name)] for name in ("late", "low-rank")]
    with pytest.raises(DatasetError, match="low_rank lacks seed 1, which others have"):
        api.compare([*late, low_rank[0]], out=tmp_path / "out")
    with pytest.raises(ConfigError, match="one method only"):
        api.compare(late, out=tmp_path / "out")
    with pytest.raises(ConfigError, match="named twice"):
        api.compare([late[0], late[0]], out=tmp_path / "out")
    shutil.copytree(low_rank[0], tmp_path / "other")
    path = tmp_path / "other" / "predictions.parquet"
    rows = pd.read_parquet(path)
    for change, message in (
        (rows[rows["id"] != rows["id"].iloc[0]], f"{rows['id'].iloc[0]} only in the first and none only in the second"),
        (rows.assign(split="validation"), "'test', the other of 'validation'"),
        (rows[rows["configuration"] != "text"], "configurations are"),
        (rows.assign(truth=rows["truth"].iloc[0]), "the truth of"),
    ):
        change.to_parquet(path)
        with pytest.raises(DatasetError, match=message):
            api.compare([late[0], tmp_path / "other"], out=tmp_path / "out")
    path.write_bytes(b"PAR1")
    with pytest.raises(CheckpointError, match=r"predictions\.parquet: cannot be read"):
        api.compare([late[0], tmp_path / "other"], out=tmp_path / "out")
    path.unlink()
    with pytest.raises(CheckpointError, match="not evaluated yet; run `emotiwave evaluate"):
        api.compare([late[0], tmp_path / "other"], out=tmp_path / "out")


def test_words_that_make_no_comparison(runs, tmp_path):
    recipe = write(tmp_path)
    for sources, overrides, message in (
        ([], [], "nothing to compare"),
        ([runs[0][0], recipe], [], "compare runs with runs"),
        (runs[0][:1], ["training.seed=1"], "--set is for recipes"),
        ([runs[0][0], tmp_path / "typo"], [], "typo is none; compare runs with runs"),
        ([recipe, write(tmp_path, name="small.toml")], [], "both called 'small'"),
        (recipe, "training.seed=1", "overrides must be a list"),
    ):
        with pytest.raises(ConfigError, match=message):
            api.compare(sources, out=tmp_path / "out", overrides=overrides)
    with pytest.raises(CheckpointError, match="no run here"):
        api.compare([tmp_path], out=tmp_path / "out")
    (tmp_path / "file").write_text("")
    for sources in (recipe, runs[0]):
        with pytest.raises(ConfigError, match="is no folder"):
            api.compare(sources, out=tmp_path / "file")
    with pytest.raises(ConfigError, match="processes must be 1 or more; got -1"):
        api.compare(recipe, out=tmp_path / "out", processes=-1)


def test_overrides_that_can_be_read_once_reach_every_recipe(tmp_path, in_process):
    recipes = [write(tmp_path), write(tmp_path, name="compare_other.toml")]
    overrides = iter(["comparison.models=[]", "comparison.anchor=logistic_regression", "comparison.resamples=10"])
    found = api.compare(recipes, out=tmp_path / "out", overrides=overrides).comparisons
    assert [(one.name, one.resamples) for one in found] == [("small", 10), ("other", 10)]


def test_thresholds_of_some_runs_only_are_told(runs, tmp_path):
    one, other = (next(folder for folder in runs[0] if folder.parent.name.startswith(n)) for n in ("late", "low-rank"))
    shutil.copytree(other, tmp_path / "other")
    path = tmp_path / "other" / "thresholds.json"
    path.write_text(json.dumps({"thresholds": {"text": {}}}))
    (found,) = api.compare([one, tmp_path / "other"], out=tmp_path / "out").comparisons
    assert "Thresholds were tuned on validation in 1 runs only, of low_rank" in found.notes[0]
    path.write_text("{")
    with pytest.raises(CheckpointError, match=r"thresholds\.json: cannot be read"):
        api.compare([one, tmp_path / "other"], out=tmp_path / "out")


def test_scores_of_references_are_those_of_their_own_predictions(grid):
    from emotiwave.config import read_recipe

    _folder, done = grid
    recipe = read_recipe("synthetic", ["dataset.n_train=48", "dataset.n_validation=16", "dataset.n_test=24"])
    corpus = recipe.load_corpus()
    reference = REFERENCES["logistic_regression"]
    predictions = reference.fit(corpus, reference.settings(), 0).predict(corpus, "test")
    rows = score(predictions, recipe.evaluation, model="m", dataset="synthetic")
    expected = next(r.value for r in rows if (r.condition, r.metric, r.label) == ("mean", "macro_f1", None))
    assert of(done.comparisons[0], "logistic_regression").value == pytest.approx(expected)
