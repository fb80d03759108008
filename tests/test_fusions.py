"""The fusions of the literature and the cross-modal transformer, against what is worked out by hand or by loops."""

import copy
import itertools
import math
from dataclasses import replace
from typing import cast

import numpy as np
import pytest
import torch
from torch import nn

from emotiwave.batch import Batch, collate, keep_only
from emotiwave.errors import ConfigError
from emotiwave.models import create_model
from emotiwave.models.cross_modal_transformer import CrossModalTransformer
from emotiwave.models.directed_attention import DirectedBlock, DirectedStack
from emotiwave.models.fusion import FusionModel, ModelSettings, ModelSpec
from emotiwave.models.layers import final_states, mean_of_present, side_by_side
from emotiwave.models.low_rank import RANK, LowRank, LowRankLayer
from emotiwave.models.mbt import N_BOTTLENECK, Mbt
from emotiwave.models.misa import DIFFERENCE_WEIGHT, Misa, moment_discrepancy, orthogonality
from emotiwave.models.mult import Mult, last_observed
from emotiwave.models.tensor import TensorFusion, outer_product
from emotiwave.training.module import TrainingModule, task_loss
from emotiwave.training.settings import TrainingSettings
from emotiwave.types import LabelSet, all_configurations
from tests.made import LABEL_SETS, SIZES, made_batch, made_model, small_corpus

FUSIONS = ["cross_modal_transformer", "low_rank", "mbt", "misa", "mult", "tensor"]
FIELD_SIZES = {"text": 300, "audio": 74, "vision": 713}
SIX = LabelSet("multilabel", tuple("abcdef"))


def n_parameters(name: str) -> int:
    model = create_model(ModelSpec(ModelSettings(name=name), FIELD_SIZES, SIX))
    return sum(parameter.numel() for parameter in model.parameters())


def linear(before: int, after: int) -> int:
    return before * after + after


def attention(width: int) -> int:
    return 4 * linear(width, width)


def feed_forward(width: int, expansion: int) -> int:
    return 2 * width + linear(width, expansion * width) + linear(expansion * width, width)


def block(width: int, expansion: int = 2) -> int:
    return 2 * width + attention(width) + feed_forward(width, expansion)


def frame_encoders(width: int) -> int:
    return sum(linear(size, width) + 4 * width + 5 * width**2 + width for size in FIELD_SIZES.values())


def lstm(size: int, hidden: int) -> int:
    return 4 * hidden * (size + hidden + 2)


def test_parameters_of_the_cross_modal_transformer() -> None:
    directed = 2 * (2 * 64 + 2 * (2 * 64 + attention(64)) + feed_forward(64, 2)) + 2 * 64
    stream = directed + block(64) + 2 * 64 + (4 * 64 + block(64))
    readout = 2 * 64 + 64 + block(64) + 2 * 64 + linear(64, 6)
    assert n_parameters("cross_modal_transformer") == frame_encoders(64) + 3 * stream + readout


def test_parameters_of_mult() -> None:
    convolutions = 3 * 32 * sum(FIELD_SIZES.values())
    pair = 4 * (2 * 32 + 2 * 32 + attention(32) + feed_forward(32, 4)) + 2 * 32
    over_time = 3 * block(64, 4) + 2 * 64
    head = 2 * linear(192, 192) + linear(192, 6)
    assert n_parameters("mult") == convolutions + 6 * pair + 3 * over_time + head


def test_parameters_of_mbt() -> None:
    stream = 64 + 4 * block(64, 4) + 2 * 64
    assert n_parameters("mbt") == frame_encoders(64) + 3 * stream + 4 * 64 + linear(64, 6)


def test_parameters_of_tensor_and_low_rank() -> None:
    summaries = sum(lstm(size, 64) + linear(64, 32) for size in FIELD_SIZES.values())
    after = linear(64, 64) + linear(64, 6)
    assert n_parameters("tensor") == summaries + linear(33**3, 64) + after
    assert n_parameters("low_rank") == summaries + 3 * RANK * 33 * 64 + 64 + after


