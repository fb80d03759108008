"""SubRip (``.srt``) and WebVTT (``.vtt``): phrases with their times, without tags, settings and notes.

After the W3C's WebVTT recommendation; SubRip has no standard, and is read as players read it.
"""

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

from emotiwave.errors import MediaError

ARROW = "-->"
_STAMP = re.compile(r"(?:(\d{1,5}):)?(\d{1,2}):(\d{1,2}(?:[.,]\d{1,9})?)", re.ASCII)
_INLINE_STAMP = re.compile(r"<((?:\d+:)?\d{1,2}:\d{1,2}[.,]\d+)>", re.ASCII)
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_TAG = re.compile(r"</?[A-Za-z][^<>]*>|<\d[\d:.,]*>|\{\\[^{}]*\}")
"""Tags, inline times, and the overrides of SubStation Alpha that many SubRip files hold (``{\\an8}``)."""
_NOTES = ("NOTE", "STYLE", "REGION")


@dataclass(frozen=True)
class Phrase:
    """Words that share an interval, in seconds from the start of the file; NaN if it is unknown."""

    text: str
    start: float
    end: float


@dataclass(frozen=True)
class _Cue:
    line: int
    """Of its times; the first line of a file is 1."""
    start: float
    end: float
    lines: Sequence[str]


def parse_cues(text: str, *, is_vtt: bool) -> list[Phrase]:
    """Read what is shown when; a cue with times inside it gives a phrase for each.

    Raises:
        MediaError: If there is text but no cue, or times are broken; the line is named.
    """
    lines = text.splitlines()
    cues = list(_cues(lines, is_vtt=is_vtt))
    if not cues:
        _check_nothing_there(lines, is_vtt=is_vtt)
    if any(_INLINE_STAMP.search(line) for cue in cues for line in cue.lines):
        cues = _without_rolling_lines(cues)
    return [phrase for cue in cues for phrase in _phrases(cue)]


def plain_text(marked: str) -> str:
    """Take tags out of the text of a cue, and put characters in the place of entities.

    >>> plain_text("<v Ann><i>Tom &amp; I</i>")
    'Tom & I'
    """
    return html.unescape(_TAG.sub("", _BREAK.sub("\n", marked)))


def _cues(lines: Sequence[str], *, is_vtt: bool) -> Iterator[_Cue]:
    """Split lines into cues: from one line of times to the next, less the number or name of that one."""
    at = [index for index, line in enumerate(lines) if ARROW in line and any(char.isdigit() for char in line)]
    if at and not is_vtt:
        _check_start(lines[: at[0]])
    for index, following in zip(at, [*at[1:], len(lines)], strict=False):  # no cue at all: nothing
        shown = lines[index + 1 : following]
        if following < len(lines) and _is_name(shown):
            shown = shown[:-1]
        if is_vtt:
            shown = _until_blank(shown)
        start, end = _times(lines[index], index + 1)
        yield _Cue(index + 1, start, end, shown)


def _is_name(lines: Sequence[str]) -> bool:
    """Whether the last line before the times of a cue is its number or, below a blank line, its name."""
    return bool(lines) and (lines[-1].strip().isdigit() or (len(lines) > 1 and not lines[-2].strip()))


def _until_blank(lines: Sequence[str]) -> Sequence[str]:
    """Cut what follows a cue of WebVTT: notes, styles and stray text."""
    blank = next((index for index, line in enumerate(lines) if not line.strip()), len(lines))
    return lines[:blank]


def _check_start(lines: Sequence[str]) -> None:
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.strip().isdigit():
            _refuse(number, f"got {_short(line)}; expected the number or the times of a cue")


def _check_nothing_there(lines: Sequence[str], *, is_vtt: bool) -> None:
    if is_vtt and lines and lines[0].startswith("WEBVTT"):
        return
    for number, line in enumerate(lines, 1):
        if line.strip() and not (is_vtt and line.startswith(_NOTES)):
            _refuse(
                number, f"got {_short(line)}, and no cue in the whole file; expected 00:00:01.000 {ARROW} 00:00:02.000"
            )


def _times(line: str, number: int) -> tuple[float, float]:
    left, _, right = line.partition(ARROW)
    start, end = (_seconds(stamp, number) for stamp in (left.strip(), (right.split() or [""])[0]))
    if end < start:
        _refuse(number, f"the cue ends at {end:g} s, before it starts at {start:g} s")
    return start, end


def _seconds(stamp: str, number: int) -> float:
    found = _STAMP.fullmatch(stamp)
    if found is None:
        _refuse(number, f"time {_short(stamp)}; expected hours:minutes:seconds, as in 00:01:02.345")
    hours, minutes, seconds = int(found[1] or 0), int(found[2]), float(found[3].replace(",", "."))
    if minutes >= 60 or seconds >= 60:
        _refuse(number, f"time {_short(stamp)}; minutes and seconds go up to 59")
    return 3600 * hours + 60 * minutes + seconds


def _without_rolling_lines(cues: Sequence[_Cue]) -> list[_Cue]:
    """Drop the lines that rolling captions show a second time, above or after the new ones.

    Speech recognisers write such files, with times inside the cues; in other files the same line twice was said twice.
    """
    last, kept = "", []
    for cue in cues:
        shown = [line for line in cue.lines if line.strip()]
        while shown and last and plain_text(shown[0]).strip() == last:
            shown = shown[1:]
        last = plain_text(shown[-1]).strip() if shown else last
        kept.append(replace(cue, lines=shown))
    return kept


def _phrases(cue: _Cue) -> Iterator[Phrase]:
    """Cut a cue at the times inside it; times out of order or outside of the cue are moved into it."""
    pieces = _INLINE_STAMP.split("\n".join(cue.lines))
    start = cue.start
    for index in range(0, len(pieces), 2):
        end = _seconds(pieces[index + 1], cue.line) if index + 1 < len(pieces) else cue.end
        end = min(max(end, start), cue.end)
        if text := plain_text(pieces[index]).strip():
            yield Phrase(text, start, end)
        start = end


def _refuse(number: int, why: str) -> NoReturn:
    raise MediaError(f"line {number}: {why}")


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "…")
