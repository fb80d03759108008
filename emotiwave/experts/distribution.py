"""The installed weights: found, their terms told once, every file checked against its hash before it is used."""

import hashlib
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import platformdirs
from pydantic import Field, StringConstraints, ValidationError

from emotiwave.errors import CheckpointError, MissingExtraError, printable
from emotiwave.files import replace_file
from emotiwave.settings import Settings

FORMAT = 1
PACKAGE, DISTRIBUTION = "emotiwave_weights_research", "emotiwave-weights-research"
DESCRIPTION, CARD = "weights.json", "MODEL_CARD.md"
OTHERS = (DESCRIPTION, "__init__.py")
"""Files without a hash."""
MAX_DESCRIPTION = 2**20
"""Bytes of ``weights.json``, above which it is refused unread."""
MAX_FILE = 256 * 2**20
INSTALL_AGAIN = f"install {DISTRIBUTION} again"
Facts = TypeVar("Facts", bound=Settings)


class Distribution(Settings):
    """The content of ``weights.json``."""

    format: Literal[1] = FORMAT
    version: str
    licence: str
    terms: str
    """What whoever uses the weights has to know, in a few sentences."""
    experts: dict[str, dict[str, object]]
    """What is known of each, by modality."""
    sha256: dict[
        Annotated[str, StringConstraints(pattern=r"^[\w-]+(\.[\w-]+)*(/[\w-]+(\.[\w-]+)*)*$")],
        Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")],
    ] = Field(min_length=1, max_length=256)
    """Of every other file, by its path in the folder."""


class WeightsFolder:
    """A folder of weights whose description was read."""

    def __init__(self, path: Path, description: Distribution) -> None:
        self.path, self.description = path, description

    def facts(self, expert: str, kind: type[Facts]) -> Facts:
        """What the description says of an expert.

        Raises:
            CheckpointError: If it is not there or damaged.
        """
        try:
            return kind.model_validate(self.description.experts.get(expert))
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            where = printable(".".join(map(str, problem["loc"])))
            raise CheckpointError(
                f"{self.path / DESCRIPTION}: damaged facts of the {expert} expert ({where}: {problem['msg']}); "
                f"{INSTALL_AGAIN}"
            ) from None

    def verify(self) -> None:
        """Compare every file with its hash; there must be no other.

        Raises:
            CheckpointError: If one is missing, changed or not known.
        """
        known = self.description.sha256
        for path in self.path.rglob("*"):
            name = path.relative_to(self.path).as_posix()
            if (path.is_symlink() or not path.is_dir()) and name not in (*known, *OTHERS) and path.suffix != ".pyc":
                raise CheckpointError(f"{path}: {DESCRIPTION} knows no such file; take it away, or {INSTALL_AGAIN}")
        for name, expected in known.items():
            path = self.path / name
            if not path.is_file():
                raise CheckpointError(f"{path}: missing; {INSTALL_AGAIN}")
            if path.stat().st_size > MAX_FILE:
                raise CheckpointError(f"{path}: {path.stat().st_size:,} bytes; expected at most {MAX_FILE:,}")
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != expected:
                    raise CheckpointError(
                        f"{path}: its SHA-256 is not the one in {DESCRIPTION}: the file was changed or is not whole; "
                        f"{INSTALL_AGAIN}"
                    )

    def card(self) -> str:
        """Read the model card.

        Raises:
            CheckpointError: If it is missing.
        """
        path = self.path / CARD
        if not path.is_file():
            raise CheckpointError(f"{path}: missing; {INSTALL_AGAIN}")
        return path.read_text(encoding="utf-8")

    def tell_terms(self) -> None:
        """Print the terms on stderr, once per version and user; again and again where that cannot be noted."""
        told = Path(platformdirs.user_state_dir("emotiwave")) / "terms" / f"{DISTRIBUTION}-{self._mark()}"
        if os.path.exists(told):  # False, as well, where it must not be looked for
            return
        terms = f"{DISTRIBUTION} {self.description.version}: {self.description.terms}"
        print(printable(terms), file=sys.stderr)
        try:
            told.parent.mkdir(parents=True, exist_ok=True)
            replace_file(told, terms.encode())
        except OSError:  # a home that cannot be written to: the terms are told the next time too
            return

    def _mark(self) -> str:
        terms = f"{self.description.version}\n{self.description.terms}"
        return hashlib.sha256(terms.encode()).hexdigest()[:16]


def find_weights(folder: Path | None = None) -> WeightsFolder:
    """Find a folder of weights and read its description.

    Args:
        folder: By default that of the installed distribution.

    Raises:
        MissingExtraError: If the distribution is not installed.
        CheckpointError: If the folder holds no weights, damaged ones, or weights of another version.
    """
    folder = _installed() if folder is None else folder
    path = folder / DESCRIPTION
    if not path.is_file():
        raise CheckpointError(f"{folder}: no weights of experts here ({DESCRIPTION} is missing); {INSTALL_AGAIN}")
    if path.stat().st_size > MAX_DESCRIPTION:
        raise CheckpointError(f"{path}: {path.stat().st_size:,} bytes; expected at most {MAX_DESCRIPTION:,}")
    try:
        return WeightsFolder(folder, Distribution.model_validate_json(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error}); {INSTALL_AGAIN}") from None
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        if problem["loc"] == ("format",):
            raise CheckpointError(
                f"{path}: weights of format {printable(str(problem['input'])[:20])}; this emotiwave reads format "
                f"{FORMAT}: install the {DISTRIBUTION} that belongs to it"
            ) from None
        where = printable(".".join(map(str, problem["loc"]))[:100])
        raise CheckpointError(f"{path}: damaged ({where}: {problem['msg']}); {INSTALL_AGAIN}") from None


def _installed() -> Path:
    found = find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise MissingExtraError(
            f"the trained experts are not installed: their weights come as {DISTRIBUTION}, which is licensed for "
            "research only and lies in the folder weights/ of Emotiwave's repository: pip install ./weights"
        )
    return Path(found.submodule_search_locations[0])
