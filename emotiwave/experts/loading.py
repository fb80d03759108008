"""Experts by name: those of the installed weights, published classifiers, and files that `emotiwave calibrate` made."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from emotiwave.errors import CheckpointError, ConfigError, unknown_name
from emotiwave.experts.calibrated import SHIPPED, CalibratedExpert, Calibration
from emotiwave.experts.distribution import Distribution, WeightsFolder, find_weights
from emotiwave.experts.expert import ModalityExpert
from emotiwave.experts.face import FaceExpert
from emotiwave.experts.label_map import LabelMap
from emotiwave.experts.published import PublishedExpert, load_published
from emotiwave.experts.text import TextExpert
from emotiwave.experts.voice import VoiceExpert

MODALITIES = ("text", "audio", "vision")
Chosen = str | os.PathLike[str] | ModalityExpert
"""A name of the Hub (``OWNER/NAME`` or ``OWNER/NAME@REVISION``), a folder, an expert's file, or an expert."""


@dataclass(frozen=True, eq=False)
class Experts:
    """One expert per modality, all of the same seven classes."""

    text: ModalityExpert
    audio: ModalityExpert
    vision: ModalityExpert
    weights: Distribution | None
    """What the installed weights are, and their terms; None where no expert is one of them."""

    def __getitem__(self, modality: str) -> ModalityExpert:
        return {"text": self.text, "audio": self.audio, "vision": self.vision}[modality]


def load_experts(
    folder: Path | None = None,
    *,
    voice: str = "all",
    chosen: Mapping[str, Chosen] | None = None,
    labels: Mapping[str, LabelMap] | None = None,
) -> Experts:
    """Read the experts; every file of the installed weights is compared with its hash, their terms are printed once.

    Args:
        folder: Of weights; by default that of the installed distribution.
        voice: ``all`` blocks of the voice expert, or ``prosody`` alone: three times as fast, and less exact.
        chosen: Modality -> what to take in the place of its expert; where all are replaced, no weights are needed.
        labels: Modality -> the class of labels of a published classifier that are not known words.

    Raises:
        MissingExtraError: If the distribution is needed and not installed.
        CheckpointError: If weights are damaged, changed or of another version.
        ConfigError: If a modality, a classifier or a label is not known.
    """
    chosen, labels = chosen or {}, labels or {}
    for modality in (*chosen, *labels):
        if modality not in MODALITIES:
            raise ConfigError(unknown_name("modality", modality, MODALITIES))
    if needless := set(labels) - set(chosen):
        raise ConfigError(f"labels of {min(needless)} are given, and no classifier of it; choose one as its expert")
    # of files that calibrate made
    calibrations = {modality: read for modality in chosen if (read := _calibration(modality, chosen[modality]))}
    shipped = [
        modality
        for modality in MODALITIES
        if modality not in chosen or (modality in calibrations and calibrations[modality].source == SHIPPED)
    ]
    weights = None
    if shipped:
        weights = find_weights(folder)
        weights.verify()
        weights.tell_terms()
    found: dict[str, ModalityExpert] = {}
    for modality in MODALITIES:
        if weights is not None and modality in shipped:
            expert = _shipped(modality, weights, voice)
        else:
            expert = _published(modality, chosen[modality], calibrations.get(modality), labels.get(modality))
        calibration = calibrations.get(modality)
        if calibration is not None:
            _check_same(calibration, expert, None if weights is None else weights.description)
            expert = CalibratedExpert(expert, calibration)
        found[modality] = expert
    return Experts(**found, weights=None if weights is None else weights.description)


def identity_of(expert: ModalityExpert, weights: Distribution | None) -> dict[str, str]:
    """Tell what the weights of an expert are, for a file that is to fit no others."""
    if isinstance(expert, PublishedExpert):
        return expert.identity
    if weights is None:
        return {}
    place = {"text": "text/", "audio": "voice/", "vision": "face/"}[expert.modality]
    found = {name: digest for name, digest in sorted(weights.sha256.items()) if name.startswith(place)}
    facts = expert.modality
    if isinstance(expert, VoiceExpert):  # the same networks, and weights of its own
        found = {name: digest for name, digest in found.items() if name == f"voice/{expert.blocks}.safetensors"}
        facts = f"audio_{expert.blocks}"
    known = json.dumps(weights.experts.get(facts), sort_keys=True).encode()
    return found | {"facts": hashlib.sha256(known).hexdigest()}


def split_revision(name: str) -> tuple[str, str | None]:
    """Take ``OWNER/NAME@REVISION`` apart; a folder has no revision, whatever it is called."""
    if Path(name).expanduser().is_dir():
        return name, None
    name, _, revision = name.partition("@")
    return name, revision or None


def _calibration(modality: str, chosen: Chosen) -> Calibration | None:
    if not isinstance(chosen, str | os.PathLike) or not os.fspath(chosen).endswith(".json"):
        return None
    found = Calibration.read(Path(chosen))
    if found.modality != modality:
        raise ConfigError(f"{os.fspath(chosen)}: an expert of {found.modality}; expected one of {modality}")
    return found


def _shipped(modality: str, weights: WeightsFolder, voice: str) -> ModalityExpert:
    if modality == "audio":
        return VoiceExpert.load(weights, voice)
    return TextExpert.load(weights) if modality == "text" else FaceExpert.load(weights)


def _published(
    modality: str, chosen: Chosen, calibration: Calibration | None, labels: LabelMap | None
) -> ModalityExpert:
    if calibration is not None:
        if labels is not None and dict(labels) != calibration.labels:
            raise ConfigError(f"the {modality} expert was calibrated with labels of its own; leave yours out")
        revision = calibration.identity.get("commit", calibration.revision)
        return load_published(calibration.source, modality, labels=calibration.labels, revision=revision)
    if not isinstance(chosen, str | os.PathLike):
        return chosen
    name, revision = split_revision(os.fspath(chosen))
    return load_published(name, modality, labels=labels, revision=revision)


def _check_same(calibration: Calibration, expert: ModalityExpert, weights: Distribution | None) -> None:
    if calibration.identity != identity_of(expert, weights):
        raise CheckpointError(
            f"the {calibration.modality} expert was calibrated with other weights of {calibration.source!r}, or with "
            "another choice of --voice; calibrate it again"
        )
