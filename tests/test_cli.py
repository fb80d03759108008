"""The command line as a user meets it: help, errors, exit codes, JSON. No traceback, whatever is wrong."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emotiwave import cli
from emotiwave.cli import screen
from emotiwave.features.store import write_store
from emotiwave.run_folder import read_run
from emotiwave.types import Score
from tests.made import small_corpus
from tests.made_mosei_files import FILES, made_arrays, write_arrays

SMALL = ["dataset.n_train=48", "dataset.n_validation=16", "dataset.n_test=16", "training.epochs=2", "model.name=late"]


def sets(*overrides: str) -> list[str]:
    return [word for override in (*SMALL, *overrides) for word in ("--set", override)]


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Run the command line in this process: exit code, standard output, standard error."""
    screen.stdout.width = screen.stderr.width = 200
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
    assert f"{folder}: 2 epochs on synthetic, " in done.stdout
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


def test_below_the_tables_stands_how_many_utterances_lack_a_modality(trained: Path, capsys) -> None:
    code, out, _ = run(capsys, "evaluate", str(trained))
    corpus = read_run(trained).load_corpus()
    ids = [utterance.id for utterance in corpus.utterances if utterance.split == "test"]
    lacking = {name: len(set(ids) - set(sequence.ids)) for name, sequence in corpus.sequences.items()}
    assert max(lacking.values()) > 0
    said = ", ".join(f"{n} lack {name}" for name, n in lacking.items() if n)
    assert code == 0
    assert f"note: Of the 16 test utterances {said}. They are scored all the same" in out
    assert out.index("accuracy on synthetic") < out.index("note: ") < out.index("next: emotiwave report")


def test_cautions_are_printed_once_and_say_which_model_they_are_of(trained: Path, capsys, tmp_path: Path) -> None:
    of_all, of_some = "Every word of this is questionable, " * 10 + "really.", "One went \x1b[2J further."
    changes = {"a": ("seed = 0", "seed = 0"), "b": ("seed = 0", "seed = 1"), "c": ("epochs = 2", "epochs = 3")}
    for name, change in changes.items():
        shutil.copytree(trained, tmp_path / name)
        config, described = tmp_path / name / "config.toml", tmp_path / name / "environment.json"
        before, table, rest = config.read_text().partition("[training]")
        config.write_text(before + table + rest.replace(*change, 1))
        cautions = [of_all, of_some] if name == "c" else [of_all]
        described.write_text(json.dumps(json.loads(described.read_text()) | {"cautions": cautions}))
    folders = [str(tmp_path / name) for name in changes]
    code, out, _ = run(capsys, "evaluate", *folders)
    assert code == 0
    assert max(len(line) for line in out.splitlines() if not line.startswith("next: ")) <= 200
    words = " ".join(out.split())
    assert words.count(f"note: {of_all}") == words.count("Every word of this is questionable, really.") == 1
    assert "note: late (epochs=3): One went \\x1b[2J further." in words
    code, out, _ = run(capsys, "evaluate", *folders, "--json")
    assert {row["metric"] for row in json.loads(out)} >= {"macro_f1", "accuracy"}


@pytest.mark.parametrize(
    ("metrics", "shown"),
    [
        (("macro_f1", "accuracy", "uar", "weighted_f1"), ["macro_f1", "accuracy"]),
        (
            ("macro_f1", "weighted_accuracy", "weighted_f1", "accuracy"),
            ["macro_f1", "weighted_accuracy", "weighted_f1"],
        ),
        (("macro_f1", "mae", "pearson", "accuracy_2"), ["macro_f1", "mae", "pearson"]),
        (("macro_f1", "accuracy", "uar", "weighted_f1", "nll"), ["macro_f1", "nll", "accuracy"]),
    ],
)
def test_printed_tables_are_those_of_the_kind_of_label(metrics, shown, capsys) -> None:
    screen.print_scores([Score("m", "made", "test", "mean", None, x, None, 0.5, None, None, 8, 0) for x in metrics])
    assert [word for word in capsys.readouterr().out.split() if word in metrics] == shown


