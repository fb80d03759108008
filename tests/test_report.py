"""The report shows what the files of a run say, all of it, safely; run folders are written by hand."""

import base64
import json
import re
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import asdict, replace
from html.parser import HTMLParser
from itertools import count, pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emotiwave.drawing import DARK, LIGHT, contrast, readable
from emotiwave.errors import CheckpointError
from emotiwave.metrics import averages, per_label_metrics
from emotiwave.report import page as page_module
from emotiwave.report.page import write_page
from emotiwave.report.read import read_runs
from emotiwave.types import (
    BAYES_OPTIMAL,
    CONSTANT,
    Configuration,
    Label,
    LabelKind,
    LabelSet,
    Score,
    all_configurations,
)

NAMES = ("<b>&", "$x_1$", "joy")
SINGLE_TRUTH: list[Label] = ["<b>&", "<b>&", "<b>&", "$x_1$", "$x_1$", "joy"]
SINGLE_DECISION: list[Label] = ["<b>&", "<b>&", "joy", "$x_1$", "joy", "joy"]
SHARES: list[Label] = [
    (0.75, 0.25, 0.0),
    (0.5, 0.5, 0.0),  # a tie: the first
    (0.5, 0.0, 0.5),
    (0.25, 0.5, 0.25),
    (0.0, 1.0, 0.0),
    (0.25, 0.25, 0.5),
]
"""Their largest are those of `SINGLE_TRUTH`."""
MULTI_TRUTH: list[Label] = [("<b>&", "joy"), ("<b>&",), (), ("$x_1$",), ("joy",), ("joy",)]
MULTI_DECISION: list[Label] = [("<b>&", "joy"), (), ("$x_1$",), ("$x_1$",), ("<b>&", "joy"), ()]


RANGES = ((-3.0, 3.0), (0.0, 3.0), (0.0, 1.0))
VALUE_TRUTH: list[Label] = [
    (-3.0, 0.0, 0.0),
    (3.0, 1.0, 1.0),
    (1.0, 0.0, 0.5),
    (0.0, 3.0, 0.0),
    (2.0, 2.0, 1.0),
    (-1.0, 0.0, 0.1),
]
VALUE_DECISION: list[Label] = [
    (-2.0, 0.5, 0.0),
    (2.5, 1.5, 0.9),
    (1.0, 0.0, 0.5),
    (0.5, 2.0, 0.2),
    (2.0, 2.0, 1.0),
    (1.0, 0.0, 0.0),
]


def labels_of(kind: LabelKind, names: Sequence[str] = NAMES) -> LabelSet:
    return LabelSet(kind, tuple(names), RANGES[: len(names)] if kind == "continuous" else None)


def make_scores(
    model: str,
    configurations: Sequence[Configuration],
    labels: LabelSet,
    *,
    seed: int | None,
    start: int,
    n: int = 6,
) -> list[Score]:
    """Rows as `evaluate` writes them, no two with the same value."""
    numbers = count(start)
    places: list[tuple[str, tuple[str, ...] | None]] = [("configuration", c.modalities) for c in configurations]
    places += [(name, None) for name in (["mean", "mean_incomplete", "retention"] if len(places) > 1 else ["mean"])]
    rows = []
    for condition, available in places:
        metrics: list[tuple[str, str | None]] = [
            (metric, None)
            for metric in averages(labels)
            if condition != "retention" or metric not in ("mae", "nll", "pearson")
        ]
        if available:
            metrics += [(metric, name) for metric in per_label_metrics(labels) for name in NAMES]
        for metric, label in metrics:
            value = next(numbers) / 1000
            ends = (value - 0.05, value + 0.04)
            rows.append(Score(model, "made", "test", condition, available, metric, label, value, *ends, n, seed))
    return rows


