"""What a recogniser is given: files, arrays and text of one clip."""

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soxr
from numpy.typing import NDArray
from PIL import Image

from emotiwave.errors import ConfigError, MediaError, printable, unknown_name
from emotiwave.media.photos import upright_rgb
from emotiwave.recordings import Sources
from emotiwave.settings import PathLike
from emotiwave.signals import SAMPLE_RATE, Waveform
from emotiwave.types import Segment

if TYPE_CHECKING:
    from emotiwave.conditions.spoiler import ClipSpoiler

MOST_LETTERS = 1000
"""Of a path; a longer one is taken for text."""
Sound = Waveform | tuple[NDArray[np.floating], int]
"""Sound at 16 kHz, or samples ``(samples,)`` or ``(samples, channels)`` with their rate in Hz."""


@dataclass(frozen=True, eq=False)
class Clip:
    """One clip: where its signals lie, or the signals themselves; what is None, it does not have.

    ``sound`` and ``picture`` take the place of files. ``segment`` is the stretch that is meant of what has times.
    """

    name: str
    sources: Sources
    sound: Waveform | None = None
    picture: NDArray[np.uint8] | None = None
    segment: Segment | None = None
    conditions: tuple[str, ...] = ()
    """What its signals are spoiled by before anything looks at them, such as ``noise:audio=0.5``."""

    @property
    def spoiled(self) -> tuple[str, ...]:
        """What is to be told of that in an answer: of signals that it has."""
        sources = self.sources
        has = {
            "audio": self.sound is not None or sources.audio or sources.video,
            "vision": self.picture is not None or sources.image or sources.video,
            "text": sources.text is not None or sources.transcript or sources.video,
        }
        told = [one for one in self.conditions if has[one.partition(":")[2].partition("=")[0].partition("@")[0]]]
        return tuple(f"spoiled before anything looked at it: {one}" for one in told)

    @cached_property
    def spoiler(self) -> "ClipSpoiler | None":
        """What does that."""
        if not self.conditions:
            return None
        from emotiwave.conditions.spoiler import clip_spoiler  # SciPy, which most clips can do without

        return clip_spoiler(self.conditions)

    @property
    def heard(self) -> Waveform | None:
        """The stretch of ``sound`` that is meant."""
        if self.sound is None or self.segment is None:
            return self.sound
        rate, last = self.sound.rate, self.segment.end
        end = None if math.isinf(last) else round(last * rate)
        return Waveform(self.sound.samples[round(self.segment.start * rate) : end], rate)

    @property
    def is_text_only(self) -> bool:
        """Whether there is nothing but text."""
        return self.sources.text is not None and not self.sources.files and self.sound is None and self.picture is None

    @property
    def is_recording(self) -> bool:
        """Whether its words are spoken, and its face one that speaks."""
        return bool(self.sources.video or self.sources.audio or self.sources.transcript or self.sound is not None)


def make_clip(
    media: "PathLike | Clip | Waveform | Image.Image | NDArray[np.uint8] | None" = None,
    *,
    video: PathLike | None = None,
    audio: PathLike | Sound | None = None,
    image: "PathLike | Image.Image | NDArray[np.uint8] | None" = None,
    text: str | None = None,
    transcript: PathLike | None = None,
    start: float | None = None,
    end: float | None = None,
    is_face: bool = False,
    name: str | None = None,
    conditions: Iterable[str] = (),
) -> Clip:
    """Put together what is given of one clip.

    Args:
        media: A file, for what its suffix says; a picture; sound; or a clip, which is taken as it is.
        video: A file of pictures and sound, and perhaps subtitles.
        audio: A file, `Waveform`, or samples and their rate; instead of a video's sound.
        image: A file, Pillow image or array ``(height, width)`` or ``(height, width, 3)`` uint8; instead of a video's
            pictures.
        text: What is written or said.
        transcript: A file of words, perhaps with times.
        start: Second of files and sound from which on they are looked at; 0 by default.
        end: Second up to which; their end by default.
        is_face: The picture is one face that was cut out already, and none is looked for.
        name: How it is called in the answer.
        conditions: What its signals are spoiled by first, each with one severity, such as ``noise:audio=0.5`` or
            ``darkness:vision=0.9``: to see how an answer falls. ``emotiwave list conditions`` tells them.

    Raises:
        ConfigError: If nothing is given, a condition is not of clips, or something is given twice.
        MediaError: If an array is no sound or picture.
    """
    first, last = _checked_bounds(start, end)
    if isinstance(media, Clip):
        if any(value is not None for value in (video, audio, image, text, transcript, name)) or is_face:
            raise ConfigError("a clip is taken as it is; give a start and an end beside it, and nothing else")
        return _spoiled(media if first is None else _between(media, first, last), conditions)
    given = {"video": video, "audio": audio, "image": image, "transcript": transcript}
    if isinstance(media, str | os.PathLike):
        _check_is_file(media)
        of = Sources.of_file(Path(media))
        kind = next(kind for kind in given if getattr(of, kind) is not None)
        media, given = None, _add(given, kind, media)
    elif isinstance(media, Waveform | tuple):
        media, given = None, _add(given, "audio", media)
    elif media is not None:
        media, given = None, _add(given, "image", media)
    if text is not None and not isinstance(text, str):
        raise ConfigError(f"text must be a string; got {type(text).__name__}")
    if all(value is None for value in (*given.values(), text)):
        raise ConfigError("nothing to analyse; give a file, or video, audio, image, text or transcript")
    if text is not None:  # halves of characters, as shells of another encoding give them, are none
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if text is not None and transcript is not None:
        raise ConfigError("text and transcript are both given; give one of them")
    files = {kind: Path(value).absolute() for kind, value in given.items() if isinstance(value, str | os.PathLike)}
    sound, picture = given["audio"], given["image"]
    named = next((str(value) for value in given.values() if isinstance(value, str | os.PathLike)), None)
    clip = Clip(
        name or named or ("text" if text is not None else "array"),
        Sources(
            video=files.get("video"),
            audio=files.get("audio"),
            image=files.get("image"),
            transcript=files.get("transcript"),
            text=text,
            is_face=is_face,
        ),
        None if sound is None or "audio" in files else _waveform(sound),
        None if picture is None or "image" in files else _picture(picture),
    )
    return _spoiled(clip if first is None else _between(clip, first, last), conditions)


