"""The protocol: training never sees the labels that are scored, and every score says what it is of and by."""

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest

import emotiwave
from emotiwave.errors import ConfigError
from emotiwave.files import source_digest
from emotiwave.run_folder import read_run
from emotiwave.training import fit as fitting
from tests.test_cli import run
from tests.tiny_encoders import one_thread

one_thread = pytest.fixture(scope="module", autouse=True)(one_thread)
SMALL = ["dataset.n_train=60", "dataset.n_validation=24", "dataset.n_test=30", "training.epochs=2"]


def test_training_is_given_no_label_that_is_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = []
    real = fitting.fit

    def watched(model, corpus, *rest, **named):
        given.append(corpus)
        return real(model, corpus, *rest, **named)

    monkeypatch.setattr(fitting, "fit", watched)
    folder = emotiwave.train("synthetic", out=tmp_path / "run", overrides=SMALL).folder
    (corpus,) = given
    whole = read_run(folder).load_corpus()
    rows = {split: whole.indices(split) for split in ("train", "validation", "test")}
    assert np.isnan(corpus.targets[rows["test"]]).all()
    for split in ("train", "validation"):
        np.testing.assert_array_equal(corpus.targets[rows[split]], whole.targets[rows[split]])
    assert {corpus.utterances[row].label for row in rows["test"]} == {None}
    assert all(np.isnan(of[rows["test"]]).all() for of in corpus.posteriors.values())
    assert [u.label for u in corpus.utterances if u.split != "test"] == [
        u.label for u in whole.utterances if u.split != "test"
    ]
    assert corpus.digest == whole.digest
    again = emotiwave.train("synthetic", out=tmp_path / "again", overrides=SMALL).folder
    assert (again / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    "overrides",
    [
        ["training.selection_split=test"],
        ["evaluation.split=validation"],
        ["training.selection_split=test", "training.patience=0"],
    ],
)
def test_a_recipe_that_tunes_on_what_it_scores_is_refused(tmp_path: Path, overrides: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"never (scored on the data that chose it|chosen on .test.)"):
        emotiwave.train("synthetic", out=tmp_path / "run", overrides=[*SMALL, *overrides])
    assert not (tmp_path / "run").exists()


def test_scores_say_of_what_and_by_what_they_are(tmp_path: Path) -> None:
    folder = emotiwave.train("synthetic", out=tmp_path / "run", overrides=[*SMALL, "training.seed=7"]).folder
    emotiwave.evaluate(folder)
    described = json.loads((folder / "evaluation.json").read_text())
    assert described["data"] == read_run(folder).load_corpus().digest
    for name, file in (("weights", "model.safetensors"), ("recipe", "config.toml")):
        assert described[name] == hashlib.sha256((folder / file).read_bytes()).hexdigest()
    assert described["code"] == source_digest()
    assert (described["split"], described["n"], described["seed"]) == ("test", 30, 7)
    assert described["selection"]["split"] == "validation"
    assert not math.isnan(described["selection"]["score"])
    assert str(tmp_path) not in json.dumps(described)
    page = emotiwave.write_report(folder).read_text()
    assert ", ".join(described[name][:12] for name in ("data", "weights", "recipe", "code")) in page
    assert "macro_f1, mean over configurations on validation" in page
    emotiwave.evaluate(folder, conditions=["missing=0.5"], masks=tmp_path / "masks")
    assert str(tmp_path) not in (folder / "evaluation.json").read_text()


def test_the_code_has_a_hash_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from emotiwave import files

    (tmp_path / "one.py").write_text("a = 1\n")
    monkeypatch.setattr(files, "__file__", str(tmp_path / "files.py"))
    by_hand = hashlib.sha256(b"one.py " + hashlib.sha256(b"a = 1\n").hexdigest().encode() + b"\n").hexdigest()
    assert source_digest() == by_hand


def test_a_fixed_number_of_epochs_chooses_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = emotiwave.train("synthetic", out=tmp_path / "run", overrides=[*SMALL, "training.patience=0"]).folder
    assert run(capsys, "evaluate", str(folder))[0] == 0
    assert json.loads((folder / "evaluation.json").read_text())["selection"] is None
