import numpy as np
import pytest
import scipy.special

from emotiwave.probabilities import log_softmax, sigmoid, softmax

LOGITS = np.array([[0.0, 1.0, -2.0], [1000.0, 999.0, -1000.0], [-800.0, -801.0, -np.inf]])


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_classes_that_exclude_each_other(axis):
    logits = LOGITS[:, :2] if axis == 0 else LOGITS
    np.testing.assert_allclose(log_softmax(logits, axis), scipy.special.log_softmax(logits, axis), atol=1e-12)
    np.testing.assert_allclose(softmax(logits, axis), scipy.special.softmax(logits, axis), atol=1e-15)


def test_one_answer_alone():
    np.testing.assert_allclose(softmax(LOGITS[0]), np.exp(LOGITS[0]) / np.exp(LOGITS[0]).sum())


def test_classes_that_do_not_exclude_each_other():
    with np.errstate(over="raise", invalid="raise"):
        np.testing.assert_allclose(sigmoid(LOGITS), scipy.special.expit(LOGITS), rtol=1e-12)
    assert sigmoid(np.float32([0.0])).dtype == np.float32
