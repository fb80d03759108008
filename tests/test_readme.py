"""The README keeps its word: its Python runs, its commands exist, its table is the one in results/."""

import contextlib
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from emotiwave.cli import main
from emotiwave.datasets.made_mosei import MadeMoseiSettings, write_made_mosei
from emotiwave.datasets.mmsa import MmsaSettings
from emotiwave.datasets.mmsa import load as load_mmsa
from emotiwave.errors import DataWarning

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
sys.path.insert(0, str(ROOT / "benchmarks"))


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_python_runs(tmp_path: Path) -> None:
    code = blocks("python")[-1]
    small = ", ".join(f'"dataset.n_{split}=40"' for split in ("train", "validation", "test"))
    code = code.replace('"training.epochs=3"', f'"training.epochs=1", "model.name=late", {small}')
    code += "\nassert page.exists() and len(scores) > 100\n"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_python_of_the_experts_says_what_its_comments_say(capsys: pytest.CaptureFixture[str]) -> None:
    code = blocks("python")[0]
    exec(code.replace("emotiwave.load()", 'emotiwave.load(settings=["faces.detector=haar"])'), {})
    sample, text, nothing, answers = capsys.readouterr().out.strip().splitlines()
    assert sample.startswith("happiness dark 41 % ['confidence', 'contributions'")
    assert text == "fear"
    assert nothing == "nothing to judge (vision: dark 100 %)"
    assert answers == "('happiness', None) (None, 'no words')"


def test_the_sample_on_the_screen_is_as_it_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    (shown,) = re.findall(r"```\n(sample\.mp4\n.*?)```", README, flags=re.DOTALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["emotiwave", "analyze", "--sample", "--set", "faces.detector=haar"])
        with contextlib.suppress(SystemExit):
            main()
    said = "\n".join(line.rstrip() for line in capsys.readouterr().out.splitlines()[: len(shown.splitlines())])
    number = r"[-+]?\d+\.\d\d"
    assert re.sub(number, "N", said) == re.sub(number, "N", shown.rstrip())
    for one, other in zip(re.findall(number, said), re.findall(number, shown), strict=True):
        assert float(one) == pytest.approx(float(other), abs=0.021)  # other machines round otherwise


def test_the_commands_and_their_options_exist() -> None:
    from typer.main import get_command

    from emotiwave.cli import app

    commands = get_command(app).commands  # pyright: ignore[reportAttributeAccessIssue]
    used = [line.split("#")[0].split() for block in blocks("sh") for line in block.splitlines() if "emotiwave " in line]
    used = [words for words in used if words[0] == "emotiwave"]
    assert len(used) >= 6
    for _, name, *words in used:
        command = commands[name] if name != "data" else commands[name].commands[words.pop(0)]
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, name


def test_the_road_from_csd_files_runs_as_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """Word by word, but for two options that make it short."""
    (block,) = [block for block in blocks("sh") if "data inspect" in block]
    made = MadeMoseiSettings(n_videos=24, segments_per_video=3, sizes={"text": 12, "audio": 12, "vision": 16})
    write_made_mosei(tmp_path / "CMU_MOSEI", made)
    monkeypatch.chdir(tmp_path)
    for line in block.splitlines():
        words = shlex.split(line, comments=True)
        if words[1] == "train":
            words += ["--set", "training.epochs=1", "--set", "model.size=small"]
        monkeypatch.setattr(sys, "argv", words)
        with contextlib.suppress(SystemExit):
            main()
        assert "error:" not in capsys.readouterr().err, line
    for name in ("doctor.html", "emotiwave-stores", "runs/mosei/model.safetensors", "mosei.pkl"):
        assert (tmp_path / name).exists(), name
    with pytest.warns(DataWarning, match="lack it"):
        read_back = load_mmsa(MmsaSettings(file=tmp_path / "mosei.pkl"))
    assert read_back.has_split("test")


def test_the_make_targets_exist() -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    for target in re.findall(r"make ([a-z]+)", README + (ROOT / "CONTRIBUTING.md").read_text()):
        assert target in targets


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_tables_are_those_of_the_results() -> None:
    import tables

    assert tables.with_tables(README, ROOT / "results") == README
    assert tables.results_page(ROOT / "results") == (ROOT / "results" / "README.md").read_text()


def test_the_page_on_robustness_is_that_of_its_numbers() -> None:
    import analyze_page
    import confidence_page
    import explanations_page
    import missing_rates_page
    import robustness

    assert explanations_page.page(ROOT / "results") == (ROOT / "results" / "explanations.md").read_text()
    assert missing_rates_page.page(ROOT / "results") == (ROOT / "results" / "missing_rates.md").read_text()
    assert confidence_page.page(ROOT / "results") == (ROOT / "results" / "confidence.md").read_text()
    assert analyze_page.page(ROOT / "results") == (ROOT / "results" / "analyze.md").read_text()
    assert robustness.page(ROOT / "results") == (ROOT / "results" / "robustness.md").read_text()


def test_every_seed_of_bottleneck_reaches_what_was_asked() -> None:
    rows = json.loads((ROOT / "results" / "mosi.json").read_text())["scores"]
    rows = [r for r in rows if r["model"] == "bottleneck" and r["condition"] == "mean" and r["sd"] is None]
    for metric, floor in (("macro_f1", 0.64), ("accuracy", 0.65)):
        values = [row["value"] for row in rows if row["metric"] == metric]
        assert len(values) == 5
        assert min(values) >= floor


def test_the_results_are_of_the_recipe_as_it_stands() -> None:
    import mosi

    from emotiwave.config import parse_recipe, read_recipe

    result = json.loads((ROOT / "results" / "mosi.json").read_text())
    now = read_recipe(ROOT / "recipes" / "mosi.toml", ("model.name=bottleneck", *mosi.SETTINGS))
    then = parse_recipe(result["recipe"], source="results/mosi.json")  # keys that came since have their defaults
    assert (then.model, then.training, then.evaluation) == (now.model, now.training, now.evaluation)


@pytest.mark.parametrize("model", ["bottleneck", "late", "lstm_concat"])
def test_the_means_of_the_results_are_means_of_their_rows(model: str) -> None:
    rows = json.loads((ROOT / "results" / "mosi.json").read_text())["scores"]
    rows = [row for row in rows if row["model"] == model and row["metric"] == "macro_f1"]
    seeds = [row for row in rows if row["sd"] is None and row["condition"] == "configuration"]
    assert len(seeds) == 5 * 7
    (mean,) = [row for row in rows if row["sd"] is not None and row["condition"] == "mean"]
    assert mean["value"] == pytest.approx(sum(row["value"] for row in seeds) / len(seeds))
