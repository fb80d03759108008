"""What the page and the Markdown of a comparison say: order, sentences and formats; no arithmetic on scores."""

import math
from collections.abc import Sequence

from emotiwave.errors import printable
from emotiwave.evaluation.comparison import (
    MEAN,
    MEAN_INCOMPLETE,
    RETENTION,
    CorpusComparison,
    Difference,
    Method,
    MethodScore,
)
from emotiwave.metrics import LOWER_IS_BETTER, WITHOUT_RETENTION
from emotiwave.report.tables import BASELINE_NAMES, DASH, METRIC_NAMES, SPACE
from emotiwave.types import BAYES_OPTIMAL

SUMMARIES = (MEAN, MEAN_INCOMPLETE, RETENTION)
MARKS = {"higher": "▲", "lower": "▼", "tie": ""}
MINUS = "\N{MINUS SIGN}"
MOST_NAMES = 5
"""Methods that a sentence names before it counts the others."""
FEW_GROUPS = 20
"""Below so many a bootstrap over groups is too sure (Cameron, Gelbach & Miller, Rev. Econ. Stat. 2008)."""
SHOWN_OF_HASH = 16
COST = (
    "the training of one seed or fold, with the scoring of validation in it, without candidates that were only tried; "
    "a step is the median epoch over its steps; memory is the most that the process of a run held, libraries included"
)


def ranked(comparison: CorpusComparison) -> list[Method]:
    """List the methods that did not fail, the best mean first; those without one come last."""
    sign = 1 if comparison.metric in LOWER_IS_BETTER else -1

    def rank(method: Method) -> tuple[bool, float]:
        score = find_score(comparison, method.name, MEAN)
        known = score is not None and math.isfinite(score.value)
        return not known, sign * score.value if score and known else 0.0

    return sorted((m for m in comparison.methods if m.failure is None and m.name != BAYES_OPTIMAL), key=rank)


def ceilings(comparison: CorpusComparison) -> list[Method]:
    """Find the Bayes-optimal answer among the methods: it is a bound, and wins over nobody."""
    return [method for method in comparison.methods if method.failure is None and method.name == BAYES_OPTIMAL]


def failed(comparison: CorpusComparison) -> list[Method]:
    """List the methods that failed, in the order of the recipe."""
    return [method for method in comparison.methods if method.failure is not None]


def find_score(comparison: CorpusComparison, method: str, place: str) -> MethodScore | None:
    """Find what a method reaches in a place of the table."""
    return next((score for score in comparison.scores if (score.method, score.place) == (method, place)), None)


def find_difference(comparison: CorpusComparison, method: str, place: str) -> Difference | None:
    """Find how a method differs from the anchor in a place of the table."""
    return next((found for found in comparison.differences if (found.method, found.place) == (method, place)), None)


def was_tested(comparison: CorpusComparison) -> bool:
    """Whether any difference has a p-value; without resamples, or of one group, none has."""
    return any(difference.p_adjusted is not None for difference in comparison.differences)


def title(comparisons: Sequence[CorpusComparison]) -> str:
    """Write the title of a page of comparisons."""
    return f"Methods compared on {printable(', '.join(dict.fromkeys(one.name for one in comparisons)))}"


def metric_name(comparison: CorpusComparison) -> str:
    """Write the name of the metric."""
    return METRIC_NAMES.get(comparison.metric, printable(comparison.metric))


def method_name(name: str) -> str:
    """Write the name of a method; what a recipe calls it may hold anything."""
    return BASELINE_NAMES.get(name, printable(name)) if name == BAYES_OPTIMAL else printable(name)


def place_title(comparison: CorpusComparison, place: str) -> str:
    """Write a place of the table: ``text + audio``, or what a summary is over."""
    n = len([place for place in comparison.places if place not in SUMMARIES])
    if place == MEAN:
        return "mean" if n == 1 else f"mean of all {n}"
    if place == MEAN_INCOMPLETE:
        return f"mean of the {n - 1} incomplete"
    return printable(place.replace("+", " + "))


def in_percent(comparison: CorpusComparison) -> bool:
    """Whether scores are shares, which are written in per cent; errors and correlations are not."""
    return comparison.metric not in WITHOUT_RETENTION


def say_value(comparison: CorpusComparison, value: float | None) -> str:
    """Write a score: shares in per cent with one decimal, errors and correlations as they are with three."""
    if value is None or not math.isfinite(value):
        return DASH
    text = f"{100 * value:.1f}" if in_percent(comparison) else f"{value:.3f}"
    return (text if text.strip("-0.") else text.removeprefix("-")).replace("-", MINUS)


