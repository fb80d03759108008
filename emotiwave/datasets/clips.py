"""What corpora of media clips have in common: their folder, their files by clip, the two tasks, and folds."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import Field

from emotiwave.datasets.roots import files_below
from emotiwave.datasets.shares import cut_shares
from emotiwave.datasets.splits import check_leakage
from emotiwave.errors import DatasetError
from emotiwave.labels import SEVEN, to_seven
from emotiwave.recordings import Count, MediaRecordings, Sources
from emotiwave.sequences import first_duplicate
from emotiwave.settings import Settings
from emotiwave.types import LabelSet, Utterance

AUDIO_SUFFIXES = (".wav", ".flac", ".mp3", ".m4a", ".ogg")
VIDEO_SUFFIXES = (".mp4", ".flv", ".mkv", ".avi", ".mov", ".webm")
SUFFIXES = AUDIO_SUFFIXES + VIDEO_SUFFIXES
"""The first are preferred where a clip is there in several forms."""


@dataclass(frozen=True)
class ClipCorpus:
    """What tells one corpus of clips from another; ``layout`` shows a file or two of it, for messages."""

    name: str
    folders: tuple[str, ...]
    """What its folder is called below the one that EMOTIWAVE_DATA names."""
    licence: str
    classes: tuple[str, ...]
    layout: str


@dataclass(frozen=True)
class Clip:
    """One utterance, labelled by the corpus's own class, and where its signals lie."""

    utterance: Utterance
    sources: Sources


class FoldSettings(Settings):
    """Keys of ``[dataset]`` of a corpus that is known for its folds."""

    validation_share: float = Field(default=0.15, ge=0.0, lt=0.5)
    """Share of the speakers, held out as ``validation`` where ``fold`` is random."""
    test_share: float = Field(default=0.2, ge=0.0, lt=0.5)
    """Share of the speakers, held out as ``test`` where ``fold`` is random."""
    split_seed: int = Field(default=0, ge=0)
    """Which speakers are held out where ``fold`` is random."""


def find_clips(
    corpus: ClipCorpus, root: Path, clip_of: Callable[[str], str | None], counts: dict[str, Count]
) -> dict[str, Sources]:
    """Find the sound and the video of every clip, in whatever folders they lie; sorted by clip.

    Args:
        corpus: For messages.
        root: The folder of the corpus.
        clip_of: The clip that a file (its name without suffix) belongs to; None if it is of no clip.
        counts: Gets what was passed over.

    Raises:
        DatasetError: If there is no clip at all; the expected layout is shown.
    """
    files: dict[str, dict[str, Path]] = {}
    passed: Counter[str] = Counter()
    media = (path for path in map(Path, files_below(root)) if path.suffix.lower() in SUFFIXES)
    for path in sorted(media, key=_preference):
        clip = clip_of(path.stem)
        kind = "audio" if path.suffix.lower() in AUDIO_SUFFIXES else "video"
        if clip is None:
            passed["media files of other names, passed over"] += 1
        elif files.setdefault(clip, {}).setdefault(kind, root / path) != root / path:
            passed["further files of a clip, passed over"] += 1
    if not files:
        raise DatasetError(f"{corpus.name}: no clip in {root}; expected files such as {corpus.layout}")
    counts |= passed
    return {clip: Sources(video=kinds.get("video"), audio=kinds.get("audio")) for clip, kinds in sorted(files.items())}


def split_clips(
    clips: Sequence[Clip],
    fold_of: Callable[[Clip], int],
    fold: int | Literal["random"],
    settings: FoldSettings,
    *,
    folds: Sequence[int],
) -> tuple[list[Clip], str]:
    """Put one fold into ``test``, the one after it (the first after the last) into ``validation``, the rest in train.

    For a random one, shares of the speakers are held out instead.

    Returns:
        The clips, and how they were split, in words.
    """
    if fold == "random":
        utterances = cut_shares(
            [clip.utterance for clip in clips],
            validation_share=settings.validation_share,
            test_share=settings.test_share,
            seed=settings.split_seed,
        )
        split = [Clip(utterance, clip.sources) for utterance, clip in zip(utterances, clips, strict=True)]
        return split, f"by speaker at random, seed {settings.split_seed}"
    validation = folds[(folds.index(fold) + 1) % len(folds)]
    names = {fold: "test", validation: "validation"}
    split = [replace(c, utterance=replace(c.utterance, split=names.get(fold_of(c), "train"))) for c in clips]
    return split, f"fold {fold} of {len(folds)} is test, fold {validation} is validation"


def to_recordings(
    corpus: ClipCorpus,
    task: str,
    clips: Sequence[Clip],
    counts: Mapping[str, Count],
    *,
    label_set: LabelSet | None = None,
    tables: tuple[Path, ...] = (),
) -> MediaRecordings:
    """Make recordings of clips: task ``seven`` takes the classes that corpora share, every other task those it has.

    Raises:
        DatasetError: If no file is there, no clip is left, or splits share a speaker or dialogue.
    """
    counts = dict(counts)
    if task == "seven":
        label_set = LabelSet("categorical", SEVEN)
        clips = _to_seven(corpus, clips, counts)
    if not clips:
        said = "; ".join(f"{name}: {count}" for name, count in counts.items())
        raise DatasetError(f"{corpus.name}: no utterance is left ({said}); expected {corpus.layout}")
    twice = first_duplicate([clip.utterance.id for clip in clips])
    if twice is not None:
        raise DatasetError(f"{corpus.name}: duplicate utterance {twice!r}; expected each once")
    check_leakage([clip.utterance for clip in clips], corpus=corpus.name)
    _count_missing(corpus, clips, counts)
    return MediaRecordings(
        name=corpus.name,
        task=task,
        licence=corpus.licence,
        label_set=label_set or LabelSet("categorical", corpus.classes),
        utterances=tuple(clip.utterance for clip in clips),
        sources={clip.utterance.id: clip.sources for clip in clips},
        tables=tables,
        counts=counts,
    )


def _preference(path: Path) -> tuple[int, str, Path]:
    return SUFFIXES.index(path.suffix.lower()), path.name, path


def _to_seven(corpus: ClipCorpus, clips: Sequence[Clip], counts: dict[str, Count]) -> list[Clip]:
    kept = []
    for clip in clips:
        label = to_seven(corpus.name, str(clip.utterance.label))
        if label is not None:
            kept.append(replace(clip, utterance=replace(clip.utterance, label=label)))
    if len(kept) < len(clips):
        counts["utterances of classes outside the seven, left out"] = len(clips) - len(kept)
    return kept


def _count_missing(corpus: ClipCorpus, clips: Sequence[Clip], counts: dict[str, Count]) -> None:
    """Extraction gives a row of its report to each file that is not there; a corpus without any is a wrong folder."""
    files = {path for clip in clips for path in clip.sources.files}
    missing = [path for path in files if not path.is_file()]
    if files and len(missing) == len(files):
        raise DatasetError(
            f"{corpus.name}: none of the {len(files)} media files is there, {min(missing)} for one; expected "
            f"{corpus.layout}"
        )
    if missing:
        counts["files not there"] = len(missing)
