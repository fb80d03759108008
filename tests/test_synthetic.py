"""Everything that the made corpus says of itself, computed again in another way."""

import itertools
import math

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.stats import norm

from emotiwave.datasets.synthetic import (
    PREVALENCE,
    SyntheticModality,
    SyntheticSettings,
    class_prior,
    generate,
    load,
)
from emotiwave.types import Corpus, all_configurations

CLASSES = ("happiness", "sadness", "anger", "surprise", "disgust", "fear")
TASKS = ("categorical", "multilabel")

# Two modalities that share a class; 5 to 7 frames of which a pattern takes 2, and 3 to 4 of which it takes 3.
TINY = {
    "voice": SyntheticModality(rate=5.0, features=2, noise=0.8, carries=("anger", "fear"), span=0.4),
    "face": SyntheticModality(rate=3.0, features=2, noise=0.7, carries=("fear", "happiness"), span=1.0),
}
# Questions about frequencies need many utterances and few numbers each.
LIGHT = {
    "voice": SyntheticModality(rate=8.0, features=4, noise=0.9, carries=("anger", "fear", "sadness"), span=0.5),
    "face": SyntheticModality(rate=5.0, features=3, noise=0.6, carries=("fear", "happiness"), span=0.6),
    "gait": SyntheticModality(rate=2.0, features=2, noise=0.5, carries=(), span=0.5),
}


def settings(**changes) -> SyntheticSettings:
    parts = {"n_train": 12, "n_validation": 0, "n_test": 0, "shortest": 1.0, "longest": 1.5, "modalities": TINY}
    return SyntheticSettings(**(parts | changes))


@pytest.fixture(scope="module", params=TASKS)
def many(request):
    """3000 utterances of a light setting, with what was planted."""
    return generate(settings(task=request.param, n_train=3000, longest=2.0, missing=0.2, modalities=LIGHT, seed=5))


# --- seeds


@pytest.mark.parametrize("task", TASKS)
def test_the_same_seed_makes_the_same_corpus(task):
    first, second = load(settings(task=task, seed=3)), load(settings(task=task, seed=3))
    assert first.digest == second.digest
    for configuration, posterior in (first.posteriors or {}).items():
        np.testing.assert_array_equal(posterior, (second.posteriors or {})[configuration])


def test_another_seed_makes_another_corpus():
    assert len({load(settings(seed=seed)).digest for seed in range(4)}) == 4


# --- Bayes' rule, by brute force


def brute_force_posterior(corpus: Corpus, planted, configuration, utterance_id: str, task: str) -> list[float]:
    """P(class holds | frames): every set of classes, every placing of its patterns, normal densities, no algebra."""
    if task == "categorical":
        worlds: dict[tuple[str, ...], float] = {(name,): PREVALENCE[name] for name in CLASSES}
    else:
        worlds = {
            chosen: math.prod(PREVALENCE[n] if n in chosen else 1 - PREVALENCE[n] for n in CLASSES)
            for size in range(len(CLASSES) + 1)
            for chosen in itertools.combinations(CLASSES, size)
        }
    joint = dict(worlds)
    for name in configuration.modalities:
        if utterance_id not in corpus.sequences[name]:
            continue
        truth = planted[name]
        observed = (corpus.sequences[name][utterance_id].values.astype(float) - truth.offset) / truth.scale
        direction = dict(zip(truth.made.carries, truth.directions, strict=True))
        n_frames, n_span = len(observed), round(truth.made.span * truth.made.rate)
        likelihood: dict[tuple[str, ...], float] = {}
        for chosen in worlds:
            shown = tuple(c for c in chosen if c in truth.made.carries)
            if shown not in likelihood:
                densities = []
                for starts in itertools.product(range(n_frames - n_span + 1), repeat=len(shown)):
                    mean = np.zeros_like(observed)
                    for c, start in zip(shown, starts, strict=True):
                        mean[start : start + n_span] += direction[c]
                    densities.append(norm.pdf(observed, loc=mean, scale=truth.made.noise).prod())
                likelihood[shown] = float(np.mean(densities))
            joint[chosen] *= likelihood[shown]
    total = sum(joint.values())
    return [sum(p for chosen, p in joint.items() if c in chosen) / total for c in CLASSES]


@pytest.mark.parametrize("task", TASKS)
def test_the_posterior_is_what_brute_force_finds(task):
    corpus, planted = generate(settings(task=task, missing=0.4, seed=1))
    assert corpus.posteriors is not None
    assert {len(sequence.ids) for sequence in corpus.sequences.values()} != {12}, "something must be missing"
    for configuration in all_configurations(TINY):
        expected = [brute_force_posterior(corpus, planted, configuration, u.id, task) for u in corpus.utterances]
        np.testing.assert_allclose(corpus.posteriors[str(configuration)], expected, rtol=1e-9, atol=1e-12)


def test_the_classes_and_their_prior_are_the_declared_ones():
    assert tuple(PREVALENCE) == CLASSES
    # .40 + .30 + .25 + .20 + .20 + .15 = 1.5
    assert class_prior("multilabel") == pytest.approx([0.40, 0.30, 0.25, 0.20, 0.20, 0.15])
    assert class_prior("categorical") == pytest.approx([p / 1.5 for p in (0.40, 0.30, 0.25, 0.20, 0.20, 0.15)])


