"""Pictures of a video, upright and with their true times, sampled evenly in constant memory."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from av.video.frame import VideoFrame

from emotiwave.errors import MediaError
from emotiwave.media.containers import check_pixels, media_errors
from emotiwave.media.tracks import checked_segment, decoded_pictures
from emotiwave.signals import Frame

_SLACK = 1e-6
"""Share of a sampling period by which times are the same; they are fractions that binary numbers cannot hold."""


class _Turn(NamedTuple):
    """How to make a picture upright: exchange rows and columns, then mirror."""

    is_transposed: bool = False
    is_flipped_down: bool = False
    is_flipped_right: bool = False


class _Shown(NamedTuple):
    """A picture as it was decoded, how broad its pixels are and how to turn it, and when it is shown, in seconds."""

    picture: VideoFrame
    stretch: float
    turn: _Turn
    start: float
    end: float


def read_frames(
    path: Path,
    start: float | None = None,
    end: float | None = None,
    *,
    rate: float | None = 5.0,
    longest: int = 640,
) -> Iterator[Frame]:
    """Give ``rate`` pictures per second of a segment of a video, or all of them where ``rate`` is None.

    The segment is cut into periods of 1 / ``rate`` seconds from its start. A period gives the picture that is shown at
    its middle, by the timestamps of the file, whatever its frame rate; a picture that is shown at the middle of several
    periods is given once and stands for all of them. So the times of frames tile the segment, from the first picture
    to the end of the last; a last period that ends before its middle belongs to the frame before it. With ``rate=None``
    a frame stands for as long as it is shown.

    Every picture is decoded, since others are predicted from it; only those that are given are converted, and scaled
    down, by the mean over areas, so that the longer side is at most ``longest``. Pictures that cannot be decoded are
    left out: the one before is shown for longer. A segment that ends early, with the video, is warned of.

    Raises:
        MediaError: If the file cannot be read, has no pictures (there), or they are too large.
    """
    first, last = checked_segment(path, start, end)
    shown = _shown(path, first, last)
    if rate is None:
        frames = (_frame(path, one, one.start, one.end, longest) for one in shown)
    else:
        frames = _sampled(path, shown, first, rate, longest)
    is_empty = True
    for frame in frames:
        is_empty = False
        yield frame
    if is_empty:
        raise MediaError(f"{path}: has no pictures from {first:g} s on; check the times of the segment")


def _shown(path: Path, start: float, end: float) -> Iterator[_Shown]:
    """The pictures that are shown within a segment, each until the next one is, clipped to the segment."""
    before: _Shown | None = None
    turn: _Turn | None = None
    for decoded in decoded_pictures(path, start, end):
        if before is not None:
            if decoded.start <= before.start:
                continue  # two pictures at a time: a damaged timestamp
            if decoded.start > start:
                yield before._replace(start=max(start, before.start), end=min(end, decoded.start))
        if decoded.start >= end:
            return
        turn = turn or _turn(decoded.frame)  # asked of one frame only: a frame that was asked is not freed at once
        before = _Shown(decoded.frame, decoded.stretch, turn, decoded.start, decoded.end)
    if before is not None and before.end > start:
        yield before._replace(start=max(start, before.start), end=min(end, before.end))


def _sampled(path: Path, shown: Iterator[_Shown], start: float, rate: float, longest: int) -> Iterator[Frame]:
    """Choose the pictures at the middles of periods; a frame is held back until it is known when its time ends."""
    held: Frame | None = None
    one: _Shown | None = None
    begin: float | None = None
    n_periods = 0  # whose middle has passed
    for one in shown:
        begin = one.start if begin is None else begin
        n_before, n_periods = n_periods, _n_middles(one.end - start, rate)
        if n_periods > max(n_before, _n_middles(one.start - start, rate)):
            if held is not None:
                begin = held.end
                yield held
            held = _frame(path, one, begin, start + n_periods / rate, longest)
    if one is not None and begin is not None:
        held = held or _frame(path, one, begin, one.end, longest)  # nothing yet: all is shorter than half a period
        yield replace(held, end=one.end)


def _n_middles(seconds: float, rate: float) -> int:
    """How many periods have their middle before a time."""
    return max(0, math.ceil(seconds * rate - 0.5 - _SLACK))


def _frame(path: Path, shown: _Shown, start: float, end: float, longest: int) -> Frame:
    """Convert a picture to RGB, scaled down, with square pixels, turned as the file says."""
    picture = shown.picture
    check_pixels(path, picture.width, picture.height)
    width, height = picture.width * max(shown.stretch, 1.0), picture.height / min(shown.stretch, 1.0)
    scale = max(1.0, max(width, height) / longest)
    with media_errors(path):
        image = picture.reformat(
            width=max(1, round(width / scale)),
            height=max(1, round(height / scale)),
            format="rgb24",
            interpolation="AREA",
        ).to_ndarray()
    if shown.turn.is_transposed:
        image = image.transpose(1, 0, 2)
    upright = image[:: -1 if shown.turn.is_flipped_down else 1, :: -1 if shown.turn.is_flipped_right else 1]
    return Frame(np.ascontiguousarray(upright, np.uint8), start, end, scale)


def _turn(picture: VideoFrame) -> _Turn:
    """What the display matrix of a picture asks for, to the nearest right angle.

    The matrix ``a b u, c d v, x y w`` takes the point (p, q), rightwards and downwards, to (ap + cq + x, bp + dq + y).
    """
    matrix = picture.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return _Turn()
    a, b, _, c, d = np.frombuffer(bytes(matrix), dtype=np.int32)[:5].tolist()
    return _Turn(True, b < 0, c < 0) if abs(b) > abs(a) else _Turn(False, d < 0, a < 0)
