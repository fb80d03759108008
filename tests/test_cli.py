"""The command line as a user meets it: help, errors, exit codes, JSON. No traceback, whatever is wrong."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emotiwave import cli
from emotiwave.features.store import write_store
from emotiwave.types import Score
from tests.made import small_corpus

SMALL = ["dataset.n_train=48", "dataset.n_validation=16", "dataset.n_test=16", "training.epochs=2", "model.name=late"]


def sets(*overrides: str) -> list[str]:
    return [word for override in (*SMALL, *overrides) for word in ("--set", override)]


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Run the command line in this process: exit code, standard output, standard error."""
    cli.stdout.width = cli.stderr.width = 200
    code = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["emotiwave", *words])
        try:
            cli.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    return code, said.out, said.err


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "run"
    words = [sys.executable, "-m", "emotiwave", "train", "synthetic", "--out", str(folder), *sets()]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "late epoch 2/2" in done.stderr  # a line per epoch where there is no terminal
    assert "next: emotiwave evaluate" in done.stdout
    return folder


def test_help_and_import_load_no_torch() -> None:
    code = (
        "import sys; sys.argv = ['emotiwave', '--help']\nimport emotiwave, emotiwave.cli\n"
        "try: emotiwave.cli.main()\nexcept SystemExit: pass\n"
        "print('HEAVY', [m for m in ('torch', 'lightning', 'pandas', 'numpy', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stdout
    for command in ("train", "evaluate", "report", "demo", "list"):
        assert command in done.stdout


def test_evaluate_prints_json_of_the_one_schema_and_nothing_else(trained: Path, capsys) -> None:
    code, out, _ = run(capsys, "evaluate", str(trained), "--json")
    rows = [Score(**{**row, "available": row["available"] and tuple(row["available"])}) for row in json.loads(out)]
    assert code == 0
    configurations = {row.available for row in rows if row.condition == "configuration" and row.model == "late"}
    assert len(configurations) == 7
    assert {row.n for row in rows} == {16}
    assert {row.model for row in rows} == {"late", "constant", "bayes_optimal"}
    assert [json.loads(line) for line in (trained / "scores.jsonl").read_text().splitlines()] == json.loads(out)


def test_evaluate_prints_a_table_and_what_to_do_next(trained: Path, capsys) -> None:
    code, out, _ = run(capsys, "evaluate", str(trained))
    assert code == 0
    for word in ("text+audio+vision", "mean incomplete", "retention", "macro_f1", "accuracy", "next: emotiwave report"):
        assert word in out


def test_report_names_its_page(trained: Path, capsys, tmp_path: Path) -> None:
    run(capsys, "evaluate", str(trained))
    code, out, _ = run(capsys, "report", str(trained), "--out", str(tmp_path / "deep" / "page.html"))
    assert code == 0
    assert str(tmp_path / "deep" / "page.html") in out.replace("\n", "")
    assert "macro-F1" in (tmp_path / "deep" / "page.html").read_text()


@pytest.mark.parametrize("kind", ["models", "datasets", "metrics", "recipes"])
def test_list_names_what_there_is(kind: str, capsys) -> None:
    code, out, _ = run(capsys, "list", kind)
    expected = {"models": "bottleneck", "datasets": "mosi", "metrics": "macro_f1", "recipes": "synthetic"}[kind]
    assert code == 0
    assert expected in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "nowhere.toml", "--out", "{tmp}/r"], "nowhere.toml: no such recipe file"),
        (["train", "synthetc", "--out", "{tmp}/r"], "did you mean 'synthetic'?"),
        (
            ["train", "synthetic", "--out", "{tmp}/r", "--set", "training.epoch=3"],
            "unknown key 'epoch'; did you mean 'epochs'?",
        ),
        (
            ["train", "synthetic", "--out", "{tmp}/r", "--set", "training.selection_split=test"],
            "never chosen on 'test'",
        ),
        (["train", "synthetic", "--out", "{tmp}/r", "--set", "dataset.n_validation=0"], "needs the split 'validation'"),
        (
            ["train", "mosi", "--out", "{tmp}/r", "--set", "dataset.root=/nowhere"],
            "/nowhere/utterances.csv does not exist",
        ),
        (["evaluate", "{tmp}/none"], "no run here"),
        (["report", "{tmp}/none"], "no run here"),
        (["list", "modls"], "did you mean 'models'?"),
    ],
)
def test_what_a_user_can_get_wrong_is_explained(words: list[str], message: str, capsys, tmp_path: Path) -> None:
    code, _, err = run(capsys, *(word.format(tmp=tmp_path) for word in words))
    assert code == 1
    assert message in err.replace("\n", " ")
    assert err.startswith("error: ")
    assert not (tmp_path / "r").exists()  # nothing is left behind