def say_change(comparison: CorpusComparison, value: float | None) -> str:
    """Write a difference of scores with its sign; nothing but zeros has none."""
    text = say_value(comparison, value)
    return f"+{text}" if text[0].isdigit() and text.strip("0.") else text


def say_interval(comparison: CorpusComparison, found: MethodScore | Difference) -> str | None:
    """Write the ends of an interval, if there is one."""
    if found.ci_low is None or found.ci_high is None:
        return None
    say = say_change if isinstance(found, Difference) else say_value
    return f"{say(comparison, found.ci_low)} to {say(comparison, found.ci_high)}"


def say_p(p: float | None) -> str:
    """Write a p-value.

    >>> [say_p(p) for p in (0.0123, 1.0, None)]
    ['0.012', '1.000', '–']
    """
    if p is None or not math.isfinite(p):
        return DASH
    return f"<{SPACE}0.001" if p < 0.001 else f"{p:.3f}"


def say_confidence(comparison: CorpusComparison) -> str:
    """Write how sure the intervals are, as ``95 %``."""
    return f"{100 * comparison.confidence:g}{SPACE}%"


def summary(comparison: CorpusComparison) -> str:
    """Say who is ahead in the mean over configurations, by how much, and over whom that is not a tie."""
    contenders = [method for method in ranked(comparison) if find_score(comparison, method.name, MEAN)]
    n_failed = len(failed(comparison))
    lost = f" {n_failed} of {len(comparison.methods)} failed." if n_failed else ""
    where = f"{printable(comparison.name)}, {metric_name(comparison)}, {place_title(comparison, MEAN)}"
    if not contenders:
        return f"{where}: no method has scores.{lost}"
    best = contenders[0].name
    if len(contenders) == 1:
        return f"{where}: {_reached(comparison, best)}; there is no other method to compare it with.{lost}"
    if not was_tested(comparison):
        words = f"{_reached(comparison, best)} is the best of {len(contenders)}"
        return f"{where}: {words}; whether that is more than chance was not tested.{lost}"
    if best == comparison.anchor:
        return f"{where}: {_reached(comparison, best)} {_say_verdicts(comparison, contenders, leads=True)}{lost}"
    words = f"{_reached(comparison, best)} is the best{_say_against_anchor(comparison, best)}. "
    anchor = f"{method_name(comparison.anchor)}, the anchor, "
    return f"{where}: {words}{anchor}{_say_verdicts(comparison, contenders, leads=False)}{lost}"


def key(comparison: CorpusComparison) -> str:
    """Say how to read the cells of the table of scores."""
    anchor = method_name(comparison.anchor)
    spread = "" if _repeats(comparison) is None else f" ± is the standard deviation over {_repeats(comparison)}."
    if not was_tested(comparison):
        return f"No difference from {anchor} was tested, so nothing is marked.{spread}"
    return f"▲ higher and ▼ lower than {anchor} after Holm's correction; what is not marked is a tie with it.{spread}"


def facts(comparison: CorpusComparison) -> dict[str, str]:
    """Say what was compared on what, and how."""
    constant = say_value(comparison, comparison.constant)
    told = {
        "Corpus": f"{comparison.corpus}, task {comparison.task}, modalities {', '.join(comparison.modalities)}",
        "Scored": f"{comparison.n:,} utterances of the split {comparison.split!r} in {comparison.n_groups:,} groups "
        "(videos, dialogues, speakers), which are drawn whole",
        "Folds": _listed(comparison.folds),
        "Seeds": _listed(comparison.seeds),
        "Content hash of the data": ", ".join(digest[:SHOWN_OF_HASH] for digest in dict.fromkeys(comparison.digests)),
        "How settings were fixed": comparison.procedure,
        "Intervals and p-values": _say_test(comparison),
        "Cost": COST,
        "Best constant answer": f"{constant}, the same in every configuration; chosen on the scored data, so it is a "
        "bar and not a method",
    }
    known = {"Folds": bool(comparison.folds), "Best constant answer": comparison.constant is not None}
    return {name: printable(fact) or DASH for name, fact in told.items() if known.get(name, True)}


