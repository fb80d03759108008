import itertools
import json
from dataclasses import asdict, fields, replace

import numpy as np
import pytest
from scipy.special import expit, softmax

from emotiwave.errors import DatasetError, FeatureError
from emotiwave.sequences import ComputationalSequence, FeatureSequence, first_duplicate
from emotiwave.types import (
    Configuration,
    Corpus,
    LabelSet,
    Predictions,
    Segment,
    Utterance,
    all_configurations,
    read_label_set,
)

FEELINGS = LabelSet("categorical", ("anger", "fear", "happiness"))
SIGNS = LabelSet("multilabel", ("anger", "fear", "happiness"))


def sequence(*ids: str, frames: int = 2, size: int = 3, fill: float = 0.0) -> ComputationalSequence:
    return ComputationalSequence.from_sequences(
        {name: FeatureSequence(np.full((frames, size), fill, np.float32), np.zeros((frames, 2))) for name in ids}
    )


def corpus(**changes) -> Corpus:
    parts = {
        "name": "made",
        "task": "polarity",
        "licence": "none",
        "label_set": FEELINGS,
        "utterances": (Utterance("u1", "train", "anger"), Utterance("u2", "test", "fear")),
        "sequences": {"text": sequence("u1", "u2"), "audio": sequence("u2", size=5, fill=1.0)},
    }
    return Corpus(**(parts | changes))


# --- label sets


def test_a_categorical_label_is_one_hot():
    assert FEELINGS.encode("fear").tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("label", "target"),
    [((), [0, 0, 0]), (("happiness",), [0, 0, 1]), (("happiness", "anger"), [1, 0, 1])],
)
def test_a_multilabel_label_is_one_per_class_that_holds(label, target):
    encoded = SIGNS.encode(label)
    assert encoded.tolist() == target
    assert encoded.dtype == np.float32


@pytest.mark.parametrize(("labels", "label"), [(FEELINGS, "angry"), (SIGNS, ("fear", "angry"))])
def test_a_label_outside_the_set_names_the_nearest(labels, label):
    with pytest.raises(DatasetError, match="unknown label 'angry'; did you mean 'anger'"):
        labels.encode(label)


@pytest.mark.parametrize(("labels", "label"), [(FEELINGS, ("anger",)), (FEELINGS, ()), (SIGNS, "anger")])
def test_a_label_of_the_other_kind_is_refused(labels, label):
    with pytest.raises(DatasetError, match=f"does not fit a {labels.kind}"):
        labels.encode(label)


@pytest.mark.parametrize(
    ("kind", "names"), [("categorical", ("anger",)), ("multilabel", ()), ("categorical", ("anger", "fear", "anger"))]
)
def test_a_label_set_needs_enough_and_different_classes(kind, names):
    with pytest.raises(DatasetError, match="class"):
        LabelSet(kind, names)


def test_a_multilabel_set_of_one_class_is_enough():
    assert LabelSet("multilabel", ("anger",)).encode(("anger",)).tolist() == [1]


RATED = LabelSet("continuous", ("sentiment", "fear"), ((-3.0, 3.0), (0.0, 0.1)))


def test_a_continuous_label_is_its_values():
    encoded = RATED.encode((-1.25, 0.05))
    np.testing.assert_array_equal(encoded, np.array([-1.25, 0.05], np.float32))
    assert encoded.dtype == np.float32
    assert RATED.bounds.tolist() == [[-3, 0], [3, 0.1]]