def test_compare_prints_a_table_and_names_its_files(trained: Path, capsys, tmp_path: Path) -> None:
    run(capsys, "evaluate", str(trained))
    shutil.copytree(trained, tmp_path / "other")
    config = tmp_path / "other" / "config.toml"
    config.write_text(config.read_text().replace("modality_dropout = 0.3", "modality_dropout = 0.1"))
    words = ["compare", str(trained), str(tmp_path / "other"), "--out", str(tmp_path / "out")]
    code, out, _ = run(capsys, *words)
    assert code == 0
    assert "late (modality_dropout=0.3)" in out
    assert "the anchor" in out
    assert re.search(r"late \(modality_dropout=0.1\) .*\+0\.000 \[\+0\.000, \+0\.000\] .* 1\.000 .* tie", out)
    for name in ("comparison.html", "comparison.md", "comparison.json"):
        assert f": {tmp_path / 'out' / name}\n" in out
        assert (tmp_path / "out" / name).exists()
    code, out, _ = run(capsys, *words, "--json")
    assert json.loads(out) == json.loads((tmp_path / "out" / "comparison.json").read_text())
    for wrong, message in (
        ([str(trained)], "one method only (late); name runs of two or more"),
        (["compare_mosy"], "unknown recipe 'compare_mosy'; did you mean 'compare_mosi'?"),
        (["mosi"], "no [comparison] table"),
        ([str(trained), "mosi"], "compare runs with runs, or recipes"),
    ):
        code, _, err = run(capsys, "compare", *wrong, "--out", str(tmp_path / "other_out"))
        assert (code, err.startswith("error: ")) == (1, True)
        assert message in err
    assert not (tmp_path / "other_out").exists()


def test_report_names_its_page(trained: Path, capsys, tmp_path: Path) -> None:
    run(capsys, "evaluate", str(trained))
    code, out, _ = run(capsys, "report", str(trained), "--out", str(tmp_path / "deep" / "page.html"))
    assert code == 0
    assert str(tmp_path / "deep" / "page.html") in out.replace("\n", "")
    assert "macro-F1" in (tmp_path / "deep" / "page.html").read_text()


LISTED = {
    "models": "bottleneck",
    "encoders": "gru",
    "datasets": "mosi",
    "extractors": "logmel",
    "metrics": "macro_f1",
    "recipes": "synthetic",
}


@pytest.mark.parametrize("kind", LISTED)
def test_list_names_what_there_is(kind: str, capsys) -> None:
    code, out, _ = run(capsys, "list", kind)
    assert code == 0
    (line,) = [line for line in out.splitlines() if line.split()[0] == LISTED[kind]]
    assert len(line.split()) > 3  # and says what it is


def test_the_longest_name_does_not_break_the_list(capsys) -> None:
    _, out, _ = run(capsys, "list", "models")
    starts = {len(line) - len(line.split(maxsplit=1)[1]) for line in out.splitlines()}
    assert starts == {len("cross_modal_transformer") + 2}


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
            "/nowhere is no folder; expected one that holds utterances.csv",
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
    n_lacking = sum(u.split == "test" and u.id not in sequence for u in corpus.utterances)
    values[sequence.offsets[sequence.row[names[0]]] : sequence.offsets[sequence.row[names[0]] + 1]] = np.nan
    spoilt = replace(corpus, sequences={**corpus.sequences, "text": replace(sequence, values=values)})
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(f'dataset.store = "{write_store(spoilt, tmp_path / "store")}"\n[model]\nname = "late"\n')
    words = ["--set", "training.epochs=2", "--out", str(tmp_path / "run")]
    code, _, err = run(capsys, "train", str(recipe), *words)
    assert (code, err.count("warning: training: frames with NaN or infinity, taken as unobserved: 3 text")) == (0, 1)
    code, out, err = run(capsys, "evaluate", str(tmp_path / "run"))
    assert (code, err.count("warning: test: frames with NaN or infinity, taken as unobserved: 1 text")) == (0, 1)
    assert f" {n_lacking + 1} lack text" in out  # with the one of whose frames none is observed


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
    assert "training.seed: 0 in the run, 7 asked for; resume with the same recipe" in err


