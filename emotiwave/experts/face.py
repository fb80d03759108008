"""The face expert: pictures of one face each to emotions."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from emotiwave.batch import Batch
from emotiwave.experts.answer import Answer, Prior, put_together
from emotiwave.experts.confidence import Confidence
from emotiwave.experts.distribution import WeightsFolder
from emotiwave.experts.expert import Crop
from emotiwave.experts.model import load_expert
from emotiwave.experts.shares import Shares
from emotiwave.faces.crops import fit_face
from emotiwave.labels import SEVEN
from emotiwave.models.fusion import FusionModel
from emotiwave.settings import Settings

SIDE = 48
AT_ONCE = 256
LEAST_CONTRAST = 0.01
"""Standard deviation of the pixels, full scale 1, below which a picture shows nothing: dark, white or covered."""
SMALLEST = 8
"""Pixels along the shorter side, below which there is no face to read."""


class FaceFacts(Settings):
    """What the weights' description says of the face expert."""

    prior: Shares
    confidence: Confidence


class FaceExpert:
    """A compact residual network trained on FER2013."""

    name, modality, crop, is_shipped = "a residual network trained on FER2013", "vision", Crop(), True

    def __init__(self, model: FusionModel, facts: FaceFacts) -> None:
        self.model, self.facts = model, facts

    @property
    def prior(self) -> Prior:
        """How common each class was in training."""
        return np.array(self.facts.prior)

    @classmethod
    def load(cls, weights: WeightsFolder) -> "FaceExpert":
        """Read the model out of the folder of the weights."""
        facts = weights.facts("vision", FaceFacts)
        facts.confidence.check_measures(face_quality([], np.zeros((0, SIDE * SIDE), np.float32)))
        return cls(load_expert(weights.path / "face", "vision"), facts)

    def __call__(self, faces: Sequence[NDArray[np.uint8]], *, prior_weight: float = 0.0) -> Answer:
        """Answer each picture; one that is tiny, or shows nothing, is not observed.

        Args:
            faces: Squares cut out around one face each, the box of the face and a tenth on every side
                ``(height, width, 3)`` RGB or ``(height, width, 1)`` grey, uint8, of any size.
            prior_weight: How much of the commonness of classes in training to take back (`Answer.with_prior`).
        """
        reasons = [why_unseen(face) for face in faces]
        observed = np.array([reason is None for reason in reasons], dtype=bool)
        seen = [face for face, reason in zip(faces, reasons, strict=True) if reason is None]
        pixels = to_pixels(seen)
        quality = face_quality(seen, pixels)
        answers = self.facts.confidence.apply(self.logits(pixels), quality)
        answer = put_together(answers, quality, self.prior, reasons, observed)
        return answer.with_prior(prior_weight)

    @torch.inference_mode()
    def logits(self, pixels: NDArray[np.float32]) -> NDArray[np.float64]:
        """Give log-posteriors before calibration ``(faces, 7)`` of pixels ``(faces, 48 * 48)``, full scale 1."""
        answers = np.zeros((len(pixels), len(SEVEN)))
        for start in range(0, len(pixels), AT_ONCE):
            some = torch.from_numpy(pixels[start : start + AT_ONCE])[:, None]
            ids = tuple(map(str, range(len(some))))
            mask = torch.ones(some.shape[:2], dtype=torch.bool)
            batch = Batch(ids, {"vision": some}, {"vision": mask}, torch.zeros(len(some), len(SEVEN)), {"vision": 0})
            answers[start : start + AT_ONCE] = torch.log_softmax(self.model(batch), dim=1).double().numpy()
        return answers


def to_pixels(faces: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Bring pictures to grey squares ``(faces, 48 * 48)``, full scale 1."""
    squares = [fit_face(_coloured(face), SIDE, is_grey=True).reshape(-1) for face in faces]
    return np.array(squares, np.float32).reshape(len(faces), SIDE * SIDE) / np.float32(255)


def face_quality(faces: Sequence[NDArray[np.uint8]], pixels: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
    """Measure pictures: ``side``, log2 of the pixels along it, as far as they are used; ``sharpness`` and ``contrast``.

    Sharpness is the logarithm of the variance of the Laplacian over that of the pixels (Pech-Pacheco et al., 2000),
    contrast that of the standard deviation of the pixels.
    """
    squares = pixels.reshape(-1, SIDE, SIDE).astype(np.float64)
    edges = np.array([cv2.Laplacian(square, cv2.CV_64F).var() for square in squares])
    spread = np.maximum(squares.std(axis=(1, 2)), LEAST_CONTRAST / 10)
    return {
        "side": np.log2([min(SIDE, *face.shape[:2]) for face in faces]) if len(faces) else np.zeros(0),
        "sharpness": np.log(np.maximum(edges, 1e-8) / spread**2),
        "contrast": np.log(spread),
    }


def _coloured(face: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(face, 3, axis=2) if face.ndim == 3 and face.shape[2] == 1 else face


def why_unseen(face: NDArray[np.uint8]) -> str | None:
    """Say why nothing can be read off a picture; None where something can."""
    if face.ndim != 3 or face.shape[2] not in (1, 3) or face.dtype != np.uint8:
        return f"a picture of shape {face.shape} {face.dtype}; expected (height, width, 3) or (height, width, 1) uint8"
    if min(face.shape[:2]) < SMALLEST:
        return f"{face.shape[1]} x {face.shape[0]} pixels; expected at least {SMALLEST} along each side"
    if to_pixels([face]).std() < LEAST_CONTRAST:
        return "the picture shows nothing: all of it is about as bright"
    return None
