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


def robustness_table(found: dict[str, Any]) -> str:
    """A row per data set: the mean over configurations of the default model and of others, and paired differences."""
    shown = ("evidence, context", "evidence", "bottleneck", "logistic_regression")
    lines = [f"| mean macro-F1 | {' | '.join(f'`{name}`' for name in shown)} |", "|---" * (len(shown) + 1) + "|"]
    for corpus, methods in found["scores"].items():
        cells = []
        for name in shown:
            score = methods.get(name, {}).get("macro_f1", {}).get("mean")
            apart = found["parts"][corpus].get(name)
            cells.append("" if score is None else f"{score['value']:.1f}")
            if apart is not None:
                cells[-1] += f" ({apart['value']:+.1f} [{apart['ci_low']:+.1f}, {apart['ci_high']:+.1f}])"
        lines.append(f"| `{corpus.removeprefix('ablation_')}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def comparison_table(found: dict[str, Any]) -> str:
    """A row per method, the best average first: its mean over configurations on every corpus, marked where no tie."""
    corpora = [comparison["name"] for comparison in found["comparisons"]]
    cells: dict[str, dict[str, str]] = {}
    values: dict[str, dict[str, float]] = {}
    for comparison in found["comparisons"]:
        verdicts = {row["method"]: row["verdict"] for row in comparison["differences"] if row["place"] == "mean"}
        for row in comparison["scores"]:
            if row["place"] == "mean":
                mark = {"higher": "▲ ", "lower": "▼ "}.get(verdicts.get(row["method"], ""), "")
                cells.setdefault(row["method"], {})[comparison["name"]] = f"{mark}{100 * row['value']:.1f}"
                values.setdefault(row["method"], {})[comparison["name"]] = row["value"]
    everywhere = [name for name, of in values.items() if len(of) == len(corpora)]
    others = [name for name in values if name not in everywhere]
    averages = {name: 100 * sum(values[name].values()) / len(corpora) for name in everywhere}
    lines = [f"| method | {' | '.join(f'`{name}`' for name in corpora)} | average |", "|---" * (len(corpora) + 2) + "|"]
    for name in sorted(everywhere, key=lambda name: -averages[name]) + others:
        average = f"{averages[name]:.1f}" if name in averages else ""
        lines.append(f"| {name} | {' | '.join(cells[name].get(corpus, '') for corpus in corpora)} | {average} |")
    anchors = " and ".join(dict.fromkeys(comparison["anchor"] for comparison in found["comparisons"]))
    return (
        "\n".join(lines)
        + f"\n\n▲ higher, ▼ lower than `{anchors}` after Holm's correction; all else ties with it, but for \
`bayes_optimal`, a bound that is compared with nothing."
    )
