"""An expert made as sure as it deserves on someone's own data, by a temperature and a shift per class."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from emotiwave.errors import CheckpointError, ConfigError, printable
from emotiwave.experts.answer import Answer, Prior
from emotiwave.experts.expert import Crop, ModalityExpert
from emotiwave.experts.shares import Shares
from emotiwave.labels import SEVEN
from emotiwave.probabilities import log_softmax
from emotiwave.settings import Settings

SHIPPED = "shipped"
"""The source of an expert that is that of the installed weights."""
LEAST = 20
"""Examples that a calibration needs."""
RIDGE = 4.0
"""Penalty on the squares of shifts and of the logarithm of the temperature, against the sum over the examples."""
FOLDS = 5
MAX_FILE = 2**20
Array = NDArray[np.float64]


class Calibration(Settings):
    """The content of an expert's file."""

    format: Literal[1] = 1
    modality: Literal["text", "audio", "vision"]
    source: str
    """``shipped``, a name of the Hub, or a folder."""
    revision: str | None = None
    identity: dict[str, str] = Field(default_factory=dict)
    """What the weights were: the commit of the Hub, or hashes of files and of what is known of the installed ones."""
    labels: dict[str, str | None] | None = None
    """Of a published classifier: label -> class."""
    log_temperature: Annotated[float, Field(ge=-5, le=5)]
    shifts: Annotated[tuple[float, ...], Field(min_length=len(SEVEN), max_length=len(SEVEN))]
    prior: Shares
    """How common each class is in the data that it was calibrated on, each counted once more."""
    n: Annotated[int, Field(ge=LEAST)]
    nll_before: float
    """Mean negative log-likelihood of the examples in nats, as the expert was."""
    nll_after: float
    """The same of examples that the calibration did not see, over five folds."""
    sha256: str
    """Of the manifest."""

    @classmethod
    def read(cls, path: Path) -> "Calibration":
        """Read an expert's file.

        Raises:
            CheckpointError: If it is none.
        """
        try:
            if path.stat().st_size > MAX_FILE:
                raise CheckpointError(f"{path}: {path.stat().st_size:,} bytes; expected an expert's file")
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            where = printable(".".join(map(str, problem["loc"])))
            raise CheckpointError(
                f"{path}: no expert's file ({where}: {problem['msg']}); make it by emotiwave calibrate --manifest"
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise CheckpointError(f"{path}: cannot be read ({error})") from None


@dataclass(frozen=True, eq=False)
class CalibratedExpert:
    """An expert whose log-posteriors are divided by a temperature and shifted, class by class."""

    expert: ModalityExpert
    calibration: Calibration

    is_shipped = False

    @property
    def name(self) -> str:
        """What the expert is, and on how much it was calibrated."""
        return f"{self.expert.name}, calibrated on {self.calibration.n}"

    @property
    def modality(self) -> str:
        """That of the expert."""
        return self.expert.modality

    @property
    def prior(self) -> Prior:
        """How common classes were in the data that it was calibrated on."""
        return np.array(self.calibration.prior)

    @property
    def crop(self) -> Crop:
        """As the expert wants faces."""
        return self.expert.crop

    def __call__(self, inputs: Sequence[Any], **options: Any) -> Answer:
        """Answer as the expert does, with other probabilities."""
        answer = self.expert(inputs, **options)
        moved = apply_calibration(
            answer.log_posterior, self.calibration.log_temperature, np.array(self.calibration.shifts)
        )
        moved = np.where(answer.observed[:, None], moved, np.log(self.prior))
        return Answer(moved, self.prior, answer.observed, answer.reasons, answer.quality)


def apply_calibration(log_posterior: Array, log_temperature: float, shifts: Array) -> Array:
    """Divide log-posteriors ``(inputs, 7)`` by a temperature and shift them ``(7,)``."""
    return log_softmax(log_posterior / np.exp(log_temperature) + shifts, axis=1)


@dataclass(frozen=True, eq=False)
class Fitted:
    """A temperature and shifts, the commonness of classes, and what they reach on examples that they did not see."""

    log_temperature: float
    shifts: Array
    prior: Array
    nll_before: float
    nll_after: float


def fit_calibration(log_posterior: Array, truth: NDArray[np.int64], groups: Sequence[str], seed: int = 0) -> Fitted:
    """Fit a temperature and shifts to examples.

    Args:
        log_posterior: ``(examples, 7)`` as the expert says.
        truth: Index of the class of each ``(examples,)``.
        groups: Speaker or other group of each, which a fold never divides if there are several.
        seed: Of the folds.

    Raises:
        ConfigError: If there are fewer than 20 examples, or all are of one class.
    """
    n_classes = len(set(truth.tolist()))
    if len(truth) < LEAST or n_classes < 2:
        raise ConfigError(
            f"{len(truth)} examples of {n_classes} classes can be used; expected at least {LEAST}, of two classes"
        )
    log_temperature, shifts = _fit(log_posterior, truth)
    groups = groups if len(set(groups)) > 1 else [str(row) for row in range(len(truth))]  # one speaker: by example
    names = np.unique(np.asarray(groups))
    folds = np.random.default_rng(seed).permutation(len(names)) % min(FOLDS, max(2, len(names)))
    fold = folds[np.searchsorted(names, np.asarray(groups))]
    after = np.full(len(truth), np.nan)
    for number in np.unique(fold):
        inside = fold == number
        answers = apply_calibration(log_posterior[inside], *_fit(log_posterior[~inside], truth[~inside]))
        after[inside] = -answers[np.arange(inside.sum()), truth[inside]]
    counts = np.bincount(truth, minlength=len(SEVEN)) + 1.0
    before = float(-log_posterior[np.arange(len(truth)), truth].mean())
    return Fitted(log_temperature, shifts, counts / counts.sum(), before, float(after.mean()))


def _fit(log_posterior: Array, truth: NDArray[np.int64]) -> tuple[float, Array]:
    rows = np.arange(len(truth))

    def loss(weights: Array) -> tuple[float, Array]:
        scaled = log_posterior * np.exp(-weights[0])
        answers = log_softmax(scaled + weights[1:], axis=1)
        pull = np.exp(answers)
        pull[rows, truth] -= 1
        slope = np.concatenate([[-(pull * scaled).sum()], pull.sum(axis=0)])
        return float(-answers[rows, truth].sum() + RIDGE * (weights @ weights) / 2), slope + RIDGE * weights

    bounds = [(-5.0, 5.0)] + [(None, None)] * len(SEVEN)
    from scipy.optimize import minimize  # takes a third of a second to import

    found = minimize(loss, np.zeros(1 + len(SEVEN)), jac=True, method="L-BFGS-B", bounds=bounds).x
    return float(found[0]), found[1:]
