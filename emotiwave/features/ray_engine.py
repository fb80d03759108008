"""Reading recordings through Ray Data, on one machine or a cluster."""

import logging
import os
import pickle
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any

from emotiwave.errors import FeatureError, MissingExtraError
from emotiwave.features.prepared import PreparedRecording
from emotiwave.features.workers import OpenReader, Work


def read_by_ray(
    open_reader: OpenReader, todo: Sequence[Work], processes: int, metadata: Mapping[str, Mapping[str, Any]]
) -> Iterator[PreparedRecording]:
    """Read recordings in the actors of a Ray cluster; results come in the order of the work.

    Uses the cluster that RAY_ADDRESS names, else a local one of as many processes. Files must be where every machine
    can read them.

    A file that kills its actor ends the work: Ray does not say which one it was.

    Args:
        open_reader: Opens the reader of an actor.
        todo: The recordings.
        processes: How many actors.
        metadata: What the reader says here; one that says otherwise elsewhere (another face detector) is refused.

    Raises:
        MissingExtraError: If Ray is not installed.
        FeatureError: If Ray, or an actor, fails.
    """
    try:
        ray: Any = import_module("ray")
        data: Any = import_module("ray.data")
        failures = import_module("ray.exceptions").RayError, import_module("ray.data.exceptions").SystemException
    except ImportError as error:
        raise MissingExtraError(
            f"--engine ray needs Ray ({error}); install it with: pip install 'emotiwave[ray]'"
        ) from None
    if not todo:
        return
    started_here = not ray.is_initialized()
    if started_here:
        where = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": processes, "include_dashboard": False}
        ray.init(logging_level="error", log_to_driver=False, **where)
    try:
        logging.getLogger("ray.data").setLevel(logging.ERROR)  # it tells of every step
        context = data.DataContext.get_current()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        rows = [{"work": pickle.dumps(work)} for work in todo]
        read = data.from_items(rows, override_num_blocks=len(rows)).map(
            _RayReader,
            fn_constructor_args=(open_reader, metadata),
            compute=data.ActorPoolStrategy(size=processes),
            max_restarts=0,
            max_task_retries=0,
        )
        for row in read.iter_rows():
            yield pickle.loads(row["read"])  # what our own actors sent
    except failures as error:
        first = next((line for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__)
        raise FeatureError(
            f"Ray failed ({first.strip().split('. ')[0]}); --engine processes finds the file, if one is to blame"
        ) from None
    finally:
        if started_here:
            ray.shutdown()


class _RayReader:
    """An actor with an open reader."""

    def __init__(self, open_reader: OpenReader, metadata: Mapping[str, Mapping[str, Any]]) -> None:
        self.reader = open_reader()
        if self.reader.metadata != metadata:
            raise FeatureError(
                "a machine of the cluster has other extractors than this one: the same version of everything, and the "
                "same face detector, must be on all"
            )

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        work: Work = pickle.loads(row["work"])
        return {"read": pickle.dumps(self.reader.read(work.recording, work.wanted))}
