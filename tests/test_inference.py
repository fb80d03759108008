"""Predictions: the same utterances in every configuration, in the order of the split, whatever the batching."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from emotiwave import inference
from emotiwave.batch import collate, keep_only
from emotiwave.errors import DatasetError
from emotiwave.inference import predict
from emotiwave.models import create_model
from emotiwave.models.fusion import ModelSettings, ModelSpec
from emotiwave.types import LabelSet
from tests.made import made_model, small_corpus


@pytest.fixture(scope="module")
def corpus():
    return small_corpus()


def model_for(corpus):
    torch.manual_seed(0)
    return create_model(ModelSpec(ModelSettings(), corpus.sizes, corpus.label_set))


def test_every_utterance_is_answered_as_if_it_were_alone(corpus, monkeypatch) -> None:
    monkeypatch.setattr(inference, "BATCH_SIZE", 7)  # 20 test utterances: three batches, sorted by length
    model = model_for(corpus).eval()
    predictions = predict(model, corpus, "test")
    indices = corpus.indices("test")
    assert predictions.ids == tuple(corpus.utterances[i].id for i in indices)
    assert len(predictions.logits) == 7
    for row, index in enumerate(indices):
        batch = collate(corpus, [int(index)])
        for configuration, logits in predictions.logits.items():
            alone = model(keep_only(batch, configuration.modalities)).detach().numpy()[0]
            np.testing.assert_allclose(logits[row], alone, atol=1e-5)
    np.testing.assert_array_equal(predictions.targets, corpus.targets[indices])
    assert predictions.groups == tuple(corpus.utterances[i].dialogue for i in indices)


def test_the_mode_of_the_model_is_left_as_it_was(corpus) -> None:
    model = model_for(corpus).train()
    first = predict(model, corpus, "test")
    second = predict(model, corpus, "test")
    assert model.training
    for configuration, logits in first.logits.items():
        np.testing.assert_array_equal(logits, second.logits[configuration])  # no dropout


def test_non_finite_frames_are_counted(corpus) -> None:
    sequence = corpus.sequences["text"]
    values = sequence.values.copy()
    test_id = next(u.id for u in corpus.utterances if u.split == "test" and u.id in sequence)
    train_id = next(u.id for u in corpus.utterances if u.split == "train" and u.id in sequence)
    values[sequence.offsets[sequence.row[test_id]], 0] = np.nan
    values[sequence.offsets[sequence.row[train_id]], 0] = np.nan  # not of the split that is scored
    spoilt = replace(corpus, sequences={**corpus.sequences, "text": replace(sequence, values=values)})
    predictions = predict(model_for(corpus), spoilt, "test")
    assert predictions.n_non_finite == {"text": 1, "audio": 0, "vision": 0}
    assert all(np.isfinite(logits).all() for logits in predictions.logits.values())


def test_a_model_of_other_classes_or_sizes_is_refused(corpus) -> None:
    with pytest.raises(DatasetError, match="the model answers anger, fear, neutral"):
        predict(made_model("late"), corpus, "test")
    other = replace(corpus, label_set=LabelSet("categorical", corpus.label_set.names))
    model = made_model("late", sizes={**corpus.sizes, "text": 5})
    model.spec = replace(model.spec, label_set=other.label_set)
    with pytest.raises(DatasetError, match=r"the model needs text with 5 features; synthetic has text \(24\)"):
        predict(model, other, "test")


def test_a_model_of_other_ranges_is_refused(corpus) -> None:
    rated = LabelSet("continuous", ("sentiment", "fear"), ((-1.0, 1.0), (0.0, 3.0)))
    utterances = tuple(replace(u, label=(0.5, 0.5)) for u in corpus.utterances)
    other = replace(corpus, label_set=rated, utterances=utterances, posteriors=None)
    with pytest.raises(DatasetError, match=r"answers sentiment from -3 to 3, .*; synthetic has sentiment from -1 to 1"):
        predict(made_model("late", "continuous"), other, "test")


def test_an_empty_split_is_refused(corpus) -> None:
    with pytest.raises(DatasetError, match="split 'dev' is empty; the splits are test, train, validation"):
        predict(model_for(corpus), corpus, "dev")
