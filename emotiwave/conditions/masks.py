"""Mask manifests: what a condition hides of a split, drawn once and kept in a small file, so that all methods meet it.

A file is JSON: what it was drawn for, and by severity, modality and utterance the frames that are hidden, as the bits
of a hexadecimal number, the first frame first, or ``all`` of those that are observed; with the hash of each severity.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotiwave.conditions.hiding import Frames, observed_frames
from emotiwave.conditions.registry import Condition
from emotiwave.errors import ConfigError, DatasetError
from emotiwave.files import replace_file
from emotiwave.types import Corpus

MAX_BYTES = 2**28
"""Of a manifest; more is refused unread."""
FORM = 1
ALL = "all"


@dataclass(frozen=True)
class Drawn:
    """What masks were drawn for."""

    condition: str
    corpus: str
    observed: str
    """Hash of what is observed: of ``missing`` which utterances have which modality, of others which frames."""
    split: str
    seed: int


@dataclass(frozen=True, eq=False)
class Masks:
    """What is hidden at each severity, and which share of what is observed that comes to."""

    drawn: Drawn
    hidden: Mapping[float, Frames]
    realised: Mapping[float, float]
    """Severity -> share of modalities for ``missing``, else of frames."""

    @property
    def digests(self) -> dict[float, str]:
        """SHA-256 of what is hidden at each severity."""
        about = json.dumps(asdict(self.drawn)).encode()
        return {severity: _digest(about, hidden) for severity, hidden in sorted(self.hidden.items())}


def draw_masks(corpus: Corpus, split: str, condition: Condition, seed: int) -> Masks:
    """Draw what a condition hides of a split.

    Raises:
        ConfigError: If the condition hides nothing, is of a modality that the corpus lacks, or has nothing to hide.
        DatasetError: If the split is empty.
    """
    if condition.of.hide is None:
        raise ConfigError(f"condition {condition} spoils features and hides nothing: it has no masks")
    observed, drawn = _prepare(corpus, split, condition, seed)
    hidden = {s: condition.of.hide(observed, s, condition.seed(seed)) for s in condition.severities}
    return Masks(drawn, hidden, _realised(observed, hidden, condition))


def write_masks(masks: Masks, observed: Frames, path: Path) -> None:
    """Write a manifest."""
    described = {
        "form": FORM,
        "drawn": asdict(masks.drawn),
        "severities": [
            {
                "severity": severity,
                "sha256": digest,
                "realised": masks.realised[severity],
                "hidden": {
                    name: {one: _as_text(mask, observed[name][one]) for one, mask in sorted(of.items())}
                    for name, of in sorted(masks.hidden[severity].items())
                },
            }
            for severity, digest in masks.digests.items()
        ],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, json.dumps(described).encode() + b"\n")


def find_masks(corpus: Corpus, split: str, condition: Condition, seed: int, path: Path) -> Masks:
    """Read a manifest, or draw and write it if it is not there; severities that it lacks are drawn and added.

    Raises:
        ConfigError: As `draw_masks`.
        DatasetError: As `read_masks`; or if severities are to be added to masks that were not drawn as here.
    """
    if not path.exists():
        found = draw_masks(corpus, split, condition, seed)
    else:
        found = read_masks(corpus, split, condition, seed, path)
        lacking = set(condition.severities) - set(found.hidden)
        if not lacking:
            return found
        every = Condition(condition.kind, condition.modality, tuple(sorted({*condition.severities, *found.hidden})))
        fresh = draw_masks(corpus, split, every, seed)
        if any(fresh.digests[severity] != digest for severity, digest in found.digests.items()):
            raise DatasetError(
                f"{path}: has no severity {min(lacking):g}, and its masks were drawn by other means, so that it cannot "
                "be added; take only severities that are there, or another folder of masks"
            )
        found = fresh
    write_masks(found, _prepare(corpus, split, condition, seed)[0], path)
    return found


def read_masks(corpus: Corpus, split: str, condition: Condition, seed: int, path: Path) -> Masks:
    """Read a manifest, and make sure that it is of this split of this corpus, this condition and seed.

    Raises:
        DatasetError: If it cannot be read, was changed, or was drawn for something else; what differs is named.
    """
    observed, wanted = _prepare(corpus, split, condition, seed)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES:,} bytes")
        described = json.loads(path.read_bytes())
        if described["form"] != FORM:
            raise ValueError(f"form {described['form']!r}; expected {FORM}")
        _check_same(path, Drawn(**described["drawn"]), wanted)
        hidden = {float(row["severity"]): _hidden(row["hidden"], observed) for row in described["severities"]}
        masks = Masks(wanted, hidden, _realised(observed, hidden, condition))
        digests = {float(row["severity"]): str(row["sha256"]) for row in described["severities"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DatasetError(f"{path}: no mask manifest, or damaged ({type(error).__name__}: {error})") from None
    if masks.digests != digests:
        raise DatasetError(f"{path}: was changed since it was drawn (its hash differs); fetch or draw it anew")
    return masks


def _prepare(corpus: Corpus, split: str, condition: Condition, seed: int) -> tuple[Frames, Drawn]:
    ids = [corpus.utterances[index].id for index in corpus.indices(split)]
    observed = observed_frames(corpus, ids, condition.modalities(corpus))
    if condition.of.of_several:
        n_there = [sum(one in of for of in observed.values()) for one in ids]
        if max(n_there) < 2:
            raise ConfigError(
                f"condition {condition}: no {split} utterance of {corpus.name} has two modalities, so that one could "
                "be missing and one be kept"
            )
    digest = _digest(b"", {n: dict.fromkeys(of, np.ones(1, bool)) for n, of in observed.items()})
    digest = digest if condition.of.of_several else _digest(b"", observed)
    return observed, Drawn(str(condition), corpus.name, digest, split, seed)


def _realised(observed: Frames, hidden: Mapping[float, Frames], condition: Condition) -> dict[float, float]:
    def size(masks: Iterable[NDArray[np.bool_]]) -> int:
        return sum(1 if condition.of.of_several else int(mask.sum()) for mask in masks)

    there = max(1, size(mask for of in observed.values() for mask in of.values()))
    return {
        severity: size(mask for of in found.values() for mask in of.values()) / there
        for severity, found in hidden.items()
    }


def _check_same(path: Path, drawn: Drawn, wanted: Drawn) -> None:
    for name, value in asdict(wanted).items():
        found = getattr(drawn, name)
        if found != value:
            what = "set of observed input (its hash)" if name == "observed" else name
            raise DatasetError(
                f"{path}: masks of another {what}: {found!r}; expected {value!r}; take what they were drawn for, or "
                "another folder of masks"
            )


def _hidden(described: Mapping[str, Mapping[str, str]], observed: Frames) -> dict[str, dict[str, Any]]:
    """Only what is observed can be hidden: whatever else a file names is refused, before it takes any memory."""
    found: dict[str, dict[str, Any]] = {}
    for name, of in described.items():
        for one, text in of.items():
            is_observed = observed[name][one]
            mask = is_observed if text == ALL else _from_text(text, len(is_observed))
            if not mask.any() or (mask & ~is_observed).any():
                raise ValueError(f"{name} of {one!r} hides what is not there, or nothing")
            found.setdefault(name, {})[one] = mask
    return found


def _as_text(mask: NDArray[np.bool_], is_observed: NDArray[np.bool_]) -> str:
    return ALL if np.array_equal(mask, is_observed) else np.packbits(mask).tobytes().hex()


def _from_text(text: str, n_frames: int) -> NDArray[np.bool_]:
    if len(text) != 2 * ((n_frames + 7) // 8):
        raise ValueError(f"{len(text)} digits for {n_frames} frames")
    return np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8), count=n_frames).astype(bool)


def _digest(about: bytes, frames: Frames) -> str:
    sha = hashlib.sha256(about)
    for name, of in sorted(frames.items()):
        for one, mask in sorted(of.items()):
            sha.update(json.dumps([name, one, len(mask)]).encode() + np.packbits(mask).tobytes())
    return sha.hexdigest()
