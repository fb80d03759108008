"""Models in folders: what is written, what comes back, and what is refused."""

import hashlib
import json
import os
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from emotiwave.errors import CheckpointError, MissingExtraError
from emotiwave.models import checkpoint, create_model
from emotiwave.models.checkpoint import load_model, save_model
from emotiwave.models.encoders import ENCODERS, EncoderEntry
from emotiwave.models.fusion import FusionModel, ModelSettings, ModelSpec
from tests.lettered_encoder import Lettered, LetteredSettings
from tests.made import LABEL_SETS, SIZES, made_batch, made_model

CONFIG, LETTERS = "encoders/text/config.json", "encoders/text/deep/letters.json"


@pytest.fixture(autouse=True)
def _lettered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENCODERS, "lettered", EncoderEntry(LetteredSettings, Lettered))


def lettered_model(letters: str = "xyz") -> FusionModel:
    torch.manual_seed(0)
    settings = ModelSettings(name="late", encoders={"text": "lettered"})
    model = create_model(ModelSpec(settings, SIZES, LABEL_SETS["categorical"])).eval()
    model.prior_logits.normal_()
    model.encoder("text").letters = letters
    return model


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_model(lettered_model(), tmp_path / "model")
    return tmp_path / "model"


def describe(folder: Path, **changes: Any) -> None:
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def trust(folder: Path) -> None:
    """Write the hashes of what lies there, as one who tampers would."""
    names = ["model.safetensors", *(str(p.relative_to(folder)) for p in folder.glob("encoders/**/*") if p.is_file())]
    describe(folder, sha256={name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names})


# --- saving


def test_a_model_comes_back_with_the_files_of_its_encoders(saved: Path) -> None:
    model, batch = lettered_model(), made_batch()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    loaded = load_model(saved)
    assert torch.equal(before, torch.get_rng_state())
    assert not loaded.training
    assert loaded.spec == model.spec
    assert loaded.encoder("text").letters == "xyz"
    torch.testing.assert_close(loaded(batch), model(batch), rtol=0, atol=0)
    described = json.loads((saved / "model.json").read_text())
    assert described["sha256"].keys() == {"model.safetensors", CONFIG, LETTERS}
    for name, digest in described["sha256"].items():
        assert hashlib.sha256((saved / name).read_bytes()).hexdigest() == digest
    assert described["parts"]["text"] == [{"name": "someone/lettered", "licence": "cc-by-nc-4.0", "revision": "abc"}]


def test_tied_weights_are_kept_once_and_stay_tied(saved: Path) -> None:
    names = load_file(saved / "model.safetensors").keys()
    assert "encoders.text.first.weight" in names
    assert "encoders.text.second.weight" not in names
    encoder = load_model(saved).encoder("text")
    assert encoder.first.weight is encoder.second.weight


def test_a_loaded_model_needs_its_folder_no_more_and_can_be_saved_elsewhere(saved: Path, tmp_path: Path) -> None:
    loaded = load_model(saved)
    saved.rename(tmp_path / "gone")
    save_model(loaded, tmp_path / "again")
    for name in ("model.json", "model.safetensors", CONFIG, LETTERS):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "gone" / name).read_bytes()


def test_files_of_encoders_are_written_when_they_differ_and_removed_with_their_model(saved: Path) -> None:
    stamps = {name: (saved / name).stat().st_mtime_ns for name in (CONFIG, LETTERS)}
    (saved / "encoders" / "text" / ".left.tmp").touch()  # by a process that died
    save_model(lettered_model("other"), saved)
    assert (saved / CONFIG).stat().st_mtime_ns == stamps[CONFIG]
    assert (saved / LETTERS).stat().st_mtime_ns > stamps[LETTERS]
    assert load_model(saved).encoder("text").letters == "other"
    save_model(made_model("late"), saved)
    assert not [path for path in (saved / "encoders").rglob("*") if path.is_file()]
    load_model(saved)


