"""Methods compared under conditions: the same masks for all, curves against sums by hand, what differs refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emotiwave import api
from emotiwave.api import comparing
from emotiwave.errors import DatasetError
from emotiwave.evaluation.comparison import CorpusComparison
from emotiwave.evaluation.paired import holm
from emotiwave.report.comparison_curves import curve_differences, curve_table, summary
from emotiwave.report.comparison_page import draw_comparison
from emotiwave.report.comparison_table import write_markdown
from tests.test_compare import SMALL, of, pool_here, write
from tests.tiny_encoders import one_thread

one_thread = pytest.fixture(scope="module", autouse=True)(one_thread)
CONDITIONS = """
[evaluation]
conditions = ["missing=0.3,0.6", "frame_drop:audio=0.5"]
draws = 2
"""


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CorpusComparison]:
    folder = tmp_path_factory.mktemp("grid")
    recipe = SMALL.replace('"logistic_regression"', '"logistic_regression", "context_lstm"') + CONDITIONS
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparing, "worker_pool", pool_here)
        (comparison,) = api.compare(write(folder, recipe), out=folder / "out").comparisons
    return folder / "out" / "small", comparison


def cell(grid: tuple[Path, CorpusComparison], name: str, seed: int = 0) -> Path:
    (found,) = grid[0].glob(f"{name}-*/seed{seed}")
    return found


def test_points_and_areas_are_those_of_the_runs(grid: tuple[Path, CorpusComparison]) -> None:
    _, comparison = grid
    rows = []
    for seed in (0, 1):
        text = (cell(grid, "late", seed) / "conditions.jsonl").read_text()
        rows.append(
            {(r["condition"], r["severity"], r["metric"]): r["value"] for r in map(json.loads, text.splitlines())}
        )
    for place, key in (
        ("missing=0.3", ("missing", 0.3, "macro_f1")),
        ("missing=0.6", ("missing", 0.6, "macro_f1")),
        ("frame_drop:audio=0.5", ("frame_drop:audio", 0.5, "macro_f1")),
        ("area:missing", ("area:missing", None, "macro_f1")),
        ("relative:missing", ("relative:missing", None, "macro_f1")),
    ):
        assert of(comparison, "late", place).value == pytest.approx(np.mean([found[key] for found in rows]))
    at = [of(comparison, "late", place).value for place in ("text+audio+vision", "missing=0.3", "missing=0.6")]
    assert of(comparison, "late", "area:missing").value == pytest.approx((at[0] + 2 * at[1] + at[2]) / 4)
    methods = ("late", "low_rank", "logistic_regression", "context_lstm")
    shares = {name: of(comparison, name, "relative:missing").value for name in methods}
    area = {name: of(comparison, name, "area:missing").value for name in methods}
    others = np.mean([share for name, share in shares.items() if name != "logistic_regression"])
    start = of(comparison, "logistic_regression", "text+audio+vision").value
    beyond = of(comparison, "logistic_regression", "effective:missing").value
    assert beyond == pytest.approx(area["logistic_regression"] - others * start)


def test_all_methods_meet_the_same_masks(grid: tuple[Path, CorpusComparison]) -> None:
    folder, comparison = grid
    names = ("late", "low-rank", "logistic-regression", "context-lstm", "bayes-optimal")
    met = {name: json.loads((cell(grid, name) / "conditions.json").read_text()) for name in names}
    hashes = {name: {(m["condition"], m["seed"]): m["sha256"] for m in of_name} for name, of_name in met.items()}
    assert hashes["late"] == hashes["low-rank"] == hashes["logistic-regression"] == hashes["context-lstm"]
    assert hashes["bayes-optimal"] == {key: of for key, of in hashes["late"].items() if key[0] == "missing"}
    assert {path.name for path in (folder / "masks").iterdir()} == {
        f"{name}.test.{draw}.json" for name in ("missing", "frame_drop-audio") for draw in (0, 1)
    }
    missing, drop = sorted(comparison.curves, key=lambda curve: curve.condition, reverse=True)
    assert (missing.severities, missing.draws) == ((0.3, 0.6), 2)
    assert missing.realised == pytest.approx((0.3, 0.6), abs=0.02)
    assert missing.masks != drop.masks
    assert str(folder.parent) not in (folder.parent / "comparison.json").read_text()


def test_a_bound_is_asked_only_what_it_knows(grid: tuple[Path, CorpusComparison]) -> None:
    _, comparison = grid
    places = {row.place for row in comparison.scores if row.method == "bayes_optimal"}
    assert "missing=0.3" in places
    assert not any("frame_drop" in place for place in places)
    rows = pd.read_parquet(cell(grid, "bayes-optimal") / "conditions.parquet")
    posteriors = pd.read_parquet(cell(grid, "bayes-optimal") / "predictions.parquet")
    both = rows.merge(posteriors, on=["id", "configuration"], suffixes=("", "_known"))
    assert len(both) == len(rows)
    columns = [name for name in rows if name.startswith("probability_")]
    np.testing.assert_allclose(both[columns], both[[f"{name}_known" for name in columns]])


def test_what_sees_neighbours_is_asked_again(grid: tuple[Path, CorpusComparison]) -> None:
    """The answer of a method that sees neighbours is not that of a configuration, of which they are all bereft."""
    differing = {}
    for name in ("late", "logistic_regression", "context_lstm"):
        folder = cell(grid, name.replace("_", "-"))
        rows, known = pd.read_parquet(folder / "conditions.parquet"), pd.read_parquet(folder / "predictions.parquet")
        both = rows[rows.condition == "missing"].merge(known, on=["id", "configuration"], suffixes=("", "_known"))
        columns = [column for column in rows if column.startswith("probability_")]
        gap = np.abs(both[columns].to_numpy() - both[[f"{column}_known" for column in columns]].to_numpy())
        differing[name] = gap.max()
    assert differing["late"] == differing["logistic_regression"] == 0
    assert differing["context_lstm"] > 1e-4


def test_points_are_a_family_of_their_own(grid: tuple[Path, CorpusComparison]) -> None:
    _, comparison = grid
    rows = [row for row in comparison.differences if row.place in ("missing=0.3", "missing=0.6")]
    assert len(rows) == 6
    assert [row.p_adjusted for row in rows] == pytest.approx(holm([row.p for row in rows if row.p is not None]))


def test_page_and_table_show_the_curves(grid: tuple[Path, CorpusComparison]) -> None:
    _, comparison = grid
    page, table = draw_comparison([comparison]), write_markdown([comparison])
    for text in (page, table):
        assert "Macro-F1 under missing, by severity" in text
        assert "Beyond the others" in text
    assert page.count("Differences at every severity") == 2
    (missing,) = [curve for curve in comparison.curves if curve.condition == "missing"]
    shown = curve_table(comparison, missing)
    assert shown.columns[:3] == ("0", "0.3", "0.6") or "really" in shown.columns[1]
    late = next(row for row in shown.rows if row.name == "late (anchor)")
    assert late.cells[1].text == f"{100 * of(comparison, 'late', 'missing=0.3').value:.1f}"
    assert {row.name for row in curve_differences(comparison, missing).rows} == {
        "low_rank",
        "logistic_regression",
        "context_lstm",
    }
    verdicts = {"low_rank": "lower", "logistic_regression": "higher", "context_lstm": "tie"}
    decided = [
        replace(row, verdict=verdicts[row.method]) if row.place in missing.places else row
        for row in comparison.differences
    ]
    told = summary(replace(comparison, differences=tuple(decided)), missing)
    assert "late is ahead of 1 of 3 (low_rank) and behind logistic_regression" in told
    assert "drawn 2 times" in told


def test_tuned_thresholds_decide_what_is_left(tmp_path: Path) -> None:
    settings = ["dataset.n_train=60", "dataset.n_validation=40", "dataset.n_test=40", "dataset.task=multilabel"]
    settings += ["training.epochs=2", "evaluation.thresholds=validation", "evaluation.bootstrap=0"]
    expected = {}
    for name in ("late", "evidence"):
        folder = api.train("synthetic", out=tmp_path / name, overrides=[*settings, f"model.name={name}"]).folder
        for row in api.evaluate(folder, conditions=["missing=0.6"]):
            if (row.condition, row.severity, row.metric) == ("missing", 0.6, "macro_f1"):
                expected[name] = row.value
    (comparison,) = api.compare([tmp_path / "late", tmp_path / "evidence"], out=tmp_path / "out").comparisons
    for name, value in expected.items():
        (row,) = [r for r in comparison.scores if r.place == "missing=0.6" and name in r.method]
        assert row.value == pytest.approx(value)


def test_runs_under_other_masks_are_refused_and_conditions_of_some_are_left_out(
    grid: tuple[Path, CorpusComparison], tmp_path: Path
) -> None:
    runs = []
    for name in ("late", "low-rank"):
        runs.append(tmp_path / name)
        shutil.copytree(cell(grid, name), runs[-1])
    (comparison,) = api.compare(runs, out=tmp_path / "out").comparisons
    assert {curve.condition for curve in comparison.curves} == {"missing", "frame_drop:audio"}
    path = runs[1] / "conditions.json"
    met = json.loads(path.read_text())
    met[-1]["sha256"] = dict.fromkeys(met[-1]["sha256"], "0" * 64)
    path.write_text(json.dumps(met))
    with pytest.raises(DatasetError, match="had other masks, or another sound"):
        api.compare(runs, out=tmp_path / "out")
    api.evaluate(runs[1], conditions=["missing=0.3,0.6"])
    (comparison,) = api.compare(runs, out=tmp_path / "out").comparisons
    assert [curve.condition for curve in comparison.curves] == ["missing"]
    assert "Not all runs were evaluated under frame_drop:audio, which is left out." in comparison.notes
    api.evaluate(runs[1], conditions=["missing=0.3"])
    with pytest.raises(DatasetError, match=r"severities of missing are 0.3, 0.6, and 0.3"):
        api.compare(runs, out=tmp_path / "out")
    api.evaluate(runs[1], conditions=[])
    assert not list(runs[1].glob("conditions*"))
    (comparison,) = api.compare(runs, out=tmp_path / "out").comparisons
    assert comparison.curves == ()
