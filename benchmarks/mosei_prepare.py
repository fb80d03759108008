"""Preparing CMU-MOSEI, and feeding a training epoch: our way beside plain h5py and beside the notebook way.

Made files with the real segment times (mosei_meta) at the official sizes and rates, in the page cache and not. Times
are of this one run, and only their ratios mean something.

    python benchmarks/mosei_prepare.py --out results/mosei_prepare.json        (needs EMOTIWAVE_DATA)
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from emotiwave.config import Recipe, parse_recipe
from emotiwave.datasets.made_mosei import MadeMoseiSettings, write_made_mosei
from emotiwave.features.store import open_store, store_bytes
from emotiwave.types import Corpus

BATCH = 32
ROUNDS = 5
LAYOUTS: dict[str, int | None] = {"plain": None, "gzip": 1}
STATES = ("warm", "cold")
"""Whether the files are in the page cache when the clock starts."""
NOTEBOOK_FRAMES = 300
PEAK = """
import json, resource, sys, time
from pathlib import Path
from emotiwave.config import parse_recipe
from emotiwave.features.prepare import prepare
if __name__ == "__main__":
    recipe = parse_recipe(json.loads(sys.argv[1]), source="benchmark")
    begin = time.perf_counter()
    tables, processes = recipe.prepared_tables(), int(sys.argv[2])
    prepare(recipe.load_recordings(), recipe.features, recipe.store, tables=tables, processes=processes)
    peak = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(json.dumps({"seconds": time.perf_counter() - begin, "peak_mb": [kb / 1024 for kb in peak]}))
"""


def recipe_of(files: Path, store: Path) -> Recipe:
    """The recipe of the comparison: segments, official folds, at most 64 pooled frames."""
    tables = {"dataset": {"name": "mosei", "root": str(files)}, "features": {"store": str(store)}}
    return parse_recipe(tables, source="benchmark")


def read_plainly(files: list[Path]) -> int:
    """Read every video of every feature file in full; count the bytes."""
    n_bytes = 0
    for path in files:
        with h5py.File(path) as file:
            data: Any = file[next(iter(file))]["data"]  # pyright: ignore[reportIndexIssue]
            for video in data:
                n_bytes += data[video]["features"][:].nbytes + data[video]["intervals"][:].nbytes
    return n_bytes


def notebook_sample(files: dict[str, Path], video: str, start: float, end: float) -> list[np.ndarray]:
    """What notebooks do per sample: open each file, read the video, keep the segment's first frames, pad with zeros."""
    sample = []
    for path in files.values():
        with h5py.File(path) as file:
            data: Any = file[next(iter(file))]["data"]  # pyright: ignore[reportIndexIssue]
            if video not in data:
                continue
            features, intervals = data[video]["features"][:], data[video]["intervals"][:]
        n = min(len(features), len(intervals))
        middle = intervals[:n].mean(axis=1)
        frames = features[:n][(middle >= start) & (middle < end)][:NOTEBOOK_FRAMES]
        padded = np.zeros((NOTEBOOK_FRAMES, features.shape[1]), dtype=np.float32)
        padded[: len(frames)] = np.nan_to_num(frames, nan=0.0, posinf=0.0, neginf=0.0)
        sample.append(padded)
    return sample


def feed_notebook(corpus: Corpus, files: dict[str, Path], indices: np.ndarray) -> None:
    """One epoch of batches the notebook way."""
    for begin in range(0, len(indices), BATCH):
        for index in indices[begin : begin + BATCH]:
            segment = corpus.utterances[index].segment
            if segment is not None:
                notebook_sample(files, segment.file, segment.start, segment.end)


def feed_store(corpus: Corpus, indices: np.ndarray) -> None:
    """One epoch of batches from the store, as training collates them."""
    from emotiwave.batch import collate

    for begin in range(0, len(indices), BATCH):
        collate(corpus, indices[begin : begin + BATCH])


