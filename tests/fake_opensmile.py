"""A stand-in with the interface of opensmile that `egemaps` uses, and gives the mean and the peak as features."""

import enum
import sys
from types import ModuleType

import numpy as np
import pandas as pd
import pytest


class FeatureSet(enum.Enum):
    eGeMAPSv02 = "egemaps/v02/eGeMAPSv02"  # noqa: N815


class FeatureLevel(enum.Enum):
    LowLevelDescriptors = "lld"
    Functionals = "func"


class Smile:
    def __init__(self, feature_set: FeatureSet, feature_level: FeatureLevel) -> None:
        assert feature_set is FeatureSet.eGeMAPSv02
        self.level = feature_level
        n_features = 25 if feature_level is FeatureLevel.LowLevelDescriptors else 88
        self.feature_names = [f"feature_{index}" for index in range(n_features)]

    def process_signal(self, samples: np.ndarray, rate: int) -> pd.DataFrame:
        seconds = len(samples) / rate
        assert seconds >= 0.06
        samples = (samples * 32768).astype(np.int16) / 32768  # overflows as in the original
        if self.level is FeatureLevel.Functionals:
            starts, ends = [0.0], [seconds]
        else:
            starts = [0.01 * frame for frame in range(int(seconds * 100) - 4)]
            ends = [*(start + 0.02 for start in starts[:-1]), seconds]
        index = pd.MultiIndex.from_arrays(
            [pd.to_timedelta(starts, "s"), pd.to_timedelta(ends, "s")], names=["start", "end"]
        )
        row = [samples.mean(), samples.max(), *[0.0] * (len(self.feature_names) - 2)]
        values = np.tile(np.array(row, np.float32), (len(starts), 1))
        values.flags.writeable = False  # the original's table is read-only
        return pd.DataFrame(values, index, self.feature_names)


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("opensmile")
    vars(module).update(Smile=Smile, FeatureSet=FeatureSet, FeatureLevel=FeatureLevel, __version__="0.0")
    monkeypatch.setitem(sys.modules, "opensmile", module)
