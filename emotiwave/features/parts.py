"""The published parts that features were made by: pretrained networks, and programs with terms of their own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emotiwave.features.extractors import EXTRACTORS
from emotiwave.pretrained.files import CARD, EncoderFiles, packaged_folder

KEYS_OF_FILES = ("model", "ids")
"""Where the identity of an extractor says which network or tokenizer it has; one with a single file says it itself."""
KEYS_OF_PLACES = ("model", "tokenizer", "file")
"""Where its settings say which folder or file that is."""


def published_parts(metadata: Mapping[str, Any], settings: Mapping[str, Any]) -> list[dict[str, str]]:
    """Name what the features of one modality were made by: ``name``, and ``revision`` and ``licence`` where known.

    Nothing is fetched: licences are those of the files that are here.

    Args:
        metadata: What a feature store keeps of how its values were made; other corpora say nothing there.
        settings: The keys of the extractor in the recipe, which know the names of folders.

    >>> published_parts({"extractor": {"name": "glove", "sha256": "12ab" * 16}}, {"file": "/data/glove.6B.300d.txt"})
    [{'name': 'glove.6B.300d.txt', 'revision': 'sha256 12ab12ab12ab'}]
    >>> published_parts({"extractor": {"name": "logmel", "version": 1}}, {})
    []
    """
    found = []
    extractor = metadata.get("extractor")
    if isinstance(extractor, Mapping):
        name = str(extractor.get("name"))
        files = next((extractor[key] for key in KEYS_OF_FILES if isinstance(extractor.get(key), Mapping | list)), None)
        place = next((settings[key] for key in KEYS_OF_PLACES if settings.get(key)), None)
        several = files if isinstance(files, list) else [files or extractor]
        places = place if isinstance(place, list | tuple) else [place]
        places = places if len(places) == len(several) else [None] * len(several)
        found.append(_of_program(name, extractor))
        found += [
            _of_files(name, of, str(at) if at else None)
            for of, at in zip(several, places, strict=True)
            if isinstance(of, Mapping)
        ]
    faces = metadata.get("faces")
    if isinstance(faces, Mapping):
        found.append(_of_files(f"face detector {faces.get('name')}", faces, None))
    return [{key: value for key, value in part.items() if value} for part in found if part]


def _of_program(name: str, identity: Mapping[str, Any]) -> dict[str, str | None] | None:
    licence = getattr(EXTRACTORS[name].build, "licence", None) if name in EXTRACTORS else None
    return {"name": name, "revision": str(identity.get("opensmile", "")), "licence": licence} if licence else None


def _of_files(name: str, files: Mapping[str, Any], place: str | None) -> dict[str, str | None] | None:
    """Say what files are by what identifies them: a commit of the Hub, or a hash."""
    if "hub" in files:
        hub, commit = str(files["hub"]), str(files.get("commit"))
        return {"name": hub, "revision": commit, "licence": _cached_licence(hub, commit)}
    if "sha256" not in files:
        return None
    folder = (packaged_folder(place) or Path(place)) if place else None
    return {
        "name": Path(place).name if place else name,
        "revision": f"sha256 {str(files['sha256'])[:12]}",
        "licence": EncoderFiles(folder.name, folder, None).licence if folder and folder.is_dir() else None,
    }


def _cached_licence(hub: str, commit: str) -> str | None:
    """What the card says that came with a model of the Hub, if the cache still has it."""
    from huggingface_hub import try_to_load_from_cache

    try:
        card = try_to_load_from_cache(hub, CARD, revision=commit)
    except (ValueError, OSError):  # a store may come from anyone, and have names that the Hub does not allow
        return None
    return EncoderFiles(hub, Path(card).parent, commit).licence if isinstance(card, str) else None
