"""Paired comparison, against scikit-learn on every resample, by hand, and by what it must refuse."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import f1_score

from emotiwave.errors import ConfigError, DatasetError
from emotiwave.evaluation.paired import Answered, best_constant, compare_methods, holm
from emotiwave.evaluation.scoring import draw_groups
from emotiwave.evaluation.settings import EvaluationSettings
from emotiwave.types import LabelSet

LABELS = LabelSet("categorical", ("anger", "fear", "neutral"))
SETTINGS = EvaluationSettings(bootstrap=60, seed=3)
CONFIGURATIONS = ("text", "audio", "text+audio")


def answered(skill, *, seed=0, fold=None, n=60, first=0, place="here", noise=0):
    rng = np.random.default_rng([noise, seed or 0, first])
    truth = np.random.default_rng(first).integers(0, 3, n)
    targets = np.eye(3, dtype=np.float32)[truth]
    answers = {}
    for configuration in CONFIGURATIONS:
        odds = rng.normal(size=(n, 3)) + skill * targets
        answers[configuration] = np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)
    return Answered(
        place=place,
        corpus="made",
        split="test",
        seed=seed,
        fold=fold,
        label_set=LABELS,
        ids=tuple(f"u{first + i}" for i in range(n)),
        groups=tuple(f"g{(first + i) // 6}" for i in range(n)),
        targets=targets,
        answers=answers,
        thresholds={},
    )


def macro_f1(one, configuration, rows):
    truth, decision = one.targets.argmax(axis=1)[rows], one.answers[configuration].argmax(axis=1)[rows]
    return f1_score(truth, decision, labels=range(3), average="macro", zero_division=0)


def resampled_rows(groups, counts):
    names = sorted(set(groups))
    return np.concatenate(
        [np.flatnonzero(np.array(groups) == g) for g, k in zip(names, counts, strict=True) for _ in range(int(k))]
    )


def test_scores_differences_and_p_values_against_scikit_learn_on_every_resample():
    methods = {
        "good": [answered(1.5, seed=s, noise=1) for s in (0, 1)],
        "poor": [answered(0.9, seed=s) for s in (0, 1)],
    }
    found = compare_methods(methods, anchor="poor", metric="macro_f1", settings=SETTINGS)
    assert (found.n, found.n_groups) == (60, 10)
    assert found.places == (*CONFIGURATIONS, "mean", "mean_incomplete", "retention")
    draws = draw_groups(10, SETTINGS)
    expected = {name: {place: [] for place in found.places} for name in methods}
    for name, several in methods.items():
        for counts in draws:
            rows = resampled_rows(several[0].groups, counts)
            per_seed = []
            for one in several:
                values = {c: macro_f1(one, c, rows) for c in CONFIGURATIONS}
                values["mean"] = np.mean([values[c] for c in CONFIGURATIONS])
                values["mean_incomplete"] = (values["text"] + values["audio"]) / 2
                values["retention"] = values["mean_incomplete"] / values["text+audio"]
                per_seed.append(values)
            for place in found.places:
                expected[name][place].append(np.mean([values[place] for values in per_seed]))
    for row in found.scores:
        values = np.array(expected[row.method][row.place])
        assert row.value == pytest.approx(values[0])
        assert (row.ci_low, row.ci_high) == pytest.approx(tuple(np.quantile(values[1:], [0.025, 0.975])))
    assert len(found.differences) == len(found.places)
    for row in found.differences:
        gaps = np.array(expected["good"][row.place]) - expected["poor"][row.place]
        assert row.value == pytest.approx(gaps[0])
        assert (row.ci_low, row.ci_high) == pytest.approx(tuple(np.quantile(gaps[1:], [0.025, 0.975])))
        tails = [(np.sum(gaps[1:] <= 0) + 1) / 61, (np.sum(gaps[1:] >= 0) + 1) / 61]
        assert row.p == pytest.approx(min(1, 2 * min(tails)))
    by_place = {row.place: row for row in found.differences}
    assert by_place["mean"].p_adjusted == by_place["mean"].p  # the only one of its family
    assert by_place["mean"].verdict == "higher"
    singles = [by_place[c] for c in CONFIGURATIONS]
    assert [row.p_adjusted for row in singles] == pytest.approx(holm([row.p for row in singles]))


def test_the_spread_is_over_seeds_or_over_folds_and_never_of_one():
    seeds = [answered(1.0, seed=s) for s in (0, 1, 2)]
    one = compare_methods({"a": seeds, "b": seeds}, anchor="a", metric="accuracy", settings=SETTINGS)
    per_seed = [
        np.mean([(s.answers[c].argmax(1) == s.targets.argmax(1)).mean() for c in CONFIGURATIONS]) for s in seeds
    ]
    of_mean = next(row for row in one.scores if row.place == "mean")
    assert of_mean.sd == pytest.approx(np.std(per_seed, ddof=1))
    assert of_mean.value == pytest.approx(np.mean(per_seed))
    assert {row.verdict for row in one.differences} == {"tie"}
    assert {row.p for row in one.differences} == {1.0}
    alone = compare_methods({"a": seeds[:1], "b": seeds[:1]}, anchor="a", metric="accuracy", settings=SETTINGS)
    assert {row.sd for row in alone.scores} == {None}


def test_folds_are_scored_together():
    folds = [answered(1.0, seed=0, fold=f, first=60 * f) for f in (0, 1)]
    found = compare_methods({"a": folds}, anchor="a", metric="macro_f1", settings=SETTINGS)
    assert (found.n, found.n_groups, found.differences) == (120, 20, ())
    row = next(row for row in found.scores if row.place == "text")
    truth = np.concatenate([f.targets.argmax(1) for f in folds])
    decision = np.concatenate([f.answers["text"].argmax(1) for f in folds])
    assert row.value == pytest.approx(f1_score(truth, decision, average="macro"))
    assert row.sd == pytest.approx(np.std([macro_f1(f, "text", slice(None)) for f in folds], ddof=1))


def test_where_some_have_seeds_the_spread_over_folds_is_not_mistaken_for_one_over_seeds():
    seeded = [answered(1.0, seed=s, fold=f, first=60 * f) for s in (0, 1) for f in (0, 1)]
    fixed = [answered(1.0, seed=None, fold=f, first=60 * f) for f in (0, 1)]
    found = compare_methods({"a": seeded, "b": fixed}, anchor="a", metric="macro_f1", settings=SETTINGS)
    assert {row.sd for row in found.scores if row.method == "b"} == {None}
    assert None not in {row.sd for row in found.scores if row.method == "a"}


def test_a_metric_that_the_labels_do_not_have_is_refused():
    with pytest.raises(ConfigError, match=r"made: categorical labels have no 'pearson'.*macro_f1, accuracy"):
        compare_methods({"a": [answered(1.0)]}, anchor="a", metric="pearson", settings=SETTINGS)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_one_group_has_no_interval_and_no_verdict():
    single = replace(answered(2.0), groups=("g",) * 60)
    found = compare_methods({"a": [single], "b": [single]}, anchor="a", metric="macro_f1", settings=SETTINGS)
    assert {(r.ci_low, r.p, r.p_adjusted, r.verdict) for r in found.differences} == {(None, None, None, "tie")}


def test_methods_without_a_seed_stand_beside_those_with_some():
    methods = {"fixed": [answered(1.0, seed=None)], "trained": [answered(1.0, seed=s) for s in (0, 1)]}
    found = compare_methods(methods, anchor="fixed", metric="macro_f1", settings=SETTINGS)
    assert {row.sd is None for row in found.scores if row.method == "fixed"} == {True}
    assert {row.sd is None for row in found.scores if row.method == "trained"} == {False}


def test_the_order_of_utterances_does_not_matter_to_what_is_the_same():
    one = answered(1.0)
    order = np.random.default_rng(0).permutation(60)
    other = replace(
        one,
        ids=tuple(one.ids[i] for i in order),
        groups=tuple(one.groups[i] for i in order),
        targets=one.targets[order],
        answers={c: values[order] for c, values in one.answers.items()},
    )
    found = compare_methods({"a": [one], "b": [other]}, anchor="a", metric="macro_f1", settings=SETTINGS)
    assert {row.value for row in found.differences} == {0.0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"label_set": LabelSet("categorical", ("joy", "fear", "neutral"))},
            "labels are anger, fear, neutral .* joy, fear",
        ),
        ({"split": "validation"}, "split 'test'.*'validation'"),
        ({"ids": tuple(f"v{i}" for i in range(60))}, "u0, u1, u10 and 57 more only in the first and v0, v1, v10"),
        (
            {"corpus": "other", "ids": tuple(f"v{i}" for i in range(60))},
            "of made and of other; of 60 and 60 utterances",
        ),
        ({"targets": np.eye(3, dtype=np.float32)[[0] * 60]}, "the truth of u.* differs"),
        ({"groups": ("g",) * 60}, "grouped by different"),
        ({"answers": {"text": np.full((60, 3), 1 / 3)}}, "configurations are text, audio, text.audio, and text"),
    ],
)
def test_what_differs_is_refused_and_listed(change, message):
    other = replace(answered(1.0, place="there"), **change)
    with pytest.raises(DatasetError, match=f"here and there cannot be compared: .*{message}"):
        compare_methods({"a": [answered(1.0)], "b": [other]}, anchor="a", metric="macro_f1", settings=SETTINGS)


def test_a_missing_seed_and_a_missing_fold_are_named():
    both = [answered(1.0, seed=0), answered(1.0, seed=1)]
    with pytest.raises(DatasetError, match="b lacks seed 1, which others have"):
        compare_methods({"a": both, "b": both[:1]}, anchor="a", metric="macro_f1", settings=SETTINGS)
    folds = [answered(1.0, seed=None, fold=f, first=60 * f) for f in (0, 1)]
    with pytest.raises(DatasetError, match="b lacks fold 1, which others have"):
        compare_methods({"a": folds, "b": folds[:1]}, anchor="a", metric="macro_f1", settings=SETTINGS)


def test_the_best_constant_by_hand():
    one = answered(1.0)
    share = np.bincount(one.targets.argmax(1), minlength=3).max() / 60
    assert best_constant([one], "accuracy") == pytest.approx(share)
    assert best_constant([one], "macro_f1") == pytest.approx(2 * share / (1 + share) / 3)
