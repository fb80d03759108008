"""One self-contained HTML page about one clip: what is expressed, who says so, and when; draws, computes nothing."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from emotiwave.analysis import NOTHING_SAID, Analysis, Explanation
from emotiwave.drawing import page
from emotiwave.explanation.results import ExplainedClass, Moment
from emotiwave.report.explanation_figures import METHOD_WORDS, SCALE_WORDS
from emotiwave.report.explanation_page import describe_class


@dataclass(frozen=True, eq=False)
class SeenFace:
    """The judged face at a time in seconds: ``picture (height, width, 1 or 3)`` uint8."""

    time: float
    picture: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Loudness:
    """The sound from ``start`` to ``end`` in seconds: its ``peaks``, evenly spaced, 0 to 1."""

    start: float
    end: float
    peaks: NDArray[np.float64]


def draw_clip_page(analysis: Analysis, loudness: Loudness | None = None, faces: Sequence[SeenFace] = ()) -> str:
    """Draw the page of an analysis with its explanation. The same ones give the same page."""
    of = None
    if analysis.explanation is not None and analysis.contributions is not None:
        attributions = analysis.explanation.attributions
        is_mixed = len({one.method for one in attributions}) > 1
        explained = _explained(analysis, analysis.explanation)
        of = describe_class(explained, analysis.contributions.scale, heights_of_all=not is_mixed)
        of["scale_words"] = SCALE_WORDS[analysis.contributions.scale]
        of["method"] = _methods(analysis.explanation)
        of |= {"methods": {one.method for one in attributions}, "is_mixed": is_mixed}
        of["shares_pooled"] = any(one.baseline == NOTHING_SAID for one in attributions)
        if not of["rows"] and analysis.timeline:
            of |= {"first": analysis.timeline[0].start, "last": analysis.timeline[-1].end}
    decision = analysis.decision
    return page(
        "report/clip.html",
        kicker="Emotiwave",
        title=analysis.input,
        analysis=analysis,
        decision=decision if isinstance(decision, str) else ", ".join(decision or ()) or "none of them",
        largest=max(1.0, *(abs(value) for value in (analysis.emotions or {"": 0.0}).values())),
        of=of,
        wave=_wave(loudness) if loudness is not None and of else "",
        strip=_strip(faces, of["rows"].get("vision", []), of["first"], of["last"]) if of else [],
    )


def _explained(analysis: Analysis, explanation: Explanation) -> ExplainedClass:
    shared = analysis.contributions
    target = next((one.target for one in explanation.attributions), None) or analysis.ranked()[0][0]
    return ExplainedClass(
        name=target,
        base=0.0 if shared is None else shared.base[target],
        shares={} if shared is None else {name: of[target] for name, of in shared.modalities.items()},
        method=next((one.method for one in explanation.attributions), "occlusion"),
        baseline="; ".join(dict.fromkeys(one.baseline for one in explanation.attributions)),
        gap=None,
        moments=[
            Moment(one.modality, span.start, span.end, span.value, span.text)
            for one in explanation.attributions
            for span in one.spans
        ],
    )


def _methods(explanation: Explanation) -> str:
    """In words, and where modalities are not explained alike, of which each is."""
    of: dict[str, list[str]] = {}
    for one in explanation.attributions:
        of.setdefault(METHOD_WORDS[one.method], []).append(one.modality)
    if len(of) < 2:
        return "".join(of)
    return "; ".join(f"{' and '.join(names)}: {words}" for words, names in of.items())


def _wave(loudness: Loudness) -> str:
    """A polygon of the peaks, mirrored."""
    times = np.linspace(loudness.start, loudness.end, len(loudness.peaks))
    upper = [f"{time:.3f},{-peak:.3f}" for time, peak in zip(times, loudness.peaks, strict=True)]
    lower = [f"{time:.3f},{peak:.3f}" for time, peak in zip(times, loudness.peaks, strict=True)]
    return " ".join([*upper, *reversed(lower)])


def _strip(faces: Sequence[SeenFace], bars: Sequence[dict], first: float, last: float) -> list[dict]:
    across = max(last - first, 1e-3)
    found = []
    for face in faces:
        around = [bar["moment"] for bar in bars if bar["moment"].start <= face.time <= bar["moment"].end]
        value = around[0].value if around else 0.0
        found.append(
            {
                "time": face.time,
                "value": value,
                "kind": "" if not around else "for" if value >= 0 else "against",
                "left": 100 * (face.time - first) / across,
                "source": _as_png(face.picture),
            }
        )
    return found


def _as_png(picture: NDArray[np.uint8]) -> str:
    file = io.BytesIO()
    Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture).save(file, format="png")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