@pytest.mark.parametrize("task", TASKS)
def test_a_missing_modality_leaves_the_posterior_of_the_others(task):
    corpus = load(settings(task=task, missing=0.6, n_train=40))
    assert corpus.posteriors is not None
    unseen = [i for i, u in enumerate(corpus.utterances) if u.id not in corpus.sequences["face"]]
    assert unseen
    np.testing.assert_array_equal(corpus.posteriors["voice+face"][unseen], corpus.posteriors["voice"][unseen])
    np.testing.assert_allclose(
        corpus.posteriors["face"][unseen], np.tile(class_prior(task), (len(unseen), 1)), rtol=1e-12
    )


def test_a_modality_that_carries_no_class_changes_no_posterior(many):
    posteriors = many[0].posteriors
    np.testing.assert_array_equal(posteriors["voice+gait"], posteriors["voice"])
    np.testing.assert_array_equal(posteriors["voice+face+gait"], posteriors["voice+face"])
    np.testing.assert_allclose(posteriors["gait"][0], class_prior(many[0].task), rtol=1e-12)


def test_the_posterior_is_calibrated(many):
    """Of all answers near p a share of p is right: per class and per tenth, within 4 standard errors."""
    corpus, _ = many
    n_bins = 0
    for configuration, posterior in corpus.posteriors.items():
        for column in range(len(CLASSES)):
            p, holds = posterior[:, column], corpus.targets[:, column]
            for low in np.arange(0, 1, 0.1):
                chosen = (p >= low) & (p < low + 0.1)
                expected_hits = p[chosen].sum()
                error = math.sqrt((p[chosen] * (1 - p[chosen])).sum())
                if error < 2:  # too few for a normal approximation
                    continue
                n_bins += 1
                assert abs(holds[chosen].sum() - expected_hits) < 4 * error, (configuration, CLASSES[column], low)
    assert n_bins > 100


def test_more_modalities_give_a_sharper_posterior(many):
    corpus, _ = many

    def surprise(configuration: str) -> float:
        p = np.clip(corpus.posteriors[configuration], 1e-12, 1 - 1e-12)
        return float(-np.where(corpus.targets > 0, np.log(p), np.log1p(-p)).mean())

    assert surprise("voice+face") < min(surprise("voice"), surprise("face"))
    assert max(surprise("voice"), surprise("face")) < surprise("gait")


# --- what is planted


def holds(label: str | tuple[str, ...], name: str) -> bool:
    return name == label or (isinstance(label, tuple) and name in label)


def test_spans_are_planted_for_the_classes_that_hold_and_no_others(many):
    corpus, planted = many
    for modality, truth in planted.items():
        for utterance in corpus.utterances:
            if utterance.id in corpus.sequences[modality]:
                expected = {c for c in truth.made.carries if holds(utterance.label, c)}
                assert set(truth.spans[utterance.id]) == expected
            else:
                assert utterance.id not in truth.spans


@pytest.mark.parametrize("modality", ["voice", "face"])
def test_a_planted_span_holds_the_pattern_and_nothing_else_does(many, modality):
    """Along its direction a class adds 1 inside its span and 0 outside, in the units before scaling."""
    corpus, planted = many
    truth = planted[modality]
    np.testing.assert_allclose(truth.directions @ truth.directions.T, np.eye(len(truth.directions)), atol=1e-12)
    for name, direction in zip(truth.made.carries, truth.directions, strict=True):
        inside, outside = [], []
        for utterance_id in corpus.sequences[modality].ids:
            features = corpus.sequences[modality][utterance_id]
            along = ((features.values - truth.offset) / truth.scale) @ direction
            start, end = truth.spans[utterance_id].get(name, (0.0, 0.0))
            middle = features.intervals.mean(axis=1)
            within = (middle > start) & (middle < end)
            assert within.sum() in (0, round(truth.made.span * truth.made.rate))
            inside.append(along[within])
            outside.append(along[~within])
        for frames, mean in ((np.concatenate(inside), 1.0), (np.concatenate(outside), 0.0)):
            assert len(frames) > 200
            assert abs(frames.mean() - mean) < 4 * truth.made.noise / math.sqrt(len(frames))
            assert frames.std() == pytest.approx(truth.made.noise, rel=4 / math.sqrt(2 * len(frames)))


def test_spans_start_anywhere_in_the_utterance_with_equal_chance(many):
    """Where a pattern starts, over all places where it could: uniform, the first and the last included."""
    corpus, planted = many
    truth = planted["voice"]
    places, first, last = [], 0, 0
    for utterance_id, spans in truth.spans.items():
        n_starts = corpus.sequences["voice"].n_frames(utterance_id) - 4 + 1  # .5 s at 8 Hz are 4 frames
        for start, end in spans.values():
            assert end - start == pytest.approx(0.5)
            index = round(start * 8)
            places.append((index + 0.5) / n_starts)  # mean 1/2, variance below 1/12
            first += index == 0
            last += index == n_starts - 1
    n = len(places)
    assert abs(np.mean(places) - 0.5) < 4 / math.sqrt(12 * n)
    assert abs(first - last) < 4 * math.sqrt(first + last)
    assert min(first, last) > 50


