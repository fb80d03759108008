"""One self-contained HTML page about the explanation of a run, and its figures as files: draws, computes nothing."""

from collections.abc import Mapping
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from emotiwave.drawing import page, save_figure
from emotiwave.explanation.means import Mean
from emotiwave.explanation.results import ExplainedClass, ExplainedUtterance, RunExplanation, read_explanation
from emotiwave.files import replace_file
from emotiwave.report import explanation_figures as figures

PAGE = "explanation.html"
MEASURES = {
    "deletion_gain": "how much sooner than by chance the probability (value) falls, deleting what is important first "
    "(above 0 is good)",
    "insertion_gain": "how much sooner than by chance it rises, adding what is important first (above 0 is good)",
    "randomised_weights": "rank correlation with the explanation of shuffled weights (near 0 is good)",
    "small_noise": "rank correlation with the explanation of slightly noisy input (near 1 is good)",
    "convergence_gap": "by how much the values miss what they should add up to (near 0 is good)",
}
"""What is measured of explanations, in words."""


def write_explanation_page(folder: Path) -> Path:
    """Draw what `emotiwave explain` wrote into a folder, as a page there.

    Raises:
        CheckpointError: If it is missing or damaged.
    """
    replace_file(folder / PAGE, draw_page(read_explanation(folder)).encode())
    return folder / PAGE


def write_figures(folder: Path, out: Path) -> list[Path]:
    """Draw the figures of what was written into a folder, each as SVG and PNG, into another one.

    Raises:
        CheckpointError: If it is missing or damaged.
    """
    out.mkdir(parents=True, exist_ok=True)
    drawn = figures.all_figures(read_explanation(folder))
    for name, draw in drawn.items():
        save_figure(draw, out / name)
    return [out / name for name in drawn]


def draw_page(found: RunExplanation) -> str:
    """Draw the page. The same explanation gives the same page."""
    return page(
        "report/explanation.html",
        kicker="Emotiwave explanation",
        title=f"Why {found.model} answers as it does on {found.dataset}",
        of=lay_out(found),
    )


def lay_out(found: RunExplanation) -> dict[str, Any]:
    """Arrange an explanation for the macros of ``explanation_parts.html``."""
    overview = found.overview
    return {
        "found": found,
        "overview": overview,
        "scale": figures.SCALE_WORDS[found.scale],
        "pairs": list(overview.pairs.items()),
        "drives": figures.drives(found) if overview.drives else None,
        "flips": _flips(overview.n_flips),
        "utterances": [_utterance(one, found.scale) for one in found.utterances],
        "faithfulness": _faithfulness(found.faithfulness) if found.faithfulness else None,
    }


def _flips(counts: Mapping[int, int]) -> list[tuple[str, int]]:
    words = {0: "none: even nothing at all is answered so"}
    return [(words.get(size, str(size)), n) for size, n in sorted(counts.items())]


def _utterance(one: ExplainedUtterance, scale: str) -> dict[str, Any]:
    return {
        "id": one.id,
        "truth": ", ".join(one.truth) or "none of them",
        "decision": ", ".join(one.decision) or "none of them",
        "sureness": one.sureness,
        "flip": None if one.flip is None else " and ".join(one.flip),
        "classes": [describe_class(of, scale) for of in one.classes],
    }


def describe_class(of: ExplainedClass, scale: str, *, heights_of_all: bool = True) -> dict[str, Any]:
    """Lay out why a class has its score, for the macros of ``explanation_parts.html``.

    Heights are shares of the strongest moment, of all modalities or of each by itself.
    """
    by_name: dict[str, float] = {}
    for moment in of.moments:
        by_name[moment.modality] = max(by_name.get(moment.modality, 0.0), abs(moment.value))
    largest = max(by_name.values(), default=0.0)
    strongest = {name: (largest if heights_of_all else own) or 1.0 for name, own in by_name.items()}
    timed = figures.timed(of)
    by_modality: dict[str, list[dict[str, Any]]] = {}
    for moment in timed:
        share = abs(moment.value) / strongest[moment.modality]
        by_modality.setdefault(moment.modality, []).append({"moment": moment, "share": share})
    return {
        "name": of.name,
        "steps": _steps(of),
        "scale": scale,
        "rows": by_modality,
        "first": min((moment.start or 0.0 for moment in timed), default=0.0),
        "last": max((moment.end or 0.0 for moment in timed), default=0.0),
        "words": [
            {"text": moment.word, "value": moment.value, "share": abs(moment.value) / strongest[moment.modality]}
            for moment in of.moments
            if moment.word is not None
        ],
        "moments": of.moments,
        "method": figures.METHOD_WORDS[of.method],
        "baseline": of.baseline,
        "gap": of.gap,
    }


def _steps(of: ExplainedClass) -> list[dict[str, Any]]:
    """From the base to the score: of each bar where it begins and how long it is, from 0 to 100 across."""
    values = [of.base, *of.shares.values()]
    ends = list(accumulate(values))
    spans = [(0.0, of.base), *pairwise(ends), (0.0, ends[-1])]
    low, high = min(0.0, *ends), max(0.0, *ends)
    across = (high - low) or 1.0
    return [
        {
            "name": name,
            "kind": kind if kind != "share" else "for" if value >= 0 else "against",
            "value": value,
            "left": 100 * (min(span) - low) / across,
            "width": 100 * abs(span[1] - span[0]) / across,
            "zero": 100 * -low / across,
        }
        for name, kind, value, span in zip(
            ["base", *of.shares, "score"],
            ["base", *("share" for _ in of.shares), "score"],
            [*values, ends[-1]],
            spans,
            strict=True,
        )
    ]


def _faithfulness(measured: Mapping[str, Mapping[str, Mean]]) -> list[dict[str, Any]]:
    return [
        {"explainer": name, "measure": MEASURES[measure], "mean": mean}
        for name, found in measured.items()
        for measure, mean in found.items()
    ]
