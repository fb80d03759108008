"""Make the content of the distribution of the trained runs: packed weights, confidences, thresholds, hashes.

    python weights/scripts/assemble.py --runs runs/weights

``runs/weights`` holds the runs ``text`` and ``face`` and the folder ``voice`` of ``weights/scripts/voice.py``. What is
fitted here is fitted on validation data.
"""

import argparse
import hashlib
import json
import shutil
import tomllib
from pathlib import Path

import numpy as np
from measures import FITTED_FACES, read_faces, read_texts, spoil_face

from emotiwave.calibration import best_threshold
from emotiwave.experts import FaceExpert, TextExpert
from emotiwave.experts.confidence import Confidence, fit_confidence
from emotiwave.experts.distribution import CARD, DESCRIPTION, Distribution
from emotiwave.experts.face import FaceFacts, face_quality, to_pixels, why_unseen
from emotiwave.experts.text import TextFacts, text_quality
from emotiwave.experts.voice import CLIPS
from emotiwave.labels import SEVEN
from emotiwave.models.checkpoint import load_model, save_model

PACKAGE = Path(__file__).parents[1] / "emotiwave_weights_research"
NOTICE = "NOTICE"
FOLDERS = ("text", "face", "voice")
TERMS = (
    "for research and private study only: the voice expert comes of RAVDESS (CC BY-NC-SA 4.0, not for commerce), the "
    "face expert of FER2013 (pictures from the web, no licence stated). Guesses at what people express are often wrong "
    "and differ between people; do not use them to decide about anyone. The law restricts them at work and in "
    "education. MODEL_CARD.md and NOTICE, installed beside the weights, say more."
)
UNFITTED = Confidence(measures=(), middle=(), spread=(), lowest=(), highest=(), intercept=0.0, slopes=())


def pack_text(run: Path) -> TextFacts:
    """Pack the model, and fit confidence and thresholds of what it says once packed."""
    save_model(load_model(run), PACKAGE / "text", packed=True)
    prior = tuple(read_texts("goemotions", "train").targets.mean(axis=0).tolist())
    expert = TextExpert(
        load_model(PACKAGE / "text"), TextFacts(prior=prior, thresholds=(0.5,) * 7, confidence=UNFITTED)
    )
    validation = read_texts("goemotions", "validation")
    words = [text.split() for text in validation.texts]
    logits, observed = expert.logits(words)
    quality = text_quality([part for part, seen in zip(words, observed, strict=True) if seen])
    confidence = fit_confidence(logits[observed], validation.targets[observed], quality)
    probabilities = np.exp(confidence.apply(logits[observed], quality))
    truth = validation.targets[observed] > 0
    thresholds = [best_threshold(probabilities[:, k], truth[:, k], nearest_to=0.5) for k in range(len(SEVEN))]
    return TextFacts(prior=prior, thresholds=tuple(thresholds), confidence=confidence)


def pack_face(run: Path) -> FaceFacts:
    """Pack the model, and fit the confidence of what it says once packed, of good pictures and of spoiled ones."""
    save_model(load_model(run), PACKAGE / "face", packed=True)
    prior = tuple(read_faces("train").targets.mean(axis=0).tolist())
    expert = FaceExpert(load_model(PACKAGE / "face"), FaceFacts(prior=prior, confidence=UNFITTED))
    validation = read_faces("validation")
    answers, targets, qualities = [], [], []
    generator = np.random.default_rng(0)
    for kind, amount in (
        ("none", 0),
        *((kind, amount) for kind, amounts in FITTED_FACES.items() for amount in amounts),
    ):
        faces = [spoil_face(face, kind, amount, generator) for face in validation.pictures]
        seen = np.array([why_unseen(face) is None for face in faces])
        faces = [face for face, is_seen in zip(faces, seen, strict=True) if is_seen]
        pixels = to_pixels(faces)
        answers.append(expert.logits(pixels))
        qualities.append(face_quality(faces, pixels))
        targets.append(validation.targets[seen])
    joined = {name: np.concatenate([quality[name] for quality in qualities]) for name in qualities[0]}
    confidence = fit_confidence(np.concatenate(answers), np.concatenate(targets), joined)
    return FaceFacts(prior=prior, confidence=confidence)


def main() -> None:
    """Write the package's data."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, required=True)
    runs = parser.parse_args().runs
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for name in FOLDERS:
        shutil.rmtree(PACKAGE / name, ignore_errors=True)
    experts: dict[str, dict[str, object]] = {
        "text": pack_text(runs / "text").model_dump(mode="json"),
        "vision": pack_face(runs / "face").model_dump(mode="json"),
    }
    of_voice = json.loads((runs / "voice" / "facts.json").read_text(encoding="utf-8"))
    (PACKAGE / "voice").mkdir()
    for name in CLIPS:
        experts[f"audio_{name}"] = of_voice[name]
        shutil.copy(runs / "voice" / f"{name}.safetensors", PACKAGE / "voice")
    shutil.copy(runs / "voice" / "networks.safetensors", PACKAGE / "voice")
    shutil.copy(PACKAGE.parent / NOTICE, PACKAGE)
    files = sorted(path for name in FOLDERS for path in (PACKAGE / name).rglob("*") if path.is_file())
    sha256 = {
        path.relative_to(PACKAGE).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (*files, PACKAGE / NOTICE)
    }
    description = Distribution(
        version=project["version"], licence=project["license"], terms=TERMS, experts=experts, sha256=sha256
    )
    (PACKAGE / DESCRIPTION).write_text(description.model_dump_json(indent=1) + "\n", encoding="utf-8")
    (PACKAGE / CARD).unlink(missing_ok=True)  # that of other weights; weights/scripts/pages.py writes the new one
    size = sum(path.stat().st_size for path in PACKAGE.rglob("*") if path.is_file())
    print(f"{PACKAGE}: {size / 1e6:.1f} MB in {len(sha256) + 1} files")


if __name__ == "__main__":
    main()