def test_resuming_with_another_key_of_an_encoder_names_that_key_alone(capsys, tmp_path: Path) -> None:
    conv = "model.encoders={{text={{name='conv', width={}}}, audio='lstm'}}"
    assert run(capsys, "train", "synthetic", "--out", str(tmp_path), *sets(conv.format(4)))[0] == 0
    words = ["train", "synthetic", "--out", str(tmp_path), "--resume"]
    code, _, err = run(capsys, *words, *sets(conv.format(8)))
    assert code == 1
    assert "model.encoders.text.width: 4 in the run, 8 asked for" in err
    assert "lstm" not in err
    _, _, err = run(capsys, *words, *sets("model.encoders={text='projection', audio='lstm'}"))
    assert "model.encoders.text.name: 'conv' in the run, 'projection' asked for" in err
    _, _, err = run(capsys, *words, *sets("model.encoders={audio='lstm'}"))
    assert "model.encoders.text.name: 'conv' in the run, not set asked for" in err


def test_an_edited_model_names_the_key_that_differs(trained: Path, capsys, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "copy")
    described = json.loads((trained / "model.json").read_text())
    described["settings"]["encoders"] = {"text": {"name": "features"}}
    (tmp_path / "copy" / "model.json").write_text(json.dumps(described))
    code, _, err = run(capsys, "evaluate", str(tmp_path / "copy"))
    assert code == 1
    assert "model.encoders.text.name: 'features' in model.json, not set in config.toml; the model is of anoth" in err


def test_a_unimodal_run_goes_the_whole_way_and_its_card_lists_its_modality_alone(capsys, tmp_path: Path) -> None:
    unimodal = sets("model.name=unimodal", "model.modality=text")
    code, out, _ = run(capsys, "train", "synthetic", "--out", str(tmp_path), *unimodal)
    assert code == 0
    assert ", 56,454 parameters, weights of epoch" in out  # all of them trained, so that is not said
    for command in ("evaluate", "report"):
        assert run(capsys, command, str(tmp_path))[0] == 0
    card = (tmp_path / "README.md").read_text()
    assert "It takes text alone." in card
    inputs = card.split("## What goes in")[1].split("##")[0].strip().splitlines()
    assert [line.split(" | ")[0] for line in inputs[2:]] == ["| text"]
    assert "- audio" not in card.split("---")[1]


def test_parameters_that_are_not_trained_are_told_apart(capsys, monkeypatch, tmp_path: Path) -> None:
    from emotiwave import api
    from emotiwave.training.fit import TrainingSummary

    summary = TrainingSummary(3, 2, None, n_parameters=621_714, n_trained=12_000, n_non_finite={})
    monkeypatch.setattr(api, "train", lambda *_, **__: api.Run(tmp_path, summary, "made"))
    _, out, _ = run(capsys, "train", "synthetic", "--out", str(tmp_path))
    assert "3 epochs on made, 621,714 parameters, 12,000 of them trained, weights of epoch 2" in out


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


# --- data prepare