def _spoiled(clip: Clip, conditions: Iterable[str]) -> Clip:
    if isinstance(conditions, str):
        raise ConfigError(f"conditions must be a list, such as ['noise:audio=0.5']; got {conditions!r}")
    if not (conditions := tuple(conditions)):
        return clip
    spoiled = replace(clip, conditions=conditions)
    _ = spoiled.spoiler  # unknown conditions are refused here
    return spoiled


def modalities_asked(given: Iterable[str] | None, known: Sequence[str]) -> tuple[str, ...]:
    """Check which modalities are asked for; all that are known by default.

    Raises:
        ConfigError: If it is no list of names, there is none, or one is unknown.
    """
    if isinstance(given, str):
        raise ConfigError(f"modalities must be a list of names; got {given!r}")
    asked = tuple(known) if given is None else tuple(given)
    if not asked:
        raise ConfigError(f"no modality is asked for; name some of {', '.join(known)}")
    for name in asked:
        if name not in known:
            raise ConfigError(unknown_name("modality", name, known))
    return asked


def _checked_bounds(start: float | None, end: float | None) -> tuple[float | None, float]:
    """Give start and end of a stretch, the end infinite if there is none; None where all is meant."""
    if start is None and end is None:
        return None, math.inf
    first, last = start or 0.0, math.inf if end is None else end
    if not 0 <= first < last:
        raise ConfigError(f"start {first:g} and end {last:g}; expected seconds with 0 <= start < end")
    return first, last


def _between(clip: Clip, first: float, last: float) -> Clip:
    """Take a stretch of a clip.

    Raises:
        ConfigError: If nothing of it has times.
    """
    sources = clip.sources
    if clip.sound is None and not (sources.video or sources.audio or sources.transcript):
        raise ConfigError("a start and an end are of sound, video and transcripts; none of them is given")
    if clip.segment is not None:  # a stretch of a stretch
        first, last = first + clip.segment.start, min(last + clip.segment.start, clip.segment.end)
    return replace(clip, segment=Segment(str(next(iter(sources.files), clip.name)), first, last))


def _add(given: dict[str, Any], kind: str, media: Any) -> dict[str, Any]:
    if given[kind] is not None:
        raise ConfigError(f"{kind} is given twice; give it once")
    return given | {kind: media}


def _check_is_file(media: PathLike) -> None:
    looks_like_text = isinstance(media, str) and (" " in media or not Path(media).suffix)
    if looks_like_text and not (len(str(media)) < MOST_LETTERS and os.path.exists(media)):
        told = str(media) if len(str(media)) <= 60 else f"{str(media)[:60]}..."
        raise MediaError(f"{printable(told)!r}: does not exist; a sentence is given as text (--text, text=...)")


def _waveform(sound: Any) -> Waveform:
    if isinstance(sound, tuple):
        sound = _of_samples(*sound) if len(sound) == 2 else sound
    if not isinstance(sound, Waveform):
        raise MediaError(f"{type(sound).__name__} is no sound; expected a file, a Waveform, or samples and their rate")
    if sound.samples.ndim != 1:
        raise MediaError(f"sound of shape {sound.samples.shape}; expected one channel of samples (samples,)")
    if not np.isfinite(sound.samples).all():
        raise MediaError("samples that are not finite; expected floats, full scale at 1")
    if sound.rate == SAMPLE_RATE:
        return sound
    return Waveform(soxr.resample(sound.samples, sound.rate, SAMPLE_RATE).astype(np.float32), SAMPLE_RATE)


def _of_samples(samples: Any, rate: Any) -> Waveform:
    samples = np.asarray(samples)
    channels = samples.shape[1] if samples.ndim == 2 else 1
    is_rate = isinstance(rate, int | float | np.integer | np.floating) and 1000 <= rate == int(rate)
    if samples.ndim not in (1, 2) or not np.issubdtype(samples.dtype, np.floating) or channels > 32 or not is_rate:
        raise MediaError(
            f"sound of shape {samples.shape} {samples.dtype} at {rate!r} Hz; expected floats (samples,) or (samples, "
            "channels), full scale at 1, and whole Hz"
        )
    mono = samples if samples.ndim == 1 else samples.mean(axis=1)
    return Waveform(mono.astype(np.float32), int(rate))


def _picture(picture: Any) -> NDArray[np.uint8]:
    if isinstance(picture, Image.Image):
        return upright_rgb(picture)
    array = np.asarray(picture)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim == 2:
        array = np.repeat(array[:, :, None], 3, axis=2)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise MediaError(
            f"a picture of shape {array.shape} {array.dtype}; expected (height, width) or (height, width, 3) uint8, RGB"
        )
    return np.ascontiguousarray(array)