def test_parameters_of_misa() -> None:
    read = sum(2 * lstm(size, 64) + 2 * lstm(128, 64) for size in FIELD_SIZES.values())
    vectors = 3 * (linear(256, 64) + 2 * 64 + linear(64, 64)) + linear(64, 64)
    assert n_parameters("misa") == read + vectors + linear(64, 64) + block(64) + linear(384, 192) + linear(192, 6)


# one to four modalities, copies, low precision


def batch_of(sizes: dict[str, int], n: int = 5) -> Batch:
    rng = np.random.default_rng(3)
    inputs, mask = {}, {}
    for index, (name, size) in enumerate(sizes.items()):
        inputs[name] = torch.from_numpy(rng.standard_normal((n, 4 + index, size)).astype(np.float32))
        mask[name] = torch.from_numpy(rng.random((n, 4 + index)) > 0.3)
        mask[name][:, 0] = True
    targets = torch.nn.functional.one_hot(torch.arange(n) % 3, 3).float()
    return Batch(tuple(map(str, range(n))), inputs, mask, targets, dict.fromkeys(sizes, 0))


def loss_of(model: FusionModel, batch: Batch) -> torch.Tensor:
    encoded = model.encode(batch)
    loss = task_loss(model.fuse(encoded), batch.targets, model.spec.label_set, torch.ones(batch.targets.shape[1]))
    return loss + sum(model.auxiliary_losses(encoded).values())


@pytest.mark.parametrize("n_modalities", [1, 2, 4])
@pytest.mark.parametrize("name", FUSIONS)
def test_any_number_of_modalities_trains(name: str, n_modalities: int) -> None:
    sizes = dict(itertools.islice({"text": 5, "audio": 4, "vision": 3, "pulse": 2}.items(), n_modalities))
    model, batch = made_model(name, sizes=sizes).train(), batch_of(sizes)
    for configuration in all_configurations(sizes):
        loss = loss_of(model, keep_only(batch, configuration.modalities))
        assert torch.isfinite(loss)
        loss.backward()
    without = [parameter for parameter, value in model.named_parameters() if value.grad is None or not value.grad.any()]
    assert without == []
    assert all(torch.isfinite(value.grad).all() for value in model.parameters() if value.grad is not None)


@pytest.mark.parametrize("name", FUSIONS)
def test_a_copy_answers_alike(name: str) -> None:
    model, batch = made_model(name), made_batch()
    copied = copy.deepcopy(model)
    torch.testing.assert_close(copied(batch), model(batch), rtol=0, atol=0)
    torch.testing.assert_close(loss_of(copied, batch), loss_of(model, batch), rtol=0, atol=0)


@pytest.mark.parametrize("name", FUSIONS)
def test_half_precision_stays_finite(name: str) -> None:
    model, batch = made_model(name).train(), made_batch()
    with torch.autocast("cpu", torch.bfloat16):
        loss = loss_of(model, batch)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(value.grad).all() for value in model.parameters() if value.grad is not None)


# layers


def test_final_states_are_those_of_the_observed_frames_alone() -> None:
    torch.manual_seed(0)
    layer = nn.LSTM(3, 4, num_layers=2, batch_first=True, bidirectional=True)
    frames = torch.randn(3, 6, 3)
    mask = torch.tensor([[True, False, True, True, False, False], [False] * 5 + [True], [False] * 6])
    states = final_states(layer, frames, mask)
    assert states.shape == (3, 16)
    for row, observed in enumerate([[0, 2, 3], [5], [0]]):  # nothing observed: the first frame stands in
        _, (expected, _) = layer(frames[row, observed])
        torch.testing.assert_close(states[row], expected.flatten())


def test_vectors_stand_side_by_side_by_name() -> None:
    vectors = {"b": torch.tensor([[1.0], [2.0]]), "a": torch.tensor([[3.0, 4.0], [5.0, 6.0]])}
    present = {"a": torch.tensor([True, False]), "b": torch.tensor([False, True])}
    joined = side_by_side(vectors, present, {"a": torch.tensor([7.0, 8.0]), "b": torch.tensor([[9.0], [10.0]])})
    assert joined.tolist() == [[3.0, 4.0, 9.0], [7.0, 8.0, 2.0]]


