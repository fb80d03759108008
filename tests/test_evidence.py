"""The default model: evidence that adds, spans, reliability, shrinkage, neighbours, and the cross-modal path."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from rich.console import Console
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from emotiwave.batch import collate, keep_only
from emotiwave.config import read_recipe
from emotiwave.datasets.span_evidence import span_evidence as span_evidence_of_bayes
from emotiwave.dialogues import Context, find_neighbours
from emotiwave.errors import ConfigError, DataWarning
from emotiwave.inference import predict
from emotiwave.models import create_model
from emotiwave.models.checkpoint import load_model, save_model
from emotiwave.models.evidence import span_evidence
from emotiwave.models.fusion import ModelSettings, ModelSpec
from emotiwave.sequences import ComputationalSequence
from emotiwave.training.fit import build, fit
from emotiwave.training.module import task_loss
from emotiwave.training.settings import TrainingSettings
from emotiwave.types import Configuration, Corpus, LabelSet, Utterance, all_configurations
from tests.made import LABEL_SETS, SIZES, made_batch, made_model, small_corpus


def model_of(kind: str = "categorical", size: str = "small", seed: int = 0, **evidence: object):
    torch.manual_seed(seed)
    settings = ModelSettings.model_validate({"name": "evidence", "size": size, "evidence": evidence})
    model = create_model(ModelSpec(settings, SIZES, LABEL_SETS[kind])).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    model.prior_logits.normal_()
    return model


def one_frame_corpus(n_classes: int = 2, n: int = 120) -> tuple[Corpus, dict[str, np.ndarray]]:
    """One modality of one frame each; every feature tells a little."""
    rng = np.random.default_rng(0)
    classes = rng.integers(n_classes, size=n)
    ids = tuple(f"u{i}" for i in range(n))
    means = 0.6 * rng.standard_normal((n_classes, 4))
    values = {"a": ((rng.standard_normal((n, 4)) + means[classes]) * [1, 5, 0.1, 20]).astype(np.float32)}
    sequences = {"a": ComputationalSequence(ids, values["a"], np.full((n, 2), np.nan), np.arange(n + 1))}
    utterances = tuple(Utterance(name, "train", f"c{which}") for name, which in zip(ids, classes, strict=True))
    labels = LabelSet("categorical", tuple(f"c{which}" for which in range(n_classes)))
    return Corpus("made", "classes", "made", labels, utterances, sequences), values


@pytest.mark.parametrize(("n_frames", "n_span"), [(1, 1), (6, 3), (7, 7), (9, 2)])
def test_evidence_of_a_span_is_that_of_bayes(n_frames: int, n_span: int) -> None:
    rng = np.random.default_rng(n_frames)
    along, noise = rng.standard_normal((n_frames, 3)), 0.8
    expected = span_evidence_of_bayes(along, noise=noise, n_span=n_span)
    per_frame = torch.from_numpy((along - 0.5) / noise**2)
    # the same frames with holes among them and padding behind, in a batch with a longer row
    rows = torch.full((2, 12, 3), 9.0, dtype=torch.float64)
    mask = torch.zeros(2, 12, dtype=torch.bool)
    places = np.sort(rng.choice(11, n_frames, replace=False))
    rows[0, places], mask[0, places] = per_frame, True
    mask[1] = True
    length = torch.tensor([n_span, 1.0], dtype=torch.float64)
    found = span_evidence(rows, mask, n_span / n_frames, length)
    np.testing.assert_allclose(found[0].numpy(), expected, rtol=1e-9)


def test_a_span_of_everything_is_the_mean_frame() -> None:
    batch = made_batch(missing=False)
    values, mask = batch.inputs["text"], batch.mask["text"]
    mean = (values * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    torch.testing.assert_close(span_evidence(values, mask, 1.0, torch.full((6,), 2.0)), 2 * mean)


@pytest.mark.parametrize("kind", list(LABEL_SETS))
def test_evidence_adds_and_absence_adds_nothing(kind: str) -> None:
    model, batch = model_of(kind), made_batch(kind=kind, missing=False)
    zero = model.bias.expand(6, -1)
    encoded = model.encode(batch)
    alone = {m: model.combine(encoded.keep_only([m])) - zero for m in SIZES}
    for configuration in all_configurations(SIZES):
        together = model.combine(encoded.keep_only(configuration)) - zero
        torch.testing.assert_close(together, sum(alone[m] for m in configuration.modalities))


def test_half_the_reliability_is_half_the_weights() -> None:
    batch = made_batch(missing=False)
    full, half = model_of(), model_of(reliability={"audio": 0.5})
    with torch.no_grad():
        full.frame_offsets["audio"].zero_()  # half the reliability goes without
        half.load_state_dict({name: value for name, value in full.state_dict().items() if name in half.state_dict()})
        full.maps["audio"].mul_(0.5)
    torch.testing.assert_close(half(batch), full(batch))


def test_a_modality_of_no_reliability_is_never_heard() -> None:
    model, batch = model_of(reliability={"audio": 0.0}), made_batch(missing=False)
    changed = replace(batch, inputs=batch.inputs | {"audio": batch.inputs["audio"] * 7 + 3})
    torch.testing.assert_close(model(changed), model(batch), rtol=0, atol=0)
    torch.testing.assert_close(model(keep_only(batch, ["audio"])), model.prior_logits.expand(6, -1), rtol=0, atol=0)
    assert not [name for name, _ in model.named_parameters() if "audio" in name]


def test_reliability_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="reliability is 0 for every modality, so nothing is heard"):
        model_of(reliability=dict.fromkeys(SIZES, 0.0))


def test_reliability_of_what_training_lacks_is_of_no_use() -> None:
    corpus = small_corpus()
    train = {u.id for u in corpus.utterances if u.split == "train"}
    text = corpus.sequences["text"]
    rest = ComputationalSequence.from_sequences({name: text[name] for name in text.ids if name not in train})
    lacking = replace(corpus, sequences=corpus.sequences | {"text": rest})
    settings = ModelSettings.model_validate({"evidence": {"reliability": {"text": 0.5}}})
    with pytest.warns(DataWarning, match="the model is trained without it"):
        assert build(lacking, settings, TrainingSettings()).modalities == ("audio", "vision")


def test_an_encoder_that_is_never_heard_is_not_trained() -> None:
    corpus = small_corpus()
    settings = {"encoders": {"audio": {"name": "lstm"}}, "evidence": {"reliability": {"audio": 0}}}
    model = build(corpus, ModelSettings.model_validate(settings), TrainingSettings())
    assert not [p for p in model.encoder("audio").parameters() if p.requires_grad]


def test_reliability_of_a_modality_that_is_not_there_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"model\.evidence\.reliability: unknown modality 'audoi'; did you mean 'audio'"
    ):
        model_of(reliability={"audoi": 0.5})


@pytest.mark.parametrize("value", [-0.1, 1.1])
def test_reliability_is_bounded(value: float) -> None:
    with pytest.raises(ValueError, match="reliability"):
        ModelSettings.model_validate({"evidence": {"reliability": {"audio": value}}})


@pytest.mark.parametrize("off", [{}, {"before": 0}, {"before": 0, "after": 0}])
def test_a_context_of_nothing_is_none(off: dict) -> None:
    assert ModelSettings.model_validate({"evidence": {"context": off}}).evidence.context is None


@pytest.mark.parametrize("name", ["evidence", "late"])
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("shrinkge=1", r"unknown key 'evidence\.shrinkge'; did you mean 'evidence\.shrinkage'"),
        ("context.befor=1", r"unknown key 'evidence\.context\.befor'; did you mean 'evidence\.context\.before'"),
        ("reliability.text=2", r"\[model\] evidence.reliability.text: .*less than or equal to 1"),
    ],
)
def test_a_wrong_key_is_named_whatever_the_model(name: str, wrong: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_recipe("synthetic", [f"model.name={name}", f"model.evidence.{wrong}"])


def test_evidence_must_be_a_table() -> None:
    with pytest.raises(ConfigError, match="evidence"):
        read_recipe("synthetic", ["model.evidence=false"])


def test_other_models_go_without_the_keys_of_evidence() -> None:
    given = {"evidence": {"shrinkage": 7}}
    assert ModelSettings.model_validate(given).evidence.shrinkage == 7
    assert ModelSettings.model_validate(given | {"name": "late"}).evidence is None
    assert ModelSettings().evidence.span == 0.5


@pytest.mark.parametrize(("n_classes", "c_over_shrinkage"), [(2, 1.0), (3, 0.5)])
def test_shrinkage_is_that_of_logistic_regression(n_classes: int, c_over_shrinkage: float) -> None:
    """Solved to the end, one modality of one frame gives scikit-learn's answer.

    Its penalty is half the sum of squares over C; of two classes it has one vector, which is the difference of two
    here, and so twice the sum of squares.
    """
    corpus, values = one_frame_corpus(n_classes)
    settings = ModelSettings.model_validate({"evidence": {"shrinkage": 4.0}})
    model = build(corpus, settings, TrainingSettings(patience=0))
    batch = collate(corpus, range(120))
    optimiser = torch.optim.LBFGS(model.parameters(), max_iter=500, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        encoded = model.encode(batch)
        total = task_loss(model.fuse(encoded), batch.targets, corpus.label_set, torch.ones(n_classes))
        total = total + sum(model.auxiliary_losses(encoded).values())
        total.backward()
        return total

    optimiser.step(loss)
    scale = model.encoder("a").standardize.scale.numpy()
    center = model.encoder("a").standardize.center.numpy()
    features = np.clip((values["a"] - center) / scale, -5, 5)
    features = features / features.std(axis=0)
    expected = LogisticRegression(C=c_over_shrinkage / 4.0, tol=1e-9, max_iter=10_000).fit(
        features, batch.targets.argmax(1).numpy()
    )
    with torch.no_grad():
        found = softmax(model(batch).numpy(), axis=1)
    np.testing.assert_allclose(found, expected.predict_proba(features), atol=2e-4)


def test_the_spread_of_mean_frames_and_the_mean_length_are_taken_from_training() -> None:
    corpus = small_corpus(missing=0.3)
    model = build(corpus, ModelSettings(), TrainingSettings())
    train = [u.id for u in corpus.utterances if u.split == "train"]
    assert float(model.n_utterances) == len(train)
    for name, sequence in corpus.sequences.items():
        standardize = model.encoder(name).standardize
        center, scale = standardize.center.numpy(), standardize.scale.numpy()
        there = [sequence[i].values for i in train if i in sequence]
        means = np.stack([np.clip((v - center) / scale, -5, 5).mean(axis=0) for v in there])
        np.testing.assert_allclose(model.get_buffer(f"gain_{name}").numpy(), 1 / means.std(axis=0), rtol=1e-4)
        assert float(model.get_buffer(f"mean_length_{name}")) == pytest.approx(np.mean([len(v) for v in there]))


def test_a_constant_feature_says_nothing() -> None:
    corpus, values = one_frame_corpus()
    values["a"][:, 1] = 3.0
    model = build(corpus, ModelSettings(), TrainingSettings(patience=0))
    assert model.gain_a[1] == 0
    assert (model.gain_a[[0, 2, 3]] > 0).all()


def test_longer_utterances_give_more_evidence_within_bounds() -> None:
    model = model_of(span=1.0)
    values = torch.randn(1, 1, SIZES["text"])

    def evidence(n: int) -> torch.Tensor:
        return model.encode_modality("text", values.expand(1, n, -1), torch.ones(1, n, dtype=torch.bool))

    model.mean_length_text.fill_(4.0)
    assert model.frame_offsets["text"].abs().max() > 0.1
    model.offsets["text"].data.copy_(model.frame_offsets["text"])  # those of a frame count from the mean length on
    torch.testing.assert_close(evidence(6), 1.5 * evidence(4))
    torch.testing.assert_close(evidence(20), 2.0 * evidence(4))
    torch.testing.assert_close(evidence(1), 0.5 * evidence(4))


def test_of_what_is_not_trusted_length_tells_nothing_by_itself() -> None:
    """Frames that say nothing: however many, what is left is an offset, which no reliability could shrink."""
    model = model_of(reliability={"text": 0.1})
    model.mean_length_text.fill_(4.0)
    for n in (1, 4, 9):
        found = model.encode_modality("text", torch.zeros(1, n, SIZES["text"]), torch.ones(1, n, dtype=torch.bool))
        torch.testing.assert_close(found[0], model.offsets["text"])


def test_the_evidence_of_a_frame_has_an_offset_of_its_own() -> None:
    """Bayes' rule of two normal densities: the second term is the same for every frame, three of which are the mean."""
    model = model_of(span=1.0)
    model.mean_length_text.fill_(3.0)
    means, noise = torch.randn(SIZES["text"]), 0.8
    with torch.no_grad():
        model.maps["text"].zero_()
        model.maps["text"][0] = 3 * means / noise**2
        for part in (model.offsets["text"], model.frame_offsets["text"]):
            part.copy_(torch.tensor([-1.5, 0, 0]) * means.square().sum() / noise**2)
    for n in (2, 6):
        values = torch.randn(1, n, SIZES["text"]).clamp(-4, 4)
        found = model.encode_modality("text", values, torch.ones(1, n, dtype=torch.bool))
        likelihoods = [torch.distributions.Normal(mean, noise).log_prob(values).sum() for mean in (means, 0 * means)]
        torch.testing.assert_close(found[0, 0], likelihoods[0] - likelihoods[1], rtol=1e-4, atol=1e-4)


