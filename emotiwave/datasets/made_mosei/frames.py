"""The frames of made CMU-MOSEI files: noise, patterns of the emotions that are present, and the evidence they give."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotiwave.datasets.made_mosei.frame_traps import StreamTraps, draw_bursts, inside, spoil_times
from emotiwave.datasets.made_mosei.settings import N_CONSTANT, PREVALENCE, RESERVED, TRACKING, MadeModality
from emotiwave.datasets.made_mosei.videos import MadeVideo, exclusive_parts
from emotiwave.datasets.span_evidence import span_evidence

EMOTIONS = tuple(PREVALENCE)
OWN_NOISE = 0.1
"""Standard deviation of each feature's own noise, over that of the factors."""
DIMENSIONS = {
    "text": (("dimension", 300),),
    "audio": (
        *(
            (name, 1)
            for name in ("F0", "VUV", "NAQ", "QOQ", "H1H2", "PSP", "MDQ", "peakSlope", "Rd", "Rd_conf", "creak")
        ),
        *(("MCEP", 25), ("HMPDM", 25), ("HMPDD", 13)),
    ),
    "vision": (
        *((name, 1) for name in TRACKING),
        *((f"gaze_{eye}_{axis}", 1) for eye in (0, 1) for axis in "xyz"),
        *(("gaze_angle_x", 1), ("gaze_angle_y", 1), ("eye_lmk_x", 56), ("eye_lmk_y", 56)),
        *(("eye_lmk_X", 56), ("eye_lmk_Y", 56), ("eye_lmk_Z", 56)),
        *((f"pose_{what}", 1) for what in ("Tx", "Ty", "Tz", "Rx", "Ry", "Rz")),
        *(("x", 68), ("y", 68), ("X", 68), ("Y", 68), ("Z", 68)),
        *((f"p_{what}", 1) for what in ("scale", "rx", "ry", "rz", "tx", "ty")),
        *(("p", 34), ("AU_r", 17), ("AU_c", 18)),
    ),
    "facet": (("evidence", 35),),
}
"""Names of columns, and how many are numbered under each: those of COVAREP, and of OpenFace 2 without ``frame``."""
GARBAGE = np.array([0.0, 5.0], dtype=np.float32)
"""What a frame is multiplied with where the face tracker fails."""
NON_FINITE = np.array([-np.inf, np.nan], dtype=np.float32)
LOG_SCALES = {"text": (-1.0, 0.3), "audio": (0.0, 2.5), "vision": (1.0, 1.5), "facet": (0.0, 0.7)}
"""Mean and standard deviation of the logarithm of the features' scales."""


@dataclass(frozen=True, eq=False)
class PlantedStream:
    """The truth about one modality: ``factors (factors, size)`` orthonormal, ``scale`` and ``offset (size,)``.

    The first factors are the patterns of the emotions in ``made.carries``.
    """

    name: str
    made: MadeModality
    factors: NDArray[np.float64]
    scale: NDArray[np.float64]
    offset: NDArray[np.float64]

    @property
    def own_noise(self) -> float:
        """Standard deviation of the noise that each feature has for itself."""
        return OWN_NOISE * self.made.noise


@dataclass(frozen=True, eq=False)
class MadeFrames:
    """The frames of one video: ``values (frames, size)``, ``intervals (frames, 2)`` in seconds of the recording.

    ``hidden`` says by kind which frames are no measurement; ``evidence (rows, emotions)`` are log-likelihood ratios;
    ``spans`` the start and end in seconds of each pattern, by row and emotion.
    """

    values: NDArray[np.float32]
    intervals: NDArray[np.float64]
    hidden: Mapping[str, NDArray[np.bool_]]
    evidence: NDArray[np.float64]
    spans: Mapping[tuple[int, str], tuple[float, float]]


def column_names(name: str, size: int) -> list[str]:
    """Name the columns of a modality, as far as its tool has names."""
    names = [f"{what}_{i}" if n > 1 else what for what, n in DIMENSIONS[name] for i in range(n)]
    return (names + [f"further_{i}" for i in range(size - len(names))])[:size]


def plan_stream(name: str, made: MadeModality, rng: np.random.Generator) -> PlantedStream:
    """Draw the factors and the scales of a modality; columns that are reserved have no part in the factors."""
    free = made.size - RESERVED.get(name, 0)
    first = len(TRACKING) if name == "vision" else 0
    factors = np.zeros((made.factors, made.size))
    factors[:, first : first + free] = np.linalg.qr(rng.standard_normal((free, made.factors)))[0].T
    scale = np.exp(rng.normal(*LOG_SCALES[name], made.size))
    offset = scale * rng.standard_normal(made.size) * (0.1 if name == "text" else 3.0)
    return PlantedStream(name, made, factors, scale, offset)


def frame_times(stream: PlantedStream, video: MadeVideo) -> NDArray[np.float64]:
    """Cut a video into frames of equal length ``(frames, 2)``, seconds."""
    edges = np.arange(int(video.duration * stream.made.rate) + 1) / stream.made.rate
    return np.stack([edges[:-1], edges[1:]], axis=1)


