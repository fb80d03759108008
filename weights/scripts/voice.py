"""Train the voice expert on all actors of RAVDESS; what it needs is chosen by leaving actors out.

    python weights/scripts/voice.py --folder runs/weights/voice

The folder holds ``networks.safetensors`` (``weights/scripts/convert.py``). Vectors of clips are kept there, so a second
run, or one after an interruption, goes on where the first was.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from voice_corpus import choose_penalty, held_out_confidence, read_corpus, strangest, to_seven_shares

from emotiwave.experts.voice import CLIPS, VoiceFacts


def main() -> None:
    """Train with each set of blocks and write weights and facts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True)
    folder = parser.parse_args().folder
    corpus = read_corpus(folder)
    prior = to_seven_shares(corpus.labels).mean(axis=0)
    facts: dict[str, object] = {"data_sha256": corpus.sha256}
    for name, blocks in CLIPS.items():
        penalty = choose_penalty(corpus, blocks)
        model = corpus.fit(blocks, penalty)
        save_file(
            {"mean": model.mean, "scale": model.scale, "weights": model.weights, "bias": model.bias},
            folder / f"{name}.safetensors",
        )
        (folder / f"{name}.safetensors").chmod(0o644)
        confidence = held_out_confidence(corpus, blocks, penalty)
        known = VoiceFacts(
            classes=model.classes,
            kappa=model.kappa,
            strangest=strangest(corpus, model),
            prior=tuple(prior.tolist()),
            confidence=confidence,
        )
        facts[name] = known.model_dump(mode="json")
        print(
            name, "inverse penalty", penalty, "temperature", round(float(np.exp(confidence.intercept)), 3), flush=True
        )
    (folder / "facts.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
