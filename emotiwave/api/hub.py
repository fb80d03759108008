"""Give a model to the Hugging Face Hub, and take one from a folder or the Hub."""

import hashlib
import json
import os
import re
import tomllib
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import huggingface_hub
import tomli_w
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, errors

from emotiwave.errors import CheckpointError, ConfigError, DataWarning
from emotiwave.models.checkpoint import DESCRIPTION, ENCODERS, WEIGHTS, read_description
from emotiwave.models.checkpoint import load_model as load_folder
from emotiwave.models.fusion import FusionModel
from emotiwave.report.card import Part, draw_card, licences, without_place
from emotiwave.run_folder import check_same_model, is_finished, read_card_facts, read_run
from emotiwave.settings import PathLike

SHARED = (WEIGHTS, DESCRIPTION, f"{ENCODERS}/*", "README.md", "config.toml", "scores.jsonl")
"""Patterns of what is given to the Hub and taken from it; never training state, predictions or what a run ran on."""

PLACES = {
    "config.json": ("_name_or_path",),
    "tokenizer_config.json": ("name_or_path", "_name_or_path", "tokenizer_file", "special_tokens_map_file"),
}
"""Files of encoders -> the keys under which transformers notes where a checkpoint lay."""


@dataclass(frozen=True)
class Pushed:
    """What was given to the Hub.

    ``files`` are paths there; ``shortened`` holds paths of this machine, of which only the last name was given.
    """

    url: str
    files: tuple[str, ...]
    licences: tuple[Part, ...]
    shortened: tuple[str, ...]


def push(run: PathLike, repo: str, *, private: bool = False, revision: str | None = None) -> Pushed:
    """Give the model of a run to the Hub, with its card, recipe and scores, as one commit.

    Of a path of this machine only the last name is given, wherever one is expected: in the recipe, in the settings of
    encoders in ``model.json``, and under `PLACES` in the settings of published networks. Tokenizers, vocabularies and
    all other files of encoders are given to the byte.

    Args:
        run: A run folder.
        repo: ``OWNER/NAME``; made if it does not exist.
        private: Only the owner may see it.
        revision: A branch, made if it does not exist; the main one by default.

    Raises:
        CheckpointError: If there is no whole model in the run.
        ConfigError: If the Hub cannot be reached, or does not let it in.
    """
    folder = Path(run)
    recipe = read_run(folder)
    check_same_model(folder, load_folder(folder).spec.settings, recipe)  # what cannot be loaded is of no use to anyone
    if not is_finished(folder):
        warnings.warn(
            f"{folder}: training is not finished, as the card that goes with it says", DataWarning, stacklevel=2
        )
    if repo.count("/") != 1:
        raise ConfigError(f"{repo!r} is no name of the Hub; expected OWNER/NAME")
    facts = read_card_facts(folder)
    files, shortened = _shared_files(folder)
    files["README.md"] = draw_card(facts, repo=repo).encode()
    url = _upload(files, repo, private=private, revision=revision)
    return Pushed(url, tuple(files), tuple(licences(facts)), tuple(shortened))


def load_model(source: PathLike, *, revision: str | None = None) -> FusionModel:
    """Load a trained model, in evaluation mode.

    Args:
        source: A run folder, a folder with the files of a model, or its name ``OWNER/NAME`` on the Hub.
        revision: A branch, tag or commit of the Hub.

    Raises:
        CheckpointError: If files are missing, damaged, of another version or of another model.
        ConfigError: If it cannot be found or fetched.
    """
    return load_folder(find_model(source, revision=revision))


def find_model(source: PathLike, *, revision: str | None = None) -> Path:
    """Find the folder of a model: a run, a folder with the files of a model, or what the Hub holds under a name.

    Raises:
        CheckpointError: If the Hub holds no model there.
        ConfigError: If it cannot be found or fetched.
    """
    name, folder = os.fspath(source), Path(source)
    if not name.strip():
        raise ConfigError(f"{name!r} names no model; expected a run, a folder with {DESCRIPTION}, or OWNER/NAME")
    if folder.is_dir():
        if revision is not None:
            raise ConfigError(f"{name} is a folder and has no revision {revision!r}; leave the revision out")
        return folder
    if folder.is_absolute() or name.startswith((".", "~")) or name.count("/") != 1:
        raise ConfigError(f"no folder {name}; expected a run, a folder with {DESCRIPTION}, or OWNER/NAME of the Hub")
    with _hub_errors(name, revision):
        snapshot = Path(huggingface_hub.snapshot_download(name, revision=revision, allow_patterns=list(SHARED)))
    if not (snapshot / DESCRIPTION).is_file():
        raise CheckpointError(f"{name}: the Hub holds no {DESCRIPTION} there; expected a model of emotiwave")
    return snapshot


def _shared_files(folder: Path) -> tuple[dict[str, bytes | Path], list[str]]:
    """What is given of a run, by path, and the paths of this machine that were shortened in it."""
    shortened: list[str] = []
    description = read_description(folder)
    of_encoders = {
        name: shorten_places((folder / name).read_bytes(), PLACES.get(PurePosixPath(name).name, ()), shortened)
        for name in sorted(description.sha256)
        if name != WEIGHTS
    }
    sha256 = {name: hashlib.sha256(content).hexdigest() for name, content in of_encoders.items()}
    described = json.loads(description.model_copy(update={"sha256": description.sha256 | sha256}).to_json())
    described["settings"]["encoders"] = _shorten(described["settings"]["encoders"], shortened)
    described["parts"] = _shorten(described["parts"], shortened)
    config = tomllib.loads((folder / "config.toml").read_text(encoding="utf-8"))
    files: dict[str, bytes | Path] = {
        WEIGHTS: folder / WEIGHTS,
        DESCRIPTION: json.dumps(described, indent=1, ensure_ascii=False).encode() + b"\n",
        **of_encoders,
        "config.toml": tomli_w.dumps(_shorten(config, shortened)).encode(),
    }
    if (folder / "scores.jsonl").exists():
        files["scores.jsonl"] = folder / "scores.jsonl"
    return files, list(dict.fromkeys(shortened))


