"""JSON, terminal and page say what was found, all of it and safely."""

import base64
import json
import re
import unicodedata
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from rich.console import Console

from emotiwave.datasets.csd.writer import write_csd
from emotiwave.doctor.inspection import Inspection, inspect, to_json
from emotiwave.doctor.layout import summary, tables
from emotiwave.doctor.page import write_page
from emotiwave.drawing import DARK, LIGHT, Theme, contrast, picture
from emotiwave.features.store import write_store
from emotiwave.sequences import ComputationalSequence, FeatureSequence
from emotiwave.types import Corpus, LabelSet, Utterance
from tests.made_csd import IDS, made_files
from tests.test_doctor import label_order, missing_modality, non_finite

HOSTILE = "<script>alert('x')&[red]"


@pytest.fixture(scope="module")
def inspection(tmp_path_factory) -> Inspection:
    files = made_files()
    for trap in (label_order, non_finite, missing_modality):
        trap(files)
    files.rename(IDS[0], HOSTILE)
    return inspect([files.write(tmp_path_factory.mktemp("files"))])


@pytest.fixture(scope="module")
def page(inspection) -> str:
    return write_page(inspection)


class Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    def of(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.found if tag == name]


def test_json_has_the_six_keys_and_the_facts(inspection):
    told = json.loads(to_json(inspection))
    assert set(told) == {"findings", "files"}
    rows = {(Path(row["file"]).name, row["kind"]): row for row in told["findings"]}
    assert {key: row["count"] for key, row in rows.items()} == {
        ("Labels.csd", "label_order"): 2,
        ("COVAREP.csd", "non_finite"): 3,
        ("COVAREP.csd", "missing_modality"): 3,
    }
    assert all(list(row) == ["file", "kind", "count", "severity", "detail", "action"] for row in told["findings"])
    assert {Path(facts["file"]).name for facts in told["files"]} == {
        "standard_folds.json", "Labels.csd", "words.csd", "glove.csd", "COVAREP.csd", "OpenFace.csd"
    }  # fmt: skip
    (audio,) = [facts for facts in told["files"] if facts["file"].endswith("COVAREP.csd")]
    assert (audio["n_frames"], audio["n_unobserved"]) == (280, 3)
    assert "labels" not in audio


def test_json_is_strict_even_where_numbers_are_not(tmp_path):
    times = np.array([[0.0, 5e-324], [-1e308, 1e308]])  # a rate and a length beyond floats
    write_csd(tmp_path / "x.csd", root="x", entries=[("a", np.ones((2, 2), np.float32), times)], metadata={})
    told = json.loads(to_json(inspect([tmp_path / "x.csd"])), parse_constant=lambda name: pytest.fail(name))
    assert told["files"][0]["n_frames"] == 2


def test_the_terminal_shows_every_finding_and_no_markup(inspection):
    shown = shown_in_terminal(inspection)
    for finding in inspection.findings:
        assert finding.kind in shown
        assert finding.severity in shown
    assert "[red]" in shown
    assert summary(inspection) == "In 6 files: 1 finding that needs a decision, 2 warnings, and 0 for information."


def test_the_page_says_every_finding_with_its_severity_in_words(inspection, page):
    words = " ".join(Tags(page).words)
    for finding in inspection.findings:
        assert finding.detail in words
        assert finding.action in words
    heads = re.findall(r'<span class="severity">.*?</span> (\w+)</span> <strong>(\w+)', page)
    assert heads == [(finding.severity, finding.kind) for finding in inspection.findings]


def test_the_page_escapes_what_files_say(page):
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_the_page_loads_nothing(page):
    tags = Tags(page)
    assert {tag for tag, _ in tags.found}.isdisjoint({"script", "link", "iframe"})
    addresses = [a.get("src") or a.get("srcset") or "" for name in ("img", "source") for a in tags.of(name)]
    assert addresses
    assert all(address.startswith("data:image/svg+xml;base64,") for address in addresses)
    assert all((a["href"] or "").startswith("#") for a in tags.of("a"))
    assert "default-src 'none'" in page


def test_pictures_are_svg_with_words_for_who_cannot_see_them(page):
    images = Tags(page).of("img")
    assert len(images) == 5  # class shares, sentiment, lengths, presence, unobserved
    for image in images:
        ET.fromstring(base64.b64decode((image["src"] or "").split(",")[1]))
    told = [image["alt"] or "" for image in images]
    assert "happiness 30.0 %" in told[0]
    assert "3 to 4: 10" in told[2]
    assert "COVAREP + OpenFace + glove: 7; OpenFace + glove: 3" in told[3]
    assert "COVAREP 1.1 %" in told[4]  # 3 of 280


