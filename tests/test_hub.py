"""Models given to the Hub and taken from it: a Hub in a folder stands for the real one."""

import hashlib
import json
import shutil
import tomllib
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
import tomli_w
import torch
from huggingface_hub import CommitOperationAdd, errors

import emotiwave
from emotiwave.api import hub as hub_module
from emotiwave.errors import CheckpointError, ConfigError, DataWarning
from emotiwave.models.encoders import ENCODERS, EncoderEntry
from tests.lettered_encoder import Lettered, LetteredSettings
from tests.made import small_corpus
from tests.test_cli import run as command

SMALL = ["dataset.n_train=40", "dataset.n_validation=20", "dataset.n_test=20", "training.epochs=1", "model.name=late"]
GIVEN = {
    "README.md",
    "config.toml",
    "encoders/text/config.json",
    "encoders/text/deep/letters.json",
    "model.json",
    "model.safetensors",
    "scores.jsonl",
}


class FakeHub:
    """Repositories as folders: what `HfApi` does of them, and what was asked of it."""

    def __init__(self, root: Path) -> None:
        self.root, self.private, self.branches = root, {}, []

    def folder(self, repo: str, revision: str | None) -> Path:
        return self.root / repo / (revision or "main")

    def create_repo(self, repo: str, *, private: bool | None, exist_ok: bool) -> None:
        assert exist_ok
        self.private.setdefault(repo, bool(private))
        self.folder(repo, None).mkdir(parents=True, exist_ok=True)

    def create_branch(self, repo: str, *, branch: str, exist_ok: bool) -> None:
        assert exist_ok
        shutil.copytree(self.folder(repo, None), self.folder(repo, branch), dirs_exist_ok=True)

    def model_info(self, repo: str) -> SimpleNamespace:
        return SimpleNamespace(private=self.private[repo])

    def list_repo_files(self, repo: str, *, revision: str | None) -> list[str]:
        root = self.folder(repo, revision)
        return [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()]

    def create_commit(
        self, repo: str, operations: list[Any], *, commit_message: str, revision: str | None
    ) -> SimpleNamespace:
        assert commit_message
        for operation in operations:
            path = self.folder(repo, revision) / operation.path_in_repo
            if not isinstance(operation, CommitOperationAdd):
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            with operation.as_file() as content:
                path.write_bytes(content.read())
        return SimpleNamespace(repo_url=SimpleNamespace(url=f"https://hub.example/{repo}"))

    def snapshot_download(self, repo: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        if not self.folder(repo, revision).is_dir():
            raise error_of(errors.RevisionNotFoundError if revision else errors.RepositoryNotFoundError, 404)
        return str(self.folder(repo, revision))


def error_of(kind: type[errors.HfHubHTTPError], status: int) -> errors.HfHubHTTPError:
    response: Any = SimpleNamespace(headers={}, request=None, status_code=status)
    return kind(f"{status} from the Hub", response=response)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run whose recipe, model and encoder name folders of this machine."""
    root = tmp_path_factory.mktemp("hub")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ENCODERS, "lettered", EncoderEntry(LetteredSettings, Lettered))
        source = f"model.encoders.text={{name='lettered', source='{root}/models/lettered'}}"
        run = emotiwave.train("synthetic", out=root / "run", overrides=[*SMALL, source])
        emotiwave.evaluate(run)
        yield run.folder


@pytest.fixture
def trained(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "run"))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeHub:
    hub = FakeHub(tmp_path / "hub")
    monkeypatch.setitem(ENCODERS, "lettered", EncoderEntry(LetteredSettings, Lettered))
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: hub)
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: "token")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub.snapshot_download)
    return hub


def test_a_model_comes_back_from_the_hub_as_it_was(trained: Path, hub: FakeHub) -> None:
    pushed = emotiwave.push(trained, "someone/feelings")
    assert set(pushed.files) == GIVEN
    assert set(hub.list_repo_files("someone/feelings", revision=None)) == GIVEN
    assert not hub.private["someone/feelings"]
    there, here = emotiwave.load_model("someone/feelings"), emotiwave.load_model(trained)
    assert not there.training
    assert there.encoder("text").letters == here.encoder("text").letters != "ab"
    for name, tensor in here.state_dict().items():
        assert torch.equal(tensor, there.state_dict()[name])
    assert (
        'emotiwave.load_model("someone/feelings")' in (hub.folder("someone/feelings", None) / "README.md").read_text()
    )


def test_no_folder_of_this_machine_is_given_away(made: Path, trained: Path, hub: FakeHub) -> None:
    pushed = emotiwave.push(trained, "someone/feelings")
    assert pushed.shortened == (f"{made.parent}/models/lettered",)
    for name in GIVEN - {"model.safetensors"}:
        text = (hub.folder("someone/feelings", None) / name).read_text()
        assert str(made.parent) not in text, name
        assert str(trained.parent) not in text, name
    described = json.loads((hub.folder("someone/feelings", None) / "model.json").read_text())
    assert described["settings"]["encoders"]["text"]["source"] == "lettered"
    assert json.loads((trained / "model.json").read_text())["settings"]["encoders"]["text"]["source"].startswith("/")
    letters = json.loads((hub.folder("someone/feelings", None) / "encoders/text/deep/letters.json").read_text())
    assert letters["words"] == ["/usr/bin", "/"]  # words, and no paths


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("/home/me/private/ckpt", "ckpt"),
        ("file:///home/me/private/ckpt", "ckpt"),
        ("../private/ckpt", "ckpt"),
        ("./private/ckpt/", "ckpt"),
        ("~/private/ckpt", "ckpt"),
        ("~private/ckpt", "ckpt"),
        (r"C:\private\ckpt", "ckpt"),
        (r"..\private\ckpt", "ckpt"),
        ("private/ckpt", "private/ckpt"),  # perhaps a name of the Hub
        ("/", "/"),
        ("...", "..."),
    ],
)
def test_places_are_shortened_where_they_are_known_and_nowhere_else(
    trained: Path, hub: FakeHub, place: str, name: str
) -> None:
    told = {
        "config.json": {"_name_or_path": place, "text_config": {"_name_or_path": place}, "id2label": {"0": place}},
        "tokenizer_config.json": {"name_or_path": place, "tokenizer_file": place, "cls_token": place},
        "tokenizer.json": {"model": {"vocab": {place: 0}}, "name_or_path": place, "added_tokens": [{"content": place}]},
        "vocab.json": {place: 0, "_name_or_path": place},
    }
    folder = trained / "encoders" / "text"
    for file, content in told.items():
        (folder / file).write_text(json.dumps(content))
    described = json.loads((trained / "model.json").read_text())
    described["settings"]["encoders"]["text"]["source"] = place
    digests = {f"encoders/text/{f}": hashlib.sha256((folder / f).read_bytes()).hexdigest() for f in told}
    described["sha256"] |= digests
    (trained / "model.json").write_text(json.dumps(described))
    config = tomllib.loads((trained / "config.toml").read_text())
    config["model"]["encoders"]["text"]["source"] = place
    (trained / "config.toml").write_text(tomli_w.dumps(config))

    pushed, there = emotiwave.push(trained, "someone/feelings"), hub.folder("someone/feelings", None)
    read = {file: json.loads((there / "encoders" / "text" / file).read_text()) for file in told}
    assert read["config.json"] == {
        "_name_or_path": name,
        "text_config": {"_name_or_path": name},
        "id2label": {"0": place},
    }
    assert read["tokenizer_config.json"] == {"name_or_path": name, "tokenizer_file": name, "cls_token": place}
    for file in ("tokenizer.json", "vocab.json"):
        assert (there / "encoders" / "text" / file).read_bytes() == (folder / file).read_bytes()
    assert json.loads((there / "model.json").read_text())["settings"]["encoders"]["text"]["source"] == name
    assert tomllib.loads((there / "config.toml").read_text())["model"]["encoders"]["text"]["source"] == name
    assert (place in pushed.shortened) == (place != name)
    emotiwave.load_model("someone/feelings")


def test_lists_of_a_recipe_are_shortened() -> None:
    told: list[str] = []
    tables = {"dataset": {"files": ["/home/me/x.csv", ["~/y.csv"], {"deep": "../z.csv"}, 3], "names": ["a/b"]}}
    assert hub_module._shorten(tables, told) == {
        "dataset": {"files": ["x.csv", ["y.csv"], {"deep": "z.csv"}, 3], "names": ["a/b"]}
    }
    assert told == ["/home/me/x.csv", "~/y.csv", "../z.csv"]


@pytest.mark.parametrize("name", ["", "  "])
def test_no_name_is_no_model(name: str, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained)
    with pytest.raises(ConfigError, match="names no model"):
        emotiwave.load_model(name)


def test_licences_are_those_of_the_corpus_and_of_every_part(trained: Path, hub: FakeHub) -> None:
    told = [(part.what, part.name, part.licence) for part in emotiwave.push(trained, "someone/feelings").licences]
    assert told == [
        ("corpus", "synthetic", small_corpus().licence),
        ("text encoder", "lettered", "cc-by-nc-4.0"),
    ]


def test_a_later_model_takes_the_place_of_all_of_an_earlier_one(trained: Path, hub: FakeHub, tmp_path: Path) -> None:
    emotiwave.push(trained, "someone/feelings")
    (hub.folder("someone/feelings", None) / "notes.md").touch()
    other = emotiwave.train("synthetic", out=tmp_path / "other", overrides=SMALL)
    pushed = emotiwave.push(other, "someone/feelings")
    expected = {"README.md", "config.toml", "model.json", "model.safetensors"}
    assert set(pushed.files) == expected
    assert set(hub.list_repo_files("someone/feelings", revision=None)) == expected | {"notes.md"}
    emotiwave.load_model("someone/feelings")


def test_a_revision_is_a_branch(trained: Path, hub: FakeHub) -> None:
    emotiwave.push(trained, "someone/feelings", revision="v2")
    assert hub.list_repo_files("someone/feelings", revision=None) == []
    assert emotiwave.load_model("someone/feelings", revision="v2").spec.settings.name == "late"
    with pytest.raises(ConfigError, match="knows no revision 'v3'"):
        emotiwave.load_model("someone/feelings", revision="v3")
    with pytest.raises(CheckpointError, match=r"someone/feelings: the Hub holds no model\.json there"):
        emotiwave.load_model("someone/feelings")


def test_private_stays_private(trained: Path, hub: FakeHub) -> None:
    emotiwave.push(trained, "someone/secret", private=True)
    assert hub.private["someone/secret"]
    emotiwave.push(trained, "someone/open")
    shutil.rmtree(hub.folder("someone/open", None))
    with pytest.raises(ConfigError, match="someone/open exists and is public"):
        emotiwave.push(trained, "someone/open", private=True)
    assert not hub.list_repo_files("someone/open", revision=None)


def test_an_unfinished_run_is_said_to_be_one(trained: Path, hub: FakeHub) -> None:
    environment = json.loads((trained / "environment.json").read_text())
    del environment["training"]
    (trained / "environment.json").write_text(json.dumps(environment))
    with pytest.warns(DataWarning, match="training is not finished, as the card that goes with it says"):
        emotiwave.push(trained, "someone/feelings")
    assert "training is not finished" in (hub.folder("someone/feelings", None) / "README.md").read_text()


def test_a_damaged_model_is_not_given(trained: Path, hub: FakeHub) -> None:
    (trained / "encoders" / "text" / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"config\.json is not the file"):
        emotiwave.push(trained, "someone/feelings")
    with pytest.raises(CheckpointError, match="no run here"):
        emotiwave.push(trained / "encoders", "someone/feelings")
    assert not hub.root.exists()


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (errors.HFValidationError("bad"), "is no name of the Hub"),
        (errors.OfflineModeIsEnabled("off"), "HF_HUB_OFFLINE is set; unset it"),
        (error_of(errors.RepositoryNotFoundError, 404), "knows no such model, or it is private"),
        (error_of(errors.GatedRepoError, 403), "asks for consent"),
        (error_of(errors.HfHubHTTPError, 401), "does not let this token do that"),
        (error_of(errors.HfHubHTTPError, 403), "does not let this token do that"),
        (error_of(errors.HfHubHTTPError, 500), "refuses .*500 from the Hub"),
        (ConnectionError("no route"), r"cannot be reached \(no route\)"),
        (TimeoutError(), r"cannot be reached \(TimeoutError\)"),
    ],
)
def test_what_the_hub_answers_becomes_one_line(
    trained: Path, hub: FakeHub, raised: Exception, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr(hub, "create_commit", fail)
    with pytest.raises(ConfigError, match=message) as refusal:
        emotiwave.push(trained, "someone/feelings")
    assert "\n" not in str(refusal.value)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(ConfigError, match=message):
        emotiwave.load_model("someone/feelings")


@pytest.mark.parametrize("repo", ["feelings", "a/b/c", "", "some one/x y"])
def test_names_that_the_hub_does_not_have(trained: Path, repo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the real client, which looks at names before it looks for a network."""
    monkeypatch.setitem(ENCODERS, "lettered", EncoderEntry(LetteredSettings, Lettered))
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: "token")
    with pytest.raises(ConfigError, match="no name of the Hub; expected OWNER/NAME"):
        emotiwave.push(trained, repo)


