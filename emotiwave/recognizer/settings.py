"""What may be set of a recogniser: how signals are looked at, and what their evidence is worth."""

from pydantic import Field

from emotiwave.faces.detectors import FaceSettings
from emotiwave.media.usability import UsabilitySettings
from emotiwave.recognizer.fusion import OVERLAP, RELIABILITY
from emotiwave.settings import Settings

WINDOW = 4.0
"""Seconds of sound that are heard at once: about a sentence."""


class RecognizerSettings(Settings):
    """Settings of a recogniser; the defaults are those that figures in ``results/`` are of."""

    frame_rate: float = Field(default=5.0, gt=0, le=60)
    """Pictures per second that are looked at."""
    window: float = Field(default=WINDOW, ge=1, le=30)
    """Seconds of sound and of words that are heard at once."""
    faces: FaceSettings = FaceSettings(lost_after=10.0)
    """How faces are found; one that was lost comes back as another after ten seconds, and elsewhere at once."""
    usability: UsabilitySettings = UsabilitySettings()
    """What of the signals counts as unobserved."""
    reliability: dict[str, float] = Field(default_factory=lambda: dict(RELIABILITY))
    """Modality -> what its evidence is worth in clips, 0 to 1; one that is not named is worth all of it."""
    overlap: float = Field(default=OVERLAP, ge=0, le=1)
    """What modalities have in common, 0 for nothing."""
    speech_only: bool = False
    """Sound without speech counts as unobserved, by a voice activity detector (``emotiwave[vad]``)."""
    asr: str | None = None
    """A faster-whisper model, by name or folder, that hears words where nothing else gives any (``emotiwave[asr]``)."""
    language: str | None = None
    """What is spoken, as a code such as ``en``, for ``asr``."""
    subtitles: bool = True
    """Take words from the subtitles of a video where nothing else gives any."""
