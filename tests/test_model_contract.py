"""The seven promises that every model keeps, whatever its name, for every kind of labels."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from emotiwave.batch import Batch, keep_only
from emotiwave.errors import CheckpointError, FeatureError
from emotiwave.explanation.shapley import attributable_scores, shapley_values
from emotiwave.models.checkpoint import load_model, save_model
from emotiwave.training.module import task_loss
from emotiwave.types import all_configurations
from tests.made import ALL_MODELS, LABEL_SETS, SIZES, made_batch, made_model

CONFIGURATIONS = all_configurations(SIZES)
NEED_OTHER_INPUTS = {"image_text"}
"""Models that take raw pictures or words, of named modalities; their own tests hold them to the same."""
MEET_DISTRIBUTIONS = ("late", "unimodal")
"""Models whose own code tells which class excludes others; to all others a distribution is a categorical label."""
pytestmark = pytest.mark.parametrize(
    ("name", "kind"),
    [
        (name, kind)
        for name in ALL_MODELS
        for kind in LABEL_SETS
        if name not in NEED_OTHER_INPUTS and (kind != "distribution" or name in MEET_DISTRIBUTIONS)
    ],
)


def with_garbage(batch: Batch) -> Batch:
    garbage = torch.tensor([float("nan"), float("inf"), -1e30])
    inputs = {}
    for name, values in batch.inputs.items():
        noise = garbage[torch.arange(values.numel()) % 3].reshape(values.shape)
        inputs[name] = torch.where(batch.mask[name][..., None], values, noise)
    return replace(batch, inputs=inputs)


def one(batch: Batch, row: int) -> Batch:
    """One utterance without the padding of the others."""
    inputs, mask = {}, {}
    for name in batch.inputs:
        length = int(batch.mask[name][row].nonzero().max()) + 1 if batch.mask[name][row].any() else 1
        inputs[name] = batch.inputs[name][row : row + 1, :length]
        mask[name] = batch.mask[name][row : row + 1, :length]
    return replace(batch, ids=batch.ids[row : row + 1], inputs=inputs, mask=mask, targets=batch.targets[row : row + 1])


def test_every_configuration_gives_finite_logits(name: str, kind: str) -> None:
    model, batch = made_model(name, kind), made_batch(kind=kind)
    answers = dict(model.each_configuration(batch, CONFIGURATIONS))
    assert len(answers) == 7
    for configuration, logits in answers.items():
        assert logits.shape == (6, len(LABEL_SETS[kind].names))
        assert torch.isfinite(logits).all(), configuration


def test_fusing_a_configuration_equals_hiding_the_input(name: str, kind: str) -> None:
    model, batch = made_model(name, kind), made_batch(kind=kind)
    for configuration, logits in model.each_configuration(batch, CONFIGURATIONS):
        torch.testing.assert_close(logits, model(keep_only(batch, configuration.modalities)))


def test_nothing_present_answers_the_prior(name: str, kind: str) -> None:
    model, batch = made_model(name, kind), made_batch(kind=kind)
    torch.testing.assert_close(model(keep_only(batch, ())), model.prior_logits.expand(6, -1), rtol=0, atol=0)


def test_a_modality_that_is_present_matters(name: str, kind: str) -> None:
    model, batch = made_model(name, kind), made_batch(kind=kind, missing=False)
    for modality in model.modalities:
        changed = replace(batch, inputs=batch.inputs | {modality: batch.inputs[modality] + 1.0})
        assert (model(changed) - model(batch)).abs().amax(dim=1).min() > 1e-6


@pytest.mark.parametrize("training", [False, True])
def test_garbage_in_unobserved_frames_changes_nothing(name: str, kind: str, training: bool) -> None:
    model, batch = made_model(name, kind).train(training), made_batch(kind=kind)
    torch.manual_seed(5)
    clean = model(batch)
    torch.manual_seed(5)
    spoilt = model(with_garbage(batch))
    torch.testing.assert_close(spoilt, clean, rtol=0, atol=0)
    task_loss(spoilt, batch.targets, LABEL_SETS[kind], torch.ones(batch.targets.shape[1])).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_alone_equals_in_a_padded_batch(name: str, kind: str) -> None:
    model, batch = made_model(name, kind), made_batch(kind=kind)
    together = model(batch)
    for row in range(6):
        torch.testing.assert_close(model(one(batch, row))[0], together[row], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("training", [False, True])
def test_one_utterance_reaches_no_other(name: str, kind: str, training: bool) -> None:
    model, batch = made_model(name, kind).train(training), made_batch(kind=kind)
    other = {m: torch.cat([values[:3], values[3:4] * 9 + 4, values[4:]]) for m, values in batch.inputs.items()}
    hidden = {m: torch.cat([mask[:4], torch.zeros_like(mask[4:5]), mask[5:]]) for m, mask in batch.mask.items()}
    torch.manual_seed(5)
    before = model(batch)
    torch.manual_seed(5)
    after = model(replace(batch, inputs=other, mask=hidden))
    unchanged = [0, 1, 2, 5]
    torch.testing.assert_close(after[unchanged], before[unchanged], rtol=0, atol=1e-6)


def test_order_of_modalities_does_not_matter(name: str, kind: str) -> None:
    batch = made_batch(kind=kind)
    turned = replace(
        batch,
        inputs=dict(reversed(batch.inputs.items())),
        mask=dict(sorted(batch.mask.items(), reverse=True)),
    )
    model = made_model(name, kind)
    torch.testing.assert_close(model(turned), model(batch), rtol=0, atol=0)
    turned_model = made_model(name, kind, sizes=dict(reversed(SIZES.items())))
    torch.testing.assert_close(turned_model(batch), model(batch), rtol=0, atol=0)


def test_saved_and_loaded_gives_equal_bits(name: str, kind: str, tmp_path) -> None:
    model, batch = made_model(name, kind), made_batch(kind=kind)
    save_model(model, tmp_path)
    loaded = load_model(tmp_path)
    assert loaded.spec == model.spec
    torch.testing.assert_close(loaded(batch), model(batch), rtol=0, atol=0)
    assert not loaded.training


def test_weights_of_another_model_are_refused(name: str, kind: str, tmp_path) -> None:
    save_model(made_model(name, kind), tmp_path / "one")
    other = "late" if name == "bottleneck" else "bottleneck"
    save_model(made_model(other, kind), tmp_path / "two")
    (tmp_path / "one" / "model.safetensors").write_bytes((tmp_path / "two" / "model.safetensors").read_bytes())
    with pytest.raises(CheckpointError, match=r"model\.safetensors is not the file that model\.json describes"):
        load_model(tmp_path / "one")
    described = json.loads((tmp_path / "one" / "model.json").read_text())
    described["sha256"] = json.loads((tmp_path / "two" / "model.json").read_text())["sha256"]
    (tmp_path / "one" / "model.json").write_text(json.dumps(described))
    with pytest.raises(CheckpointError, match="of another model"):
        load_model(tmp_path / "one")


def test_base_and_shapley_values_add_up(name: str, kind: str) -> None:
    model, batch = made_model(name, kind), made_batch(kind=kind)
    scores = {
        frozenset(c.modalities): attributable_scores(logits.detach().numpy(), LABEL_SETS[kind].kind)
        for c, logits in model.each_configuration(batch, CONFIGURATIONS)
    }
    scores[frozenset()] = np.broadcast_to(
        attributable_scores(model.prior_logits.numpy(), LABEL_SETS[kind].kind), scores[frozenset(SIZES)].shape
    )
    values = shapley_values(scores, SIZES)
    np.testing.assert_allclose(scores[frozenset()] + sum(values.values()), scores[frozenset(SIZES)], atol=1e-5)
    np.testing.assert_array_equal(values["text"][:3], 0.0)  # rows without text owe it nothing
    np.testing.assert_array_equal(values["vision"][2], 0.0)


def test_one_step_on_each_configuration_trains_every_parameter(name: str, kind: str) -> None:
    model, batch = made_model(name, kind).train(), made_batch(kind=kind, missing=False)
    reached = {parameter: False for parameter, _ in model.named_parameters()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for configuration in CONFIGURATIONS:
        optimizer.zero_grad()
        encoded = model.encode(keep_only(batch, configuration.modalities))
        logits = model.fuse(encoded)
        loss = task_loss(logits, batch.targets, LABEL_SETS[kind], torch.ones(batch.targets.shape[1]))
        loss = loss + sum(model.auxiliary_losses(encoded).values())
        if not loss.requires_grad or not any(configuration.modalities.count(m) for m in model.modalities):
            continue  # a unimodal model without its modality answers the prior
        loss.backward()
        for parameter, value in model.named_parameters():
            reached[parameter] |= value.grad is not None and bool(value.grad.abs().sum() > 0)
        optimizer.step()
        assert all(torch.isfinite(value).all() for value in model.parameters())
    assert [parameter for parameter, was in reached.items() if not was] == []


@pytest.mark.parametrize("n", [1, 6])
def test_losses_that_a_model_adds_are_finite_whatever_is_present(name: str, kind: str, n: int) -> None:
    model, batch = made_model(name, kind).train(), made_batch(n, kind, missing=n > 3)
    encoded = model.encode(batch)
    for configuration in [(), *(configuration.modalities for configuration in CONFIGURATIONS)]:
        losses = model.auxiliary_losses(encoded.keep_only(configuration))
        for which, loss in losses.items():
            assert loss.shape == (), which
            assert torch.isfinite(loss), (which, configuration)
            assert configuration or loss == 0, f"{which}: nothing is present"
        if losses:
            model.zero_grad()
            sum(losses.values()).backward(retain_graph=True)
            assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_missing_or_misshapen_modalities_are_refused(name: str, kind: str) -> None:
    model, batch = made_model(name, kind), made_batch(kind=kind)
    without = {m: values for m, values in batch.inputs.items() if m != "text"}
    with pytest.raises(FeatureError, match="needs modality 'text'"):
        model(replace(batch, inputs=without))
    wider = batch.inputs | {"text": torch.cat([batch.inputs["text"]] * 2, dim=2)}
    with pytest.raises(FeatureError, match="text: the model was built for 5 features per frame; the data has 10"):
        model(replace(batch, inputs=wider))
