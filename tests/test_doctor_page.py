"""JSON, terminal and page say what was found, all of it and safely."""

import base64
import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from emotiwave.datasets.csd.writer import write_csd
from emotiwave.doctor.inspection import Inspection, inspect, to_json
from emotiwave.doctor.layout import summary, tables
from emotiwave.doctor.page import write_page
from emotiwave.drawing import DARK, LIGHT, contrast
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
    console = Console(width=140)
    with console.capture() as captured:
        for table in tables(inspection):
            console.print(table)
    shown = captured.get()
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


def test_severities_are_readable_in_both_themes(page):
    for theme, block in zip((LIGHT, DARK), re.findall(r"--page: .*", page), strict=True):
        for colour in re.findall(r"--(?:decision|warning|info): (#\w+)", block):
            assert contrast(colour, theme.surface) >= 4.5


def test_the_same_files_give_the_same_page(inspection, page):
    assert write_page(inspection) == page


def test_a_page_of_nothing(tmp_path):
    assert "Nothing was found" in write_page(inspect([]))
    assert "unreadable" in write_page(inspect([tmp_path / "none.csd"]))