def test_others_may_read_the_weights_as_they_may_the_description(saved: Path) -> None:
    modes = {(saved / name).stat().st_mode for name in ("model.safetensors", "model.json", CONFIG)}
    assert len(modes) == 1


@pytest.mark.parametrize("dies_before", ["model.safetensors", "model.json"])
def test_a_process_that_dies_while_it_saves_leaves_the_old_model_or_one_that_is_refused(
    saved: Path, monkeypatch: pytest.MonkeyPatch, dies_before: str
) -> None:
    replace_in_place = os.replace

    def die(source: Path, target: Path) -> None:
        if Path(target).name == dies_before:
            raise KeyboardInterrupt
        replace_in_place(source, target)

    other = lettered_model()
    other.prior_logits.add_(1.0)
    monkeypatch.setattr(os, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        save_model(other, saved)
    if dies_before == "model.safetensors":
        torch.testing.assert_close(load_model(saved).prior_logits, other.prior_logits - 1.0)
    else:
        with pytest.raises(CheckpointError, match=r"model\.safetensors is not the file that model\.json describes"):
            load_model(saved)
    assert not list(saved.rglob("*.tmp"))


@pytest.mark.parametrize("instead", ["link", "broken link", "file"])
def test_only_a_folder_of_the_model_s_own_is_cleared(tmp_path: Path, instead: str) -> None:
    model, precious = tmp_path / "model", tmp_path / "elsewhere" / "precious.txt"
    model.mkdir()
    precious.parent.mkdir()
    precious.touch()
    if instead == "file":
        (model / "encoders").touch()
    else:
        (model / "encoders").symlink_to(precious.parent if instead == "link" else tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match=r"encoders: a link or a file; .*take it away"):
        save_model(lettered_model(), model)
    assert precious.exists()
    assert [path.name for path in model.iterdir()] == ["encoders"]


def test_a_link_below_is_removed_and_what_it_names_stays(saved: Path, tmp_path: Path) -> None:
    precious = tmp_path / "elsewhere" / "precious.txt"
    precious.parent.mkdir()
    precious.touch()
    (saved / "encoders" / "audio").symlink_to(precious.parent)
    save_model(lettered_model(), saved)
    assert precious.exists()
    load_model(saved)


# --- what is refused


@pytest.mark.parametrize("name", ["model.json", "model.safetensors", CONFIG, LETTERS])
@pytest.mark.parametrize("instead", [None, "folder", "pipe"])
def test_a_missing_file_is_named(saved: Path, name: str, instead: str | None) -> None:
    (saved / name).unlink()
    if instead == "folder":
        (saved / name).mkdir()
    elif instead == "pipe":
        os.mkfifo(saved / name)
    with pytest.raises(CheckpointError, match=rf"{name} is missing"):
        load_model(saved)


@pytest.mark.parametrize("name", ["model.safetensors", CONFIG, LETTERS])
@pytest.mark.parametrize(
    "spoil", [lambda old: old[:-1], lambda old: old + b" ", lambda old: b"", lambda old: old[::-1]]
)
def test_a_changed_file_is_named(saved: Path, name: str, spoil: Any) -> None:
    (saved / name).write_bytes(spoil((saved / name).read_bytes()))
    with pytest.raises(CheckpointError, match=rf"{name} is not the file that model\.json describes"):
        load_model(saved)


@pytest.mark.parametrize("kind", ["file", "link to a folder", "link to nothing"])
def test_a_file_too_many_is_named(saved: Path, kind: str) -> None:
    (saved / "encoders" / "audio").mkdir()
    if kind == "file":
        (saved / "encoders" / "audio" / "tokenizer.json").touch()
    else:
        (saved / "encoders" / "audio" / "tokenizer.json").symlink_to("/" if "folder" in kind else "/nowhere")
    with pytest.raises(CheckpointError, match=r"audio/tokenizer\.json: model\.json knows no such file"):
        load_model(saved)


def test_a_link_to_a_folder_is_not_followed(saved: Path, tmp_path: Path) -> None:
    (saved / "encoders" / "text" / "deep").rename(tmp_path / "deep")
    (saved / "encoders" / "text" / "deep").symlink_to(tmp_path / "deep")
    with pytest.raises(CheckpointError, match=r"letters\.json is missing"):
        load_model(saved)


@pytest.mark.parametrize("name", ["../secret.json", "encoders/../../secret.json", "{root}/secret.json"])
def test_names_that_lead_elsewhere_open_nothing(saved: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.json").write_text("{}")
    name = name.format(root=tmp_path)
    sha256 = json.loads((saved / "model.json").read_text())["sha256"]
    describe(saved, sha256=sha256 | {name: hashlib.sha256(b"{}").hexdigest()})
    with pytest.raises(CheckpointError, match=r"secret\.json is missing"):
        load_model(saved)


def test_what_controls_a_terminal_is_not_repeated(saved: Path) -> None:
    for changes in ({"sha256": {"\x1b[2J": ""}}, {"sizes": {"\x1b[2J": -1}}):
        describe(saved, **changes)
        with pytest.raises(CheckpointError) as refusal:
            load_model(saved)
        assert str(refusal.value).isprintable()


@pytest.mark.parametrize("modality", ["../text", "/etc", "a/b", "a\\b", "..", ""])
def test_a_modality_is_no_path(saved: Path, modality: str) -> None:
    describe(saved, sizes=SIZES | {modality: 3})
    with pytest.raises(CheckpointError, match=r"damaged model description \(sizes"):
        load_model(saved)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (1, r"trained by an earlier version \(format 1; this one reads 2\); train again with this version"),
        (3, r"trained by a later version \(format 3; this one reads 2\); update emotiwave"),
        (2.0, "not a model description of format 2"),
        (True, "not a model description of format 2"),
        (None, "not a model description of format 2"),
    ],
)
def test_other_formats_are_named(saved: Path, found: object, message: str) -> None:
    describe(saved, format=found)
    with pytest.raises(CheckpointError, match=message):
        load_model(saved)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"7", b"\xff", b"[" * 100_000, b'{"format": ' + b"1" * 5000 + b"}", b" " * (9 * 2**20)],
)
def test_what_is_no_description_is_refused(saved: Path, content: bytes) -> None:
    (saved / "model.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model\.json"):
        load_model(saved)


