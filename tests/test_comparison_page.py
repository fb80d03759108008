"""The page and the Markdown of a comparison say who is ahead of whom, all of it and safely."""

import base64
import io
import json
import re
import unicodedata
import xml.etree.ElementTree as ET
from dataclasses import fields, is_dataclass, replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from pydantic import TypeAdapter
from rich.console import Console

from emotiwave.cli import screen
from emotiwave.evaluation.comparison import MEAN, RETENTION, CorpusComparison, Cost, Difference, Method, MethodScore
from emotiwave.report.comparison_figures import cost_scatter
from emotiwave.report.comparison_layout import cost_table
from emotiwave.report.comparison_page import draw_comparison
from emotiwave.report.comparison_table import escape, write_markdown
from emotiwave.report.comparison_words import limits, ranked, say_change, say_value, summary
from tests.made_comparison import NAMES, make_comparison

HOSTILE = "1. <script>alert(1)</script> | *b* _i_ `c` [l](x) $m$ &amp; \x1b[2J\u202e\ud800\n# h"
SPACE, DASH, MINUS = "\N{NO-BREAK SPACE}", "\N{EN DASH}", "\N{MINUS SIGN}"
SETS = {
    "full": make_comparison(failures=("tensor",)),
    "one method": make_comparison(names=("late",), modalities=("text",)),
    "thirty": make_comparison(names=tuple(f"method {index}" for index in range(30))),
    "all failed": make_comparison(names=("late", "mult"), failures=("late", "mult")),
    "not tested": make_comparison(names=("late", "mult", "tensor"), tested=False),
    "anchor failed": make_comparison(names=("late", "mult", "gated"), failures=("gated",), anchor="gated"),
}