def shorten_places(content: bytes, keys: Collection[str], shortened: list[str] | None = None) -> bytes:
    """Shorten what stands under some keys of a JSON file; one without paths there stays as it is to the byte."""
    if not keys:
        return content
    shortened = [] if shortened is None else shortened
    try:
        before = json.loads(content)
    except (ValueError, RecursionError):
        return content
    after = _shorten(before, shortened, keys)
    return content if after == before else json.dumps(after, indent=1, ensure_ascii=False).encode()


def _shorten(content: Any, shortened: list[str], keys: Collection[str] | None = None) -> Any:
    """Shorten the paths among the values of tables and lists; with ``keys``, only of these, in tables of any depth."""
    if isinstance(content, dict):
        return {
            key: value
            if isinstance(value, str) and keys is not None and key not in keys
            else _shorten(value, shortened, keys)
            for key, value in content.items()
        }
    if isinstance(content, list):
        return [
            item if isinstance(item, str) and keys is not None else _shorten(item, shortened, keys) for item in content
        ]
    short = _last_name(content) if isinstance(content, str) else content
    if short != content:
        shortened.append(content)
    return short


def _last_name(text: str) -> str:
    """Leave the last name of a path, absolute or relative; names of the Hub and all other text stay as they are.

    >>> [_last_name(text) for text in ("/home/me/bert", "file:///home/me/bert", "../private/bert", "~/bert", "a/bert")]
    ['bert', 'bert', 'bert', 'bert', 'a/bert']
    >>> [_last_name(text) for text in ("/", "..", "~", "1/2", "...and so on", "~5 s/frame")]
    ['/', '..', '~', '1/2', '...and so on', '~5 s/frame']
    """
    path = re.sub(r"^file:(//[^/]*)?", "", text)
    if re.match(r"(\.{1,2}|~[\w.-]*)[/\\]", path):  # relative, or below a user's folder
        name = PureWindowsPath(path).name  # which takes either slash
        return text if name in ("", ".", "..") else name
    short = without_place(path)
    return text if short == path and not text.startswith("file:") else short


def _upload(files: dict[str, bytes | Path], repo: str, *, private: bool, revision: str | None) -> str:
    """Make one commit of the files; what an earlier model left beside them goes away."""
    hub = huggingface_hub.HfApi()
    if huggingface_hub.get_token() is None:
        raise ConfigError(f"{repo}: no token of the Hub on this machine; log in first: hf auth login (or set HF_TOKEN)")
    with _hub_errors(repo, revision):
        hub.create_repo(repo, private=private or None, exist_ok=True)
        if private and not hub.model_info(repo).private:
            raise ConfigError(
                f"{repo} exists and is public; make it private on its page of the Hub, or take another name"
            )
        if revision is not None:
            hub.create_branch(repo, branch=revision, exist_ok=True)
        lying = hub.list_repo_files(repo, revision=revision)
        stale = [name for name in lying if name not in files and (name.startswith(f"{ENCODERS}/") or name in SHARED)]
        operations = [CommitOperationAdd(name, content) for name, content in files.items()]
        operations += [CommitOperationDelete(name) for name in stale]
        commit = hub.create_commit(repo, operations, commit_message="Model of emotiwave", revision=revision)
    return commit.repo_url.url


@contextmanager
def _hub_errors(name: str, revision: str | None) -> Iterator[None]:
    """Say in one line what the Hub, its client or the network did not let through."""
    try:
        yield
    except (ConfigError, KeyboardInterrupt):
        raise
    except (errors.HFValidationError, errors.HfUriError) as error:
        raise ConfigError(f"{name!r} is no name of the Hub; expected OWNER/NAME ({_line(error)})") from None
    except errors.OfflineModeIsEnabled:
        raise ConfigError(f"{name}: the Hub is out of reach, for HF_HUB_OFFLINE is set; unset it") from None
    except errors.LocalEntryNotFoundError:
        raise ConfigError(
            f"{name}: no such folder, not in the cache, and the Hub is out of reach (no network, or HF_HUB_OFFLINE is "
            f"set); fetch it where there is a network: hf download {name}"
        ) from None
    except errors.GatedRepoError:
        raise ConfigError(
            f"{name}: its owner asks for consent to terms; give it on its page of the Hub, then: hf auth login"
        ) from None
    except errors.RevisionNotFoundError:
        raise ConfigError(f"{name}: the Hub knows no revision {revision!r}; give a branch, a tag or a commit") from None
    except errors.RepositoryNotFoundError:
        raise ConfigError(f"{name}: the Hub knows no such model, or it is private; then: hf auth login") from None
    except errors.HfHubHTTPError as error:
        if error.response.status_code in (401, 403):
            raise ConfigError(
                f"{name}: the Hub does not let this token do that; log in as one who may write there: hf auth login "
                f"({_line(error)})"
            ) from None
        raise ConfigError(f"{name}: the Hub refuses ({_line(error)})") from None
    except Exception as error:  # a transfer fails in the ways of several libraries
        raise ConfigError(f"{name}: the Hub cannot be reached ({_line(error)}); try again later") from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