def test_the_ends_of_a_range_belong_to_it_even_as_targets_keep_them():
    for values in ((-3.0, 0.0), (3.0, 0.1)):
        kept = tuple(float(value) for value in RATED.encode(values))
        np.testing.assert_array_equal(RATED.encode(kept), RATED.encode(values))
    assert float(np.float32(0.1)) > 0.1


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ((0.5,), r"has 1 values; expected 2, one per label"),
        ((), r"has 0 values; expected 2"),
        ((3.01, 0.0), r"sentiment is 3.01; expected a value from -3 to 3"),
        ((0.0, -0.1), r"fear is -0.1; expected a value from 0 to 0.1"),
        ((float("nan"), 0.0), r"sentiment is nan; expected"),
        ((0.0, float("inf")), r"fear is inf; expected"),
        ("fear", "does not fit a continuous"),
        (("fear", "joy"), "does not fit a continuous"),
    ],
)
def test_a_continuous_label_of_other_count_or_range_is_refused(label, message):
    with pytest.raises(DatasetError, match=message):
        RATED.encode(label)


@pytest.mark.parametrize("labels", [FEELINGS, SIGNS])
def test_values_are_refused_where_classes_are_asked_for(labels):
    with pytest.raises(DatasetError):
        labels.encode((0.5,))


@pytest.mark.parametrize(
    ("kind", "ranges", "message"),
    [
        ("continuous", None, "a continuous label set needs ranges, one per label"),
        ("categorical", ((0.0, 1.0), (0.0, 1.0)), "a categorical label set has no ranges"),
        ("multilabel", (), "a multilabel label set has no ranges"),
        ("continuous", ((0.0, 1.0),), "2 labels need as many ranges; got 1"),
        ("continuous", ((0.0, 1.0), (1.0, 9.0)), "'b' ranges from 1.0 to 9.0; expected a finite range from 0 or"),
        ("continuous", ((-3.0, 0.0), (0.0, 1.0)), "'a' ranges from -3.0 to 0.0"),
        ("continuous", ((0.0, 0.0), (0.0, 1.0)), "'a' ranges from 0.0 to 0.0"),
        ("continuous", ((0.0, float("inf")), (0.0, 1.0)), "'a' ranges from 0.0 to inf"),
        ("continuous", ((0.0, float("nan")), (0.0, 1.0)), "'a' ranges from 0.0 to nan"),
    ],
)
def test_ranges_are_for_continuous_labels_and_begin_at_or_cross_zero(kind, ranges, message):
    with pytest.raises(DatasetError, match=message):
        LabelSet(kind, ("a", "b"), ranges)


@pytest.mark.parametrize("labels", [FEELINGS, SIGNS, RATED])
def test_a_label_set_survives_json(labels):
    assert read_label_set(json.loads(json.dumps(asdict(labels)))) == labels


# --- utterances


def test_an_utterance_with_ratings_can_be_in_a_set():
    assert len({Utterance("u", "train", "anger", ratings={"sentiment": 1.0})}) == 1


@pytest.mark.parametrize(
    ("dialogue", "speaker", "group"), [("d", "s", "d"), ("d", None, "d"), (None, "s", "s"), (None, None, "u")]
)
def test_the_group_is_the_dialogue_else_the_speaker_else_the_utterance(dialogue, speaker, group):
    assert Utterance("u", "train", "anger", dialogue=dialogue, speaker=speaker).group == group


# --- computational sequences


def flat(**changes) -> ComputationalSequence:
    parts = {
        "ids": ("a", "b", "c"),
        "values": np.arange(8, dtype=np.float32).reshape(4, 2),
        "intervals": np.arange(8, dtype=np.float64).reshape(4, 2),
        "offsets": np.array([0, 1, 1, 4]),
    }
    return ComputationalSequence(**(parts | changes))


def test_an_utterance_owns_the_frames_between_its_offsets():
    assert flat()["a"].values.tolist() == [[0, 1]]
    assert flat()["b"].values.shape == (0, 2)
    assert flat()["c"].values.tolist() == [[2, 3], [4, 5], [6, 7]]
    assert flat()["c"].intervals.tolist() == [[2, 3], [4, 5], [6, 7]]
    assert [flat().n_frames(name) for name in "abc"] == [1, 0, 3]
    assert flat().size == 2


def test_an_id_that_is_not_there_has_no_frame():
    assert "z" not in flat()
    assert "b" in flat()
    assert flat().n_frames("z") == 0
    with pytest.raises(KeyError):
        flat()["z"]