def test_without_a_token_or_a_network(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the real client, offline as all tests are."""
    monkeypatch.setitem(ENCODERS, "lettered", EncoderEntry(LetteredSettings, Lettered))
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    with pytest.raises(ConfigError, match=r"no token of the Hub on this machine; log in first: hf auth login"):
        emotiwave.push(trained, "someone/feelings")
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: "token")
    with pytest.raises(ConfigError, match="HF_HUB_OFFLINE is set"):
        emotiwave.push(trained, "someone/feelings")
    with pytest.raises(ConfigError, match=r"not in the cache.*hf download someone/feelings"):
        emotiwave.load_model("someone/feelings")


def test_a_model_of_the_cache_is_loaded_without_a_network(
    trained: Path, hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the real client, from a cache as it keeps one: links to files that are named by their content."""
    from huggingface_hub import _snapshot_download  # the fixture replaced the public name

    emotiwave.push(trained, "someone/feelings")
    commit, cache = "a" * 40, tmp_path / "cache" / "models--someone--feelings"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text(commit)
    for k, name in enumerate(hub.list_repo_files("someone/feelings", revision=None)):
        blob, link = cache / "blobs" / str(k), cache / "snapshots" / commit / name
        for path in (blob, link):
            path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(hub.folder("someone/feelings", None) / name, blob)
        link.symlink_to(blob)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", _snapshot_download.snapshot_download)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    assert emotiwave.load_model("someone/feelings").spec.settings.name == "late"
    (cache / "blobs" / "0").write_bytes(b"")
    with pytest.raises(CheckpointError):
        emotiwave.load_model("someone/feelings")


def test_a_folder_has_no_revision_and_a_path_is_no_name(trained: Path, tmp_path: Path, hub: FakeHub) -> None:
    with pytest.raises(ConfigError, match="is a folder and has no revision 'main'"):
        emotiwave.load_model(trained, revision="main")
    for missing in (tmp_path / "none", "./none", "~/none", "none", "a/b/c"):
        with pytest.raises(ConfigError, match=r"no folder (.*none|a/b/c); expected a run"):
            emotiwave.load_model(missing)
    with pytest.raises(CheckpointError, match="no trained model here"):
        emotiwave.load_model(tmp_path)


def test_the_command_says_licences_and_where_it_is(trained: Path, hub: FakeHub, capsys) -> None:
    code, out, _ = command(capsys, "push", str(trained), "someone/feelings", "--private", "--revision", "v2")
    assert code == 0
    assert "licence of text encoder lettered: cc-by-nc-4.0" in out
    assert "given by its last name only: " in out
    assert f"{len(GIVEN)} files: https://hub.example/someone/feelings" in out
    assert hub.private["someone/feelings"]
    code, _, err = command(capsys, "push", str(trained / "none"), "someone/feelings")
    assert code == 1
    assert "no run here" in err


def test_a_run_that_was_given_can_be_given_again(trained: Path, hub: FakeHub) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first = emotiwave.push(trained, "someone/feelings")
        before = {name: (hub.folder("someone/feelings", None) / name).read_bytes() for name in first.files}
        assert emotiwave.push(trained, "someone/feelings") == first
    assert {name: (hub.folder("someone/feelings", None) / name).read_bytes() for name in first.files} == before