def limits(comparison: CorpusComparison) -> list[str]:
    """Say what a reader must not conclude."""
    anchor, repeats = method_name(comparison.anchor), _repeats(comparison)
    score = find_score(comparison, comparison.anchor, MEAN)
    interval = say_interval(comparison, score) if score else None
    uncertain = f"{comparison.n_groups:,} groups were scored; with others like them, {anchor} may read {interval}."
    spread = f"; ± shows how far {repeats} differ" if repeats else ""
    said = {
        uncertain: interval is not None,
        f"{comparison.n_groups} groups are few: resampling them gives intervals that are too narrow and p-values too "
        "small.": interval is not None and comparison.n_groups < FEW_GROUPS,
        "A tie is not equality: these utterances do not tell the two apart, and the interval of the difference says "
        "how large it may still be.": was_tested(comparison),
        f"Only {anchor} was compared with the others. Two of the others are not compared with each other, whatever "
        "their marks.": bool(comparison.differences),
        f"Intervals cover which groups were scored, not the luck of training{spread}.": interval is not None,
        f"The order holds for this corpus, this split and {metric_name(comparison)}: other people, languages, rooms or "
        "features may turn it round.": len(comparison.methods) > 1,
        "Costs are those of one machine, perhaps with other work beside: compare them within this table only. One "
        "model for all configurations is not the same product as a model for each.": True,
        "Retention is the incomplete mean over the complete score, so a weak complete score flatters it.": (
            RETENTION in comparison.places
        ),
        "Effective robustness, what a method keeps beyond the others, is beyond these others: it moves with which "
        "methods are compared.": bool(comparison.curves),
        "The Bayes-optimal answer knows how the data was made: it is a bound, and in no ranking.": (
            bool(ceilings(comparison))
        ),
    }
    return [words for words, applies in said.items() if applies]


def _repeats(comparison: CorpusComparison) -> str | None:
    """What standard deviations are over; None where there are none."""
    if all(score.sd is None for score in comparison.scores):
        return None
    return "seeds" if len(comparison.seeds) > 1 else "folds"


def _reached(comparison: CorpusComparison, name: str) -> str:
    score = find_score(comparison, name, MEAN)
    return f"{method_name(name)} {say_value(comparison, score.value if score else None)}"


def _say_against_anchor(comparison: CorpusComparison, name: str) -> str:
    found = find_difference(comparison, name, MEAN)
    if found is None:
        return ""
    verdict = "a tie with" if found.verdict == "tie" else "ahead of"
    unit = " points" if in_percent(comparison) else ""
    return f", {verdict} {_reached(comparison, comparison.anchor)} ({say_change(comparison, found.value)}{unit})"


def _say_verdicts(comparison: CorpusComparison, contenders: Sequence[Method], *, leads: bool) -> str:
    """Say over whom the anchor is ahead, whom it is behind, and with how many it is a tie."""
    found = [found for m in contenders if (found := find_difference(comparison, m.name, MEAN))]
    worse = "higher" if comparison.metric in LOWER_IS_BETTER else "lower"
    behind = [difference for difference in found if difference.verdict == worse]
    ahead = [difference for difference in found if difference.verdict not in (worse, "tie")]
    ties = [difference for difference in found if difference.verdict == "tie"]
    names = method_name(ties[0].method) if len(ties) == 1 else f"the other {len(ties)}"
    if len(ties) == len(found):
        whom = names if len(ties) == 1 else f"all {len(ties)} others"
        return f"is the best, and it is a tie with {whom}." if leads else f"is in a tie with {whom}."
    parts = [f"is behind {len(ahead)} of {len(found)} ({_say_who(comparison, ahead)})"] if ahead else []
    parts += [f"is ahead of {len(behind)} of {len(found)} ({_say_who(comparison, behind)})"] if behind else []
    return f"{' and '.join(parts)}{f'; with {names} it is a tie' if ties else ''}."


def _say_who(comparison: CorpusComparison, differences: Sequence[Difference]) -> str:
    """Name methods, and the smallest and the largest of their differences."""
    ordered = sorted(differences, key=lambda difference: abs(difference.value))
    ends = [say_value(comparison, abs(difference.value)) for difference in (ordered[0], ordered[-1])]
    by = f"by {' to '.join(dict.fromkeys(ends))}{' points' if in_percent(comparison) else ''}"
    names = [method_name(difference.method) for difference in ordered]
    more = len(names) - MOST_NAMES
    return f"{by}: {', '.join(names[:MOST_NAMES])}{f' and {more} more' if more > 0 else ''}"


def _say_test(comparison: CorpusComparison) -> str:
    if not comparison.resamples:
        return "none: nothing was resampled"
    families = "the mean; the single configurations"
    families += "; the other summaries" if any(place in SUMMARIES[1:] for place in comparison.places) else ""
    families += "; the points of a curve; what a curve comes to" if comparison.curves else ""
    return (
        f"{say_confidence(comparison)} percentile intervals and two-sided p-values from {comparison.resamples:,} "
        "resamples of groups, the same ones for all methods; p is corrected by Holm (1979) over all methods within "
        f"each of these families: {families}. Where the corrected p is not below {1 - comparison.confidence:.3g}, it "
        "is a tie."
    )


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
