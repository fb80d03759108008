"""How an analysis looks on a terminal, and as rows of a table."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from emotiwave.errors import printable

if TYPE_CHECKING:
    from emotiwave.analysis import Analysis, Explanation

COLOURS = {
    "anger": "red",
    "disgust": "green",
    "fear": "magenta",
    "happiness": "yellow",
    "sadness": "blue",
    "surprise": "cyan",
    "neutral": "bright_black",
}
SCALES = {"log_odds": "log-odds", "logit": "logit", "value": "value"}
BAR = 24
MOST_CLASSES = 7
LEAST = 0.005
"""Probability below which a class is not shown, beyond the first three."""
STRIP = 60
"""Stretches in a line of a timeline."""
MARKS = "▁▂▃·▅▆█"
"""From against the answer to for it; in the middle what says nothing."""
WEAK, STRONG = 0.15, 0.6
"""Shares of the strongest from which on a word is coloured, and set in bold."""


def show_analysis(analysis: "Analysis", console: Console, *, timeline: bool, explain: bool) -> None:
    """Print an analysis: the answer, bars, who contributed what, what was ignored and why."""
    console.print(Group(*_parts(analysis, timeline=timeline, explain=explain)))


def _parts(analysis: "Analysis", *, timeline: bool, explain: bool) -> Iterator[RenderableType]:
    yield Text(printable(analysis.input), style="bold")
    yield _headline(analysis)
    if analysis.emotions is not None:
        yield _bars(analysis)
    if analysis.modalities:
        yield _modalities(analysis)
    if explain and analysis.contributions is not None:
        yield Text(f"  why: {SCALES[analysis.contributions.scale]}; base and contributions add up to the answer")
        yield _explanation(analysis)
    if explain and analysis.explanation is not None:
        yield from _moments(analysis, analysis.explanation)
    if timeline and analysis.timeline:
        yield _timeline(analysis)
    if len(analysis.subjects) > 1:
        yield _subjects(analysis)
    for warning in analysis.warnings:
        yield Text(f"  note: {printable(warning)}", style="yellow")


def _headline(analysis: "Analysis") -> Text:
    if not analysis.answered:
        return Text(f"  {printable(analysis.reason or 'nothing to judge')}", style="yellow")
    if analysis.label_kind == "continuous":
        return Text("  values:")
    decision = analysis.decision
    if decision is None:
        return Text(f"  {printable(analysis.reason or 'not sure')}", style="yellow")
    told = decision if isinstance(decision, str) else ", ".join(decision or ()) or "none of them"
    line = Text("  ")
    line.append(told if analysis.is_sure else f"not sure, perhaps {told}", style=f"bold {COLOURS.get(told, 'default')}")
    if analysis.confidence is not None:
        line.append(f"  confidence {analysis.confidence:.2f}")
    return line


def _bars(analysis: "Analysis") -> Table:
    table = Table.grid(padding=(0, 1))
    largest = max(1.0, *(abs(value) for value in (analysis.emotions or {}).values()))
    ranked = analysis.ranked()
    for rank, (name, value) in enumerate(ranked[:MOST_CLASSES] if len(ranked) > MOST_CLASSES else ranked):
        if rank >= 3 and abs(value) < LEAST:
            continue
        length = round(BAR * abs(value) / largest)
        table.add_row(
            "  " + printable(name), Text("█" * length or "▏", style=COLOURS.get(name, "default")), f"{value:.2f}"
        )
    return table


def _modalities(analysis: "Analysis") -> Table:
    """One row per modality: what of it was used, and how it speaks for or against the answer."""
    table = Table(box=None, padding=(0, 1), pad_edge=False)
    name = _told(analysis)
    shared = analysis.contributions
    for column in ("  from", "used"):
        table.add_column(column)
    table.add_column(f"{SCALES[shared.scale]} of {printable(name)}" if shared and name else "", justify="right")
    table.add_column("why")
    for modality, use in analysis.modalities.items():
        share = shared.modalities.get(modality, {}).get(name) if shared is not None and name else None
        table.add_row(
            f"  {printable(modality)}",
            f"{100 * use.observed:.0f} %" if use.used else Text("ignored", style="yellow"),
            "" if share is None else Text(f"{share:+.2f}", style="green" if share > 0 else "red"),
            printable(use.reason or ""),
        )
    return table


def _told(analysis: "Analysis") -> str | None:
    if isinstance(analysis.decision, str):
        return analysis.decision
    ranked = analysis.ranked()
    return ranked[0][0] if ranked else None


def _explanation(analysis: "Analysis") -> Table:
    shared = analysis.contributions
    table = Table(box=None, padding=(0, 1), pad_edge=False)
    if shared is None:
        return table
    table.add_column("  class")
    for column in ("base", *shared.modalities, "sum"):
        table.add_column(printable(column), justify="right")
    for name, _ in analysis.ranked():
        cells = [shared.base[name], *(shares[name] for shares in shared.modalities.values()), shared.total(name)]
        table.add_row(f"  {printable(name)}", *(f"{value:+.2f}" for value in cells))
    return table


def _moments(analysis: "Analysis", explanation: "Explanation") -> Iterator[Text]:
    """Say what would change the answer, and which words and moments speak for or against it."""
    several = analysis.contributions is not None and len(analysis.contributions.modalities) > 1
    if several and analysis.label_kind != "continuous":
        missing = " and ".join(explanation.flip or ())
        same = "whatever is left out, the answer stays the same: it is also the one to nothing"
        yield Text(f"  without {missing} the answer would be another" if missing else f"  {same}")
    for one in explanation.attributions:
        strongest = max((abs(span.value) for span in one.spans), default=0.0) or 1.0
        words = any(span.text for span in one.spans)
        line = Text(f"  {printable(one.modality)}: ", overflow="fold")
        for span in one.spans:
            style = "" if abs(span.value) < WEAK * strongest else "green" if span.value > 0 else "red"
            strong = " bold" if style and abs(span.value) > STRONG * strongest else ""
            told = printable(span.text or "") if words else MARKS[round(span.value / strongest * 3) + 3]
            line.append(f"{told} " if words else told, style=style + strong)
        yield line
        best = max(one.spans, key=lambda span: span.value, default=None)
        if best is not None and best.value > 0:
            where = (
                f"{best.text!r}" if best.text else "" if best.start is None else f"{best.start:.1f} to {best.end:.1f} s"
            )
            yield Text(f"    most for {printable(one.target)}: {printable(where)} {best.value:+.2f}")


def _timeline(analysis: "Analysis") -> Table:
    """One row per class that ever leads or is likely: darker where it is more probable; then the seconds."""
    marks = " ░▒▓█"
    moments = analysis.timeline
    step = max(1, -(-len(moments) // STRIP))
    table = Table.grid(padding=(0, 1))
    table.add_row(
        "  timeline", f"{moments[0].start:.0f} to {moments[-1].end:.0f} s, a mark for {_mark(analysis, step)}"
    )
    for name in analysis.label_set:
        values = [None if moment.emotions is None else moment.emotions[name] for moment in moments]
        groups = [values[first : first + step] for first in range(0, len(values), step)]
        means = [_mean([value for value in group if value is not None]) for group in groups]
        if not any(mean is not None and mean >= 1 / len(analysis.label_set) for mean in means):
            continue
        cells = ["·" if mean is None else marks[min(4, max(0, int(mean * 5)))] for mean in means]
        table.add_row(f"  {printable(name)}", Text("".join(cells), style=COLOURS.get(name, "default")))
    return table


def _mark(analysis: "Analysis", step: int) -> str:
    length = analysis.timeline[0].end - analysis.timeline[0].start
    return f"{length * step:g} s (· nothing observed)"


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _subjects(analysis: "Analysis") -> Table:
    table = Table(box=None, padding=(0, 1), pad_edge=False)
    for column in ("  faces", "seen", "alone it expresses"):
        table.add_column(column)
    for subject in analysis.subjects:
        told = subject.decision if isinstance(subject.decision, str) else "nothing that could be read"
        probability = f" {subject.emotions[told]:.2f}" if subject.emotions and told in subject.emotions else ""
        table.add_row(
            f"  {subject.id}{' (judged)' if subject.judged else ''}",
            "" if subject.seconds is None else f"{subject.seconds:.1f} s",
            f"{told}{probability}",
        )
    return table


def columns(names: tuple[str, ...], *, timeline: bool) -> list[str]:
    """Name the columns of a table of analyses, or of their stretches."""
    if timeline:
        return ["input", "start", "end", "modalities", *names, "reason", "error"]
    parts = [
        f"{modality}_{what}" for modality in ("text", "audio", "vision") for what in ("used", "observed", "reason")
    ]
    return ["input", "decision", "confidence", "reason", *names, *parts, "warnings", "error"]


def rows(analysis: "Analysis", *, timeline: bool) -> Iterator[dict[str, Any]]:
    """Write an analysis as a row, or as one per stretch."""
    if timeline and not analysis.timeline:  # a photo, a sentence, or nothing to judge: all of it in a row
        used = "+".join(name for name, use in analysis.modalities.items() if use.used)
        row = {"input": printable(analysis.input), "modalities": used, "reason": printable(analysis.reason or "")}
        yield row | _rounded(analysis.emotions or {})
    if timeline:
        for moment in analysis.timeline:
            row = {"input": printable(analysis.input), "start": round(moment.start, 3), "end": round(moment.end, 3)}
            yield row | {"modalities": "+".join(moment.modalities)} | _rounded(moment.emotions or {})
        return
    decision = analysis.decision if isinstance(analysis.decision, str) else ";".join(analysis.decision or ())
    row: dict[str, Any] = {"input": printable(analysis.input), "decision": printable(decision)}
    row["reason"] = printable(analysis.reason or "")
    row["confidence"] = "" if analysis.confidence is None else round(analysis.confidence, 6)
    for modality, use in analysis.modalities.items():
        row |= {
            f"{modality}_used": int(use.used),
            f"{modality}_observed": round(use.observed, 4),
            f"{modality}_reason": printable(use.reason or ""),
        }
    yield row | _rounded(analysis.emotions or {}) | {"warnings": printable("; ".join(analysis.warnings))}


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 6) for name, value in values.items()}
