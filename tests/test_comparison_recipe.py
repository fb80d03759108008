"""Recipes of comparisons: what they list, what they refuse, and how grids and cells follow from them."""

import json
import re

import pytest

from emotiwave.comparison.cell import CellResult, cells_of, read_cell, write_cell
from emotiwave.comparison.recipe import read_comparison
from emotiwave.config import read_recipe, shipped_recipes
from emotiwave.errors import CheckpointError, ConfigError

RECIPE = """
[comparison]
models = ["late", "bottleneck"]
without_modality_dropout = ["late"]
references = ["logistic_regression"]
anchor = "late"
seeds = [4, 2]
folds = [0, 1]

[comparison.methods."late, wide"]
set = ["model.name=late", "model.size=base"]

[dataset]
name = "cremad_votes"

[training]
epochs = 2
"""


def write(tmp_path, text=RECIPE, name="compare_votes.toml"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_methods_cells_and_recipes(tmp_path):
    comparison = read_comparison(write(tmp_path))
    assert comparison.name == "votes"
    names = ["late", "bottleneck", "late, no modality dropout", "logistic_regression", "late, wide"]
    assert [method.name for method in comparison.methods] == names
    cells = cells_of(comparison, tmp_path)
    assert [(cell.fold, cell.seed) for cell in cells["late"]] == [(0, 4), (0, 2), (1, 4), (1, 2)]
    assert [(cell.fold, cell.seed) for cell in cells["logistic_regression"]] == [(0, 4), (1, 4)]  # no seed changes it
    assert comparison.n_runs == 18 == sum(map(len, cells.values()))
    assert len({cell.folder for of in cells.values() for cell in of}) == 18
    assert len({cell.key for of in cells.values() for cell in of}) == 18
    recipe = comparison.recipe(comparison.methods[2], 1, 2)
    assert (recipe.model.name, recipe.training.modality_dropout) == ("late", 0.0)
    assert (recipe.training.seed, recipe.dataset.fold, recipe.training.epochs) == (2, 1, 2)
    assert comparison.recipe(comparison.methods[4], 0, 2).model.size == "base"
    assert comparison.recipe(comparison.methods[0], 0, 2).training.modality_dropout == 0.3


def test_overrides_reach_the_comparison_and_the_recipe(tmp_path):
    comparison = read_comparison(write(tmp_path), ["comparison.seeds=[9]", "training.epochs=7"])
    assert comparison.settings.seeds == (9,)
    assert comparison.recipe(comparison.methods[0], 0, 9).training.epochs == 7


def test_candidates_are_tried_with_the_first_seed_of_every_fold(tmp_path):
    candidates = 'comparison.candidates=[["training.learning_rate=1e-3"], ["training.learning_rate=1e-4"]]'
    comparison = read_comparison(write(tmp_path), [candidates])
    assert comparison.n_runs == 18 + 2 * 4  # one more run for each fold of the four models
    recipe = comparison.recipe(comparison.methods[0], 0, 4, comparison.settings.candidates[1])
    assert recipe.training.learning_rate == 1e-4


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ('comparison.models=["lat"]', r"unknown model 'lat'; did you mean 'late'\?"),
        ('comparison.references=["logistic"]', "unknown reference method 'logistic'"),
        ("comparison.anchor=mult", "anchor: unknown method 'mult'"),
        ('comparison.methods.x={reference = "bayes_optimal"}', "goes by that name"),
        ("comparison.anchor=bayes_optimal", "is a bound and no method"),
        ('comparison.methods.bayes_optimal={set = ["model.name=late"]}', "nothing else does; got a model by the name"),
        ('comparison.methods.bayes_optimal={reference = "logistic_regression"}', "got logistic_regression by the name"),
        ("comparison.metric=f1", "unknown metric 'f1'"),
        ("comparison.metric=mae", "unknown metric 'mae'"),
        ("comparison.seeds=[0, 0]", "names one twice"),
        ("comparison.seeds=[-1]", "expected numbers from 0"),
        ("comparison.seeds=[]", "at least 1 item"),
        ("comparison.sedes=[0]", r"unknown key 'sedes'; did you mean 'seeds'\?"),
        ('comparison.models=["late", "late"]', "names the method 'late' twice"),
        ('comparison.candidates=[["training.epochs=3"]]', "one alone is no choice"),
        ('comparison.candidates=[["training.epochs=3"], ["training.epoch=3"]]', "unknown key 'epoch'"),
        ("comparison.folds=[7]", r"\[dataset\] fold: .*got 7"),
        ("dataset.name=nothing", "unknown dataset 'nothing'"),
        ('comparison.methods.x={reference = "logistic_regression", set = ["a.b=1"]}', "has both set and reference"),
        ("comparison.methods.x={settings = {a = 1}}", "name one in reference"),
        ('comparison.methods.x={reference = "logistic_regression", settings = {a = 1}}', "unknown key 'a'"),
        ('comparison.methods.x={set = ["model.size=huge"]}', "x: .model. size"),
        ("evaluation.split=validation", "never"),
    ],
)
def test_what_is_wrong_is_named_before_anything_is_trained(tmp_path, override, message):
    with pytest.raises(ConfigError, match=re.compile(message, re.DOTALL)):
        read_comparison(write(tmp_path), [override])