def test_values_are_those_of_the_mean_frame() -> None:
    model, batch = model_of("continuous"), made_batch(kind="continuous", missing=False)
    expected = model.bias.expand(6, -1)
    for name in SIZES:
        values, mask = batch.inputs[name], batch.mask[name]
        mean = (values.clamp(-5, 5) * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        expected = expected + mean @ model.maps[name].T + model.offsets[name]
    torch.testing.assert_close(model(batch), model.prior_logits + model.half_ranges * expected)


def test_what_is_rare_in_training_is_not_magnified_without_bound() -> None:
    corpus, values = one_frame_corpus()
    values["a"][:, 1] = 0.0
    values["a"][:2, 1] = 1.0  # two of 120: a spread of .13 in their own scale, of .13 / .13 after standardising
    sequence = replace(corpus.sequences["a"], values=np.tile(values["a"], (1, 1)))
    frames = np.repeat(sequence.values, 400, axis=0) + np.random.default_rng(0).standard_normal((48_000, 4)) * 50
    wide = ComputationalSequence(
        sequence.ids, frames.astype(np.float32), np.full((48_000, 2), np.nan), np.arange(121) * 400
    )
    model = build(replace(corpus, sequences={"a": wide}), ModelSettings(), TrainingSettings(patience=0))
    assert float(model.gain_a.max()) == 10.0  # mean frames differ by about a twentieth of what frames do


def test_an_encoder_with_weights_is_not_measured() -> None:
    corpus = small_corpus()
    settings = ModelSettings.model_validate({"encoders": {"audio": {"name": "lstm"}}})
    model = build(corpus, settings, TrainingSettings())
    assert (model.gain_audio == 1).all()
    assert float(model.mean_length_audio) == 0
    assert (model.gain_text != 1).any()
    assert torch.isfinite(model(collate(corpus, range(4)))).all()


# neighbours


def with_context(corpus: Corpus, indices: list[int], model) -> torch.Tensor:
    return model(collate(corpus, indices, find_neighbours(corpus, model.context)))


def context_model(corpus: Corpus, **context: int):
    torch.manual_seed(0)
    settings = ModelSettings.model_validate({"evidence": {"context": context}})
    model = build(corpus, settings, TrainingSettings()).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    return model


def test_an_answer_with_neighbours_is_the_same_in_any_batch() -> None:
    corpus = small_corpus()
    model = context_model(corpus, before=2, after=1)
    together = with_context(corpus, list(range(12)), model)
    for index in range(12):
        torch.testing.assert_close(with_context(corpus, [index], model)[0], together[index], rtol=1e-4, atol=1e-4)


def test_neighbours_add_their_mean_evidence_through_a_map() -> None:
    corpus = small_corpus(missing=0.0)
    model, plain = context_model(corpus, before=2, after=1), build(corpus, ModelSettings(), TrainingSettings()).eval()
    plain.load_state_dict({n: v for n, v in model.state_dict().items() if "from_neighbours" not in n})
    own = {m: plain(keep_only(collate(corpus, range(40)), [m])) - plain.bias for m in corpus.modalities}
    # utterance 5 has 3, 4 before and 6 after; utterance 0 has only 1
    for index, neighbours in ((5, [3, 4, 6]), (0, [1])):
        for name in corpus.modalities:
            expected = own[name][index] + model.from_neighbours[name].weight @ own[name][neighbours].mean(dim=0)
            batch = keep_only(collate(corpus, [index], find_neighbours(corpus, model.context)), [name])
            torch.testing.assert_close(model(batch)[0] - model.bias, expected, rtol=1e-4, atol=1e-4)


def test_what_neighbours_add_is_trusted_as_far_as_their_modality() -> None:
    corpus = small_corpus(missing=0.0)
    model = context_model(corpus, before=2)
    batch = keep_only(collate(corpus, [5], find_neighbours(corpus, model.context)), ["audio"])
    added = []
    for reliability in (1.0, 0.5):
        stated = {"evidence": {"context": {"before": 2}, "reliability": {"audio": reliability}}}
        other = build(corpus, ModelSettings.model_validate(stated), TrainingSettings()).eval()
        kept = other.state_dict().keys()
        other.load_state_dict({name: value for name, value in model.state_dict().items() if name in kept})
        with torch.no_grad():
            other.maps["audio"].zero_()  # so that neighbours say their offset alone, whatever the reliability
            for of_frames in other.frame_offsets.parameters():
                of_frames.zero_()
        added.append(other.fuse(replace(other.encode(batch), context_alone=True)) - other.bias)
    torch.testing.assert_close(added[1], 0.5 * added[0])
    assert added[0].abs().max() > 1e-2


def test_a_causal_context_sees_nothing_later() -> None:
    corpus = small_corpus(missing=0.0)
    model = context_model(corpus, before=3)
    batch = collate(corpus, [5], find_neighbours(corpus, model.context))
    assert sorted(int(name.rsplit("_", 1)[1]) for name in batch.ids) == [2, 3, 4, 5]


def test_a_modality_that_is_taken_away_is_taken_from_neighbours_too() -> None:
    corpus = small_corpus(missing=0.0)
    model = context_model(corpus, before=2, after=2)
    batch = collate(corpus, [5], find_neighbours(corpus, model.context))
    changed = replace(batch, inputs=batch.inputs | {"audio": batch.inputs["audio"] * 3 + 1})
    for configuration, before in model.each_configuration(batch, all_configurations(corpus.modalities)):
        after = model.fuse(model.encode(changed).keep_only(configuration))
        assert torch.equal(before, after) == ("audio" not in configuration), configuration
    nothing = model(keep_only(batch, ()))
    torch.testing.assert_close(nothing, model.prior_logits[None], rtol=0, atol=0)


def test_neighbours_answer_for_an_utterance_that_has_nothing_itself() -> None:
    corpus = small_corpus(missing=0.0)
    model = context_model(corpus, before=2, after=2)
    encoded = model.encode(collate(corpus, [5], find_neighbours(corpus, model.context)))
    hidden = {name: torch.arange(len(there)) > 0 for name, there in encoded.present.items()}
    alone = model.fuse(encoded.keep(hidden))
    torch.testing.assert_close(alone, model.fuse(replace(encoded, context_alone=True)))
    assert (alone - model.prior_logits).abs().max() > 1e-3


def test_context_helps_where_only_neighbours_tell(tmp_path) -> None:
    """Labels that last through a dialogue, and features that say little: neighbours tell what the rest is."""
    rng = np.random.default_rng(0)
    n = 600
    moods = rng.random(n // 10) < 0.5
    positive = np.repeat(moods, 10)
    ids = tuple(f"u{i}" for i in range(n))
    values = (rng.standard_normal((n, 4)) + 0.5 * positive[:, None]).astype(np.float32)
    sequence = ComputationalSequence(ids, values, np.full((n, 2), np.nan), np.arange(n + 1))
    utterances = tuple(
        Utterance(ids[i], "train" if i < 400 else "test", "yes" if positive[i] else "no", dialogue=f"d{i // 10}")
        for i in range(n)
    )
    labels = LabelSet("categorical", ("no", "yes"))
    corpus = Corpus("made", "yes", "made", labels, utterances, {"text": sequence})
    right = {}
    for name, context in (("alone", None), ("seen", {"before": 5, "after": 5})):
        settings = ModelSettings.model_validate({"evidence": {"context": context, "shrinkage": 10}})
        training = TrainingSettings(
            epochs=15, patience=0, configurations="all", learning_rate=1e-2, batch_size=32, weight_average=0.9
        )
        fit(build(corpus, settings, training), corpus, training, tmp_path / name, console=Console(quiet=True))
        predictions = predict(load_model(tmp_path / name), corpus, "test")
        answers = predictions.logits[Configuration(("text",))]
        right[name] = float((answers.argmax(1) == predictions.targets.argmax(1)).mean())
    assert right["alone"] < 0.85
    assert right["seen"] > right["alone"] + 0.08


# the cross-modal path


def test_only_larger_sizes_learn_what_modalities_tell_together(tmp_path) -> None:
    """The class is whether the signs of two modalities agree: neither alone, nor their sum, says anything."""
    rng = np.random.default_rng(0)
    n = 500
    signs = rng.choice([-1.0, 1.0], size=(2, n))
    ids = tuple(f"u{i}" for i in range(n))
    sequences = {}
    for name, sign in zip(("audio", "text"), signs, strict=True):
        values = (0.2 * rng.standard_normal((n, 2)) + sign[:, None]).astype(np.float32)
        sequences[name] = ComputationalSequence(ids, values, np.full((n, 2), np.nan), np.arange(n + 1))
    agree = signs[0] == signs[1]
    utterances = tuple(Utterance(ids[i], "train" if i < 350 else "test", "yes" if agree[i] else "no") for i in range(n))
    corpus = Corpus("made", "yes", "made", LabelSet("categorical", ("no", "yes")), utterances, sequences)
    right = {}
    for size in ("small", "base"):
        training = TrainingSettings(epochs=9, patience=0, modality_dropout=0, weight_average=0.9, learning_rate=1e-3)
        settings = ModelSettings.model_validate({"size": size})
        fit(build(corpus, settings, training), corpus, training, tmp_path / size, console=Console(quiet=True))
        predictions = predict(load_model(tmp_path / size), corpus, "test")
        answers = predictions.logits[Configuration(("audio", "text"))]
        right[size] = float((answers.argmax(1) == predictions.targets.argmax(1)).mean())
    assert right["small"] < 0.7
    assert right["base"] > 0.95


@pytest.mark.parametrize("reliability", [0.0, 0.25])
def test_what_is_not_trusted_fully_is_kept_out_of_the_cross_modal_path(reliability: float) -> None:
    model, batch = model_of(size="base", reliability={"audio": reliability}), made_batch(missing=False)
    changed = replace(batch, inputs=batch.inputs | {"audio": batch.inputs["audio"] * 3 + 1})
    paths = [model.cross_modal(model.encode(one)) for one in (batch, changed)]
    assert torch.equal(*paths)
    assert not [name for name, _ in model.cross_modal.named_parameters() if "audio" in name]
    assert torch.equal(model(batch), model(changed)) == (reliability == 0)
    none = model_of(size="base", reliability=dict.fromkeys(SIZES, 0.5))
    assert none.cross_modal is None
    assert torch.isfinite(none(batch)).all()


def test_with_a_cross_modal_path_neighbours_alone_are_still_alone() -> None:
    corpus = small_corpus(missing=0.0)
    torch.manual_seed(0)
    settings = ModelSettings.model_validate({"size": "base", "evidence": {"context": {"before": 2}}})
    model = build(corpus, settings, TrainingSettings()).eval()
    with torch.no_grad():
        model.cross_modal.head.weight.normal_()
    encoded = model.encode(collate(corpus, [5], find_neighbours(corpus, model.context)))
    hidden = {name: torch.arange(len(there)) > 0 for name, there in encoded.present.items()}
    alone = model.fuse(replace(encoded, context_alone=True))
    plain = build(corpus, ModelSettings.model_validate({"evidence": {"context": {"before": 2}}}), TrainingSettings())
    plain.load_state_dict({n: v for n, v in model.state_dict().items() if "cross_modal" not in n})
    torch.testing.assert_close(alone, plain.eval().fuse(replace(encoded, context_alone=True)))
    assert (model.fuse(encoded) - model.fuse(encoded.keep(hidden))).abs().max() > 1e-3


def test_everything_that_evidence_is_made_of_is_shrunk() -> None:
    corpus = small_corpus()
    model = context_model(corpus, before=2)
    encoded = model.encode(collate(corpus, [5], find_neighbours(corpus, model.context)))
    weights = [model.maps[m] for m in corpus.modalities] + [model.from_neighbours[m].weight for m in corpus.modalities]
    expected = 150 / 40 * sum(float(weight.detach().square().sum()) for weight in weights)
    assert float(model.auxiliary_losses(encoded)["shrinkage"].detach()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("size", ["base", "large"])
def test_larger_sizes_keep_the_promises(size: str, tmp_path) -> None:
    model, batch = model_of(size=size), made_batch()
    answers = dict(model.each_configuration(batch, all_configurations(SIZES)))
    for configuration, logits in answers.items():
        assert torch.isfinite(logits).all()
        torch.testing.assert_close(logits, model(keep_only(batch, configuration.modalities)))
    torch.testing.assert_close(model(keep_only(batch, ())), model.prior_logits.expand(6, -1), rtol=0, atol=0)
    save_model(model, tmp_path)
    torch.testing.assert_close(load_model(tmp_path)(batch), model(batch), rtol=0, atol=0)


def test_a_saved_model_with_context_gives_equal_bits(tmp_path) -> None:
    corpus = small_corpus()
    model = context_model(corpus, before=2, after=1)
    save_model(model, tmp_path)
    loaded = load_model(tmp_path)
    assert loaded.context == Context(before=2, after=1)
    batch = collate(corpus, [3, 5, 17], find_neighbours(corpus, loaded.context))
    torch.testing.assert_close(loaded(batch), model(batch), rtol=0, atol=0)


def test_the_untrained_default_answers_close_to_even() -> None:
    model, batch = made_model("evidence"), made_batch(missing=False)
    spread = torch.softmax(model(batch), dim=1)
    assert (spread - 1 / 3).abs().max() < 0.1