@pytest.mark.parametrize("taken", ["copy", "_modules", "_keys", "fromkeys", "training", "items", "a.b", "a/b", ""])
@pytest.mark.parametrize("name", ["lstm_concat", "low_rank"])
def test_a_modality_has_no_name_of_what_holds_the_parts(name: str, taken: str) -> None:
    with pytest.raises(ConfigError, match=f"a modality cannot be named {taken!r}"):
        create_model(ModelSpec(ModelSettings(name=name), {taken: 3, "text": 5}, LABEL_SETS["categorical"]))


def test_mean_of_present_by_hand() -> None:
    values = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [9.0, 9.0]], [[5.0, 8.0], [7.0, 7.0], [9.0, 9.0]]])
    present = torch.tensor([[True, True, False], [True, False, False]])
    assert mean_of_present(values, present).tolist() == [[3.0, 5.0], [3.0, 4.0], [0.0, 0.0]]


# directed attention


def numpy_norm(values: np.ndarray) -> np.ndarray:
    centred = values - values.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5)


def heard_by_hand(target: np.ndarray, source: np.ndarray, observed: list[int], layer: nn.Module) -> np.ndarray:
    """Single-head attention of each target frame, by loops."""
    weights = {name: value.detach().double().numpy() for name, value in layer.named_parameters()}
    width = target.shape[1]
    heard = np.zeros_like(target)
    for step, question in enumerate(numpy_norm(target) @ weights["query.weight"].T + weights["query.bias"]):
        pairs = numpy_norm(source[observed]) @ weights["key_value.weight"].T + weights["key_value.bias"]
        scores = np.array([question @ pair[:width] / math.sqrt(width) for pair in pairs])
        shares = np.exp(scores) / np.exp(scores).sum()
        heard[step] = sum(share * pair[width:] for share, pair in zip(shares, pairs, strict=True))
    return heard @ weights["out.weight"].T + weights["out.bias"]


def test_a_directed_block_equals_softmax_by_hand() -> None:
    torch.manual_seed(0)
    layer = DirectedBlock(["audio", "vision"], width=6, n_heads=1, dropout=0.0, expansion=4)
    target = torch.randn(1, 3, 6)
    sources = {"audio": torch.randn(1, 4, 6), "vision": torch.randn(1, 5, 6)}
    masks = {"audio": torch.tensor([[True, False, True, True]]), "vision": torch.zeros(1, 5, dtype=torch.bool)}
    mixed = target[0].double().numpy()
    mixed = mixed + heard_by_hand(mixed, sources["audio"][0].double().numpy(), [0, 2, 3], layer.attention["audio"])
    inner, outer = cast(nn.Linear, layer.feed_forward[1]), cast(nn.Linear, layer.feed_forward[3])
    hidden = numpy_norm(mixed) @ inner.weight.detach().double().numpy().T + inner.bias.detach().double().numpy()
    hidden = hidden * np.vectorize(lambda value: (1 + math.erf(value / math.sqrt(2))) / 2)(hidden)
    mixed = mixed + hidden @ outer.weight.detach().double().numpy().T + outer.bias.detach().double().numpy()
    np.testing.assert_allclose(layer(target, sources, masks)[0].detach().numpy(), mixed, rtol=1e-4, atol=1e-5)


def test_an_absent_source_adds_exactly_nothing() -> None:
    torch.manual_seed(0)
    stack = DirectedStack(["audio", "vision"], 2, width=8, n_heads=2, dropout=0.0, expansion=2)
    target, audio, vision = torch.randn(2, 3, 8), torch.randn(2, 4, 8), torch.randn(2, 5, 8)
    hears = torch.tensor([[True] * 4, [False] * 4])
    nothing = torch.zeros(2, 5, dtype=torch.bool)
    alone = stack(target, {"audio": audio, "vision": vision}, {"audio": hears, "vision": nothing})
    louder = stack(target, {"audio": audio, "vision": vision * 1e4}, {"audio": hears, "vision": nothing})
    torch.testing.assert_close(louder, alone, rtol=0, atol=0)
    for layer in stack.blocks:
        del cast(DirectedBlock, layer).attention["vision"]  # as if there were no vision at all
    torch.testing.assert_close(stack(target, {"audio": audio}, {"audio": hears}), alone, rtol=0, atol=0)
    for layer in stack.blocks:
        del cast(DirectedBlock, layer).attention["audio"]
    torch.testing.assert_close(stack(target, {}, {})[1], alone[1], rtol=0, atol=0)
    assert (stack(target, {}, {})[0] - alone[0]).abs().min() > 0