def test_nothing_to_compare(tmp_path):
    with pytest.raises(ConfigError, match=r"no \[comparison\] table"):
        read_comparison("mosi")
    with pytest.raises(ConfigError, match="names no method"):
        read_comparison(write(tmp_path, '[comparison]\nanchor = "a"\n[dataset]\nname = "cremad_votes"\n'))
    for name in ("compare_.toml", "compare_...toml"):
        with pytest.raises(ConfigError, match="called what follows 'compare_'"):
            read_comparison(write(tmp_path, name=name))
    with pytest.raises(ConfigError, match="names a method ' '; give it a name to show"):
        read_comparison(write(tmp_path, RECIPE.replace("late, wide", " ")))
    with pytest.raises(ConfigError, match="root"):
        read_comparison(write(tmp_path), ["dataset.root=2020-01-01", "dataset.rot=1"])
    with pytest.raises(ConfigError, match="no such recipe file"):
        read_comparison(tmp_path / "nowhere.toml")


def test_a_comparison_is_not_trained(tmp_path):
    with pytest.raises(ConfigError, match="emotiwave compare"):
        read_recipe(write(tmp_path))


def test_folds_do_not_share_a_store(monkeypatch, tmp_path):
    monkeypatch.setenv("EMOTIWAVE_DATA", "/nowhere")
    with pytest.raises(ConfigError, match="6 folds need one each; leave it out"):
        read_comparison("compare_ravdess_conditions", [f"features.store={tmp_path}"])


@pytest.mark.parametrize("name", sorted(name for name in shipped_recipes() if name.startswith("compare_")))
def test_shipped_comparisons_can_be_read(name, monkeypatch):
    monkeypatch.setenv("EMOTIWAVE_DATA", "/nowhere")
    comparison = read_comparison(name)
    assert f"emotiwave compare {name}" in shipped_recipes()[name].read_text(encoding="utf-8").splitlines()[0]
    assert comparison.settings.procedure
    assert comparison.n_runs > len(comparison.methods)  # several seeds or folds


def test_a_cell_of_another_recipe_is_refused(tmp_path):
    comparison = read_comparison(write(tmp_path))
    cell = cells_of(comparison, tmp_path)["late"][0]
    assert read_cell(cell) is None
    write_cell(cell, CellResult(cell.key, None, step_ms=2.0, chosen=("a.b=1",)))
    assert read_cell(cell) == CellResult(cell.key, None, step_ms=2.0, chosen=("a.b=1",))
    changed = read_comparison(write(tmp_path), ["training.epochs=3"])
    with pytest.raises(ConfigError, match="made by another recipe"):
        read_cell(cells_of(changed, tmp_path)["late"][0])
    path = cell.folder / "cell.json"
    for damage in ("{", json.dumps({"key": cell.key}), json.dumps({"key": cell.key, "failure": None, "seconds": "x"})):
        path.write_text(damage, encoding="utf-8")
        with pytest.raises(CheckpointError, match=r"cell\.json: cannot be read"):
            read_cell(cell)