def test_frames_follow_one_another_at_the_rate_of_the_modality(many):
    corpus, planted = many
    for name, sequence in corpus.sequences.items():
        rate = planted[name].made.rate
        for utterance_id in sequence.ids[:50]:
            intervals = sequence[utterance_id].intervals
            np.testing.assert_allclose(intervals[:, 0], np.arange(len(intervals)) / rate)
            np.testing.assert_allclose(intervals[:, 1] - intervals[:, 0], 1 / rate)
            assert math.floor(1.0 * rate) <= len(intervals) <= 2.0 * rate  # shortest 1 s, longest 2 s


# --- utterances


def test_classes_are_as_frequent_as_the_prior_says(many):
    corpus, _ = many
    prior = class_prior(corpus.task)
    error = np.sqrt(prior * (1 - prior) / len(corpus.targets))
    assert (np.abs(corpus.targets.mean(axis=0) - prior) < 4 * error).all()


def test_one_class_holds_or_each_holds_by_itself(many):
    corpus, _ = many
    n_holding = corpus.targets.sum(axis=1)
    if corpus.task == "categorical":
        assert (n_holding == 1).all()
    else:
        assert np.abs(np.corrcoef(corpus.targets.T) - np.eye(6)).max() < 4 / math.sqrt(len(n_holding))
        assert {0, 1, 2, 3, 4} <= set(n_holding), "no emotion at all is possible, and so are many"


@pytest.mark.parametrize("missing", [0.0, 0.1, 0.3])
def test_as_much_is_missing_as_the_setting_says(missing):
    """One modality is kept where all three would go: m³/3 less, which is below .01 here."""
    corpus = load(SyntheticSettings(n_train=1500, n_validation=0, n_test=0, missing=missing, modalities=LIGHT))
    n_seen = sum(len(sequence.ids) for sequence in corpus.sequences.values())
    share = 1 - n_seen / (3 * 1500)
    error = math.sqrt(missing * (1 - missing) / 4500)
    assert missing - 0.01 - 4 * error <= share <= missing + 4 * error


def test_every_utterance_keeps_a_modality_however_much_is_missing():
    corpus = load(settings(n_train=200, missing=0.95))
    kept = [sum(u.id in s for s in corpus.sequences.values()) for u in corpus.utterances]
    assert min(kept) == 1
    assert len(corpus.utterances) == 200


def test_a_modality_that_nobody_has_is_no_reason_to_fail():
    """One utterance keeps one of its modalities, so the other has no utterance at all."""
    corpus = load(settings(n_train=1, missing=0.99))
    assert sorted(len(sequence.ids) for sequence in corpus.sequences.values()) == [0, 1]


def test_splits_have_the_asked_sizes_and_share_no_dialogue():
    corpus = load(settings(n_train=25, n_validation=13, n_test=11))
    where = {}
    for utterance in corpus.utterances:
        where.setdefault(utterance.dialogue, set()).add(utterance.split)
    assert all(len(splits) == 1 for splits in where.values())
    assert [len(corpus.indices(split)) for split in ("train", "validation", "test")] == [25, 13, 11]


# --- settings

GOOD = {"rate": 4.0, "features": 3, "noise": 1.0, "carries": ("anger",), "span": 0.5}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "continuous"}, "task"),
        ({"seed": -1}, "seed"),
        ({"n_train": 0}, "n_train"),
        ({"n_test": -1}, "n_test"),
        ({"missing": 1.0}, "missing"),
        ({"missing": -0.1}, "missing"),
        ({"shortest": 0.0}, "shortest"),
        ({"shortest": 3.0, "longest": 2.0}, "longest .* is below shortest"),
        ({"longest": math.inf}, "longest"),
        ({"colour": "red"}, "colour"),
        ({"modalities": {}}, "modalit"),
    ],
)
def test_settings_that_cannot_be_met_are_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        settings(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rate": 0.0}, "rate"),
        ({"rate": math.inf}, "rate"),
        ({"features": 0}, "features"),
        ({"noise": 0.0}, "noise"),
        ({"noise": math.nan}, "noise"),
        ({"noise": math.inf}, "noise"),
        ({"span": 0.0}, "span"),
        ({"span": 1.3}, "voice.*does not fit"),  # longer than the shortest utterance
        ({"span": 0.1}, "voice.*span"),  # 0.1 s at 4 Hz is no frame
        ({"carries": ("angre",)}, "voice carries 'angre'"),
        ({"carries": ("anger", "fear", "sadness", "disgust")}, "voice needs at least 4 features"),
        ({"carries": ("anger", "anger")}, "anger"),
    ],
)
def test_a_modality_that_cannot_be_made_is_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        settings(modalities={"voice": GOOD | changes})


def test_the_good_modality_can_be_made():
    assert load(settings(modalities={"voice": GOOD})).sizes == {"voice": 3}