def make_run(
    folder: Path,
    kind: LabelKind = "categorical",
    *,
    seed: int = 0,
    validated: bool = True,
    modalities: Sequence[str] = ("text", "audio"),
    names: Sequence[str] = NAMES,
    start: int = 100,
    thresholds: str = "fixed",
) -> Path:
    """Write the files of one evaluated run of six utterances."""
    folder.mkdir()
    configurations = all_configurations(modalities)
    (folder / "config.toml").write_text(
        f'note = "</pre><script>alert(1)</script>"\n[training]\nseed = {seed}\n'
        f'[evaluation]\nbootstrap = 1000\nconfidence = 0.9\nthresholds = "{thresholds}"\n'
    )
    history = ["epoch,train_loss,validation_score,seconds"]
    history += [f"{epoch},{2 - 0.5 * epoch},{0.2 * epoch if validated else ''},1.0" for epoch in (1, 2, 3)]
    (folder / "history.csv").write_text("\n".join(history) + "\n")
    labels = labels_of(kind, names)
    (folder / "environment.json").write_text(json.dumps(make_environment(asdict(labels), seed, modalities)))
    rows = make_scores("bottleneck", configurations, labels, seed=seed, start=start)
    mean = [
        Score(CONSTANT, "made", "test", "mean", None, m, None, 0.0123, 0.011, 0.013, 6, None) for m in averages(labels)
    ]
    rows += mean + make_scores(BAYES_OPTIMAL, configurations, labels, seed=None, start=800)
    write_scores(folder, rows)
    truth, decision = {
        "categorical": (SINGLE_TRUTH, SINGLE_DECISION),
        "multilabel": (MULTI_TRUTH, MULTI_DECISION),
        "distribution": (SINGLE_TRUTH, SINGLE_DECISION),
        "continuous": (VALUE_TRUTH, VALUE_DECISION),
    }[kind]
    write_predictions(folder, configurations, truth, decision, SHARES if kind == "distribution" else None)
    return folder


def make_environment(label_set: dict, seed: int, modalities: Sequence[str]) -> dict:
    return {
        "corpus": {
            "name": "made",
            "task": "emotions",
            "licence": "CC0 <free>",
            "digest": "f00d" * 16,
            "label_set": label_set,
            "splits": {"test": {"utterances": 6, "groups": 3}, "train": {"utterances": 1234, "groups": 56}},
            "modalities": {name: {"features": 7, "utterances": 1200, "frames": 98765} for name in modalities},
        },
        "seed": seed,
        "python": "3.11.7",
        "platform": "Linux x86_64",
        "threads": 2,
        "packages": {"emotiwave": "0.1.0", "torch": "2.6.0"},
        "training": {
            "n_epochs": 3,
            "best_epoch": 2,
            "best_score": 0.4,
            "n_parameters": 4321,
            "n_non_finite": {"text": 17},
        },
    }


def write_scores(folder: Path, rows: Sequence[Score]) -> None:
    (folder / "scores.jsonl").write_text("".join(json.dumps(asdict(row)) + "\n" for row in rows))


def read_scores(folder: Path) -> list[Score]:
    rows = [json.loads(line) for line in (folder / "scores.jsonl").read_text().splitlines()]
    return [Score(**row | {"available": row["available"] and tuple(row["available"])}) for row in rows]


def write_predictions(
    folder: Path,
    configurations: Sequence[Configuration],
    truth: list[Label],
    decision: list[Label],
    shares: list[Label] | None = None,
) -> None:
    """Right in the complete configuration only: in the others all decisions are the first one."""
    tables = []
    for configuration in configurations:
        decided = decision if configuration == configurations[-1] else [decision[0]] * len(truth)
        tables.append(
            pa.table(
                {
                    "id": [f"u{i}" for i in range(len(truth))],
                    "group": [f"g{i // 2}" for i in range(len(truth))],
                    "split": ["test"] * len(truth),
                    "configuration": [str(configuration)] * len(truth),
                    "truth": [one if isinstance(one, str) else list(one) for one in truth],
                    "decision": [one if isinstance(one, str) else list(one) for one in decided],
                    **({f"share_{name}": [row[k] for row in shares] for k, name in enumerate(NAMES)} if shares else {}),
                }
            )
        )
    pq.write_table(pa.concat_tables(tables), folder / "predictions.parquet")