def test_without_sources_a_stack_only_normalises() -> None:
    target = torch.randn(2, 3, 8)
    stack = DirectedStack([], 2, width=8, n_heads=2, dropout=0.0, expansion=2)
    assert len(stack.blocks) == 0
    np.testing.assert_allclose(stack(target, {}, {}).detach().numpy(), numpy_norm(target.numpy()), atol=1e-5)


def streams(model: FusionModel, batch: Batch) -> dict[str, torch.Tensor]:
    assert isinstance(model, CrossModalTransformer | Mult)
    return model.streams(model.encode(batch))


def deafen(model: FusionModel, target: str, source: str) -> None:
    """Let the target hear zeros from the source."""
    ways = model.directed[target] if isinstance(model, CrossModalTransformer) else model.pairs[target][source]
    for layer in cast(DirectedStack, ways).blocks:
        out = cast(nn.Linear, cast(DirectedBlock, layer).attention[source].out)
        nn.init.zeros_(out.weight)
        nn.init.zeros_(out.bias)


@pytest.mark.parametrize("name", ["cross_modal_transformer", "mult"])
def test_a_source_reaches_a_target_in_its_own_direction_only(name: str) -> None:
    batch = made_batch(missing=False)
    for source, target in itertools.permutations(SIZES, 2):
        model = made_model(name)
        changed = replace(batch, inputs=batch.inputs | {source: batch.inputs[source] + 1.0})
        before, after = streams(model, batch), streams(model, changed)
        assert all((after[m] - before[m]).abs().max() > 1e-4 for m in SIZES)
        deafen(model, target, source)
        before, after = streams(model, batch), streams(model, changed)
        torch.testing.assert_close(after[target], before[target], rtol=0, atol=0)  # though the third hears the source
        assert all((after[m] - before[m]).abs().max() > 1e-4 for m in SIZES if m != target)


@pytest.mark.parametrize("name", FUSIONS)
def test_what_is_absent_changes_no_bit(name: str) -> None:
    model, batch = made_model(name), made_batch(missing=False)
    changed = replace(batch, inputs=batch.inputs | {"audio": batch.inputs["audio"] * -3.0})
    for configuration in (["text"], ["vision"], ["text", "vision"]):
        expected = model.fuse(model.encode(batch).keep_only(configuration))
        got = model.fuse(model.encode(changed).keep_only(configuration))
        torch.testing.assert_close(got, expected, rtol=0, atol=0)


def test_mult_reads_the_last_observed_step() -> None:
    frames = torch.arange(24.0).reshape(3, 4, 2)
    mask = torch.tensor([[True, True, False, False], [False, True, False, True], [False] * 4])
    assert last_observed(frames, mask).tolist() == [[2.0, 3.0], [14.0, 15.0], [16.0, 17.0]]


# tensor and low-rank fusion


def test_outer_product_by_loops() -> None:
    torch.manual_seed(0)
    first, second, third = torch.randn(2, 3), torch.randn(2, 2), torch.randn(2, 4)
    cells = outer_product([first, second, third])
    for row in range(2):
        expected = [a * b * c for a in first[row] for b in second[row] for c in third[row]]
        torch.testing.assert_close(cells[row], torch.stack(expected))


def test_an_absent_modality_leaves_only_products_without_it() -> None:
    model, batch = made_model("tensor"), made_batch(missing=False)
    assert isinstance(model, TensorFusion)
    encoded = model.encode(batch)
    one = torch.ones(len(batch.ids), 1)
    vectors = {name: torch.cat([values, one], dim=1) for name, values in encoded.values.items()}
    whole = outer_product([vectors[name] for name in ("audio", "text", "vision")])
    torch.testing.assert_close(model.fuse(encoded), model.head(whole))
    cells = whole.reshape(-1, *[vectors[name].shape[1] for name in ("audio", "text", "vision")]).clone()
    cells[:, :-1] = 0.0  # every product that audio has a part in
    torch.testing.assert_close(model.fuse(encoded.keep_only(["text", "vision"])), model.head(cells.flatten(1)))


