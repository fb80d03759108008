"""eGeMAPS of openSMILE: 25 measures of the voice per frame, or 88 per utterance; its licence: research only."""

import warnings
from importlib import import_module
from types import ModuleType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from emotiwave.errors import MissingExtraError
from emotiwave.features.extractor import AudioExtractor
from emotiwave.features.extractors.framing import check_sound
from emotiwave.sequences import FeatureSequence
from emotiwave.settings import Settings

HIGHEST = 5000.0
"""Hz, that the measures reach."""
SHORTEST = 0.065
"""Seconds; its longest window is 60 ms, below which openSMILE gives nothing."""
HALF_HOP = 0.005
"""Seconds from the middle of a frame to where the next one takes over."""
LOUDEST_SAMPLE = 32767 / 32768
"""openSMILE turns samples into 16 bits without a check; one of 1.0 would become -1.0."""


class EgemapsSettings(Settings):
    """Keys of ``egemaps``."""

    level: Literal["frames", "functionals"] = "functionals"
    """One row per 10 ms with 25 measures, or one row per utterance with 88 statistics of them."""


class Egemaps(AudioExtractor):
    """eGeMAPSv02 by openSMILE (Eyben et al. 2016), through the extra ``opensmile``.

    openSMILE may be used for research and education without charge; any other use needs a licence of audEERING. An
    utterance must come whole for ``functionals``: of long sound in blocks, each block gives a row of its own. Its
    frames look back over the sound (smoothing, the path of the pitch), so in blocks they differ a little.

    Raises:
        MissingExtraError: If opensmile is not installed.
    """

    licence = "openSMILE 3: research and education only (audEERING)"

    def __init__(self, settings: EgemapsSettings) -> None:
        opensmile = _opensmile()
        levels = opensmile.FeatureLevel
        self.settings = settings
        self.summarises = settings.level == "functionals"
        self.context = 1.0 if settings.level == "frames" else 0.0
        self._smile = opensmile.Smile(
            feature_set=opensmile.FeatureSet.eGeMAPSv02,
            feature_level=levels.LowLevelDescriptors if settings.level == "frames" else levels.Functionals,
        )
        self.frames_per_second = 100.0 if settings.level == "frames" else None
        self._version = str(opensmile.__version__)
        self.names: tuple[str, ...] = tuple(self._smile.feature_names)
        self.size = len(self.names)

    @property
    def identity(self) -> dict[str, Any]:
        """Name, versions and settings."""
        return {
            "name": "egemaps",
            "version": 1,
            "opensmile": self._version,
            "settings": self.settings.model_dump(mode="json"),
        }

    def __call__(self, signal: NDArray[np.float32], timing: int) -> FeatureSequence:
        """Extract frames, or one row for the whole; rows that openSMILE leaves incomplete are NaN.

        Sound shorter than `SHORTEST` gives no frames, or one row of NaN.

        Raises:
            FeatureError: If the sound is not finite, or of less than 10 kHz.
        """
        check_sound(signal, timing, HIGHEST)
        seconds = len(signal) / timing
        if seconds < SHORTEST:
            n_rows = 1 if len(signal) and self.settings.level == "functionals" else 0
            return FeatureSequence(
                np.full((n_rows, self.size), np.nan, np.float32), np.array([[0.0, seconds]])[:n_rows]
            )
        table = self._smile.process_signal(np.clip(signal, -1, LOUDEST_SAMPLE), timing)
        values = np.array(table, np.float32)
        values[~np.isfinite(values).all(axis=1)] = np.nan
        if self.settings.level == "functionals":
            return FeatureSequence(values, np.array([[0.0, seconds]]))
        starts = table.index.get_level_values("start").total_seconds().to_numpy()
        # a frame of 20 ms every 10 ms: each stands for the 10 ms around its middle
        middles = np.minimum(starts + 2 * HALF_HOP, seconds - HALF_HOP)
        return FeatureSequence(values, np.stack([middles - HALF_HOP, middles + HALF_HOP], axis=1))


def _opensmile() -> ModuleType:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what its own dependencies warn of
            return import_module("opensmile")
    except ImportError as error:
        raise MissingExtraError(
            f"egemaps needs openSMILE ({error}): pip install 'emotiwave[opensmile]' if its licence, for research and "
            "education only, suits you; `prosody_statistics` needs neither"
        ) from None
