"""The whole way on made files, from .csd files to the report."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console

from emotiwave.api.evaluating import evaluate
from emotiwave.api.inspection import inspect
from emotiwave.api.reporting import write_report
from emotiwave.api.training import train
from emotiwave.config import read_recipe
from emotiwave.datasets.made_mosei import MadeMoseiSettings
from emotiwave.datasets.made_mosei.keeping import keep_made_mosei
from emotiwave.errors import ConfigError
from emotiwave.run_folder import holds_run
from emotiwave.settings import PathLike
from emotiwave.types import Score

DEMO_EPOCHS = 10
DEMO_FILES = "csd"
DEMO_MADE: dict[str, Any] = {"n_videos": 140, "segments_per_video": 5, "shortest": 2.5, "longest": 5.0}


def demo(out: PathLike = "emotiwave-demo", *, console: Console | None = None) -> tuple[list[Score], Path]:
    """Go the whole way on made files: .csd files, doctor, feature store, two models, seven configurations, report.

    Args:
        out: Folder for everything; what an earlier demo finished there is used again.
        console: Where progress is shown.
    """
    folder = Path(out)
    console = console or Console(stderr=True)
    if folder.exists() and not (folder / DEMO_FILES).exists() and any(f.name[0] != "." for f in folder.iterdir()):
        raise ConfigError(f"{folder} is not empty and holds no demo; choose another folder with --out")
    files = folder / DEMO_FILES
    if not files.exists():
        console.print(f"writing made .csd files with every known trap into {files}", highlight=False)
    keep_made_mosei(files, MadeMoseiSettings(**DEMO_MADE))
    page = folder / "inspection.html"
    found = inspect(files, html=page, console=console)
    console.print(f"the doctor has {len(found.findings)} findings: {page}", highlight=False, soft_wrap=True)
    runs = []
    plain = ["model.name=lstm_concat", "training.configurations=drawn", "training.modality_dropout=0.0"]
    for name, further in (("evidence", []), ("lstm_concat", [*plain, "training.learning_rate=5e-4"])):
        recipe = read_recipe(
            "mosei_evidence",
            [
                f"dataset.root={json.dumps(str(files.absolute()))}",
                f"features.store={json.dumps(str((folder / 'store').absolute()))}",
                "features.frames=32",
                f"training.epochs={DEMO_EPOCHS}",
                "training.accelerator=cpu",
                *further,
            ],
        )
        runs.append(train(recipe, out=folder / name, resume=holds_run(folder / name), console=console))
    scores = evaluate(runs)
    return scores, write_report(runs, out=folder / "report.html")
