"""Transcripts in JSON, as speech recognisers write them: Whisper and its kin, aligners, and plain lists of words."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

from emotiwave.errors import MediaError
from emotiwave.media.cues import Phrase

_WORDS = ("words", "result")
"""Keys of an object that hold its words; ``result`` is that of Vosk."""
_LISTS = (*_WORDS, "segments", "chunks")
"""Keys of an object that hold entries, the most exact first; ``chunks`` and ``timestamp`` are those of transformers."""
_EXPECTED = f"expected text, a list of words, or an object with one of text, {', '.join(_LISTS)}"
_DAY = 86_400
"""Seconds."""


def parse_json(content: str) -> list[Phrase]:
    """Read phrases from JSON.

    Known are a text; a list of texts or of objects with ``word`` or ``text`` and perhaps ``start`` and ``end`` in
    seconds; and an object with such a list as ``words``, ``result``, ``segments`` (which may hold ``words`` in turn) or
    ``chunks``, or with a ``text``.

    Raises:
        MediaError: If it is no JSON, or of another shape (the key is named), or times look like milliseconds.
    """
    try:
        tree = json.loads(content)
    except json.JSONDecodeError as error:
        raise MediaError(f"line {error.lineno}: is no JSON ({error.msg})") from None
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, lists in lists in lists
        raise MediaError(f"is no JSON that can be read ({error})") from None
    phrases = list(_transcript(tree))
    _check_unit(phrases)
    return phrases


def _check_unit(phrases: Sequence[Phrase]) -> None:
    """Refuse whole numbers that go beyond a day: they are milliseconds, as some services write them."""
    times = [time for phrase in phrases for time in (phrase.start, phrase.end) if not math.isnan(time)]
    if times and max(times) > _DAY and all(time.is_integer() for time in times):
        raise MediaError(
            f"times are whole numbers up to {max(times):,.0f}, which are more likely milliseconds; expected times in "
            "seconds: divide them by 1,000"
        )


def _transcript(tree: Any) -> Iterator[Phrase]:
    if isinstance(tree, str):
        yield Phrase(_clean(tree), math.nan, math.nan)
    elif isinstance(tree, list):
        yield from _entries(tree, "", Phrase("", math.nan, math.nan))
    elif isinstance(tree, dict) and any(key in tree for key in (*_LISTS, "text")):
        key = next((key for key in _LISTS if tree.get(key)), None)
        if key is None:
            text = tree.get("text")
            yield Phrase("" if text is None else _text(text, "text"), math.nan, math.nan)
        else:
            yield from _entries(tree[key], key, Phrase("", math.nan, math.nan))
    else:
        keys = f" with the keys {', '.join(map(_short, list(tree)[:5]))}" if isinstance(tree, dict) else ""
        raise MediaError(f"holds {_kind(tree)}{keys}; {_EXPECTED}")


def _entries(entries: Any, at: str, around: Phrase) -> Iterator[Phrase]:
    """Read a list; entries without times share the time between their neighbours, within the one that holds them."""
    if not isinstance(entries, list):
        _refuse(at, entries, "a list")
    groups = [_entry(entry, f"{at}[{index}]") for index, entry in enumerate(entries)]
    untimed: list[str] = []
    last = around.start
    for phrase in (phrase for group in groups for phrase in group):
        if math.isnan(phrase.start):
            untimed.append(phrase.text)
            continue
        if untimed:
            yield _between(untimed, last, phrase.start)
            untimed = []
        yield phrase
        last = phrase.end
    if untimed:
        yield _between(untimed, last, around.end)


def _between(texts: Sequence[str], start: float, end: float) -> Phrase:
    """Join what lies between two moments, if both are known; neighbours that overlap leave it a moment."""
    if math.isnan(start) or math.isnan(end):
        start = end = math.nan
    return Phrase(" ".join(texts), start, max(start, end))


def _entry(entry: Any, at: str) -> list[Phrase]:
    if isinstance(entry, str):
        return [Phrase(_clean(entry), math.nan, math.nan)]
    if not isinstance(entry, dict):
        _refuse(at, entry, "a text or an object with word or text")
    start, end = _interval(entry, at)
    inner = next((key for key in _WORDS if entry.get(key)), None)
    if inner is not None:
        return list(_entries(entry[inner], f"{at}.{inner}", Phrase("", start, end)))
    key = next((key for key in ("word", "text") if key in entry), None)
    if key is None:
        raise MediaError(f"{at}: has the keys {', '.join(map(_short, list(entry)[:5]))}; expected word or text")
    return [Phrase(_text(entry[key], f"{at}.{key}"), start, end)]


def _interval(entry: Mapping[str, Any], at: str) -> tuple[float, float]:
    """Start and end in seconds, NaN if not given; an end alone that is open, as of a last chunk, is the start."""
    pair = entry.get("timestamp")
    if pair is None:
        start, end = (_seconds(entry.get(key), f"{at}.{key}") for key in ("start", "end"))
    elif isinstance(pair, list) and len(pair) == 2:
        start, end = (_seconds(value, f"{at}.timestamp[{index}]") for index, value in enumerate(pair))
    else:
        _refuse(f"{at}.timestamp", pair, "[start, end]")
    if math.isnan(start):
        return math.nan, math.nan
    if end < start:
        raise MediaError(f"{at}: ends at {end:g} s, before it starts at {start:g} s")
    return start, start if math.isnan(end) else end


def _seconds(value: Any, at: str) -> float:
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        _refuse(at, value, "seconds, a number from 0")
    return float(value)


def _text(value: Any, at: str) -> str:
    if not isinstance(value, str):
        _refuse(at, value, "a text")
    return _clean(value)


def _clean(text: str) -> str:
    """Put U+FFFD for halves of characters, which JSON can hold and nothing can write."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _refuse(at: str, value: Any, expected: str) -> NoReturn:
    got = _short(value) if isinstance(value, str | int | float) or value is None else _kind(value)
    raise MediaError(f"{at or 'top level'}: got {got}; expected {expected}")


def _kind(value: Any) -> str:
    return {dict: "an object", list: "a list", str: "a text", type(None): "null"}.get(type(value), "a number")


def _short(value: Any) -> str:
    said = repr(value)
    return said if len(said) <= 40 else said[:40] + "…"