def evict(files: list[Path]) -> None:
    """Ask the system to forget what it caches of files."""
    for path in files:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def seconds(task: Callable[[], object], rounds: int = ROUNDS, before: Callable[[], object] = lambda: None) -> float:
    """The median time of some rounds."""
    times = []
    for _ in range(rounds):
        before()
        begin = time.perf_counter()
        task()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def prepare_apart(files: Path, store: Path, processes: int, before: Callable[[], object]) -> dict[str, Any]:
    """Prepare in a process of its own: the median of the rounds' times, and the largest peak of memory in MB."""
    recipe = json.dumps({"dataset": {"name": "mosei", "root": str(files)}, "features": {"store": str(store)}})
    script = store.with_name("prepare_apart.py")
    script.write_text(PEAK)
    rounds = []
    for _ in range(ROUNDS):
        shutil.rmtree(store, ignore_errors=True)
        before()
        done = subprocess.run(
            [sys.executable, str(script), recipe, str(processes)], check=True, capture_output=True, text=True
        )
        rounds.append(json.loads(done.stdout))
    return {
        "seconds": statistics.median(r["seconds"] for r in rounds),
        "peak_mb": max(max(r["peak_mb"]) for r in rounds),
    }


def measure_layout(folder: Path, layout: str, n_videos: int) -> dict[str, Any]:
    """Write, read, prepare and feed files of one layout."""
    meta = Path(os.environ["EMOTIWAVE_DATA"]) / "mosei_meta"
    settings = MadeMoseiSettings(
        n_videos=n_videos,
        segments=meta / "segments.csv",
        folds=meta / "standard_folds.json",
        compression=LAYOUTS[layout],
    )
    made = write_made_mosei(folder / layout, settings)
    files = {name: made.files[name] for name in ("text", "audio", "vision")}
    store = folder / f"{layout}-store"
    paths = list(files.values())
    n_bytes = read_plainly(paths)
    found: dict[str, Any] = {
        "videos": n_videos,
        "segments": len(made.ids),
        "bytes_read": n_bytes,
        "bytes_on_disk": sum(path.stat().st_size for path in paths),
    }
    for state in STATES:
        before = partial(evict, paths) if state == "cold" else partial(read_plainly, paths)
        plain = seconds(partial(read_plainly, paths), before=before)
        found[state] = {"h5py_seconds": plain, "h5py_mb_per_s": n_bytes / plain / 1e6}
        for processes in (1, 2):
            prepared = prepare_apart(folder / layout, store, processes, before)
            rate = n_bytes / prepared["seconds"] / 1e6
            found[state][f"prepare_{processes}"] = prepared | {"mb_per_s": rate, "ratio": plain / prepared["seconds"]}
    found["store_bytes"] = store_bytes(store)
    corpus = open_store(store)
    indices = np.random.default_rng(0).permutation(corpus.indices("train"))
    ours = seconds(lambda: feed_store(corpus, indices))
    theirs = seconds(lambda: feed_notebook(corpus, files, indices), rounds=1)
    return found | {
        "train_utterances": len(indices),
        "epoch_store_seconds": ours,
        "epoch_notebook_seconds": theirs,
        "epoch_ratio": theirs / ours,
    }


def main() -> None:
    """Measure both layouts and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--videos", type=int, default=300)
    parser.add_argument("--folder", type=Path, help="where the files go (about 10 GB); a temporary folder by default")
    given = parser.parse_args()
    if "EMOTIWAVE_DATA" not in os.environ:
        parser.error("set EMOTIWAVE_DATA to the folder that holds mosei_meta")
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        found = {layout: measure_layout(Path(folder), layout, given.videos) for layout in LAYOUTS}
    given.out.write_text(json.dumps({"rounds": ROUNDS, "cores": os.cpu_count(), **found}, indent=1) + "\n")
    print(given.out.read_text())


if __name__ == "__main__":
    main()