ODD: list[Any] = [None, -1, 0, True, 1.5, "x", "", [], {}, [None], {"x": None}, {"x": {"x": []}}, 2**70, ["a"] * 3]


@pytest.mark.parametrize("key", ["settings", "sizes", "label_set", "parts", "sha256"])
def test_odd_descriptions_are_refused_in_a_line(saved: Path, key: str) -> None:
    whole = json.loads((saved / "model.json").read_text())
    described = {name: value for name, value in whole.items() if name != key}
    variants = [described, *(described | {key: odd} for odd in ODD)]
    variants += [described | {key: whole[key] | {inner: odd}} for inner in (*whole[key], "new") for odd in ODD]
    said = []
    for variant in variants:
        (saved / "model.json").write_text(json.dumps(variant))
        try:
            load_model(saved)
        except CheckpointError as error:
            said.append(str(error))
    assert len(said) > 0.7 * len(variants)
    assert max(map(len, said)) < 1500


def test_random_damage_is_refused_in_a_line(saved: Path) -> None:
    rng = random.Random(0)
    whole = (saved / "model.json").read_bytes()
    for _ in range(150):
        spoilt = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            spoilt[rng.randrange(len(spoilt))] = rng.randrange(256)
        (saved / "model.json").write_bytes(bytes(spoilt))
        try:
            load_model(saved)
        except CheckpointError:
            continue
    header = (saved / "model.safetensors").read_bytes()
    for _ in range(150):
        spoilt = bytearray(header)
        spoilt[rng.randrange(2000)] = rng.randrange(256)
        (saved / "model.safetensors").write_bytes(bytes(spoilt))
        (saved / "model.json").write_bytes(whole)
        trust(saved)
        try:
            load_model(saved)
        except CheckpointError:
            continue