@pytest.mark.parametrize(
    "changes",
    [
        {"values": np.zeros((4, 2), np.float64)},
        {"values": np.zeros(4, np.float32)},
        {"values": np.zeros((4, 2, 1), np.float32)},
        {"intervals": np.zeros((3, 2))},
        {"intervals": np.zeros((4, 3))},
        {"offsets": np.array([0, 1, 4])},
        {"offsets": np.array([0, 1, 1, 3])},
        {"offsets": np.array([1, 1, 1, 4])},
        {"offsets": np.array([0, 2, 1, 4])},
        {"offsets": np.array([0, 1, 5, 4])},
        {"offsets": np.zeros((4, 2), np.int64)},
        {"offsets": np.array([0, 0.5, 1.5, 4])},
        {"ids": ("a", "b")},
    ],
    ids=lambda changes: f"{next(iter(changes))} {np.shape(next(iter(changes.values())))}",
)
def test_arrays_that_do_not_fit_together_are_refused(changes):
    with pytest.raises(FeatureError):
        flat(**changes)


def test_a_duplicate_id_is_named():
    with pytest.raises(FeatureError, match="'b'"):
        flat(ids=("a", "b", "b"))


def test_joining_keeps_each_utterance_as_it_was():
    parts = {
        name: FeatureSequence(np.full((frames, 2), frames, np.float32), np.full((frames, 2), float(frames)))
        for name, frames in (("x", 3), ("y", 0), ("z", 1))
    }
    joined = ComputationalSequence.from_sequences(parts, {"rate": 3})
    assert joined.metadata == {"rate": 3}
    for name, part in parts.items():
        np.testing.assert_array_equal(joined[name].values, part.values)
        np.testing.assert_array_equal(joined[name].intervals, part.intervals)


@pytest.mark.parametrize(
    ("values", "intervals"), [((2, 4), (2, 2)), ((2,), (2, 2)), ((2, 3), (1, 2)), ((2, 3), (2, 3))]
)
def test_joining_names_the_utterance_that_does_not_fit(values, intervals):
    good = FeatureSequence(np.zeros((1, 3), np.float32), np.zeros((1, 2)))
    with pytest.raises(FeatureError, match="'bad'"):
        ComputationalSequence.from_sequences(
            {"good": good, "bad": FeatureSequence(np.zeros(values, np.float32), np.zeros(intervals))}
        )


def test_joining_nothing_is_refused():
    with pytest.raises(FeatureError, match="needs a feature size"):
        ComputationalSequence.from_sequences({})


def test_the_digest_changes_with_every_byte_of_values_and_intervals():
    digests = {flat().digest}
    n_bytes = 0
    for name in ("values", "intervals"):
        original = getattr(flat(), name)
        for position in range(original.nbytes):
            spoiled = original.copy()
            spoiled.view(np.uint8).reshape(-1)[position] ^= 1
            digests.add(flat(**{name: spoiled}).digest)
            n_bytes += 1
    assert n_bytes == 4 * 2 * 4 + 4 * 2 * 8
    assert len(digests) == n_bytes + 1


@pytest.mark.parametrize(
    "changes",
    [
        {"ids": ("a", "b", "d")},
        {"ids": ("b", "a", "c")},
        {"offsets": np.array([0, 2, 2, 4])},
        {"offsets": np.array([0, 1, 2, 4])},
    ],
    ids=str,
)
def test_the_digest_changes_with_ids_and_offsets(changes):
    assert flat(**changes).digest != flat().digest


@pytest.mark.parametrize(
    "changes",
    [
        {"metadata": {"rate": 3}},
        {"values": np.asfortranarray(flat().values)},
        {"values": np.repeat(flat().values, 2, axis=1)[:, ::2]},
    ],
    ids=["metadata", "memory order", "strides"],
)
def test_the_digest_changes_with_nothing_else(changes):
    np.testing.assert_array_equal(flat(**changes).values, flat().values)
    assert flat(**changes).digest == flat().digest


