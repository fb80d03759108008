"""Which video is in which split: the official folds from a file, or a random split."""

import ast
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from emotiwave.errors import DatasetError

SPLITS = {
    "train": "train",
    "valid": "validation",
    "dev": "validation",
    "val": "validation",
    "validation": "validation",
    "test": "test",
}
MAX_BYTES = {".py": 2**18, ".json": 2**22}
"""The SDK's module has 60 KB; a syntax tree needs up to a thousand times the bytes of its text."""


def read_folds(path: Path) -> dict[str, tuple[str, ...]]:
    """Read the ids of each split from JSON, ``{"train": [ids], "valid": …, "test": …}``, or from the SDK's own module.

    The SDK keeps them in ``cmu_mosei_std_folds.py`` as ``standard_train_fold = […]``; it is parsed, never run.

    Raises:
        DatasetError: If the file cannot be read, a fold is missing, or an id stands in two.
    """
    try:
        text = _read_text(path)
        found = _from_module(text) if path.suffix == ".py" else json.loads(text)
    except FileNotFoundError:
        raise DatasetError(f"{path}: no such file; expected the ids of the official folds") from None
    except (OSError, ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        raise DatasetError(f"{path}: cannot be read as folds ({error})") from None
    folds = _by_split(found, path)
    _check_disjoint(folds, path)
    return folds


def _read_text(path: Path) -> str:
    most = MAX_BYTES.get(path.suffix, MAX_BYTES[".json"])
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise DatasetError(f"{path}: more than {most:,} bytes; expected lists of ids")
    return content.decode("utf-8")


def _from_module(text: str) -> dict[str, object]:
    assigned = {}
    for statement in ast.parse(text).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            name = statement.targets[0].id.removeprefix("standard_").removesuffix("_fold")
            if name in SPLITS:
                assigned[name] = ast.literal_eval(statement.value)
    return assigned


def _by_split(found: object, path: Path) -> dict[str, tuple[str, ...]]:
    if not isinstance(found, Mapping):
        raise DatasetError(f"{path}: expected lists of ids by fold; got {type(found).__name__}")
    folds: dict[str, tuple[str, ...]] = {}
    for name, ids in found.items():
        if name not in SPLITS:
            raise DatasetError(f"{path}: unknown fold {name!r}; expected train, valid and test")
        if not isinstance(ids, list | tuple) or not all(isinstance(item, str) for item in ids):
            raise DatasetError(f"{path}: fold {name!r} must be a list of ids")
        if SPLITS[name] in folds:
            raise DatasetError(f"{path}: two folds for {SPLITS[name]}, one of them {name!r}; expected one")
        folds[SPLITS[name]] = tuple(ids)
    missing = {"train", "validation", "test"} - folds.keys()
    if missing:
        raise DatasetError(f"{path}: no fold for {', '.join(sorted(missing))}; expected train, valid and test")
    return folds


def _check_disjoint(folds: Mapping[str, Iterable[str]], path: Path) -> None:
    seen: dict[str, str] = {}
    for split, ids in folds.items():
        for name in ids:
            if seen.setdefault(name, split) != split:
                raise DatasetError(f"{path}: {name!r} is in both {seen[name]} and {split}")


def split_at_random(ids: Iterable[str], *, seed: int) -> dict[str, tuple[str, ...]]:
    """Split ids 80/10/10 as notebooks do: sorted, then scikit-learn's ``train_test_split`` twice.

    >>> {name: len(ids) for name, ids in split_at_random(map(str, range(3292)), seed=42).items()}
    {'train': 2633, 'validation': 329, 'test': 330}

    Raises:
        DatasetError: If there are too few ids.
    """
    from sklearn.model_selection import train_test_split  # takes a second to import; few need it

    names = sorted(ids)
    if len(names) < 10:
        raise DatasetError(f"a random split 80/10/10 needs at least 10 videos; got {len(names)}")
    train, rest = train_test_split(names, test_size=0.2, random_state=seed)
    validation, test = train_test_split(rest, test_size=0.5, random_state=seed)
    return {"train": tuple(train), "validation": tuple(validation), "test": tuple(test)}
