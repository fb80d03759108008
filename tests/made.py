"""Small made corpora and models for tests."""

import numpy as np
import torch

from emotiwave.batch import Batch
from emotiwave.datasets.synthetic import SyntheticSettings, load
from emotiwave.models import MODELS, create_model
from emotiwave.models.fusion import FusionModel, ModelSettings, ModelSpec
from emotiwave.models.layers import Standardize
from emotiwave.types import Corpus, LabelSet

SIZES = {"text": 5, "audio": 4, "vision": 3}
LABEL_SETS = {
    "categorical": LabelSet("categorical", ("anger", "fear", "neutral")),
    "multilabel": LabelSet("multilabel", ("anger", "fear")),
    "distribution": LabelSet("distribution", ("anger", "fear", "neutral")),
    "continuous": LabelSet("continuous", ("sentiment", "fear"), ((-3.0, 3.0), (0.0, 3.0))),
}
VALUES = torch.tensor([[-2.0, 0.0], [0.4, 1.5], [3.0, 0.25]])
"""Truths of continuous labels, in turn."""
SHARES = torch.tensor([[0.75, 0.25, 0.0], [0.25, 0.5, 0.25], [0.0, 0.0, 1.0]])
"""Truths of a distribution, in turn."""


def small_corpus(**settings: object) -> Corpus:
    defaults = {"n_train": 40, "n_validation": 20, "n_test": 20, "longest": 3.0}
    return load(SyntheticSettings.model_validate(defaults | settings))


def made_model(name: str, kind: str = "categorical", seed: int = 0, sizes: dict[str, int] | None = None) -> FusionModel:
    """An untrained model with statistics and a prior that are not the defaults."""
    torch.manual_seed(seed)
    settings = ModelSettings(name=name, modality="text" if name == "unimodal" else None)
    model = create_model(ModelSpec(settings, sizes or SIZES, LABEL_SETS[kind]))
    for standardize in (module for module in model.modules() if isinstance(module, Standardize)):
        standardize.center.normal_()
        standardize.scale.uniform_(0.5, 2.0)
    for statistic, buffer in model.named_buffers():
        if statistic.startswith("mean_length"):  # of the model "evidence"
            buffer.fill_(4.0)
    model.prior_logits.normal_()
    return model.eval()


def made_batch(n: int = 6, kind: str = "categorical", seed: int = 1, missing: bool = True) -> Batch:
    """Ragged sequences with holes; with ``missing``, utterance 0 lacks text, 1 has only vision, 2 has nothing."""
    rng = np.random.default_rng(seed)
    inputs, mask = {}, {}
    for name, size in SIZES.items():
        lengths = rng.integers(2, 8, size=n)
        observed = (np.arange(lengths.max()) < lengths[:, None]) & (rng.random((n, lengths.max())) > 0.2)
        observed[:, 0] = True
        inputs[name] = torch.from_numpy(rng.standard_normal((*observed.shape, size)).astype(np.float32))
        mask[name] = torch.from_numpy(observed)
    if missing:
        for name, rows in {"text": [0, 1, 2], "audio": [1, 2], "vision": [2]}.items():
            mask[name][rows] = False
    n_classes = len(LABEL_SETS[kind].names)
    targets = torch.zeros(n, n_classes)
    targets[torch.arange(n), torch.arange(n) % n_classes] = 1.0
    if kind == "continuous":
        targets = VALUES[torch.arange(n) % len(VALUES)]
    elif kind == "distribution":
        targets = SHARES[torch.arange(n) % len(SHARES)]
    return Batch(tuple(f"u{i}" for i in range(n)), inputs, mask, targets, dict.fromkeys(SIZES, 0))


ALL_MODELS = sorted(MODELS)