def test_the_tensor_of_many_modalities_shrinks_and_then_is_refused() -> None:
    four = created("tensor", 4)
    assert [module.in_features for module in four.modules() if isinstance(module, nn.Linear)].count(16**4) == 1
    with pytest.raises(
        ConfigError, match=r"outer product of 17 modalities has more than 65,536 cells; choose 'low_rank'"
    ):
        created("tensor", 17)
    assert isinstance(created("low_rank", 17), LowRank)


def created(name: str, n_modalities: int) -> FusionModel:
    sizes = {f"sensor_{index}": 2 for index in range(n_modalities)}
    return create_model(ModelSpec(ModelSettings(name=name), sizes, SIX))


def test_low_rank_equals_the_linear_layer_on_the_full_tensor() -> None:
    torch.manual_seed(0)
    layer = LowRankLayer(("audio", "text", "vision"), of_vector=3, width=5)
    nn.init.normal_(layer.bias)
    vectors = {name: torch.randn(2, 4) for name in ("audio", "text", "vision")}
    audio, text, vision = (layer.factors[name] for name in ("audio", "text", "vision"))
    weights = torch.zeros(5, 4, 4, 4)
    for unit, rank in itertools.product(range(5), range(RANK)):
        of_pair = torch.outer(audio[rank, :, unit], text[rank, :, unit])
        weights[unit] += of_pair[:, :, None] * vision[rank, :, unit]
    for row in range(2):
        tensor = vectors["audio"][row][:, None, None] * vectors["text"][row][:, None] * vectors["vision"][row]
        torch.testing.assert_close(layer(vectors)[row], (weights * tensor).sum(dim=(1, 2, 3)) + layer.bias)


def test_low_rank_starts_at_zero_where_only_ones_are() -> None:
    layer = LowRankLayer(("audio", "text"), of_vector=3, width=5)
    only_ones = torch.tensor([[0.0, 0.0, 0.0, 1.0]])
    assert not layer({"audio": only_ones, "text": only_ones}).any()


# attention bottlenecks


def test_bottleneck_tokens_go_on_as_the_mean_of_what_is_present() -> None:
    model, batch = made_model("mbt"), made_batch(missing=False)
    assert isinstance(model, Mbt)
    encoded = model.encode(batch)
    present = encoded.keep_only(["text", "vision"])
    for row in range(2):
        bottleneck = model.bottleneck
        tokens = {}
        for name in ("text", "vision"):  # what is observed, cut out
            seen = torch.cat([torch.ones(1, dtype=torch.bool), encoded.mask[name][row]])
            tokens[name] = encoded.values[name][row][seen]
        for index in range(2):
            updated = []
            for name, own in tokens.items():
                joined = torch.cat([own, bottleneck])[None]
                out = cast(nn.ModuleList, model.fusion[name])[index](joined, torch.ones(1, joined.shape[1]).bool())[0]
                tokens[name] = out[: len(own)]
                updated.append(out[len(own) :])
            assert updated[0].shape == (N_BOTTLENECK, 64)
            bottleneck = (updated[0] + updated[1]) / 2
        logits = [model.answer(model.norm[name](own[0])) for name, own in tokens.items()]
        expected = (logits[0] + logits[1]) / 2
        torch.testing.assert_close(model.fuse(present)[row], expected, rtol=1e-4, atol=1e-5)


# shared and private


def moments_by_hand(first: np.ndarray, second: np.ndarray) -> float:
    total = np.sqrt(((first.mean(axis=0) - second.mean(axis=0)) ** 2).sum())
    for order in range(2, 6):
        of_first = ((first - first.mean(axis=0)) ** order).mean(axis=0)
        of_second = ((second - second.mean(axis=0)) ** order).mean(axis=0)
        total += np.sqrt(((of_first - of_second) ** 2).sum())
    return float(total)


def orthogonality_by_hand(first: np.ndarray, second: np.ndarray) -> float:
    first, second = first - first.mean(axis=0), second - second.mean(axis=0)
    first = first / np.linalg.norm(first, axis=1, keepdims=True)
    second = second / np.linalg.norm(second, axis=1, keepdims=True)
    products = [(first[:, i] @ second[:, j]) ** 2 for i in range(first.shape[1]) for j in range(second.shape[1])]
    return float(np.mean(products))