def test_wrong_usage_exits_with_2(capsys) -> None:
    assert run(capsys, "train", "synthetic")[0] == 2


def test_frames_with_nan_are_reported_once_in_training_and_in_evaluation(capsys, tmp_path: Path) -> None:
    corpus = small_corpus(n_train=60)
    sequence = corpus.sequences["text"]
    values = sequence.values.copy()
    for split, n in {"train": 3, "test": 2}.items():
        names = [u.id for u in corpus.utterances if u.split == split and u.id in sequence][:n]
        values[[sequence.offsets[sequence.row[name]] for name in names], 0] = np.nan
    spoilt = replace(corpus, sequences={**corpus.sequences, "text": replace(sequence, values=values)})
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(f'dataset.store = "{write_store(spoilt, tmp_path / "store")}"\n[model]\nname = "late"\n')
    words = ["--set", "training.epochs=2", "--out", str(tmp_path / "run")]
    code, _, err = run(capsys, "train", str(recipe), *words)
    assert (code, err.count("warning: training: frames with NaN or infinity, taken as unobserved: 3 text")) == (0, 1)
    code, _, err = run(capsys, "evaluate", str(tmp_path / "run"))
    assert (code, err.count("warning: test: frames with NaN or infinity, taken as unobserved: 2 text")) == (0, 1)


def test_two_processes_train_one_run(capsys, tmp_path: Path) -> None:
    words = ["train", "synthetic", "--out", str(tmp_path / "run"), *sets("training.epochs=1")]
    words += ["--set", "training.devices=2", "--set", "training.accelerator=cpu"]
    done = subprocess.run([sys.executable, "-m", "emotiwave", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("next: emotiwave evaluate") == 1
    code, out, _ = run(capsys, "evaluate", str(tmp_path / "run"), "--json")
    assert code == 0
    assert json.loads(out)[0]["n"] == 16


def test_training_twice_into_one_folder_is_refused(trained: Path, capsys) -> None:
    code, _, err = run(capsys, "train", "synthetic", "--out", str(trained), *sets())
    assert code == 1
    assert "holds a run; go on with it by --resume" in err


def test_resuming_with_another_recipe_names_the_difference(trained: Path, capsys) -> None:
    code, _, err = run(capsys, "train", "synthetic", "--out", str(trained), *sets("training.seed=7"), "--resume")
    assert code == 1
    assert "the run has training.seed = 0, the recipe 7" in err


def test_resuming_a_finished_run_is_quick_and_harmless(trained: Path, capsys) -> None:
    before = (trained / "model.safetensors").read_bytes()
    code, out, _ = run(capsys, "train", "synthetic", "--out", str(trained), *sets(), "--resume")
    assert code == 0
    assert "2 epochs" in out
    assert (trained / "model.safetensors").read_bytes() == before


def test_a_run_whose_model_was_swapped_is_refused(trained: Path, capsys, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in trained.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    (copy / "model.safetensors").write_bytes(b"\0" * 64)
    code, _, err = run(capsys, "evaluate", str(copy))
    assert code == 1
    assert "model.safetensors is not the file that model.json describes" in err.replace("\n", " ")


def test_an_internal_fault_is_said_to_be_one(capsys, monkeypatch) -> None:
    from emotiwave import api

    def fault(kind: str) -> dict[str, str]:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(api, "list_names", fault)
    monkeypatch.delenv("EMOTIWAVE_DEBUG", raising=False)
    code, _, err = run(capsys, "list", "models")
    assert code == 1
    assert "internal error: ZeroDivisionError: planted" in err
