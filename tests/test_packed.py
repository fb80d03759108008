"""Weights in less room."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from emotiwave.errors import CheckpointError
from emotiwave.models.checkpoint import load_model, save_model
from emotiwave.models.packed import FEWEST, MANY_ROWS, SCALE, pack, unpack
from tests.made import made_batch, made_model
from tests.test_checkpoint import trust


def tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(MANY_ROWS, 8, generator=generator) * torch.logspace(-6, 2, MANY_ROWS)[:, None]
    table[5] = 0
    return {
        "table": table,
        "matrix": torch.randn(80, 80, generator=generator),
        "bias": torch.randn(80, generator=generator),
        "count": torch.arange(FEWEST),
    }


def test_each_kind_is_packed_in_its_way_and_comes_back() -> None:
    given = tensors()
    packed, how = pack(given)
    assert how == {"table": "int8", "matrix": "float16"}
    assert {name: value.dtype for name, value in packed.items()} == {
        "table": torch.int8,
        "table" + SCALE: torch.float32,
        "matrix": torch.float16,
        "bias": torch.float32,
        "count": torch.int64,
    }
    back = unpack(packed, how)
    assert back.keys() == given.keys()
    largest = given["table"].abs().amax(dim=1, keepdim=True)
    assert ((back["table"] - given["table"]).abs() <= largest / 254 * 1.001).all()  # half a step of each row
    assert not back["table"][5].any()
    torch.testing.assert_close(back["matrix"], given["matrix"], rtol=2**-11, atol=1e-7)
    for name in ("bias", "count"):
        assert back[name] is given[name]


def test_packing_twice_changes_nothing_more() -> None:
    once = unpack(*pack(tensors()))
    again = unpack(*pack(once))
    for name in once:
        torch.testing.assert_close(again[name], once[name], rtol=1e-6, atol=0)


def test_a_packed_model_answers_nearly_the_same_in_less_room(tmp_path: Path) -> None:
    model = made_model("bottleneck")
    save_model(model, tmp_path / "whole")
    save_model(model, tmp_path / "packed", packed=True)
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("whole", "packed")]
    assert sizes[1] < 0.7 * sizes[0]
    batch = made_batch()
    with torch.no_grad():
        whole, packed = (load_model(tmp_path / name)(batch) for name in ("whole", "packed"))
    torch.testing.assert_close(packed, whole, rtol=0, atol=0.01)
    assert not torch.equal(packed, whole)


def test_numbers_that_half_precision_cannot_hold_stay() -> None:
    large = {"large": torch.full((80, 80), 1e5)}
    assert pack(large) == ({"large": large["large"]}, {})


def test_a_table_that_would_fill_memory_is_refused() -> None:
    bomb = {"t": torch.zeros(200_000, dtype=torch.int8), "t" + SCALE: torch.ones(200_000, 1)}
    with pytest.raises(CheckpointError, match="scales of 't'"):
        unpack(bomb, {"t": "int8"})


@pytest.mark.parametrize("lie", ["none_there", "no_scale", "wrong_kind", "two_scales"])
def test_what_is_not_packed_as_said_is_refused(lie: str) -> None:
    packed, how = pack(tensors())
    if lie == "none_there":
        how["missing"] = "float16"
    elif lie == "no_scale":
        del packed["table" + SCALE]
    elif lie == "wrong_kind":
        how["bias"] = "float16"
    else:
        packed["table" + SCALE] = torch.ones(2, 1)
    with pytest.raises(CheckpointError, match=r"packed as|scales of"):
        unpack(packed, how)


def test_a_model_whose_description_lies_is_refused(tmp_path: Path) -> None:
    save_model(made_model("bottleneck"), tmp_path, packed=True)
    description = json.loads((tmp_path / "model.json").read_text())
    name = next(name for name, how in description["packed"].items() if how == "float16")
    assert load_file(tmp_path / "model.safetensors")[name].dtype == torch.float16
    del description["packed"][name]
    (tmp_path / "model.json").write_text(json.dumps(description))
    with pytest.raises(CheckpointError, match=r"expected .* torch.float32"):
        load_model(tmp_path)
    description["packed"][name] = "int8"
    (tmp_path / "model.json").write_text(json.dumps(description))
    trust(tmp_path)
    with pytest.raises(CheckpointError, match="not packed as int8"):
        load_model(tmp_path)