def raw_controls(text: str) -> set[str]:
    return {char for char in text if unicodedata.category(char) in {"Cc", "Cf", "Cs"}} - {"\n"}


def shown_in_terminal(inspection: Inspection) -> str:
    console = Console(width=140)
    with console.capture() as captured:
        for table in tables(inspection):
            console.print(table)
    return captured.get()


def svgs(page: str) -> list[bytes]:
    addresses = [image["src"] or "" for image in Tags(page).of("img")]
    addresses += [source["srcset"] or "" for source in Tags(page).of("source")]
    return [base64.b64decode(address.split(",")[1]) for address in addresses]


def test_control_characters_of_a_file_reach_neither_terminal_nor_page_nor_pictures(tmp_path):
    title = "X\x1b]0;PWNED\x07\x1b[2J\x01<b>\u202e"
    files = made_files()
    files.roots["COVAREP"] = files.roots["Labels"] = title
    for trap in (non_finite, label_order):
        trap(files)
    files.rename(IDS[0], "id\x1b[31m\x85\n")
    inspection = inspect([files.write(tmp_path), tmp_path / "none\x1b[2J.csd"])
    told = [one.detail + one.file for one in inspection.findings]
    assert any("id\\x1b[31m\\x85\\n" in detail for detail in told)
    assert any("none\\x1b[2J.csd" in detail for detail in told)
    assert raw_controls(shown_in_terminal(inspection)) == set()
    assert raw_controls(to_json(inspection)) == set()
    page = write_page(inspection)
    assert raw_controls(page) == set()
    drawn = [ET.fromstring(svg) for svg in svgs(page)]
    assert len(drawn) == 10
    words = {text for svg in drawn for text in svg.itertext()}
    assert any(text.startswith("X\\x1b]0;PWNED\\x07") for text in words)


def test_control_characters_of_a_store_stay_out_too(tmp_path):
    times = np.array([[0.0, 1.0]])
    features = ComputationalSequence.from_sequences({"u": FeatureSequence(np.ones((1, 2), np.float32), times)})
    corpus = Corpus(
        name="made",
        task="emotions",
        licence="none",
        label_set=LabelSet("multilabel", ("joy\x1b[2J", "fear\x00")),
        utterances=(Utterance(id="u", split="train\x1b", label=("fear\x00",), dialogue="v"),),
        sequences={"audio": features},
    )
    write_store(corpus, tmp_path / "store")
    inspection = inspect([tmp_path / "store"])
    (facts,) = inspection.facts
    assert facts.splits == {"train\\x1b": 1}
    assert facts.labels is not None
    assert facts.labels.class_shares == {"joy\\x1b[2J": 0.0, "fear\\x00": 1.0}
    page = write_page(inspection)
    assert raw_controls(shown_in_terminal(inspection)) | raw_controls(page) == set()
    for svg in svgs(page):
        ET.fromstring(svg)


def test_a_picture_shows_escaped_what_svg_cannot_hold():
    def draw(theme: Theme) -> Figure:
        figure = Figure(figsize=(4.6, 2))
        axes = figure.add_subplot()
        axes.set_xticks([0, 1], ["bell\x07", "two\nlines"])
        return figure

    drawn = picture(draw, alt="alt\x1b[2J", caption="caption\x00")
    assert (drawn.alt, drawn.caption) == ("alt\\x1b[2J", "caption\\x00")
    for address in (drawn.light, drawn.dark):
        words = set(ET.fromstring(base64.b64decode(address.split(",")[1])).itertext())
        assert {"bell\\x07", "two", "lines"} <= words


def test_severities_are_readable_in_both_themes(page):
    for theme, block in zip((LIGHT, DARK), re.findall(r"--page: .*", page), strict=True):
        for colour in re.findall(r"--(?:decision|warning|info): (#\w+)", block):
            assert contrast(colour, theme.surface) >= 4.5


def test_the_same_files_give_the_same_page(inspection, page):
    assert write_page(inspection) == page


def test_a_page_of_nothing(tmp_path):
    assert "Nothing was found" in write_page(inspect([]))
    assert "unreadable" in write_page(inspect([tmp_path / "none.csd"]))
