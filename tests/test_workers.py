"""Reading in several processes: order, and what survives when one dies."""

import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import BrokenExecutor
from functools import partial
from typing import Any

import numpy as np
import pytest

from emotiwave.features import workers
from emotiwave.features.prepared import PreparedModality, PreparedRecording
from emotiwave.features.workers import Work, nothing_of, read_here, read_in_processes

SIZES = {"audio": 2}


class Planted:
    """Reads numbers: negative ones kill the process, others give a frame of that number."""

    sizes: Mapping[str, int] = SIZES
    metadata: Mapping[str, Mapping[str, Any]] = {}

    def __enter__(self) -> "Planted":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read(self, recording: str, wanted: Sequence[float]) -> PreparedRecording:
        if min(wanted) < 0:
            os._exit(7)
        if recording == "r0":
            time.sleep(0.3)  # the first takes longest
        values = np.array([[number] * 2 for number in wanted], dtype=np.float32)
        times = np.tile([0.0, 1.0], (len(wanted), 1))
        ones = tuple(1 for _ in wanted)
        audio = PreparedModality(values, times, ones, tuple(True for _ in wanted))
        ids = tuple(f"{recording}-{k}" for k in range(len(wanted)))
        return PreparedRecording(
            recording, ids, (True,) * len(ids), {"audio": audio}, (None,) * len(ids), Counter(), ()
        )


def works(numbers: Sequence[float]) -> list[Work]:
    return [Work(f"r{k}", (f"r{k}-0",), (number,)) for k, number in enumerate(numbers)]


def values(read: PreparedRecording) -> list[float]:
    return read.modalities["audio"].values[:, 0].tolist()


def test_what_kills_its_process_is_an_error_row_and_the_others_come_in_order(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(workers, "IN_FLIGHT", 1)  # what was in flight is read again, in a new process each
    todo = works([1, 2, 3, -1, 4])
    read = list(read_in_processes(Planted, todo, 2, partial(nothing_of, SIZES)))
    assert [r.recording for r in read] == [work.recording for work in todo]
    assert [values(r) for r in read] == [[1], [2], [3], [], [4]]
    assert read[3].kept == (False,)
    assert "died" in read[3].errors[0]["error"]
    assert read[3].errors[0]["recording"] == "r3"


def test_when_every_process_dies_the_fault_is_elsewhere(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(workers, "MOST_DEATHS", 2)
    failed = read_in_processes(Planted, works([-1, -1, 2]), 1, lambda work, _: work.recording)
    assert next(failed) == "r0"
    with pytest.raises(BrokenExecutor, match="every process died, the last over r1"):
        next(failed)


def test_reading_here_comes_in_order():
    todo = works([3, 1, 4, 1, 5])
    assert [values(read) for read in read_here(Planted(), todo)] == [[3], [1], [4], [1], [5]]


def test_nothing_of_a_recording_has_a_place_for_every_utterance():
    nothing = nothing_of({"audio": 2, "text": 3}, Work("r", ("a", "b"), ()), "planted")
    assert nothing.ids == ("a", "b")
    assert nothing.kept == (False, False)
    assert {name: m.values.shape for name, m in nothing.modalities.items()} == {"audio": (0, 2), "text": (0, 3)}
    assert nothing.transcripts == (None, None)
    assert nothing.errors == ({"recording": "r", "modality": "all", "error": "planted"},)
    assert all(m.lengths == (0, 0) and m.observed == (False, False) for m in nothing.modalities.values())
