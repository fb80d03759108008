"""What can be found in data, how much it matters, and what is done about it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["decision", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("decision", "warning", "info")
"""A person must decide; dealt with, but it changes what a model sees; dealt with, nothing to decide."""
N_EXAMPLES = 3
LONGEST_ID = 60


@dataclass(frozen=True)
class Kind:
    """One kind of finding: ``counted`` names what ``count`` is the number of, ``action`` what `prepare` does then."""

    severity: Severity
    counted: str
    action: str


UNOBSERVED = "These frames become unobserved (masked), and statistics come from observed training frames alone."
CLAMPED = "They are clamped to the range of the scale, and the number of clamped rows is printed and stored."
KINDS: dict[str, Kind] = {
    # the folder of a known corpus
    "missing_file": Kind(
        "decision",
        "modalities of the corpus whose file is not in the folder",
        "It stops: put the file there, or name the files that you have with dataset.modalities.",
    ),
    "no_folds": Kind(
        "decision",
        "corpora without their folds in the folder",
        'It stops: put the folds beside the files, name them with dataset.folds, or set dataset.split = "random".',
    ),
    "missing_words": Kind(
        "warning",
        "corpora whose timed words are not in the folder",
        "Utterances get no transcript, and nothing can be aligned to words.",
    ),
    # the label file
    "label_order": Kind(
        "decision",
        "columns named in another place than documented",
        "The names in the file are followed; if they are wrong, set dataset.columns to the right ones.",
    ),
    "label_width": Kind(
        "decision",
        "videos without the documented label columns",
        "Nothing is prepared until dataset.columns names the columns of this release.",
    ),
    "label_columns": Kind(
        "warning",
        "columns without a usable name in the metadata",
        "The documented order is taken, and the counts of the run say so.",
    ),
    "labels_out_of_range": Kind("warning", "segments with a value outside its scale", CLAMPED),
    "labels_non_finite": Kind(
        "warning",
        "segments with NaN or infinite labels",
        "They are left out, and counted, where the task needs the missing number; else that rating alone is missing.",
    ),
    "damaged_labels": Kind("warning", "videos whose labels cannot be read", "These videos are left out and counted."),
    "empty_segments": Kind("warning", "segments that end before they begin", "They are left out and counted."),
    "not_in_fold": Kind("warning", "segments of videos in no fold", "They are left out and counted."),
    "fold_without_labels": Kind("warning", "ids in a fold without labels", "They are left out of the fold."),
    "several_segments": Kind(
        "info",
        "videos with several labelled segments",
        'Each segment is an utterance with its own labels; dataset.level = "video" would average them away.',
    ),
    "labels_all_zero": Kind(
        "info",
        "segments without any emotion",
        "They have no emotion: six binary tasks, or the class `no emotion`; an arg-max would call them happy.",
    ),
    "labels_tied": Kind(
        "info",
        "segments in which several emotions share the largest value",
        "All of them are present; where one class is asked for, dataset.ties says what becomes of them.",
    ),
    "class_imbalance": Kind(
        "info",
        "classes that hold for less than a tenth",
        "Nothing is removed or repeated; scores are macro-averaged, so that rare classes count as much.",
    ),
    "negative_start": Kind("info", "segments that begin below 0 s", "They begin at 0 s."),
    "overlapping_segments": Kind(
        "info",
        "segments that overlap another of their video",
        "Each keeps all of its frames; splits go by video, so what they share stays in one split.",
    ),
    "unsorted_rows": Kind(
        "info", "videos whose rows are not in order of time", "A row keeps its number as its id; times come from it."
    ),
    "leading_dash": Kind("info", "ids that begin with a dash", "They are ids like any other."),
    "digit_suffix": Kind(
        "info", "ids that end in an underscore and a digit", "Ids are matched whole, never by prefix."
    ),
    # feature files
    "damaged_entries": Kind("warning", "videos whose entry cannot be read", "These videos lack the modality (masked)."),
    "missing_modality": Kind(
        "warning", "labelled videos or utterances without the modality", "They are kept, and the modality is masked."
    ),
    "non_finite": Kind("warning", "frames with NaN or infinity", UNOBSERVED),
    "inverted_intervals": Kind(
        "warning",
        "frames that end before they begin, or have no time",
        "A frame belongs to the segment that holds its midpoint; without a midpoint it belongs to none.",
    ),
    "unsorted_intervals": Kind(
        "warning", "videos whose frames are not in order of time", "Frames are read in order of time."
    ),
    "failed_frames": Kind("info", "frames in which the face tracker failed", UNOBSERVED),
    "all_zero_frames": Kind("info", "frames of exact zeros, which are no measurement", UNOBSERVED),
    "constant_columns": Kind("info", "columns with one value only", "They are kept, and standardisation makes them 0."),
    "negative_intervals": Kind(
        "info", "frames that begin below 0 s", "They count where their midpoint lies in a segment."
    ),
    "overlapping_intervals": Kind(
        "info", "frames that overlap the one before by over 1 % of their length", "All are kept, in order of time."
    ),
    "pause_tokens": Kind("info", "`sp` tokens, which are pauses and no words", "They are left out of transcripts."),
    "fewer_vectors_than_words": Kind(
        "info",
        "videos with fewer word vectors than timed words",
        "Vectors and words are joined by interval, never by index.",
    ),
    "long_segments": Kind(
        "info",
        "segments with more than 300 frames",
        "They are pooled to the frame budget of the recipe, so that nothing is cut off.",
    ),
    "segments_without_frames": Kind(
        "info", "segments without a frame in a video that has some", "They lack the modality (masked)."
    ),
    # corpora and files as a whole
    "split_leakage": Kind(
        "decision",
        "videos or speakers that stand in two splits",
        "Nothing is moved: split by video and speaker, then prepare again; scores on such a split flatter.",
    ),
    "reader_notes": Kind("warning", "warnings of the reader of the file", "They are dealt with as it says."),
    "root_name": Kind("info", "roots named otherwise than the file", "The single root is taken, whatever its name."),
    "unreadable": Kind(
        "decision",
        "files that cannot be read",
        "It cannot be prepared: repair it, download it again or take it away.",
    ),
}


@dataclass(frozen=True)
class Finding:
    """One kind of thing found in one file.

    ``count`` is the number of what ``detail`` names, ``share`` (0-1) the part of all such things that are touched.
    """

    file: str
    kind: str
    count: int
    severity: Severity
    detail: str
    action: str
    share: float


@dataclass
class Tally:
    """A running count with the first few examples of what is counted, or of the videos that it lies ``inside``."""

    count: int = 0
    examples: list[str] = field(default_factory=list)
    inside: bool = False

    def add(self, count: int, example: str) -> None:
        """Count some more, found in ``example``."""
        if count:
            self.count += count
            if len(self.examples) < N_EXAMPLES:
                self.examples.append(example)

    @classmethod
    def of(cls, examples: Sequence[str]) -> "Tally":
        """Count the examples themselves."""
        return cls(len(examples), list(examples[:N_EXAMPLES]))


def finding(kind: str, file: str, tally: Tally, *, total: int, more: str = "") -> Finding | None:
    """Word what was found; None where nothing was.

    Args:
        kind: A key of `KINDS`.
        file: Where.
        tally: How many, with examples.
        total: Of how many.
        more: What else there is to say: whole sentences.
    """
    if not tally.count:
        return None
    known, share = KINDS[kind], tally.count / max(total, tally.count)
    detail = f"{known.counted[0].upper()}{known.counted[1:]}: {tally.count:,} of {total:,} ({percent(share)})"
    if tally.examples:
        named = ", ".join(shown(example) for example in tally.examples)
        detail += f", {'in' if tally.inside else 'such as'} {named}"
    return Finding(file, kind, tally.count, known.severity, f"{detail}. {more}".rstrip(), known.action, share)


def unreadable(file: str, reason: str) -> Finding:
    """Word that a file cannot be read, and why."""
    known = KINDS["unreadable"]
    return Finding(file, "unreadable", 1, known.severity, reason, known.action, 1.0)


def noted(file: str, note: str) -> Finding:
    """Pass on a warning of the reader of a file."""
    known = KINDS["reader_notes"]
    return Finding(file, "reader_notes", 1, known.severity, note, known.action, 0.0)


def ranked(findings: Iterable[Finding | None]) -> tuple[Finding, ...]:
    """Order findings by severity, then by the share that they touch, then by file and kind."""
    found = dict.fromkeys(one for one in findings if one is not None)
    return tuple(sorted(found, key=lambda one: (SEVERITIES.index(one.severity), -one.share, one.file, one.kind)))


def percent(share: float) -> str:
    """Write a share so that little is not nothing and much is not all.

    >>> percent(0.5), percent(0.00001), percent(0.99999), percent(1.0)
    ('50.0 %', 'under 0.1 %', 'over 99.9 %', '100.0 %')
    """
    if 0 < share < 0.001:
        return "under 0.1 %"
    if 0.999 < share < 1:
        return "over 99.9 %"
    return f"{100 * share:.1f} %"


def shown(name: str) -> str:
    """Write an id as a file has it: quoted, what cannot be printed escaped, not endless.

    >>> shown("-iRBcNs9oI8")
    "'-iRBcNs9oI8'"
    """
    return repr(name if len(name) <= LONGEST_ID else name[:LONGEST_ID] + "…")
