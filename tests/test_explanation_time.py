"""When: explainers of frames against what they must say, and measures of their truth against numbers by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import expit

from emotiwave.batch import Batch, collate
from emotiwave.errors import ConfigError
from emotiwave.explanation import faithfulness
from emotiwave.explanation.explainers import (
    EXPLAINERS,
    class_score,
    explainers_of,
    find_explainer,
    scores_without,
)
from emotiwave.explanation.faithfulness import (
    first_of,
    modality_deletion,
    randomised,
    rank_correlation,
    removal_curves,
    with_noise,
)
from emotiwave.explanation.means import mean_over_groups
from emotiwave.explanation.shapley import attributable_scores
from emotiwave.explanation.units import Unit, units_of
from emotiwave.models import MODELS
from emotiwave.models.fusion import FusionModel
from emotiwave.models.layers import Attention, RankScores
from emotiwave.sequences import ComputationalSequence, FeatureSequence
from emotiwave.types import Corpus, LabelSet, Utterance
from tests.made import LABEL_SETS, made_batch, made_model
from tests.test_model_contract import NEED_OTHER_INPUTS, one, with_garbage

LABELS = LabelSet("categorical", ("anger", "fear"))


def each_frame(batch: Batch) -> tuple[Unit, ...]:
    """Every observed frame of one utterance, a second long."""
    return tuple(
        Unit(name, frame, frame + 1, float(frame), frame + 1.0)
        for name, mask in batch.mask.items()
        for frame in np.flatnonzero(mask[0].numpy()).tolist()
    )


def can(name: str) -> list[str]:
    return [model for model in MODELS if model not in NEED_OTHER_INPUTS and name in explainers_of(made_model(model))]


CASES = [(explainer, model) for explainer in EXPLAINERS for model in can(explainer)]


@pytest.mark.parametrize(("explainer", "name"), CASES)
@pytest.mark.parametrize("kind", ["categorical", "multilabel", "continuous"])
def test_what_every_explainer_promises(explainer: str, name: str, kind: str) -> None:
    model = made_model(name, kind)
    for parameter in model.parameters():
        parameter.requires_grad_(parameter.ndim > 1)
    wanted = [parameter.requires_grad for parameter in model.parameters()]
    batch = one(made_batch(kind=kind), 3)
    units = each_frame(batch)
    found = EXPLAINERS[explainer](model, batch, 1, units)
    assert found.method == explainer
    assert set(found.values) == set(batch.inputs)
    for modality, values in found.values.items():
        mask = batch.mask[modality][0].numpy()
        assert values.shape == mask.shape
        assert np.isfinite(values).all()
        assert (values[~mask] == 0).all()
        if modality not in model.modalities:
            assert (values == 0).all()
    assert any(values.any() for values in found.values.values())
    again = EXPLAINERS[explainer](model, with_garbage(batch), 1, units)
    for modality, values in found.values.items():
        np.testing.assert_allclose(again.values[modality], values, atol=1e-5)
    assert [parameter.requires_grad for parameter in model.parameters()] == wanted
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("name", can("integrated_gradients"))
def test_integrated_gradients_add_up_to_the_change_of_score(name: str) -> None:
    model, batch = made_model(name), one(made_batch(), 3)
    found = EXPLAINERS["integrated_gradients"](model, batch, 2, each_frame(batch))
    resting = {
        m: model.encoder(m).resting_frame.expand_as(values) if m in model.modalities else values
        for m, values in batch.inputs.items()
    }
    with torch.inference_mode():
        full, rest = (class_score(model(of), 2, "categorical") for of in (batch, replace(batch, inputs=resting)))
    total = sum(values.sum() for values in found.values.values())
    assert found.gap is not None
    assert total - float(full - rest) == pytest.approx(found.gap, abs=1e-4)
    assert abs(found.gap) < 0.05 * max(1.0, abs(float(full - rest)))


def linear(weights: np.ndarray) -> FusionModel:
    """A model whose value is the mean of what its only weights say of the frames of text."""
    model = made_model("evidence", "continuous")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.maps["text"][0] = torch.from_numpy(weights)
    return model


def test_of_a_linear_model_it_is_known() -> None:
    weights = np.float32([1.0, -2.0, 0.0, 0.5, 0.0])
    model, batch = linear(weights), one(made_batch(kind="continuous"), 3)
    standardize = model.encoder("text").standardize
    mask = batch.mask["text"][0]
    scaled = ((batch.inputs["text"][0] - standardize.center) / standardize.scale).clamp(-5, 5)
    says = torch.where(mask, scaled @ (torch.from_numpy(weights) * model.gain_text), 0).double().numpy()
    says *= float(model.half_ranges[0]) / int(mask.sum())
    gradients = EXPLAINERS["integrated_gradients"](model, batch, 0, each_frame(batch))
    np.testing.assert_allclose(gradients.values["text"], says, atol=1e-5)
    assert not gradients.values["audio"].any()
    hidden = EXPLAINERS["occlusion"](model, batch, 0, each_frame(batch))
    n = int(mask.sum())
    others = (says.sum() - says) * n / (n - 1)  # the mean of the frames that are left
    np.testing.assert_allclose(hidden.values["text"], np.where(mask, says.sum() - others, 0), atol=1e-5)


def test_weights_of_attention_are_those_that_mix() -> None:
    torch.manual_seed(0)
    attention = Attention(8, 2)
    queries, keys = torch.randn(3, 4, 8), torch.randn(3, 6, 8)
    mask = torch.rand(3, 6) > 0.4
    mask[:, 0] = True
    weights = attention.weights(queries, keys, mask)
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(3, 2, 4))
    assert (weights.transpose(1, 3)[~mask] == 0).all()
    value = attention._split(attention.key_value(keys).chunk(2, dim=-1)[1])
    torch.testing.assert_close(
        attention.out((weights @ value).transpose(1, 2).flatten(2)), attention(queries, keys, mask)
    )


def test_where_queries_look_is_a_share_of_the_observed_frames() -> None:
    batch = one(made_batch(), 3)
    found = EXPLAINERS["attention"](made_model("bottleneck"), batch, 0, each_frame(batch))
    for values in found.values.values():
        assert values.sum() == pytest.approx(1, abs=1e-5)
    with pytest.raises(ConfigError, match="reads frames without attention"):
        EXPLAINERS["attention"](made_model("lstm_concat"), batch, 0, each_frame(batch))
    with pytest.raises(ConfigError, match="unknown explainer 'saliency'"):
        find_explainer("saliency")


@pytest.mark.parametrize("kind", list(LABEL_SETS))
def test_the_score_is_that_of_contributions(kind: str) -> None:
    logits = torch.randn(4, len(LABEL_SETS[kind].names), dtype=torch.float64)
    expected = attributable_scores(logits.numpy(), kind)
    for k in range(logits.shape[1]):
        np.testing.assert_allclose(class_score(logits, k, kind).numpy(), expected[:, k], atol=1e-12)


# --- units


def corpus_of(**intervals: list[tuple[float, float]]) -> Corpus:
    sequences = {
        name: ComputationalSequence.from_sequences(
            {"u": FeatureSequence(np.ones((len(times), 2), np.float32), np.array(times))}, size=2
        )
        for name, times in intervals.items()
    }
    return Corpus("made", "task", "none", LABELS, (Utterance("u", "test", "anger"),), sequences)


def test_units_are_words_and_half_seconds() -> None:
    tenths = [(k / 10, (k + 1) / 10) for k in range(12)]
    corpus = corpus_of(text=[(0.0, 0.2), (0.2, 0.3)], audio=tenths, vision=[(0.0, 2.0), (2.0, 2.1)])
    batch = collate(corpus, [0])
    batch.mask["audio"][0, 3] = False
    units = units_of(corpus, 0, batch, 0)
    assert [(u.first, u.last) for u in units if u.modality == "text"] == [(0, 1), (1, 2)]
    assert [(u.first, u.last, u.start, u.end) for u in units if u.modality == "audio"] == [
        (0, 5, 0.0, 0.5),
        (5, 10, 0.5, 1.0),
        (10, 12, 1.0, 1.2),
    ]
    assert [(u.start, u.end) for u in units if u.modality == "vision"] == [(0.0, 2.0), (2.0, 2.1)]
    assert units_of(corpus, 0, batch, 0, names=["text"]) == units[:2]


def test_one_frame_is_one_unit_and_hiding_it_leaves_the_prior() -> None:
    model = made_model("evidence")
    batch = one(made_batch(), 3)
    for mask in batch.mask.values():
        mask[:] = False
    batch.mask["audio"][0, 1] = True
    units = each_frame(batch)
    assert len(units) == 1
    found = EXPLAINERS["occlusion"](model, batch, 0, units)
    nothing, everything = (
        class_score(model.prior_logits[None].double(), 0, "categorical"),
        scores_without(model, batch, 0, units, np.zeros((1, 1), bool)),
    )
    assert found.values["audio"][1] == pytest.approx(float(everything[0] - nothing[0]), abs=1e-5)


# --- is it true


def test_the_first_of_an_order() -> None:
    orders = np.array([[2, 0, 1], [0, 1, 2]])
    marked = first_of(orders, np.array([0, 1, 2, 3]))
    assert marked.astype(int).tolist() == [
        [[0, 0, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1]],
        [[0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1]],
    ]


def test_curves_are_areas_under_the_probability(monkeypatch: pytest.MonkeyPatch) -> None:
    worth = np.array([3.0, -1.0, 0.5, 0.0])
    units = tuple(Unit("audio", k, k + 1, k, k + 1.0) for k in range(4))

    def scores(model: object, batch: object, target: int, units: object, hidden: np.ndarray) -> np.ndarray:
        return (worth * ~hidden).sum(axis=1)

    monkeypatch.setattr(faithfulness, "scores_without", scores)
    model, batch = made_model("evidence"), made_batch()
    rng = np.random.default_rng(0)
    curves = removal_curves(model, batch, 0, units, worth, rng)
    deletion = expit([2.5, -0.5, -1.0, -1.0, 0.0])  # without 3.0, then 0.5, then 0.0, then -1.0
    insertion = expit([0.0, 3.0, 3.5, 3.5, 2.5])
    assert curves.deletion == pytest.approx(np.trapezoid(deletion, dx=0.25))
    assert curves.insertion == pytest.approx(np.trapezoid(insertion, dx=0.25))
    assert curves.deletion < curves.deletion_by_chance
    assert curves.insertion > curves.insertion_by_chance
    wrong = removal_curves(model, batch, 0, units, -worth, np.random.default_rng(0))
    assert wrong.deletion > wrong.deletion_by_chance
    assert (wrong.deletion_by_chance, wrong.insertion_by_chance) == (
        curves.deletion_by_chance,
        curves.insertion_by_chance,
    )


def test_shuffled_weights_are_the_same_ones_elsewhere() -> None:
    model = made_model("bottleneck")
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    other = randomised(model, torch.Generator().manual_seed(0))
    moved = 0
    for name, parameter in other.named_parameters():
        torch.testing.assert_close(parameter.flatten().sort().values, before[name].flatten().sort().values)
        moved += not torch.equal(parameter, before[name])
    assert moved > 10
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name])


def test_small_noise_is_small_and_reaches_what_is_observed_alone() -> None:
    batch = one(made_batch(n=4), 3)
    batch.inputs["audio"] = batch.inputs["audio"].repeat(1, 40, 1)
    batch.mask["audio"] = batch.mask["audio"].repeat(1, 40)
    noisy = with_noise(made_model("evidence"), batch, torch.Generator().manual_seed(0))
    assert noisy is not None
    added = noisy.inputs["audio"] - batch.inputs["audio"]
    mask = batch.mask["audio"]
    assert (added[~mask] == 0).all()
    spread = batch.inputs["audio"][mask].std(dim=0, correction=0)
    torch.testing.assert_close(added[mask].std(dim=0), 0.05 * spread, rtol=0.2, atol=0)


def test_ranks_are_compared_where_there_are_some() -> None:
    assert rank_correlation(np.array([1.0, 2.0, 9.0]), np.array([0.1, 0.2, 0.3])) == 1
    assert np.isnan(rank_correlation(np.array([1.0, 2.0]), np.array([1.0, 2.0])))
    assert np.isnan(rank_correlation(np.zeros(4), np.arange(4.0)))


def test_means_leave_out_what_was_not_measured() -> None:
    values = np.array([1.0, 2.0, np.nan, 6.0])
    found = mean_over_groups(values, ["a", "a", "b", "c"])
    assert (found.value, found.n) == (3.0, 3)
    assert (found.low, found.high) == (1.5, 6.0)  # of two groups: all resamples are 1.5, 3 or 6
    assert mean_over_groups(np.array([np.nan]), ["a"]).n == 0


def test_modalities_are_taken_away_one_by_one() -> None:
    scores = {
        frozenset("at"): np.array([1.0, 1.0]),
        frozenset("a"): np.array([0.8, 0.2]),
        frozenset("t"): np.array([0.4, 0.6]),
        frozenset(): np.array([0.0, 0.0]),
    }
    found = modality_deletion(scores, "at", lambda row: "at"[:: 1 if row == 0 else -1])
    np.testing.assert_allclose(found, [(0.5 + 0.4 + 0.0), (0.5 + 0.2 + 0.0)] / np.float64(2))


def test_nothing_observed_is_explained_by_nothing() -> None:
    batch = one(made_batch(), 3)
    for mask in batch.mask.values():
        mask[:] = False
    for name in ("integrated_gradients", "occlusion"):
        found = EXPLAINERS[name](made_model("evidence"), batch, 0, ())
        assert not any(values.any() for values in found.values.values())


def test_ranks_have_finite_gradients_where_many_values_are_equal() -> None:
    ranks = RankScores(2, n_quantiles=5)
    quantiles = torch.tensor([[0.0, 0.0, 0.0, 1.0, 2.0], [3.0, 3.0, 3.0, 3.0, 3.0]])
    ranks.load_state_dict({"quantiles": quantiles})
    values = torch.tensor([[[0.0, 3.0], [-1.0, 2.0], [0.5, 4.0], [5.0, 3.0]]], requires_grad=True)
    mask = torch.ones(1, 4, dtype=torch.bool)
    scores = ranks(values, mask)
    scores.sum().backward()
    assert torch.isfinite(values.grad).all()
    edge = float(ranks.scores[-1])
    middle = float(ranks.scores[0] + ranks.scores[2]) / 2  # of three equal quantiles: between the first and the last
    torch.testing.assert_close(scores[0, :, 0].detach(), torch.tensor([middle, -edge, scores[0, 2, 0].item(), edge]))
    torch.testing.assert_close(scores[0, :, 1].detach(), torch.tensor([0.0, -edge, edge, 0.0]), atol=1e-6, rtol=0)
