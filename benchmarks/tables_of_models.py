"""The parts of results/README.md about single models: fusions, image and text, end to end. Draws only."""

from typing import Any


def fusion_rows(found: dict[str, Any]) -> str:
    """A row per model, the quickest first: parameters, milliseconds and megabytes."""
    return "\n".join(
        f"| `{model}` | {cost['parameters'] / 1e3:,.0f} k | {cost['step_ms']:.0f} | {cost['peak_mb']:.0f} |"
        for model, cost in sorted(found["costs"].items(), key=lambda item: item[1]["step_ms"])
    )


def end_to_end_rows(found: dict[str, Any]) -> str:
    """A row per variant of fine-tuning."""
    lines = []
    for row in found["rows"]:
        cells = (
            {"full": "all weights", "frozen": "fusion only"}.get(row["train"], "as in the recipe"),
            row["precision"],
            "yes" if row["gradient_checkpointing"] else "no",
            f"{row['trained_parameters'] / 1e6:.0f} M",
            f"{row['utterances_per_second']:.2f}",
            f"{row['peak_mb']:,.0f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def image_text_rows(found: dict[str, Any]) -> str:
    """A row per reading of test: how many utterances and classes, accuracy and macro-F1."""
    lines = []
    for name, row in found["test"].items():
        cells = (
            f"{row['n']:,}",
            len(row["classes"]),
            row["among"],
            f"{100 * row['accuracy']:.1f}",
            f"{100 * row['macro_f1']:.1f}",
        )
        lines.append(f"| {name} | {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def image_text_cut(found: dict[str, Any]) -> str:
    """What of the recipe was made smaller."""
    if not found["overrides"]:
        return "the recipe as it is"
    return "with " + " ".join(f"`--set {override}`" for override in found["overrides"])
