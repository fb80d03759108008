"""Reading shuffled utterances from the feature store, from memory, and from one HDF5 group per segment (.csd layout).

Every way copies the same bytes out, warm, in the same random order; the ratios are of medians within this one run.

    python benchmarks/store_read.py --out results/store_read.json
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from emotiwave.features.store import open_store, write_store
from emotiwave.sequences import ComputationalSequence
from emotiwave.types import Corpus, LabelSet, Utterance

FRAMES = {"text": (50, 300), "audio": (500, 74), "vision": (150, 713)}


def made_corpus(n: int) -> Corpus:
    """Make utterances of one length per modality, about 0.64 MB each."""
    rng = np.random.default_rng(0)
    ids = tuple(f"video{i // 8}[{i % 8}]" for i in range(n))
    sequences = {}
    for name, (frames, size) in FRAMES.items():
        values = rng.standard_normal((n * frames, size), dtype=np.float32)
        intervals = np.tile(np.arange(frames)[:, None] + [0.0, 1.0], (n, 1))
        sequences[name] = ComputationalSequence(ids, values, intervals, np.arange(n + 1) * frames)
    utterances = tuple(Utterance(id=name, split="train", label="a" if i % 2 else "b") for i, name in enumerate(ids))
    return Corpus("made", "read", "made", LabelSet("categorical", ("a", "b")), utterances, sequences)


def write_groups(corpus: Corpus, folder: Path) -> dict[str, h5py.File]:
    """Write each modality as a .csd does: ``NAME/data/ID/features`` and ``intervals``."""
    files = {}
    for name, sequence in corpus.sequences.items():
        with h5py.File(folder / f"{name}.csd", "w") as file:
            for utterance_id in sequence.ids:
                group = file.create_group(f"{name}/data/{utterance_id}")
                group["features"] = sequence[utterance_id].values
                group["intervals"] = sequence[utterance_id].intervals
        files[name] = h5py.File(folder / f"{name}.csd", "r")
    return files


def read_corpus(corpus: Corpus, order: list[str]) -> int:
    """Copy the values and intervals of every utterance; count the bytes."""
    n_bytes = 0
    for utterance_id in order:
        for sequence in corpus.sequences.values():
            found = sequence[utterance_id]
            n_bytes += found.values.copy().nbytes + found.intervals.copy().nbytes
    return n_bytes


def read_groups(files: dict[str, h5py.File], order: list[str]) -> int:
    """Do the same from HDF5 groups."""
    n_bytes = 0
    for utterance_id in order:
        for name, file in files.items():
            group = file[f"{name}/data/{utterance_id}"]
            n_bytes += group["features"][()].nbytes + group["intervals"][()].nbytes
    return n_bytes


def main() -> None:
    """Time the three ways in turn and write medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("results/store_read.json"))
    parser.add_argument("--utterances", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    corpus = made_corpus(options.utterances)
    order = np.random.default_rng(1).permutation(options.utterances)
    ids = [corpus.utterances[i].id for i in order]
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(write_store(corpus, Path(folder) / "store"))
        files = write_groups(corpus, Path(folder))
        ways: dict[str, Callable[[], int]] = {
            "memory": lambda: read_corpus(corpus, ids),
            "store": lambda: read_corpus(store, ids),
            "hdf5_groups": lambda: read_groups(files, ids),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        n_bytes = {way() for way in ways.values()}  # warm
        for _ in range(options.rounds):
            for name, way in ways.items():
                start = time.perf_counter()
                way()
                seconds[name].append(time.perf_counter() - start)
        for file in files.values():
            file.close()
    if len(n_bytes) != 1:
        raise SystemExit(f"the three ways read different amounts: {n_bytes}")
    median = {name: statistics.median(values) for name, values in seconds.items()}
    result = {
        "utterances": options.utterances,
        "modalities": len(FRAMES),
        "megabytes": n_bytes.pop() / 1e6,
        "rounds": options.rounds,
        "median_ms": {name: 1e3 * value for name, value in median.items()},
        "store_over_memory": median["store"] / median["memory"],
        "hdf5_groups_over_store": median["hdf5_groups"] / median["store"],
    }
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