def test_the_digest_reaches_the_last_frame_of_a_long_sequence():
    values = np.zeros((70_000, 1), np.float32)
    parts = {"ids": ("a",), "intervals": np.zeros((70_000, 2)), "offsets": np.array([0, 70_000])}
    before = ComputationalSequence(values=values.copy(), **parts).digest
    values[-1] = 1
    assert ComputationalSequence(values=values, **parts).digest != before


# --- configurations


def test_configurations_are_all_non_empty_subsets_smallest_first():
    assert [str(c) for c in all_configurations(["text", "audio", "vision"])] == [
        "text",
        "audio",
        "vision",
        "text+audio",
        "text+vision",
        "audio+vision",
        "text+audio+vision",
    ]


@pytest.mark.parametrize("n_modalities", range(1, 6))
def test_m_modalities_have_two_to_the_m_minus_one_configurations(n_modalities):
    configurations = all_configurations("abcde"[:n_modalities])
    assert len({frozenset(c.modalities) for c in configurations}) == len(configurations) == 2**n_modalities - 1


def test_a_configuration_holds_its_modalities_only():
    configuration = Configuration(("text", "audio"))
    assert "audio" in configuration
    assert "vision" not in configuration


# --- corpora


def test_a_corpus_tells_its_modalities_sizes_targets_and_splits():
    made = corpus()
    assert made.modalities == ("text", "audio")
    assert made.sizes == {"text": 3, "audio": 5}
    assert made.targets.tolist() == [[1, 0, 0], [0, 1, 0]]
    assert made.indices("test").tolist() == [1]
    assert made.has_split("train")
    assert not made.has_split("validation")


def test_an_empty_split_lists_the_splits():
    with pytest.raises(DatasetError, match="made: split 'validation' is empty; the splits are test, train"):
        corpus().indices("validation")


ONE = Utterance("u1", "train", "anger")
TWO = Utterance("u2", "test", "fear")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"utterances": ()}, "made.*no utterances"),
        ({"sequences": {}}, "made.*no modality"),
        ({"utterances": (ONE, TWO, TWO)}, "made: duplicate utterance id 'u2'"),
        ({"utterances": (ONE, replace(TWO, label="fears"))}, "made: utterance 'u2'.*'fears'.*'fear'"),
        ({"utterances": (ONE, replace(TWO, label=("fear",)))}, "made: utterance 'u2'.*does not fit"),
        ({"utterances": (ONE, TWO, replace(TWO, id="u3"))}, "made: utterance 'u3' has no frame"),
        ({"sequences": {"text": sequence("u1", "u2", frames=0)}}, "made: utterance 'u1' has no frame"),
        ({"sequences": {"text": sequence("u1", "u2"), "audio": sequence("u9")}}, "made: audio features for 'u9'"),
    ],
)
def test_a_corpus_that_does_not_hold_together_names_the_culprit(changes, message):
    with pytest.raises(DatasetError, match=message):
        corpus(**changes)


def test_one_modality_is_enough_for_an_utterance():
    sequences = {"text": sequence("u1"), "audio": sequence("u2")}
    assert corpus(sequences=sequences).sequences["text"].n_frames("u2") == 0


OTHER = {
    "id": "u0",
    "split": "test",
    "label": "happiness",
    "dialogue": "d",
    "speaker": "s",
    "language": "en",
    "transcript": "no",
    "segment": Segment("a.wav", 0.0, 1.0),
    "ratings": {"sentiment": 0.5},
}


@pytest.mark.parametrize("field", [field.name for field in fields(Utterance) if field.name != "about"])
def test_the_corpus_digest_changes_with_every_field_of_an_utterance(field):
    changed = replace(ONE, **{field: OTHER[field]})
    sequences = {"text": sequence(changed.id, "u2")}
    reference = corpus(sequences={"text": sequence("u1", "u2")})
    assert corpus(utterances=(changed, TWO), sequences=sequences).digest != reference.digest