def test_discrepancy_of_moments_by_hand() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random((6, 4)), rng.random((6, 4))
    rows, others = np.array([0, 1, 4]), np.array([1, 2, 3, 5])
    there, also = (torch.zeros(6, dtype=torch.bool).index_fill(0, torch.from_numpy(r), True) for r in (rows, others))
    got = moment_discrepancy(torch.from_numpy(first), there, torch.from_numpy(second), also)
    assert got.item() == pytest.approx(moments_by_hand(first[rows], second[others]))
    assert moment_discrepancy(torch.from_numpy(first), there, torch.from_numpy(second), also & False) == 0
    same = torch.from_numpy(first).requires_grad_()
    zero = moment_discrepancy(same, there, same.detach(), there)
    zero.backward()
    assert zero == 0
    assert torch.isfinite(cast(torch.Tensor, same.grad)).all()


def test_orthogonality_by_hand() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random((6, 4)), rng.random((6, 4))
    rows = np.array([0, 2, 3, 5])
    there = torch.zeros(6, dtype=torch.bool).index_fill(0, torch.from_numpy(rows), True)
    got = orthogonality(torch.from_numpy(first), torch.from_numpy(second), there)
    assert got.item() == pytest.approx(orthogonality_by_hand(first[rows], second[rows]))


def test_rows_that_are_alike_have_no_wild_gradient() -> None:
    torch.manual_seed(0)
    alike = (0.5 + 1e-7 * torch.rand(7, 64)).requires_grad_()  # they differ by rounding
    orthogonality(alike, torch.rand(7, 64), torch.ones(7, dtype=torch.bool)).backward()
    assert cast(torch.Tensor, alike.grad).abs().max() < 0.1


def test_losses_of_misa_are_over_what_is_present() -> None:
    model, batch = made_model("misa"), made_batch(missing=False)
    assert isinstance(model, Misa)
    encoded = model.encode(batch)
    kept = {name: torch.ones(6, dtype=torch.bool) for name in SIZES}
    kept["text"][[0, 1]], kept["audio"][[1, 4]], kept["vision"][:] = False, False, False
    losses = model.auxiliary_losses(encoded.keep(kept))
    whole, shared, private = ({n: v[:, i].detach().numpy() for n, v in encoded.values.items()} for i in range(3))
    text, audio, both = [2, 3, 4, 5], [0, 2, 3, 5], [2, 3, 5]
    assert losses["similarity"].item() == pytest.approx(moments_by_hand(shared["audio"][audio], shared["text"][text]))
    apart = orthogonality_by_hand(shared["text"][text], private["text"][text])
    apart += orthogonality_by_hand(shared["audio"][audio], private["audio"][audio])
    apart += orthogonality_by_hand(private["audio"][both], private["text"][both])
    assert losses["difference"].item() == pytest.approx(DIFFERENCE_WEIGHT * apart, rel=1e-4)
    weight, bias = model.decoder.weight.detach().numpy(), model.decoder.bias.detach().numpy()
    errors = [
        ((shared[name][row] + private[name][row]) @ weight.T + bias - whole[name][row]) ** 2
        for name, rows in (("text", text), ("audio", audio))
        for row in rows
    ]
    assert losses["reconstruction"].item() == pytest.approx(np.mean(errors), rel=1e-4)


def test_losses_of_misa_count_in_training() -> None:
    corpus = small_corpus()
    spec = ModelSpec(
        ModelSettings(name="misa"), {name: s.size for name, s in corpus.sequences.items()}, corpus.label_set
    )
    model = create_model(spec).eval()  # no dropout
    module = TrainingModule(model, corpus, TrainingSettings(modality_dropout=0.0))
    batch = collate(corpus, module.indices[:8])
    encoded = model.encode(batch)
    of_task = task_loss(model.fuse(encoded), batch.targets, corpus.label_set, module.class_weights)
    added = sum(loss.item() for loss in model.auxiliary_losses(encoded).values())
    assert added > 0.1
    assert module.training_step(batch, 0).item() == pytest.approx(of_task.item() + added, rel=1e-5)
