"""`emotiwave explain`: a run in, rows that add up, a page and figures out."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import emotiwave
from emotiwave.errors import CheckpointError
from emotiwave.explanation.modalities import explain_modalities
from emotiwave.explanation.results import SUMMARY, read_explanation
from emotiwave.inference import predict
from emotiwave.models.checkpoint import load_model
from emotiwave.run_folder import read_run
from tests.test_cli import run
from tests.tiny_encoders import one_thread

one_thread = pytest.fixture(scope="module", autouse=True)(one_thread)
SMALL = [
    "dataset.n_train=60",
    "dataset.n_validation=24",
    "dataset.n_test=20",
    "dataset.missing=0.3",
    "training.epochs=2",
    "training.patience=0",
]


def train(out: Path, *overrides: str) -> Path:
    return emotiwave.train("synthetic", out=out, overrides=[*SMALL, *overrides]).folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("run") / "run")


def test_rows_add_up_and_are_those_of_the_model(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, "explain", str(trained), "--out", str(tmp_path))
    assert code == 0
    assert "where a class is decided" in out
    assert str(tmp_path / "explanation.html") in out
    rows = pq.read_table(tmp_path / "contributions.parquet").to_pylist()
    assert len(rows) == 24 * 6
    for row in rows:
        total = row["log_odds_base"] + sum(row[f"log_odds_{name}"] for name in ("text", "audio", "vision"))
        assert total == pytest.approx(np.log(row["answer"] / (1 - row["answer"])), abs=1e-5)
        probability = row["probability_base"] + sum(row[f"probability_{m}"] for m in ("text", "audio", "vision"))
        assert probability == pytest.approx(row["answer"], abs=1e-6)
    model, corpus = load_model(trained), read_run(trained).load_corpus()
    who = explain_modalities(predict(model, corpus, "validation"), model.prior_logits.double().numpy())
    np.testing.assert_allclose([row["log_odds_audio"] for row in rows], who.on_scale.values["audio"].ravel())
    lacking = {u.id for u in corpus.utterances if u.split == "validation" and u.id not in corpus.sequences["audio"]}
    assert lacking
    assert all(row["log_odds_audio"] == 0 for row in rows if row["id"] in lacking)
    found = read_explanation(tmp_path)
    assert found.split == "validation"  # errors are studied where models are chosen
    assert len(found.utterances) == 5
    for one in found.utterances:
        assert one.truth != one.decision
        assert {of.name for of in one.classes} == {*one.truth, *one.decision}
        for of in one.classes:
            by_row = next(row for row in rows if (row["id"], row["class"]) == (one.id, of.name))
            assert of.shares["text"] == by_row["log_odds_text"]
            assert of.method == "integrated_gradients"
            assert abs(of.gap) < 0.05
    moments = pq.read_table(tmp_path / "moments.parquet").to_pylist()
    assert len(moments) == sum(len(of.moments) for one in found.utterances for of in one.classes)


def test_the_page_and_the_figures(trained: Path, tmp_path: Path) -> None:
    how: dict[str, Any] = {
        "out": tmp_path / "out",
        "utterances": ["validation-000_1"],
        "explainer": "occlusion",
        "check": 4,
    }
    done = emotiwave.explain(trained, **how, figures=tmp_path / "figures")
    page = done.page.read_text()
    assert "validation-000_1" in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")
    assert "rank correlation with the explanation of shuffled weights" in page
    assert "{{" not in page
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    assert {"drives.svg", "drives.png", "utterance-1-1-who.svg", "utterance-1-1-when.png"} <= names
    with Image.open(tmp_path / "figures" / "drives.png") as image:
        assert image.size[0] > 1000
    measured = done.found.faithfulness
    assert set(measured) == {"integrated_gradients", "occlusion"}
    assert measured["occlusion"]["deletion_gain"].n == 4
    assert "convergence_gap" not in measured["occlusion"]
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    emotiwave.explain(trained, **how)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


@pytest.mark.parametrize(
    "overrides",
    [
        ("dataset.task=multilabel",),
        ("model.name=bottleneck",),
        ("model.name=unimodal", "model.modality=text"),
        ("model.name=lstm_concat", "training.modality_dropout=0", "training.configurations=drawn"),
    ],
)
def test_every_kind_of_run(overrides: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained = train(tmp_path / "run", *overrides)
    code, out, told = run(capsys, "explain", str(trained), "--split", "test", "--json")
    assert code == 0
    found = json.loads(out)
    assert found == json.loads((trained / "explanation" / SUMMARY).read_text())
    assert found["split"] == "test"
    assert found["scale"] == ("logit" if "multilabel" in overrides[0] else "log_odds")
    assert ("trained without missing modalities" in told) == ("lstm_concat" in overrides[0])
    if "unimodal" in overrides[0]:
        rows = pq.read_table(trained / "explanation" / "contributions.parquet").to_pylist()
        assert all(row["log_odds_audio"] == row["log_odds_vision"] == 0 for row in rows)


def test_what_is_wrong_is_said(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, message in (
        ((str(tmp_path / "gone"),), "no run here"),
        ((str(trained), "--utterance", "validation-000_99"), "did you mean 'validation-000_9'"),
        ((str(trained), "--explainer", "saliency"), "unknown explainer 'saliency'"),
        ((str(trained), "--explainer", "attention"), "choose one of integrated_gradients, occlusion"),
        ((str(trained), "--split", "nope"), "split 'nope' is empty"),
    ):
        code, _, told = run(capsys, "explain", *words, "--out", str(tmp_path / "out"))
        assert code == 1
        assert message in told.replace("\n", " ")
        assert not (tmp_path / "out").exists()
    with pytest.raises(CheckpointError, match="run `emotiwave explain` again"):
        read_explanation(tmp_path)
    (tmp_path / SUMMARY).write_text("{}")
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_explanation(tmp_path)


def test_one_modality_alone_and_words_as_letters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (tmp_path / "lines.csv").open("w") as file:
        file.write("id,text,label,split\n")
        for k in range(30):
            split = "train" if k < 16 else "validation" if k < 24 else "test"
            name, words = ("joy", "so very glad") if k % 2 else ("grief", "oh how sad")
            file.write(f"u{k},{words} number {k},{name},{split}\n")
    words = [f"dataset.file={tmp_path / 'lines.csv'}", "features.extractors.text=words", "features.frames=16"]
    words += ["model.encoders.text=gru", "training.epochs=1", "training.patience=0", "features.cache=false"]
    trained = emotiwave.train("manifest", out=tmp_path / "run", overrides=[*words, f"features.store={tmp_path / 's'}"])
    code, _, _ = run(capsys, "explain", str(trained.folder), "--check", "--utterance", "u17", "--json")
    assert code == 0
    found = read_explanation(trained.folder / "explanation")
    assert found.modalities == ("text",)
    assert found.overview.n_disagree == 0
    assert [of.word for of in found.utterances[0].classes[0].moments] == ["so", "very", "glad", "number", "17"]
    assert found.utterances[0].classes[0].method == "occlusion"  # letters have no gradient
    assert set(found.faithfulness) == {"occlusion"}
    assert "small_noise" not in found.faithfulness["occlusion"]  # nor can there be a little of another letter
    page = (trained.folder / "explanation" / "explanation.html").read_text()
    assert ">glad</span>" in page


def test_what_a_model_never_hears_has_no_opinion(tmp_path: Path) -> None:
    trained = train(tmp_path / "run", "model.name=unimodal", "model.modality=text")
    corpus = read_run(trained).load_corpus()
    without = next(u.id for u in corpus.utterances if u.split == "validation" and u.id not in corpus.sequences["text"])
    done = emotiwave.explain(trained, utterances=[without], out=tmp_path / "out")
    assert done.found.overview.n_disagree == 0
    assert done.found.overview.disagreement == {}
    assert done.found.overview.lost == ()
    (one,) = done.found.utterances
    assert one.flip is None
    assert all(share == 0 for of in one.classes for share in of.shares.values())
    assert all(of.moments == [] for of in one.classes)


def test_the_report_shows_it(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    shutil.copytree(trained, folder, ignore=shutil.ignore_patterns("explanation"))
    emotiwave.evaluate(folder)
    page = emotiwave.write_report(folder).read_text()
    assert "no explanation is in the folder" in page
    assert f"emotiwave explain {folder}" in page
    done = emotiwave.explain(folder, utterances=["validation-000_1"], check=3)
    page = emotiwave.write_report(folder).read_text()
    assert "no explanation is in the folder" not in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")
    assert "When, in validation-000_1" in page
    first = done.found.utterances[0].classes[0]
    assert all(f"{value:+.2f}</td>" in page for value in first.shares.values())
    assert "rank correlation with the explanation of shuffled weights" in page
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    described = json.loads((folder / "model.json").read_text())
    described["sha256"]["model.safetensors"] = "0" * 64
    (folder / "model.json").write_text(json.dumps(described))
    page = emotiwave.write_report(folder).read_text()
    assert "explained with other weights or thresholds than it has now" in page
    assert "When, in validation-000_1" not in page
    (folder / "explanation" / SUMMARY).write_text("{")
    code, _, told = run(capsys, "report", str(folder))
    assert code == 1
    assert "run `emotiwave explain` again" in told.replace("\n", " ")


def test_runs_of_every_kind_are_shown_in_one_report(tmp_path: Path) -> None:
    with (tmp_path / "lines.csv").open("w") as file:
        file.write("id,text,valence,split\n")
        for k in range(30):
            split = "train" if k < 16 else "validation" if k < 24 else "test"
            file.write(f"u{k},number {k},{0.8 if k % 2 else -0.6},{split}\n")
    words = [f"dataset.file={tmp_path / 'lines.csv'}", "dataset.task=continuous", "dataset.ranges={valence=[-1,1]}"]
    words += ["features.extractors.text=words", "model.encoders.text=gru", f"features.store={tmp_path / 's'}"]
    words += ["training.epochs=1", "training.patience=0", "features.frames=16"]
    several = train(tmp_path / "several", "dataset.task=multilabel")
    values = emotiwave.train("manifest", out=tmp_path / "values", overrides=words).folder
    for folder in (several, values):
        emotiwave.evaluate(folder)
        emotiwave.explain(folder)
    page = emotiwave.write_report([several, values], out=tmp_path / "report.html").read_text()
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert page.count("Why it answers as it does") == 2
    one, other = page.split('id="run-2"')
    assert "Decided: <strong>" in one
    assert "Above 0: <strong>" in other
    assert "Decided: <strong>" not in other