class Html(HTMLParser):
    """Tables by caption, tags, and words."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.in_cell = False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("th", "td"):
            self.tables[-1][-1].append("")
            self.in_cell = True
        elif tag == "small":
            self.tables[-1][-1][-1] += " "

    def handle_endtag(self, tag):
        if tag in ("th", "td"):
            self.in_cell = False

    def handle_data(self, data):
        self.words.append(data)
        if self.in_cell:
            self.tables[-1][-1][-1] += data


@cache
def page_of(name: str) -> str:
    return draw_comparison([SETS[name]])


def rendered(markdown: str) -> Html:
    return Html(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(markdown))


def verdicts(*, anchor: float, metric: str = "macro_f1", **others: tuple[float, str]) -> CorpusComparison:
    """Methods ``a`` (the anchor) and others, each with its mean and its verdict."""
    means = {"a": anchor} | {name: value for name, (value, _) in others.items()}
    differences = [
        Difference(name, "a", MEAN, value - anchor, None, None, 0.01, 0.02, verdict)
        for name, (value, verdict) in others.items()
    ]
    scores = [MethodScore(name, MEAN, value, None, None, None) for name, value in means.items()]
    return make_comparison(
        names=tuple(means), metric=metric, scores=tuple(scores), differences=tuple(differences), name="Made"
    )


def test_the_sentence_names_whom_the_best_is_ahead_of_and_counts_ties():
    compared = verdicts(anchor=0.655, b=(0.634, "lower"), c=(0.595, "lower"), d=(0.65, "tie"), e=(0.66, "tie"))
    compared = replace(compared, scores=compared.scores[:-1], differences=compared.differences[:-1])  # e has no mean
    assert summary(compared) == (
        "Made, Macro-F1, mean of all 7: a 65.5 is ahead of 2 of 3 (by 2.1 to 6.0 points: b, c); with d it is a tie."
    )


def test_the_sentence_says_so_where_the_anchor_is_not_the_best():
    compared = verdicts(anchor=0.6, b=(0.7, "higher"), c=(0.61, "tie"), d=(0.5, "lower"), e=(0.59, "tie"))
    assert summary(compared) == (
        "Made, Macro-F1, mean of all 7: b 70.0 is the best, ahead of a 60.0 (+10.0 points). a, the anchor, is behind "
        "1 of 4 (by 10.0 points: b) and is ahead of 1 of 4 (by 10.0 points: d); with the other 2 it is a tie."
    )


def test_of_an_error_the_lowest_is_ahead():
    compared = verdicts(anchor=0.7, metric="mae", b=(0.91, "higher"), c=(0.72, "tie"))
    assert [method.name for method in ranked(compared)] == ["a", "c", "b"]
    assert "a 0.700 is ahead of 1 of 2 (by 0.210: b); with c it is a tie." in summary(compared)
    compared = verdicts(anchor=0.7, metric="mae", b=(0.6, "lower"))
    assert f"b 0.600 is the best, ahead of a 0.700 ({MINUS}0.100). a, the anchor, is behind 1 of 1" in summary(compared)


def test_all_ties_failures_and_what_was_not_tested_are_said():
    assert "a 60.0 is the best, and it is a tie with all 2 others." in summary(
        verdicts(anchor=0.6, b=(0.59, "tie"), c=(0.58, "tie"))
    )
    assert summary(SETS["all failed"]).endswith("no method has scores. 2 of 2 failed.")
    assert summary(SETS["one method"]).endswith("there is no other method to compare it with.")
    assert "whether that is more than chance was not tested" in summary(SETS["not tested"])
    assert "14 failed" in summary(SETS["full"])


def test_the_bound_is_looked_up_and_so_stands_in_no_plot_of_costs():
    whole = make_comparison()
    bound = replace(whole.methods[-1], cost=Cost(0, None, 6.3e-5, 600.0, "not trained"))
    compared = replace(whole, methods=(*whole.methods[:-1], bound))
    picture = cost_scatter(compared)
    assert picture is not None
    assert "Bayes-optimal" not in picture.alt
    seconds = cost_table(compared).rows[-1].cells[2].text
    assert seconds == f"<{SPACE}0.001"


def test_the_bound_wins_over_nobody():
    compared = SETS["full"]
    assert "bayes_optimal" not in [method.name for method in ranked(compared)]
    assert "Bayes" not in summary(compared)
    last = Html(page_of("full")).tables[0][-2]
    assert last[0] == "Bayes-optimal"
    assert any("bound" in words for words in limits(compared))


@pytest.mark.parametrize(
    ("metric", "value", "written", "changed"),
    [
        ("macro_f1", 0.6549, "65.5", "+65.5"),
        ("macro_f1", -0.0004, "0.0", "0.0"),
        ("macro_f1", -0.012, f"{MINUS}1.2", f"{MINUS}1.2"),
        ("mae", 0.91249, "0.912", "+0.912"),
        ("pearson", -0.5, f"{MINUS}0.500", f"{MINUS}0.500"),
        ("accuracy", float("nan"), DASH, DASH),
        ("accuracy", None, DASH, DASH),
    ],
)
def test_shares_are_per_cent_and_errors_as_they_are(metric, value, written, changed):
    compared = make_comparison(metric=metric)
    assert (say_value(compared, value), say_change(compared, value)) == (written, changed)


@pytest.mark.parametrize("name", SETS)
def test_page_and_markdown_hold_the_same_tables(name):
    compared = SETS[name]
    html, markdown = Html(page_of(name)), rendered(write_markdown([compared]))
    assert len(html.tables) == len(markdown.tables)
    for one, other in zip(html.tables, markdown.tables, strict=True):
        # Markdown has no cell across columns, and puts in brackets what the page puts in small print
        assert [[re.sub(r"[()]", "", cell) for cell in row] for row in one] == [
            [re.sub(r"[()]", "", cell) for cell in row if cell] for row in other
        ]


def test_every_score_stands_in_its_place_with_its_mark():
    compared = SETS["full"]
    table = Html(page_of("full")).tables[0]
    rows = {row[0].removesuffix(" (anchor)"): row[1:] for row in table[1:]}
    marks = {(d.method, d.place): {"higher": "▲", "lower": "▼", "tie": ""}[d.verdict] for d in compared.differences}
    assert set(marks.values()) == {"▲", "▼", ""}
    for score in compared.scores:
        mark = marks.get((score.method, score.place), "")
        shown = rows[score.method.replace("bayes_optimal", "Bayes-optimal")][compared.places.index(score.place)]
        expected = f"{mark}{SPACE if mark else ''}{100 * score.value:.1f} ±{SPACE}{100 * (score.sd or 0):.1f}"
        assert shown == expected
    assert rows["tensor"] == ["failed: seed 1: the loss is not finite after epoch 3; lower the rate"]
    assert rows["best constant answer"] == ["38.3"] * 9 + [DASH]
    assert [row[0] for row in table[1:3]] == ["low_rank (anchor)", "lstm_concat"]


def test_differences_and_costs_are_all_there():
    compared = SETS["full"]
    _, means, places, costs = Html(page_of("full")).tables
    late = next(row for row in means if row[0] == "late")
    found = next(d for d in compared.differences if (d.method, d.place) == ("late", MEAN))
    assert late[1:] == [
        f"{MINUS}{-100 * found.value:.1f}",
        f"{MINUS}{-100 * (found.ci_low or 0):.1f} to +{100 * (found.ci_high or 0):.1f}",
        f"{found.p:.3f}",
        f"{found.p_adjusted:.3f}",
        f"▼{SPACE}lower",
    ]
    assert len(means) == len(places) == 13  # 14 methods less one failed and the anchor, and the header
    assert [column for column in places[0] if "mean of all" in column] == []
    rows = {row[0]: row[1:] for row in costs}
    mode = "every utterance in one drawn configuration, 32 utterances a step"
    assert rows["lstm_concat"] == ["49,380", "11.1", "27.1", "529", mode, DASH]  # 12345 × 4, 8 + 3.1, 11 × 2^1.3
    assert rows["tensor"] == [DASH] * 6
    assert rows["logistic_regression"][1] == DASH
    assert rows["logistic_regression"][-1] == "C = 0.01"
    assert rows["Bayes-optimal"][:4] == ["0", DASH, DASH, DASH]


def test_what_a_reader_needs_to_judge_is_told():
    compared = make_comparison(folds=(0, 1), digests=("a" * 64, "b" * 64), seeds=(7,))
    for words in (
        " ".join(Html(draw_comparison([compared])).words),
        " ".join(rendered(write_markdown([compared])).words),
    ):
        for fact in (
            "752 utterances", "31 groups", "a" * 16, "b" * 16, "fixed beforehand", "2,000 resamples", "Holm (1979)",
            "95\N{NO-BREAK SPACE}%", "38.3, the same in every configuration", "31 test videos give about ± 3 points.",
            "A tie is not equality", "standard deviation over folds", "Folds", "sentiment_2", "below 0.05",
        ):  # fmt: skip
            assert fact in words, fact


@pytest.mark.parametrize("name", SETS)
def test_pictures_are_svg_with_words(name):
    html = Html(page_of(name))
    images = [attributes for tag, attributes in html.tags if tag == "img"]
    assert len(images) == {"all failed": 0, "one method": 1}.get(name, 2)
    for image in images:
        assert (image["src"] or "").startswith("data:image/svg+xml;base64,")
        ET.fromstring(base64.b64decode((image["src"] or "").split(",")[1]))
        assert image["alt"]


def test_the_forest_names_every_method_and_its_value():
    html = Html(page_of("full"))
    image = next(attributes for tag, attributes in html.tags if tag == "img")
    svg = base64.b64decode((image["src"] or "").split(",")[1]).decode()
    texts = list(ET.fromstring(svg).itertext())
    ticks = [float(text) for text in texts if re.fullmatch(r"[\d.]+", text)]
    assert len(ticks) >= 3
    assert all(60 < tick < 95 for tick in ticks)  # means are 65 to 90 per cent, intervals 3 points to either side
    drawn = " ".join(texts)
    for name in {*NAMES} - {"tensor", "bayes_optimal"}:
        assert name in drawn
        assert name in (image["alt"] or "")
    assert "tensor" not in drawn
    best = next(score for score in SETS["full"].scores if (score.method, score.place) == ("low_rank", MEAN))
    assert f"1 low_rank {100 * best.value:.1f} (" in (image["alt"] or "")


def hostile(value):
    """The same value with a hostile text in every text but metric, places and verdicts, which the program gives."""
    if isinstance(value, str):
        return f"{value}{HOSTILE}"
    if isinstance(value, tuple):
        return tuple(map(hostile, value))
    if is_dataclass(value) and not isinstance(value, type):
        kept = {"place", "places", "verdict", "metric"}
        changed = {field.name: getattr(value, field.name) for field in fields(value)}
        return replace(value, **{name: one if name in kept else hostile(one) for name, one in changed.items()})
    return value


def test_hostile_text_stays_text():
    compared = hostile(make_comparison(names=("late", "mult", "gated"), failures=("gated",)))
    page, markdown = draw_comparison([compared]), write_markdown([compared])
    for text in (page, markdown):
        assert not {c for c in text if unicodedata.category(c) in {"Cc", "Cf", "Cs"}} - {"\n"}
    html, shown = Html(page), rendered(markdown)
    assert "script" not in {tag for tag, _ in html.tags}
    assert {tag for tag, _ in shown.tags} <= {
        "h1", "h2", "h3", "p", "strong", "ul", "li", "table", "thead", "tbody", "tr", "th", "td"
    }  # fmt: skip
    assert all(len(row) == len(table[0]) for table in shown.tables for row in table)
    assert "late1. <script>alert(1)</script> | *b* _i_ `c` [l](x) $m$ &amp; \\x1b[2J\\u202e\\ud800\\n# h" in " ".join(
        cell for table in shown.tables for row in table for cell in row
    )
    assert "default-src 'none'" in page


@pytest.mark.parametrize(
    "text",
    ["# heading", "- item", "+ item", "1. item", "12) item", "---", "===", "> quote", "~~~", "    code",
     "a_b _c_ __d__", "* * *", "\\*", "![i](u)", "<b>", "&lt;", "a|b", "`c`",
     "[x]: y", "75.0", "+1.2", "$x_1$ and $y$", ""],
)  # fmt: skip
def test_escaped_text_is_read_as_it_was_written(text):
    shown = rendered(f"- {escape(text)}")
    assert "".join(shown.words).strip() == text.strip()
    assert {tag for tag, _ in shown.tags} <= {"ul", "li"}


def test_numbers_are_not_escaped():
    assert [escape(text) for text in ("75.0 ± 1.2", "+1.2", "lstm_concat")] == ["75.0 ± 1.2", "+1.2", "lstm_concat"]


def test_one_section_per_corpus_and_the_same_bytes_twice():
    comparisons = [SETS["one method"], SETS["not tested"]]
    page = draw_comparison(comparisons)
    assert page == draw_comparison(comparisons)
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert page.count("<section") == 2
    assert write_markdown(comparisons).count("\n## ") == 2
    assert not re.search(r"@import|url\(|<link|<script|<iframe", page)


def test_what_is_missing_is_a_dash_and_not_a_number():
    compared = make_comparison(names=("late", "mult"), constant=None)
    kept = tuple(score for score in compared.scores if (score.method, score.place) != ("mult", "text"))
    broken = tuple(replace(score, value=float("nan"), sd=None) if score.place == RETENTION else score for score in kept)
    compared = replace(compared, scores=broken, methods=(*compared.methods[:1], Method("mult", None)))
    table = Html(draw_comparison([compared])).tables[0]
    rows = {row[0]: row[1:] for row in table}
    assert rows["mult"][0] == DASH
    assert rows["mult"][-1].endswith(DASH)
    assert "best constant answer" not in rows


def test_the_table_in_results_is_what_the_numbers_beside_it_say():
    folder = Path(__file__).parent.parent / "results"
    numbers = json.loads((folder / "comparison.json").read_text(encoding="utf-8"))["comparisons"]
    comparisons = TypeAdapter(list[CorpusComparison]).validate_python(numbers)
    assert (folder / "comparison.md").read_text(encoding="utf-8") == write_markdown(comparisons)


def test_the_printed_table_ends_with_the_bound_and_rounds_no_p_to_zero(monkeypatch):
    printed = io.StringIO()
    monkeypatch.setattr(screen, "stdout", Console(file=printed, width=200))
    whole = make_comparison()
    differences = [replace(found, p_adjusted=2e-4) for found in whole.differences if found.method != "bayes_optimal"]
    screen.print_comparison(replace(whole, differences=tuple(differences)))
    rows = [line for line in printed.getvalue().splitlines() if line.startswith("│")]
    assert "bayes_optimal" in rows[-1]
    assert "a bound" in rows[-1]
    assert "the anchor" in next(row for row in rows if whole.anchor in row)
    of_others = [row for row in rows if "[" in row]
    assert of_others
    assert all("│    < 0.001 │" in row for row in of_others)
