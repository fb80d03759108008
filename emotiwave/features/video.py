"""The segments of one video, cut out of its ``.csd`` files and brought to the frames of the store."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from emotiwave.datasets.csd.reader import PAUSE, CsdEntry, CsdFile
from emotiwave.errors import DatasetError
from emotiwave.features.align import Plan, collapse, observed_frames, plan_each
from emotiwave.features.planning import plan_frames
from emotiwave.features.prepared import PreparedModality, PreparedRecording
from emotiwave.features.settings import FeatureSettings
from emotiwave.recordings import Count
from emotiwave.types import Utterance

MAX_BYTES_AT_ONCE = 2**27
"""Segments are read together up to this size, so that little is read twice and memory stays bounded."""


@dataclass(frozen=True, eq=False)
class _Words:
    """The words of one utterance without pauses, and their intervals ``(words, 2)`` from its start."""

    spoken: list[str]
    intervals: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Span:
    """The frames of one utterance in a file: their indices in order of time, and their intervals from its start."""

    frames: NDArray[np.int64]
    intervals: NDArray[np.float64]
    words: _Words | None


class VideoReader:
    """Open feature files, and what is wanted of them; a context manager."""

    def __init__(
        self,
        files: Mapping[str, Path],
        words: Path | None,
        settings: FeatureSettings,
        require: Literal["any", "all"] = "any",
    ) -> None:
        self.settings, self.require = settings, require
        self.metadata: Mapping[str, Mapping[str, Any]] = {}
        self.notes: Mapping[str, Count] = {}
        self._stack = ExitStack()
        try:
            self.files = {name: self._stack.enter_context(CsdFile(path)) for name, path in files.items()}
            self.words = self._stack.enter_context(CsdFile(words)) if words else None
            self.sizes = {name: _size(file) for name, file in self.files.items()}
            self._failure_columns = {
                name: [column for column in failure_columns(file).values() if column < self.sizes[name]]
                for name, file in self.files.items()
            }
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def read(self, recording: str, wanted: Sequence[Utterance]) -> PreparedRecording:
        """Cut the utterances of a video out of every file.

        What cannot be read is an error row and a missing modality.
        """
        video, utterances = recording, wanted
        counts: Counter[str] = Counter()
        errors: list[dict[str, str]] = []
        times = [(u.segment.start, u.segment.end) for u in utterances if u.segment is not None]
        words = self._read_words(video, times, errors)
        modalities = {}
        for name, file in self.files.items():
            found: Counter[str] = Counter()
            try:
                modalities[name] = self._read_modality(name, file, video, times, words, found)
            except DatasetError as error:
                errors.append({"recording": video, "modality": name, "error": str(error)})
                modalities[name], found = _nothing(self.sizes[name], len(times)), Counter()
            found[f"utterances without {name}"] = len(times) - sum(modalities[name].observed)
            counts.update(found)
        enough = any if self.require == "any" else all
        kept = tuple(enough(of) for of in zip(*(m.observed for m in modalities.values()), strict=True))
        return PreparedRecording(
            recording=video,
            ids=tuple(u.id for u in utterances),
            kept=kept,
            modalities={name: prepared.keep(kept) for name, prepared in modalities.items()},
            transcripts=tuple(None if found is None else " ".join(found.spoken) for found in words),
            counts=counts,
            errors=tuple(errors),
        )

    def _read_words(
        self, video: str, times: Sequence[tuple[float, float]], errors: list[dict[str, str]]
    ) -> list[_Words | None]:
        if self.words is None or video not in self.words:
            return [None] * len(times)
        try:
            entry = self.words[video]
            if not entry.is_text or entry.size != 1:
                raise DatasetError(f"{entry.path}: {video!r}: expected one word per row; got numbers")
            spoken = [word.decode("utf-8", "replace") for word in entry.values()[:, 0]]
            found = [entry.frames_between(start, end) for start, end in times]
        except DatasetError as error:
            errors.append({"recording": video, "modality": "words", "error": str(error)})
            return [None] * len(times)
        is_word = np.array([word not in (PAUSE, "") for word in spoken], dtype=bool)
        kept = [frames[is_word[frames]] for frames in found]
        kept = [frames[np.argsort(entry.intervals[frames, 0], kind="stable")] for frames in kept]
        return [
            _Words([spoken[i] for i in frames], entry.intervals[frames] - start)
            for frames, (start, _) in zip(kept, times, strict=True)
        ]

    def _read_modality(
        self,
        name: str,
        file: CsdFile,
        video: str,
        times: Sequence[tuple[float, float]],
        words: Sequence[_Words | None],
        counts: Counter[str],
    ) -> PreparedModality:
        size = self.sizes[name]
        if video not in file:
            counts[f"videos without {name}"] += 1
            return _nothing(size, len(times))
        entry = file[video]
        if entry.size != size or entry.is_text:
            raise DatasetError(f"{file.path}: {video!r} has {entry.size} features per frame; the file has {size}")
        found = [entry.frames_between(start, end) for start, end in times]
        spans = [
            _Span(frames, entry.intervals[frames] - start, spoken)
            for frames, (start, _), spoken in zip(found, times, words, strict=True)
        ]
        return _join([self._collapse(name, entry, group, counts) for group in _groups(entry, spans)], size)

    def _collapse(self, name: str, entry: CsdEntry, spans: Sequence[_Span], counts: Counter[str]) -> PreparedModality:
        """Read the spans in one go, and bring each to the frames of the store."""
        settings, budget = self.settings, self.settings.budget(name)
        if settings.beyond == "cut" and settings.align == "none":
            counts[_too_long(name, budget)] += sum(len(span.frames) > budget for span in spans)
            spans = [_Span(span.frames[:budget], span.intervals[:budget], span.words) for span in spans]
        first, values = _read_block(entry, spans)
        observed = self._observed(name, values, [span.frames - first for span in spans], counts)
        plans = [self._plan(name, span, first, counts) for span in spans]
        any_observed = tuple(bool(observed[plan.frames].any()) for plan in plans)
        if settings.unobserved == "zero":
            values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
            prepared = collapse(values, np.ones(len(values), dtype=bool), plans, settings.collapse)
            prepared = np.nan_to_num(prepared, nan=0.0)
        else:
            plans = [plan if seen else _NO_PLAN for plan, seen in zip(plans, any_observed, strict=True)]
            prepared = collapse(values, observed, plans, settings.collapse)
        intervals = np.concatenate([np.empty((0, 2)), *(plan.intervals for plan in plans)])
        return PreparedModality(prepared, intervals, tuple(len(plan.intervals) for plan in plans), any_observed)

    def _observed(
        self, name: str, values: NDArray[np.float32], frames: Sequence[NDArray[np.int64]], counts: Counter[str]
    ) -> NDArray[np.bool_]:
        """Which frames of a block are observed; what is counted is of the utterances, each for itself."""
        measured = observed_frames(values)
        failed = failed_frames(values, self._failure_columns[name])
        for of_utterance in frames:
            counts[f"{name} frames"] += len(of_utterance)
            counts[f"{name} frames not finite or all zero"] += int((~measured[of_utterance]).sum())
            counts[f"{name} frames where tracking failed"] += int((measured & failed)[of_utterance].sum())
        return measured & ~failed

    def _plan(self, name: str, span: _Span, first: int, counts: Counter[str]) -> Plan:
        budget = self.settings.budget(name)
        words = np.empty((0, 2)) if span.words is None else span.words.intervals
        plan, is_longer = plan_frames(span.intervals, words, self.settings, budget)
        if is_longer:
            counts[_too_long(name, budget)] += 1
        return Plan(span.frames[plan.frames] - first, plan.targets, plan.intervals)


def failure_columns(file: CsdFile) -> dict[str, int]:
    """Find the columns by which a face tracker says that it failed: ``success`` and ``confidence``, both 0 then."""
    names = [name.strip().lower() for name in file.dimension_names or ()]
    return {name: names.index(name) for name in ("success", "confidence") if name in names}


def failed_frames(values: NDArray[np.float32], columns: Sequence[int]) -> NDArray[np.bool_]:
    """Find the frames ``(frames,)`` in which a face tracker failed: one of its columns is 0 or less."""
    failed = np.zeros(len(values), dtype=bool)
    for column in columns:
        failed |= values[:, column] <= 0
    return failed


def _too_long(name: str, budget: int) -> str:
    return f"utterances of more {name} frames than {budget}"


def _size(file: CsdFile) -> int:
    """The number of features per frame; a video with another number is an error row when its turn comes."""
    if file.holds_words:
        raise DatasetError(f"{file.path}: holds words; a modality needs numbers")
    return file.size


def _groups(entry: CsdEntry, spans: Sequence[_Span]) -> Iterator[Sequence[_Span]]:
    """Spans that follow each other, as many as may be read at once."""
    group: list[_Span] = []
    low = high = 0
    for span in spans:
        begin, end = (int(span.frames.min()), int(span.frames.max()) + 1) if len(span.frames) else (low, high)
        if group and (max(high, end) - min(low, begin)) * entry.size * 4 > MAX_BYTES_AT_ONCE:
            yield group
            group = []
        low, high = (min(low, begin), max(high, end)) if group else (begin, end)
        group.append(span)
    if group:
        yield group


def _read_block(entry: CsdEntry, spans: Sequence[_Span]) -> tuple[int, NDArray[np.float32]]:
    """The index of the first frame that any span needs, and all frames from it to the last."""
    frames = [span.frames for span in spans if len(span.frames)]
    if not frames:
        return 0, entry.values(0, 0)
    first, last = min(int(f.min()) for f in frames), max(int(f.max()) for f in frames) + 1
    return first, entry.values(first, last)


_NO_PLAN = plan_each(np.empty((0, 2)))


def _nothing(size: int, utterances: int) -> PreparedModality:
    return PreparedModality(np.empty((0, size), np.float32), np.empty((0, 2)), (0,) * utterances, (False,) * utterances)


def _join(parts: Sequence[PreparedModality], size: int) -> PreparedModality:
    if len(parts) == 1:
        return parts[0]
    return PreparedModality(
        values=np.concatenate([np.empty((0, size), np.float32), *(part.values for part in parts)]),
        intervals=np.concatenate([np.empty((0, 2)), *(part.intervals for part in parts)]),
        lengths=tuple(n for part in parts for n in part.lengths),
        observed=tuple(seen for part in parts for seen in part.observed),
    )
