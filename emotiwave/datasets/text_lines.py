"""Corpora that keep a text per line: reading lines of files that may be anything, and counting texts that recur."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from emotiwave.errors import DatasetError
from emotiwave.recordings import Count, MediaRecordings, Sources
from emotiwave.types import LabelSet, Utterance

MAX_LINE_BYTES = 2**20
MAX_LINES = 5_000_000


def read_lines(path: Path, *, corpus: str) -> Iterator[tuple[int, str]]:
    """Number the lines of a UTF-8 file from 1 and give them without their end; only LF and CRLF end a line.

    Raises:
        DatasetError: If the file cannot be read, is not UTF-8, or a line is longer than `MAX_LINE_BYTES`.
    """
    if not path.is_file():  # a pipe would block for ever
        raise DatasetError(f"{corpus}: {path} is no file; expected lines of text")
    try:
        with path.open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(MAX_LINE_BYTES + 1), b""), start=1):
                if len(line) > MAX_LINE_BYTES or number > MAX_LINES:
                    raise DatasetError(
                        f"{corpus}: {path}: line {number}: expected at most {MAX_LINES:,} lines of at most "
                        f"{MAX_LINE_BYTES:,} bytes"
                    )
                try:
                    text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    raise DatasetError(f"{corpus}: {path}: line {number}: not UTF-8 ({error.reason})") from None
                yield number, text.removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise DatasetError(f"{corpus}: {path} cannot be read ({error.strerror})") from None


def count_shared_texts(utterances: Iterable[Utterance]) -> dict[str, Count]:
    """Count the validation and test texts that also are, character by character, in train."""
    texts: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    for utterance in utterances:
        texts[utterance.split].append(utterance.transcript or "")
    train = set(texts["train"])
    return {
        f"{split} texts that are also in train": sum(text in train for text in texts[split])
        for split in ("validation", "test")
    }


def text_recordings(
    utterances: Iterable[Utterance],
    *,
    name: str,
    task: str,
    licence: str,
    label_set: LabelSet,
    counts: dict[str, Count],
    tables: tuple[Path, ...],
) -> MediaRecordings:
    """Make a corpus whose utterances are their transcripts.

    Raises:
        DatasetError: If there is no utterance.
    """
    found = tuple(utterances)
    if not found:
        raise DatasetError(f"{name}: no text is left ({'; '.join(f'{what}: {n}' for what, n in counts.items())})")
    return MediaRecordings(
        name=name,
        task=task,
        licence=licence,
        label_set=label_set,
        utterances=found,
        sources={utterance.id: Sources(text=utterance.transcript) for utterance in found},
        tables=tables,
        counts=counts | count_shared_texts(found),
    )