@pytest.fixture(scope="module")
def mosei(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_arrays(made_arrays(), tmp_path_factory.mktemp("mosei"))


def prepare_words(mosei: Path, *more: str) -> list[str]:
    return ["data", "prepare", "mosei_lstm_concat", "--set", f"dataset.root={mosei}", *more]


def test_data_prepare_prints_its_counts_and_leaves_a_finished_store_alone(
    mosei: Path, capsys, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = prepare_words(mosei, "--processes", "1")
    code, out, err = run(capsys, *words)
    assert (code, err) == (0, "")
    assert [line.split()[-1] for line in out.splitlines() if line.startswith("train utterances")] == ["36"]
    (store,) = (tmp_path / "emotiwave-stores").iterdir()
    assert out.splitlines()[-1] == f"{store}: the feature store is ready"
    code, again, _ = run(capsys, *words)
    assert (code, again.splitlines()[-1]) == (0, f"{store}: the feature store was up to date")
    assert again.splitlines()[:-1] == out.splitlines()[:-1]
    code, out, _ = run(capsys, *words, "--out", str(tmp_path / "mine"))
    assert (code, out.splitlines()[-1]) == (0, f"{tmp_path / 'mine'}: the feature store is ready")


def test_data_prepare_shows_a_row_for_every_error(capsys, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    arrays = made_arrays()
    arrays["audio"]["v04"] = np.ones((5, 9), np.float32), arrays["audio"]["v04"][1][:5]
    code, out, err = run(capsys, *prepare_words(write_arrays(arrays, tmp_path / "data"), "--processes", "1"))
    assert code == 0
    assert err.count("error row: ") == 1
    assert f"error row: v04 (audio): {tmp_path / 'data' / FILES['mosei']['audio']}: 'v04' has 9 features" in err
    assert "errors (a recording lacks what could not be read)" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "features.frame=3"], "[features] unknown key 'frame'; did you mean 'frames'?"),
        (["--set", "features.frames=0"], "[features] frames: expected a whole number above 0"),
        (["--set", "features.frames={voice = 3}"], "features.frames: unknown modality 'voice'"),
        (["--set", "dataset.root=/nowhere"], "/nowhere is no folder; expected one that holds the .csd files"),
        (["--out", "{tmp}/taken"], "taken exists and is no feature store; choose another folder"),
        (["--out", "{tmp}/taken/file/store"], "cannot be written"),
    ],
)
def test_what_can_go_wrong_with_data_prepare_is_explained(
    words: list[str], message: str, mosei: Path, capsys, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("mine")
    code, _, err = run(capsys, *prepare_words(mosei, *(word.replace("{tmp}", str(tmp_path)) for word in words)))
    assert code == 1
    assert err.startswith("error: ")
    assert message in err.replace("\n", " ")
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["file"]
    assert (tmp_path / "taken" / "file").read_text() == "mine"


def test_data_prepare_of_what_needs_none_is_explained(capsys) -> None:
    code, _, err = run(capsys, "data", "prepare", "synthetic", "--set", "dataset.n_train=3")
    assert (code, err) == (1, "error: synthetic needs no preparation; train on it as it is\n")
    code, _, err = run(capsys, "data", "prepare", "synthetic", "--set", "features.frames=3")
    assert code == 1
    assert "[features] says how recordings are prepared, but synthetic holds prepared features" in err


SLOWLY = """
import sys, time
from emotiwave.features.partial import PartialStore
append = PartialStore.append
PartialStore.append = lambda *both: (time.sleep(0.1), append(*both))
sys.argv = ["emotiwave", *sys.argv[1:]]
from emotiwave import cli
cli.main()
"""


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_data_prepare_can_be_stopped_at_any_time_and_goes_on(
    mosei: Path, capsys, tmp_path: Path, sent: int, code: int
) -> None:
    """A real signal: Ctrl-C to the whole group of processes, as a terminal sends it."""
    words = prepare_words(mosei, "--out", str(tmp_path / "store"))
    process = subprocess.Popen(
        [sys.executable, "-c", SLOWLY, *words, "--processes", "2"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    journal, deadline = tmp_path / ".store.partial" / "journal.jsonl", time.monotonic() + 90
    while not journal.exists() or journal.read_bytes().count(b"\n") < 3:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    if sent == signal.SIGKILL:
        process.kill()  # the first process alone; the others follow, or `communicate` would wait for them
    else:
        os.killpg(process.pid, sent)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code, said
    assert "Traceback" not in said
    assert ("Stopped. The same command goes on where it was." in said) == (sent == signal.SIGINT)
    assert not (tmp_path / "store").exists()
    done, out, _ = run(capsys, *words, "--processes", "1")
    assert done == 0
    assert int(out.split("the feature store is ready; ")[1].split()[0]) >= 2
    assert run(capsys, *prepare_words(mosei, "--out", str(tmp_path / "whole"), "--processes", "1"))[0] == 0
    for path in (tmp_path / "whole").rglob("*"):
        if path.is_file():
            assert (tmp_path / "store" / path.relative_to(tmp_path / "whole")).read_bytes() == path.read_bytes()


def test_a_file_that_may_not_be_read_does_not_end_an_inspection(capsys, monkeypatch, tmp_path: Path) -> None:
    """Typer would refuse the whole command for it; the doctor makes a finding of it, and looks at the others."""
    (tmp_path / "a.csd").write_bytes(b"")
    monkeypatch.setattr("os.access", lambda *_, **__: False)
    code, out, err = run(capsys, "data", "inspect", str(tmp_path / "a.csd"), "--json")
    assert (code, err) == (1, "")
    assert [finding["kind"] for finding in json.loads(out)["findings"]] == ["unreadable"]
