"""The card of a network that was taken out of a trained model: where it comes from, and under which licences."""

import json
from typing import Protocol

from emotiwave.report.card import Part, plain, without_place

UNSTATED = "unknown"
SKIPPED = {"pretrained", "revision", "train", "learning_rate", "layer_decay", "gradient_checkpointing", "precision"}
"""Settings of encoders that say how one was trained, and not what it gives."""


class _Settings(Protocol):
    def model_dump(self, *, mode: str, exclude: set[str], exclude_defaults: bool) -> dict[str, object]: ...


class Network(Protocol):
    """What a card tells of: an encoder with the checkpoint that it began from, and its settings."""

    source: dict[str, str]

    @property
    def settings(self) -> _Settings:
        """Those of the recipe."""
        ...


def draw_encoder_card(modality: str, network: Network, corpus: Part, *, is_finished: bool) -> str:
    """Write the card as Markdown; licences stand in its front matter too, where whoever uses the folder reads them."""
    base = network.source
    name = plain(without_place(base["name"])) if base else "random weights"
    corpus_name, licence = plain(corpus.name), plain(corpus.licence or UNSTATED)
    licences = [f"{licence} ({corpus_name})"]
    if base:
        licences.insert(0, f"{plain(base.get('licence', UNSTATED))} ({name})")
    front = {"license": "other", "license_name": "; ".join(licences).replace('"', "'").replace("\\", "/")}
    if base.get("revision") and name.count("/") == 1:
        front["base_model"] = name
    further = network.settings.model_dump(mode="json", exclude=SKIPPED, exclude_defaults=True)
    lines = [
        "---",
        *(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in front.items()),
        "---",
        "",
        f"# The encoder of {plain(modality)} of a model that Emotiwave trained on {corpus_name}",
        "",
        "Its hidden states are what training made; a pooler, where the architecture has one, is not part of it.",
        "",
        *(
            [f"- Began from {name}, licence {plain(base.get('licence', UNSTATED))}"]
            if base
            else [f"- Began from {name}"]
        ),
        *([f"- Revision {plain(base['revision'])}"] if base.get("revision") else []),
        f"- Trained on {corpus_name}, licence {licence}",
        *([] if is_finished else ["- **Training was not finished when this was written**"]),
        *([f"- In the model it ran with {plain(json.dumps(further))}"] if further else []),
        "",
        f"It knows the train labels of {corpus_name}: what it gives there is better than it will be on anything else.",
    ]
    return "\n".join(lines) + "\n"
