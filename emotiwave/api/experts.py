"""The trained experts: told about, made familiar with a speaker, made as sure as they deserve on someone's data."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emotiwave.errors import CheckpointError, ConfigError, MediaError
from emotiwave.experts import Speaker, VoiceExpert
from emotiwave.experts.distribution import find_weights
from emotiwave.experts.voice import LONGEST
from emotiwave.media.sound import sound_blocks
from emotiwave.settings import PathLike
from emotiwave.signals import Waveform


@dataclass(frozen=True)
class Enrolled:
    """A speaker's file, of how many clips it was made, and what is to say of some: why they are left out, or cut."""

    path: Path
    n_clips: int
    remarks: dict[str, str]


def info(folder: PathLike | None = None) -> str:
    """Tell what the installed weights are: licences, data, measured limits, intended and forbidden uses.

    Raises:
        MissingExtraError: If the distribution is not installed.
        CheckpointError: If it is damaged.
    """
    weights = find_weights(None if folder is None else Path(folder))
    weights.verify()
    return weights.card()


def calibrate(
    clips: Sequence[PathLike], *, out: PathLike, folder: PathLike | None = None, voice: str = "all"
) -> Enrolled:
    """Make the voice expert familiar with a speaker, by some clips of whatever mood, without labels.

    What it then says of further clips of the speaker is right more often: ``experts.audio(clips,
    speaker=Speaker.read(out))``. A clip that cannot be read or has no sound is left out and told of.

    Args:
        clips: Files of sound or video, best a sentence each, in several moods.
        out: The file to make.
        folder: Of weights; by default that of the installed distribution.
        voice: The blocks of the voice expert, as in `load`.

    Raises:
        MediaError: If no clip can be used.
        ConfigError: If the file cannot be written, or there is one that is no speaker's.
    """
    path = Path(out)
    if path.exists() and not is_speaker(path):
        raise ConfigError(f"{path} is there and no file of a speaker; choose another place by --out")
    weights = find_weights(None if folder is None else Path(folder))
    weights.verify()
    weights.tell_terms()
    expert = VoiceExpert.load(weights, voice)
    sounds: dict[str, Waveform] = {}
    remarks: dict[str, str] = {}
    for clip in dict.fromkeys(map(str, clips)):
        try:
            sounds[clip] = next(sound_blocks(Path(clip), seconds=LONGEST + 1)).waveform
        except StopIteration:
            remarks[clip] = "holds no sound"
        except MediaError as error:
            remarks[clip] = str(error)
    if not sounds:
        raise MediaError("no clip of the speaker can be read: " + ("; ".join(remarks.values()) or "none given"))
    speaker, reasons = expert.enroll(list(sounds.values()))
    remarks |= {clip: reason for clip, reason in zip(sounds, reasons, strict=True) if reason is not None}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        speaker.save(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error})") from None
    return Enrolled(path, speaker.n_clips, remarks)


def is_speaker(path: Path) -> bool:
    """Whether a file was made by `calibrate`."""
    try:
        Speaker.read(path)
    except CheckpointError:
        return False
    return True