@pytest.mark.parametrize(
    "changes",
    [
        {"sizes": SIZES | {"text": 2**40}},
        {"sizes": SIZES | {"text": 2**62}},
        {"settings": {"name": "late", "size": "large", "encoders": {"text": "lettered"}}},
        {"label_set": {"kind": "categorical", "names": [f"class {k}" for k in range(100_000)], "ranges": None}},
    ],
)
def test_a_network_that_the_weights_do_not_fill_is_given_no_memory(
    saved: Path, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[str] = []
    build = checkpoint._build
    monkeypatch.setattr(checkpoint, "_build", lambda spec, device: built.append(device) or build(spec, device))
    describe(saved, **changes)
    with pytest.raises(CheckpointError, match=r"of another model|no model can be built"):
        load_model(saved)
    assert built == ["meta"]


def test_more_modalities_than_anyone_has_are_refused(saved: Path) -> None:
    describe(saved, sizes={f"m{k}": 1 for k in range(33)})
    with pytest.raises(CheckpointError, match=r"at most 32 items"):
        load_model(saved)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w | {"prior_logits": torch.full((3,), torch.nan)}, r"weight 'prior_logits' is not finite"),
        (lambda w: w | {"prior_logits": torch.full((3,), torch.inf)}, r"weight 'prior_logits' is not finite"),
        (lambda w: w | {"prior_logits": torch.zeros(4)}, r"'prior_logits' is \(4,\) torch.float32; expected \(3,\)"),
        (
            lambda w: w | {"prior_logits": torch.zeros(3, dtype=torch.float64)},
            r"torch.float64; expected \(3,\) torch.f",
        ),
        (lambda w: w | {"further": torch.zeros(1)}, r"of another model than 'late'.* with 'further'"),
        (lambda w: {n: t for n, t in w.items() if n != "prior_logits"}, r"of another model.* without 'prior_logits'"),
    ],
)
def test_weights_that_do_not_fit_are_named(saved: Path, change: Any, message: str) -> None:
    weights = {name: tensor.clone() for name, tensor in load_file(saved / "model.safetensors").items()}
    save_file(change(weights), saved / "model.safetensors")
    trust(saved)
    with pytest.raises(CheckpointError, match=message):
        load_model(saved)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\xff" * 64, b"\x80\x04.", b"\x02\0\0\0\0\0\0\0{}"])
def test_what_are_no_weights_is_refused(saved: Path, content: bytes) -> None:
    (saved / "model.safetensors").write_bytes(content)
    trust(saved)
    with pytest.raises(CheckpointError, match=r"model\.safetensors: (damaged|the weights are of another model)"):
        load_model(saved)


def test_damaged_files_of_an_encoder_are_refused_by_it(saved: Path) -> None:
    (saved / LETTERS).write_text("{")
    trust(saved)
    with pytest.raises(CheckpointError, match=r"no model can be built of model\.json.*letters\.json: damaged"):
        load_model(saved)


def test_a_file_of_an_encoder_that_is_far_too_large_is_not_read(saved: Path) -> None:
    with (saved / LETTERS).open("rb+") as file:
        file.truncate(2**30)  # takes no room on disk
    with pytest.raises(CheckpointError, match=r"1,073,741,824 bytes; expected at most 134,217,728"):
        load_model(saved)


def test_an_encoder_may_ask_for_an_extra(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(settings: object, origin: object) -> Lettered:
        raise MissingExtraError("pip install 'emotiwave[timm]'")

    monkeypatch.setitem(ENCODERS, "lettered", EncoderEntry(LetteredSettings, build))
    with pytest.raises(MissingExtraError, match="timm"):
        load_model(saved)