class Page(HTMLParser):
    """What a reader meets: tables by caption, headings, pictures, and every tag with its attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[tuple[str, str]] = []
        self.captions: dict[str, str] = {}
        self.tables: dict[str, list[list[str]]] = {}
        self.text, self.caption, self.small = "", None, False
        self.rows: list[list[str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append((tag, given))
        if tag in ("h1", "h2", "h3", "h4", "th", "td", "figcaption", "p", "dd", "title"):
            self.text = ""
        if tag == "figcaption":
            self.caption = given.get("id")
        elif tag == "table":
            self.rows = self.tables[self.captions[str(given["aria-labelledby"])]] = []
        elif tag == "tr":
            self.rows.append([])
        elif tag == "small":
            self.text += " | "

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_endtag(self, tag: str) -> None:
        words = " ".join(self.text.split())
        if tag in ("th", "td"):
            self.rows[-1].append(words)
        elif tag in ("h1", "h2", "h3", "h4"):
            self.headings.append((tag, words))
        elif tag == "figcaption" and self.caption:
            self.captions[self.caption] = words

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [given for name, given in self.tags if name == tag]

    def table(self, caption: str) -> list[list[str]]:
        return next(rows for name, rows in self.tables.items() if caption in name)

    def picture(self, start: str) -> tuple[str, list[str]]:
        """Its alternative text, and the words drawn in its light variant."""
        image = next(i for i in self.all("img") if str(i["alt"]).startswith(start))
        return str(image["alt"]), drawn_words(str(image["src"]))


def drawn_words(address: str) -> list[str]:
    root = ET.fromstring(decode(address))
    return ["".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text")]


def decode(address: str) -> str:
    kind, _, content = address.partition(",")
    assert kind == "data:image/svg+xml;base64"
    return base64.b64decode(content, validate=True).decode()


def shown(score: Score) -> str:
    assert score.ci_low is not None
    assert score.ci_high is not None
    return f"{score.value:.3f} | {score.ci_low:.3f}\N{EN DASH}{score.ci_high:.3f}"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("runs")
    return {
        "categorical": make_run(root / "categorical"),
        "multilabel": make_run(root / "multilabel", "multilabel", validated=False),
        "continuous": make_run(root / "continuous", "continuous"),
        "distribution": make_run(root / "distribution", "distribution"),
        "other seed": make_run(root / "other", seed=1, start=300),
    }


@pytest.fixture(scope="module")
def pages(folders: dict[str, Path]) -> dict[str, Page]:
    categorical, multilabel, continuous, distribution, other = folders.values()
    return {
        "categorical": Page(write_page({categorical: "bottleneck"})),
        "multilabel": Page(write_page({multilabel: "bottleneck"})),
        "continuous": Page(write_page({continuous: "bottleneck"})),
        "distribution": Page(write_page({distribution: "bottleneck"})),
        "seeds": Page(write_page({categorical: "bottleneck", other: "bottleneck"})),
        "mixed": Page(write_page({categorical: "<i>one</i>", multilabel: "many"})),
    }


AVERAGE_COLUMNS = {
    "categorical": ["Macro-F1", "Accuracy", "UAR", "Weighted F1"],
    "multilabel": ["Macro-F1", "WA", "Weighted F1", "Accuracy"],
    "distribution": ["Macro-F1", "NLL", "Accuracy", "UAR", "Weighted F1"],
    "continuous": [
        "Macro-F1",
        "MAE",
        "r",
        "Acc-2",
        "Acc-2, zeros left out",
        "Weighted F1 of two",
        "Weighted F1 of two, zeros left out",
        "Acc-7",
    ],
}


@pytest.mark.parametrize("kind", ["categorical", "multilabel", "distribution", "continuous"])
def test_every_configuration_is_shown_in_every_average(
    kind: str, folders: dict[str, Path], pages: dict[str, Page]
) -> None:
    own = [s for s in read_scores(folders[kind]) if s.model == "bottleneck" and s.label is None]
    places = [("text", ("text",)), ("audio", ("audio",)), ("text+audio", ("text", "audio"))]
    names = {"mean of all 3": "mean", "mean of the 2 incomplete": "mean_incomplete", "retention": "retention"}
    expected = [["Available", *AVERAGE_COLUMNS[kind]]]
    for name, available in places:
        expected.append([name, *(shown(s) for s in own if s.available == available)])
    for name, condition in names.items():
        expected.append([name, *(shown(s) for s in own if s.condition == condition)])
    if kind == "continuous":
        expected[-1][2:2] = ["\N{EN DASH}"] * 2  # of an error and of r nothing is retained
    if kind == "distribution":
        expected[-1].insert(2, "\N{EN DASH}")
    assert pages[kind].table("bottleneck on made (test, n = 6)") == expected
    assert all(len(row) == 1 + len(AVERAGE_COLUMNS[kind]) for row in expected)


@pytest.mark.parametrize("kind", ["categorical", "multilabel", "distribution"])
def test_classification_report_is_of_the_complete_configuration(
    kind: str, folders: dict[str, Path], pages: dict[str, Page]
) -> None:
    columns = {"Precision": "precision", "Recall": "recall", "F1": "f1"}
    columns |= {"Weighted F1": "weighted_f1", "WA": "weighted_accuracy"} if kind == "multilabel" else {}
    support = {"multilabel": ["2", "1", "3"]}.get(kind, ["3", "2", "1"])
    found = {
        (s.label, s.metric): s
        for s in read_scores(folders[kind])
        if s.model == "bottleneck" and s.available == ("text", "audio")
    }
    expected = [["Class", *columns, "Support"]]
    expected += [
        [name, *(shown(found[name, metric]) for metric in columns.values()), held]
        for name, held in zip(NAMES, support, strict=True)
    ]
    assert pages[kind].table("bottleneck with text+audio") == expected


def test_runs_of_the_same_utterances_stand_side_by_side(folders: dict[str, Path], pages: dict[str, Page]) -> None:
    rows = pages["seeds"].table("Macro-F1 on made")
    assert rows[0] == ["Available", "bottleneck · seed 0", "bottleneck · seed 1", "Bayes-optimal", "constant"]
    assert [row[0] for row in rows[1:]] == [
        "text", "audio", "text+audio", "mean of all 3", "mean of the 2 incomplete", "retention"
    ]  # fmt: skip
    first, second = (
        [shown(s) for s in read_scores(folders[name]) if s.model == "bottleneck" and s.metric == "macro_f1"]
        for name in ("categorical", "other seed")
    )
    optimal = [
        shown(s) for s in read_scores(folders["categorical"]) if s.model != "bottleneck" and s.metric == "macro_f1"
    ][1:]
    assert [row[1:4] for row in rows[1:]] == [list(line) for line in zip(first, second, optimal, strict=True)]
    constant = "0.012 | 0.011\N{EN DASH}0.013"
    assert [row[4] for row in rows[1:]] == [*[constant] * 5, "\N{EN DASH}"]


def test_headline_is_the_mean_over_configurations_beside_the_baselines(
    folders: dict[str, Path], pages: dict[str, Page]
) -> None:
    page = pages["categorical"]
    mean = next(s for s in read_scores(folders["categorical"]) if s.condition == "mean")
    optimal = next(s for s in read_scores(folders["categorical"]) if s.condition == "mean" and s.value > 0.8)
    assert page.table("Mean macro-F1 over all") == [
        ["Model", "Mean macro-F1"],
        ["bottleneck", shown(mean)],
        ["Bayes-optimal", shown(optimal)],
        ["constant", "0.012 | 0.011\N{EN DASH}0.013"],
    ]
    sentence = (
        "On 6 test utterances of made (3 classes), mean macro-F1 over all 3 modality configurations is "
        f"{mean.value:.3f} (90\N{NO-BREAK SPACE}% interval {mean.ci_low:.3f}\N{EN DASH}{mean.ci_high:.3f}) for "
        f"bottleneck; the Bayes-optimal decision reaches {optimal.value:.3f} and the best constant answer reaches "
        "0.012."
    )
    assert f"<p>{sentence}</p>" in page.html


def test_runs_of_other_labels_are_not_compared(pages: dict[str, Page]) -> None:
    page = pages["mixed"]
    assert page.html.count("Mean macro-F1 over all configurations on made") == 2
    assert page.table("Macro-F1 on made")[0] == [
        "Available",
        "many",
        "Bayes-optimal",
        "constant",
    ]  # the last of its name


def test_confusion_matrix_counts_the_complete_configuration(pages: dict[str, Page]) -> None:
    alt, words = pages["categorical"].picture("Confusion")
    assert [word for word in words if word.isdigit()] == ["2", "0", "1", "0", "1", "1", "0", "0", "1"]
    assert "<b>&: 2 of 3 right, most often taken for joy (1); $x_1$: 1 of 2 right" in alt
    assert "joy: 1 of 1 right." in alt
    assert words.count("<b>&") == words.count("$x_1$") == 2


def test_a_page_of_shares_counts_the_largest_and_explains_nll(folders: dict[str, Path], pages: dict[str, Page]) -> None:
    page = pages["distribution"]
    _, words = page.picture("Confusion")
    assert [word for word in words if word.isdigit()] == ["2", "0", "1", "0", "1", "1", "0", "0", "1"]
    assert "(3 classes, each with its share of the raters)" in page.html
    assert "<dt>NLL</dt>" in page.html
    assert "<dt>NLL</dt>" not in pages["categorical"].html
    assert facts(page)["Decisions"] == ["the largest probability"]
    run = read_runs({folders["distribution"]: "one"})[0]
    np.testing.assert_array_equal(run.targets, np.array(SHARES, np.float32))
    assert list(run.truth.values()) == SHARES


@pytest.mark.parametrize("spoilt", [0.9, None, "half", float("nan")])
def test_shares_that_are_none_are_refused(spoilt: object, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", "distribution")
    table = pq.read_table(folder / "predictions.parquet")
    column = table.column_names.index("share_joy")
    changed = table.set_column(column, "share_joy", pa.array([spoilt] * table.num_rows))
    pq.write_table(changed, folder / "predictions.parquet")
    with pytest.raises(CheckpointError, match=r"predictions\.parquet cannot be read"):
        write_page({folder: "one"})
    pq.write_table(table.remove_column(column), folder / "predictions.parquet")
    with pytest.raises(CheckpointError, match=r"predictions\.parquet cannot be read"):
        write_page({folder: "one"})


def test_multilabel_page_has_one_confusion_matrix_per_class(pages: dict[str, Page]) -> None:
    alt, words = pages["multilabel"].picture("Confusion")
    assert [word for word in words if word in NAMES] == list(NAMES)
    counts = [word for word in words if word.isdigit()]
    assert counts == [*"3111", *"4101", *"3012"]
    assert "<b>&: found in 1 of 2 that have it, and in 1 of 4 that do not" in alt
    assert "joy: found in 2 of 3 that have it, and in 0 of 3 that do not." in alt


def test_every_continuous_label_has_its_error_correlation_and_f1(
    folders: dict[str, Path], pages: dict[str, Page]
) -> None:
    found = {
        (s.label, s.metric): s
        for s in read_scores(folders["continuous"])
        if s.model == "bottleneck" and s.available == ("text", "audio")
    }
    columns = {"F1": "f1", "MAE": "mae", "r": "pearson"}
    expected = [["Label", *columns, "Above 0"]]
    expected += [
        [name, *(shown(found[name, metric]) for metric in columns.values()), above]
        for name, above in zip(NAMES, ("3", "3", "4"), strict=True)
    ]
    assert pages["continuous"].table("bottleneck with text+audio") == expected
    about = dict(pages["continuous"].table("made: the data"))
    assert about["Labels"] == "<b>& (-3 to 3), $x_1$ (0 to 3), joy (0 to 1)"
    assert "(3 continuous labels)" in pages["continuous"].html


def test_continuous_pages_draw_truth_against_prediction(folders: dict[str, Path], pages: dict[str, Page]) -> None:
    page = pages["continuous"]
    own = {
        (s.available, s.metric, s.label): s.value for s in read_scores(folders["continuous"]) if s.model == "bottleneck"
    }
    both = ("text", "audio")
    alt, words = page.picture("Truth against prediction")
    assert [word for word in words if word in NAMES] == list(NAMES)
    assert (
        f"joy: off by {own[both, 'mae', 'joy']:.2f} on average, correlation {own[both, 'pearson', 'joy']:.2f}." in alt
    )
    alt, words = page.picture("MAE, r and F1 per label")
    assert {"MAE (lower is better)", "r", "F1", *NAMES} <= set(words)
    mae, r, f1 = (own[("text",), metric, "joy"] for metric in ("mae", "pearson", "f1"))
    assert f"joy with text: MAE {mae:.2f}, r {r:.2f}, F1 {f1:.2f}" in alt
    titles = [words for tag, words in page.headings if tag == "h3"]
    assert "Confusion" not in titles
    assert titles.index("Truth against prediction") < titles.index("Error, correlation and F1 per label")


def test_an_error_is_never_coloured_as_a_score(pages: dict[str, Page]) -> None:
    column = AVERAGE_COLUMNS["continuous"].index("MAE")
    cells = re.findall(r"<tr>.*?</tr>", pages["continuous"].html, flags=re.DOTALL)
    row = next(cell for cell in cells if ">text</th>" in cell and cell.count("<td") == 8)
    shaded = ["shaded" in cell for cell in re.findall(r"<td.*?</td>", row)]
    assert shaded == [place != column for place in range(8)]


def facts(page: Page) -> dict[str, list[str]]:
    return {name: row for name, *row in page.table("Runs, and the software")}


def test_the_page_says_what_turned_answers_into_decisions(pages: dict[str, Page], tmp_path: Path) -> None:
    assert facts(pages["categorical"])["Decisions"] == ["the largest probability"]
    assert facts(pages["multilabel"])["Decisions"] == ["probability above 0.5"]
    assert facts(pages["continuous"])["Decisions"] == ["the sign of the value, a value above half a step"]
    folder = make_run(tmp_path / "run", "multilabel", thresholds="validation")
    with pytest.raises(CheckpointError, match=r"thresholds\.json is missing; run `emotiwave evaluate"):
        write_page({folder: "bottleneck"})
    tuned = {"text": dict.fromkeys(NAMES, 0.9), "text+audio": {"<b>&": 0.25, "$x_1$": 0.125, "joy": 0.75}}
    (folder / "thresholds.json").write_text(json.dumps({"split": "dev", "n": 9, "thresholds": tuned}))
    page = Page(write_page({folder: "bottleneck"}))
    assert facts(page)["Decisions"] == ["thresholds tuned on dev, to the highest F1 per class and configuration"]
    rows = page.table("bottleneck with text+audio")
    assert rows[0][-1] == "Threshold"
    assert [row[-1] for row in rows[1:]] == ["0.250", "0.125", "0.750"]
    assert "It was tuned on dev" in page.html
    (folder / "thresholds.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"thresholds\.json cannot be read \('thresholds'\)"):
        write_page({folder: "bottleneck"})


def test_cautions_and_counts_are_shown_where_there_are_any(pages: dict[str, Page], tmp_path: Path) -> None:
    assert "questionable" not in pages["categorical"].html
    assert "How the corpus was counted" not in pages["categorical"].html
    folder = make_run(tmp_path / "run")
    environment = json.loads((folder / "environment.json").read_text())
    environment["cautions"] = ["the tail is cut <script>off</script>", "zeros & silence"]
    environment["corpus"]["counts"] = {"segments": 16327, "share of zeros": 0.25, "columns": "of the <file>"}
    (folder / "environment.json").write_text(json.dumps(environment))
    page = Page(write_page({folder: "bottleneck"}))
    assert ("h2", "What is questionable about this run") in page.headings
    assert "<li>the tail is cut &lt;script&gt;off&lt;/script&gt;</li>" in page.html
    assert "<li>zeros &amp; silence</li>" in page.html
    assert page.html.index("What is questionable about") < page.html.index("Every configuration")
    counted = page.table("made: how the corpus was counted")
    assert counted == [["segments", "16,327"], ["share of zeros", "0.25"], ["columns", "of the <file>"]]
    both = Page(write_page({folder: "one", make_run(tmp_path / "other"): "other"}))
    assert ("h2", "What is questionable about these runs") in both.headings
    assert ("h3", "one") in both.headings
    assert ("h3", "other") not in both.headings


def test_f1_bars_compare_all_modalities_with_each_alone(folders: dict[str, Path], pages: dict[str, Page]) -> None:
    alt, words = pages["categorical"].picture("F1 per class")
    f1 = {
        s.available: s.value for s in read_scores(folders["categorical"]) if (s.metric, s.label) == ("f1", "joy")
        and s.model == "bottleneck"
    }  # fmt: skip
    assert f"joy: text+audio {f1['text', 'audio']:.2f}, text {f1['text',]:.2f}, audio {f1['audio',]:.2f}." in alt
    assert {"text+audio", "text", "audio", *NAMES} <= set(words)


def test_learning_curves_show_what_there_is(pages: dict[str, Page]) -> None:
    alt, words = pages["categorical"].picture("Learning curves")
    assert "Train loss is 1.500 after epoch 1 and 0.500 after epoch 3." in alt
    assert "The validation score ends at 0.600; the kept epoch 2 has 0.400." in alt
    assert "Validation score" in words
    assert "the dashed line marks epoch 2" in pages["categorical"].html
    alt, words = pages["multilabel"].picture("Learning curves")
    assert "alidation" not in alt + "".join(words)
    assert "There was no validation split" in pages["multilabel"].html


def test_what_was_run_is_all_there(pages: dict[str, Page]) -> None:
    page = pages["seeds"]
    assert page.table("made: splits")[1:] == [["train", "1,234", "56"], ["test", "6", "3"]]
    assert page.table("made: modalities")[1:] == [[name, "7", "1,200", "98,765"] for name in ("text", "audio")]
    about = dict(page.table("made: the data"))
    assert about["Content hash (SHA-256)"] == "f00d" * 16
    assert (about["Licence"], about["Task"]) == ("CC0 <free>", "emotions · categorical")
    assert about["Classes"] == ", ".join(NAMES)
    facts = {name: row for name, *row in page.table("Runs, and the software")}
    expected = {"Seed": ["0", "1"], "Epochs": ["3", "3"], "Epoch kept": ["2", "2"], "Parameters": ["4,321"] * 2}
    expected |= {"Non-finite frames": ["text 17"] * 2, "torch": ["2.6.0"] * 2, "Python": ["3.11.7"] * 2}
    assert {name: facts[name] for name in expected} == expected


def test_text_from_files_is_escaped(pages: dict[str, Page]) -> None:
    for page in pages.values():
        assert not page.all("b")
        assert not page.all("i")
        assert not page.all("script")
        assert "&lt;/pre&gt;&lt;script&gt;" in page.html
    assert ("h2", "<i>one</i>") in pages["mixed"].headings


def test_page_asks_the_network_for_nothing(pages: dict[str, Page]) -> None:
    for page in pages.values():
        addresses = [
            value or ""
            for _, given in page.tags
            for name, value in given.items()
            if name in ("src", "srcset", "href", "poster", "data", "action", "style")
        ]
        assert len(addresses) > 10
        assert all(re.match(r"data:image/svg\+xml;base64,|#|--share:", address) for address in addresses)
        assert not re.search(r"@import|url\(|<link|<iframe|<object", page.html)
        assert not page.all("script")


def test_every_picture_is_inside_the_page_in_two_themes_with_words(pages: dict[str, Page]) -> None:
    for name, n_runs in (("categorical", 1), ("continuous", 1), ("seeds", 2)):
        page = pages[name]
        images, sources = page.all("img"), page.all("source")
        assert len(images) == len(sources) == len(page.all("picture")) == 3 * n_runs
        for image, source in zip(images, sources, strict=True):
            assert len(str(image["alt"])) > 40
            assert source["media"] == "(prefers-color-scheme: dark)"
            light, dark = decode(str(image["src"])), decode(str(source["srcset"]))
            assert LIGHT.accent in light
            assert DARK.accent in dark
            assert "<dc:date" not in light + dark


def test_structure_is_accessible(pages: dict[str, Page]) -> None:
    for page in pages.values():
        ids = [given["id"] for _, given in page.tags if "id" in given]
        assert len(ids) == len(set(ids))
        assert all(cell.get("scope") in ("row", "col") for cell in page.all("th"))
        assert all(str(link["href"])[1:] in ids for link in page.all("a"))
        levels = [int(tag[1]) for tag, _ in page.headings]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))
        assert page.all("html") == [{"lang": "en"}]


def test_the_same_runs_give_the_same_page(folders: dict[str, Path], pages: dict[str, Page]) -> None:
    assert write_page({folders["categorical"]: "bottleneck"}) == pages["categorical"].html


def test_many_runs_are_folded(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "MOST_RUNS_OPEN", 1)
    monkeypatch.setattr(page_module, "MOST_RUNS_IN_SENTENCE", 1)
    page = Page(write_page({folders["categorical"]: "late", folders["other seed"]: "late"}))
    assert [given.get("id") for given in page.all("details")][:2] == ["run-1", "run-2"]
    assert "modality configurations is 0.148 to 0.348 for 2 runs;" in page.html


@pytest.mark.parametrize(
    ("name", "damage", "says"),
    [
        ("predictions.parquet", None, "is missing; run `emotiwave evaluate {folder}` first"),
        ("predictions.parquet", lambda data: data[:200], "cannot be read"),
        ("scores.jsonl", None, "is missing; run `emotiwave evaluate {folder}` first"),
        ("scores.jsonl", lambda data: data[:-700], "cannot be read (Invalid JSON"),
        ("scores.jsonl", lambda data: b"".join(data.splitlines(True)[:20]), "it holds 2 of 3 configurations"),
        ("scores.jsonl", lambda data: b"".join(data.splitlines(True)[:50]), "it lacks the uar of all classes for mean"),
        (
            "scores.jsonl",
            lambda data: data.replace(b'"value": 0.105', b'"value": NaN'),
            "it lacks the precision of $x_1",
        ),
        ("scores.jsonl", lambda data: b"", "it holds no score"),
        ("environment.json", None, "is missing; train the run again"),
        ("environment.json", lambda data: data.replace(b'"digest"', b'"hash"'), "corpus.digest: Field required"),
        ("environment.json", lambda data: data.replace(b'"joy"', b'"<b>&"'), "class names must differ"),
        ("config.toml", lambda data: data[:-30], "cannot be read"),
        ("history.csv", lambda data: data.splitlines(True)[0], "it holds no epoch"),
        ("history.csv", lambda data: data.replace(b"train_loss", b"loss"), "cannot be read ('train_loss')"),
    ],
)
def test_missing_and_damaged_files_are_named(tmp_path: Path, name: str, damage, says: str) -> None:
    folder = make_run(tmp_path / "run")
    path = folder / name
    content = path.read_bytes()
    path.unlink()
    if damage is not None:
        assert damage(content) != content
        path.write_bytes(damage(content))
    with pytest.raises(CheckpointError) as caught:
        write_page({folder: "bottleneck"})
    assert str(path) in str(caught.value)
    assert says.format(folder=folder) in str(caught.value)
    if name in ("scores.jsonl", "predictions.parquet"):
        assert f"run `emotiwave evaluate {folder}` first" in str(caught.value)


def test_predictions_must_be_those_that_were_scored(tmp_path: Path) -> None:
    folder, configurations = make_run(tmp_path / "run"), all_configurations(["text", "audio"])
    write_predictions(folder, configurations, SINGLE_TRUTH[:5], SINGLE_DECISION[:5])
    with pytest.raises(CheckpointError, match=r"predictions\.parquet .*does not hold the 6 test utterances"):
        write_page({folder: "bottleneck"})
    write_predictions(folder, configurations, SINGLE_TRUTH, [*SINGLE_DECISION[:5], "envy"])
    with pytest.raises(CheckpointError, match=r"predictions\.parquet .*unknown label 'envy'"):
        write_page({folder: "bottleneck"})


def test_a_run_of_one_epoch_without_intervals_and_baselines_is_drawn(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    (folder / "history.csv").write_text("epoch,train_loss,validation_score,seconds\n1,1.5,0.2,1\n")
    own = [replace(s, ci_low=None, ci_high=None) for s in read_scores(folder) if s.model == "bottleneck"]
    write_scores(folder, own)
    page = Page(write_page({folder: "bottleneck"}))
    mean = next(s for s in own if s.condition == "mean")
    assert (
        "Train loss is 1.500 after epoch 1. The validation score ends at 0.200." in page.picture("Learning curves")[0]
    )
    assert page.table("Mean macro-F1")[1:] == [["bottleneck", f"{mean.value:.3f}"]]
    assert "interval" not in re.sub(r"<table.*?</table>", "", page.html, flags=re.DOTALL)
    assert "Bayes-optimal" not in page.html


def test_an_interval_may_miss_its_estimate(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    write_scores(folder, [replace(s, ci_low=s.value + 0.01, ci_high=s.value + 0.02) for s in read_scores(folder)])
    assert "F1 per class" in write_page({folder: "bottleneck"})


def test_odd_runs_are_drawn_without_a_warning(tmp_path: Path) -> None:
    """One modality; a loss that diverged; training unfinished; a class that matplotlib cannot write."""
    folder = make_run(tmp_path / "run", modalities=["text"])
    for name in ("environment.json", "scores.jsonl"):
        content = json.dumps([json.loads(line) for line in (folder / name).read_text().splitlines()])
        rows = json.loads(content.replace("joy", "\N{CJK UNIFIED IDEOGRAPH-559C}" + "o" * 300))
        [row.pop("training", None) for row in rows]
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    long = "\N{CJK UNIFIED IDEOGRAPH-559C}" + "o" * 300
    truth, decision = ([long if x == "joy" else x for x in labels] for labels in (SINGLE_TRUTH, SINGLE_DECISION))
    write_predictions(folder, all_configurations(["text"]), truth, decision)
    (folder / "history.csv").write_text("epoch,train_loss,validation_score,seconds\n1,inf,,1\n2,1.5,nan,1\n3,nan,,1\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        page = Page(write_page({folder: "bottleneck"}))
    assert [row[0] for row in page.table("bottleneck on made")[1:]] == ["text", "mean of all 1"]
    assert "training did not finish" in page.html
    assert "Non-finite frames" not in page.html
    assert "with one modality alone" not in page.html
    assert "macro-F1 is 0." in page.html


def mix(one: str, other: str, share: float) -> str:
    channels = [(int(one[i : i + 2], 16), int(other[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(share * a + (1 - share) * b):02x}" for a, b in channels)


def test_colours_leave_text_readable() -> None:
    assert contrast("#ffffff", "#777777") == pytest.approx(4.48, abs=0.005)  # known from the W3C's own examples
    for theme in (LIGHT, DARK):
        assert contrast(theme.ink, mix(theme.accent, theme.surface, theme.deepest)) >= 4.5
        assert contrast(theme.muted, theme.surface) >= 4.5
        assert contrast(theme.accent, theme.surface) >= 4.5
        assert all(contrast(colour, theme.surface) >= 2.5 for colour in theme.others)
        for share in range(11):
            cell = mix(theme.accent, theme.surface, share / 10)
            assert contrast(readable(cell), cell) >= 4.5