def test_what_no_model_sees_does_not_change_the_digest():
    told = replace(ONE, about={"sex": "female"})
    sequences = {"text": sequence("u1", "u2")}
    assert corpus(utterances=(told, TWO), sequences=sequences).digest == corpus(sequences=sequences).digest


@pytest.mark.parametrize(
    "changes",
    [
        {"utterances": (TWO, ONE)},
        {"label_set": LabelSet("categorical", ("anger", "fear", "sadness"))},
        {"sequences": {"text": sequence("u1", "u2", fill=0.5), "audio": sequence("u2", size=5, fill=1.0)}},
        {"sequences": {"audio": sequence("u1", "u2"), "text": sequence("u2", size=5, fill=1.0)}},
        {"sequences": {"words": sequence("u1", "u2"), "audio": sequence("u2", size=5, fill=1.0)}},
        {"sequences": {"text": sequence("u1", "u2")}},
    ],
    ids=["order", "label set", "values", "modalities swapped", "modality renamed", "modality gone"],
)
def test_the_corpus_digest_changes_with_what_a_model_would_see(changes):
    assert corpus(**changes).digest != corpus().digest


def test_the_corpus_digest_does_not_depend_on_the_order_of_modalities():
    backwards = dict(reversed(list(corpus().sequences.items())))
    assert corpus(sequences=backwards).digest == corpus().digest


# --- predictions


def predictions(labels: LabelSet, logits: np.ndarray) -> Predictions:
    names = tuple(f"u{i}" for i in range(len(logits)))
    answers = {Configuration(("text",)): logits.astype(np.float32)}
    return Predictions(names, names, "test", labels, np.zeros(logits.shape, np.float32), answers)


def test_the_corpus_digest_changes_with_the_ranges():
    one, other = (
        corpus(
            label_set=LabelSet("continuous", ("sentiment",), ((-high, high),)),
            utterances=tuple(replace(u, label=(0.5,)) for u in (ONE, TWO)),
        )
        for high in (1.0, 3.0)
    )
    assert one.targets.tolist() == other.targets.tolist() == [[0.5], [0.5]]
    assert one.digest != other.digest


def test_continuous_answers_are_the_logits_clipped_to_their_range_and_no_probabilities():
    made = predictions(RATED, np.array([[-4.0, -0.5], [2.5, 0.05], [9.0, 0.2]]))
    got = made.answers(Configuration(("text",)))
    np.testing.assert_allclose(got, [[-3, 0], [2.5, 0.05], [3, 0.1]], rtol=1e-6)
    assert got.max(axis=0).tolist() == [3.0, 0.1]
    with pytest.raises(DatasetError, match="no"):
        made.probabilities(Configuration(("text",)))


def test_answers_of_classes_are_their_probabilities():
    made = predictions(SIGNS, np.array([[0.0, 2.0, -1.0]]))
    text = Configuration(("text",))
    np.testing.assert_array_equal(made.answers(text), made.probabilities(text))


@pytest.mark.parametrize("scale", [1.0, 30.0, 2000.0])
@pytest.mark.parametrize(("labels", "link"), [(FEELINGS, lambda z: softmax(z, axis=1)), (SIGNS, expit)])
def test_probabilities_are_the_softmax_or_the_sigmoid_of_the_logits(labels, link, scale):
    logits = (scale * np.random.default_rng(0).standard_normal((50, 3))).astype(np.float32)
    got = predictions(labels, logits).probabilities(Configuration(("text",)))
    np.testing.assert_allclose(got, link(logits.astype(np.float64)), rtol=1e-12, atol=1e-300)


def test_the_first_duplicate_is_the_first_that_came_before():
    for names in itertools.product("abc", repeat=4):
        expected = next((name for i, name in enumerate(names) if name in names[:i]), None)
        assert first_duplicate(names) == expected