def make_frames(
    stream: PlantedStream,
    video: MadeVideo,
    times: NDArray[np.float64],
    traps: StreamTraps,
    rng: np.random.Generator,
) -> MadeFrames:
    """Make the frames of one video, spoilt as planned.

    Frames that are hidden are hidden whatever the emotions, so they leave the evidence of the others exact.
    """
    intervals = spoil_times(times, video, traps, rng)
    parts = [np.flatnonzero(inside(intervals, part)) for part in exclusive_parts(video.segments)]
    spans: dict[tuple[int, str], tuple[float, float]] = {}
    patterns = np.zeros((len(intervals), stream.made.factors), dtype=np.float32)
    for row, frames in enumerate(parts):
        n_span = stream.made.n_span(len(frames))
        for column, emotion in enumerate(stream.made.carries):
            if not len(frames) or not video.presence[row, EMOTIONS.index(emotion)]:
                continue
            begin = rng.integers(len(frames) - n_span + 1)
            shown = frames[begin : begin + n_span]
            patterns[shown, column] = 1.0
            spans[row, emotion] = (float(intervals[shown, :].min()), float(intervals[shown, :].max()))
    values = _draw_values(stream, patterns, rng)
    hidden = _hide(stream, values, intervals, traps, rng, surely=video.index == traps.surely)
    evidence = _evidence(stream, values, parts, ~np.any([*hidden.values(), np.zeros(len(values), bool)], axis=0))
    made = MadeFrames(values, intervals, hidden, evidence, spans)
    return _out_of_order(made) if video.index in traps.unsorted else made


def _draw_values(stream: PlantedStream, patterns: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw features: the shared factors with their patterns, each feature's own noise, then scale and offset."""
    own = stream.own_noise
    shared = rng.standard_normal(patterns.shape, dtype=np.float32)
    shared *= math.sqrt(stream.made.noise**2 - own**2)
    shared += patterns
    values = rng.standard_normal((len(patterns), stream.made.size), dtype=np.float32)
    values *= (own * stream.scale).astype(np.float32)
    values += shared @ (stream.factors * stream.scale).astype(np.float32)
    values += stream.offset.astype(np.float32)
    return values


def _hide(
    stream: PlantedStream,
    values: NDArray[np.float32],
    intervals: NDArray[np.float64],
    traps: StreamTraps,
    rng: np.random.Generator,
    *,
    surely: bool,
) -> dict[str, NDArray[np.bool_]]:
    """Spoil frames in place, fill in the reserved columns, and say by kind which frames are no measurement."""
    n = len(values)
    non_finite = draw_bursts(n, traps.non_finite, traps.burst, rng, surely=surely)
    all_zero = draw_bursts(n, traps.all_zero, traps.burst, rng, surely=surely) & ~non_finite
    failed = draw_bursts(n, traps.failed, traps.burst, rng, surely=surely)
    values[failed] *= rng.choice(GARBAGE, size=(int(failed.sum()), 1))
    if stream.name == "audio":
        values[:, -N_CONSTANT:] = 0.0
    if stream.name == "vision":
        values[:, 0] = 0.0
        values[:, 1] = np.nan_to_num(intervals[:, 0])
        values[:, 2] = np.where(failed, rng.uniform(0.0, 0.05, n), rng.uniform(0.88, 0.98, n))
        values[:, 3] = ~failed
    values[all_zero] = 0.0
    frames = np.flatnonzero(non_finite)
    columns = rng.integers(max(1, stream.made.size - N_CONSTANT), size=len(frames))
    values[frames, columns] = rng.choice(NON_FINITE, size=len(frames))
    return {"non_finite": non_finite, "all_zero_frames": all_zero, "failed_frames": failed}


def _evidence(
    stream: PlantedStream,
    values: NDArray[np.float32],
    parts: list[NDArray[np.int64]],
    observed: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Log-likelihood ratios ``(rows, emotions)``, from what was written; 0 where there is nothing to see."""
    made = stream.made
    directions = stream.factors[: len(made.carries)] / stream.scale
    columns = [EMOTIONS.index(emotion) for emotion in made.carries]
    evidence = np.zeros((len(parts), len(EMOTIONS)))
    for row, frames in enumerate(parts):
        if not len(frames):
            continue
        seen = observed[frames]
        along = np.zeros((len(frames), len(columns)))
        along[seen] = (values[frames[seen]] - stream.offset) @ directions.T
        evidence[row, columns] = span_evidence(along, noise=made.noise, n_span=made.n_span(len(frames)), observed=seen)
    return evidence


def _out_of_order(made: MadeFrames) -> MadeFrames:
    """Write the second half of the frames before the first."""
    half = len(made.values) // 2
    hidden = {kind: np.roll(mask, -half) for kind, mask in made.hidden.items()}
    values, intervals = np.roll(made.values, -half, axis=0), np.roll(made.intervals, -half, axis=0)
    return MadeFrames(values, intervals, hidden, made.evidence, made.spans)
