"""Training: exact resume, randomness, modality dropout, statistics, losses, refusals."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file
from sklearn.utils.class_weight import compute_class_weight

from emotiwave.batch import Batch, collate, keep_only
from emotiwave.dialogues import find_neighbours
from emotiwave.errors import CheckpointError, ConfigError, DatasetError, FeatureError, TrainingError
from emotiwave.features.extractors.words import encode_words
from emotiwave.inference import predict
from emotiwave.models.checkpoint import load_model
from emotiwave.models.encoders.features import Features, robust_scale
from emotiwave.models.encoders.gru import Gru
from emotiwave.models.fusion import Encoded, ModelSettings
from emotiwave.sequences import ComputationalSequence, FeatureSequence
from emotiwave.training.fit import TrainingSummary, build, fit
from emotiwave.training.module import TrainingModule, task_loss
from emotiwave.training.randomness import EpochBatches, derived_seed, draw_kept, draw_kept_by_batch
from emotiwave.training.settings import TrainingSettings
from emotiwave.training.statistics import (
    balanced_weights,
    class_shares,
    class_weights,
    fit_statistics,
    prior_logits,
)
from emotiwave.types import Corpus, LabelSet, Utterance, all_configurations
from tests.made import made_model, small_corpus

QUIET = Console(quiet=True)


def trained(
    corpus: Corpus, folder: Path, *, resume: bool = False, name: str = "late", **settings: object
) -> TrainingSummary:
    folder.mkdir(exist_ok=True)
    defaults = {"epochs": 3, "learning_rate": 1e-3, "accelerator": "cpu"}
    chosen = TrainingSettings.model_validate(defaults | settings)
    return fit(build(corpus, ModelSettings(name=name), chosen), corpus, chosen, folder, resume=resume, console=QUIET)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def assert_same_weights(one: Path, two: Path) -> None:
    first, second = weights(one), weights(two)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path: Path) -> None:
    corpus = small_corpus()
    torch.manual_seed(1)
    trained(corpus, tmp_path / "a", epochs=2)
    torch.manual_seed(2)  # the caller's random state must not matter, nor be changed
    before = torch.get_rng_state()
    trained(corpus, tmp_path / "b", epochs=2)
    assert torch.equal(before, torch.get_rng_state())
    trained(corpus, tmp_path / "c", epochs=2, seed=1)
    assert_same_weights(tmp_path / "a", tmp_path / "b")
    assert not torch.equal(
        weights(tmp_path / "a")["heads.text.1.weight"], weights(tmp_path / "c")["heads.text.1.weight"]
    )


KILLED_RUN = """
import json, os, signal, sys
from pathlib import Path
from types import SimpleNamespace
from emotiwave.training.module import TrainingModule
from tests.made import small_corpus
from tests.test_training import trained

step = TrainingModule.training_step
killed_in, settings = int(sys.argv[2]), json.loads(sys.argv[3])
def step_then_die(self, batch, index):
    if self.current_epoch == killed_in and index == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, batch, index)
TrainingModule.training_step = step_then_die
trained(small_corpus(), Path(sys.argv[1]), **settings)
"""


@pytest.mark.parametrize(
    ("killed_in", "settings"),
    [
        (2, {"name": "bottleneck", "epochs": 4, "schedule": "linear", "warmup": 0.3}),
        (1, {"name": "late", "epochs": 20, "patience": 2, "learning_rate": 0.03}),  # stops early, after the resume
    ],
)
def test_a_run_killed_in_an_epoch_resumes_to_the_weights_of_one_never_interrupted(
    tmp_path: Path, killed_in: int, settings: dict
) -> None:
    corpus = small_corpus()
    root = Path(__file__).parents[1]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_RUN, str(tmp_path / "killed"), str(killed_in), json.dumps(settings)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "killed" / "history.csv").read_text().count("\n") == 1 + killed_in  # header, finished epochs
    resumed = trained(corpus, tmp_path / "killed", **settings, resume=True)
    straight = trained(corpus, tmp_path / "straight", **settings)
    assert_same_weights(tmp_path / "killed", tmp_path / "straight")
    assert resumed == straight
    assert resumed.n_epochs > killed_in
    assert (resumed.n_epochs < settings["epochs"]) == ("patience" in settings)
    ends = [torch.load(tmp_path / run / "last.ckpt", weights_only=True) for run in ("killed", "straight")]
    for name, value in ends[0]["state_dict"].items():
        assert torch.equal(value, ends[1]["state_dict"][name]), name


@pytest.mark.parametrize(("schedule", "last"), [("constant", 1.0), ("linear", 1 / 8), ("cosine", 0.0380602)])
def test_learning_rates_follow_the_schedule(
    schedule: str, last: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = []
    step = TrainingModule.training_step

    def noted(self: TrainingModule, batch: Batch, index: int) -> torch.Tensor:
        rates.append(self.optimizers().param_groups[0]["lr"])
        return step(self, batch, index)

    monkeypatch.setattr(TrainingModule, "training_step", noted)
    trained(small_corpus(), tmp_path, epochs=5, batch_size=30, schedule=schedule, warmup=0.2, learning_rate=1e-2)
    n_steps = len(rates)
    assert n_steps == 10  # so that two rise and eight fall
    np.testing.assert_allclose(rates[:3], [5e-3, 1e-2, 1e-2])
    assert rates[-1] == pytest.approx(1e-2 * last, rel=1e-4)


def test_resuming_a_finished_run_changes_nothing(tmp_path: Path) -> None:
    corpus = small_corpus()
    first = trained(corpus, tmp_path, epochs=8, patience=1, learning_rate=1e-1)
    assert first.n_epochs < 8  # stopped early
    stamp = (tmp_path / "model.safetensors").stat().st_mtime_ns
    assert trained(corpus, tmp_path, epochs=8, patience=1, learning_rate=1e-1, resume=True) == first
    assert (tmp_path / "model.safetensors").stat().st_mtime_ns == stamp


def test_early_stopping_keeps_the_weights_of_the_best_epoch(tmp_path: Path) -> None:
    corpus = small_corpus()
    summary = trained(corpus, tmp_path / "long", epochs=6, patience=2)
    rows = [line.split(",") for line in (tmp_path / "long" / "history.csv").read_text().splitlines()[1:]]
    scores = [float(row[2]) for row in rows]
    assert summary.best_epoch == 1 + int(np.argmax(scores))
    assert summary.best_score == max(scores)
    trained(corpus, tmp_path / "short", epochs=summary.best_epoch, patience=0)
    assert_same_weights(tmp_path / "long", tmp_path / "short")


def test_without_patience_the_last_weights_are_kept_and_no_validation_is_needed(tmp_path: Path) -> None:
    corpus = small_corpus(n_validation=0)
    summary = trained(corpus, tmp_path, epochs=2, patience=0)
    assert (summary.best_epoch, summary.best_score) == (2, None)
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)  # tensors and primitives only
    for name, value in weights(tmp_path).items():
        assert torch.equal(value, checkpoint["state_dict"][f"averaged.module.{name}"])
    assert not torch.equal(
        weights(tmp_path)["heads.text.1.weight"], checkpoint["state_dict"]["model.heads.text.1.weight"]
    )


def test_without_averaging_the_raw_weights_are_kept(tmp_path: Path) -> None:
    trained(small_corpus(), tmp_path, epochs=1, patience=0, weight_average=0.0)
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)
    for name, value in weights(tmp_path).items():
        assert torch.equal(value, checkpoint["state_dict"][f"model.{name}"])


def test_patience_without_a_validation_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"patience = 5 needs the split 'validation'.*patience = 0"):
        trained(small_corpus(n_validation=0), tmp_path)


def test_training_learns_what_is_planted(tmp_path: Path) -> None:
    """With little noise the training classes are told apart; a loss that went the wrong way would not."""
    loud = {
        name: {"rate": 4.0, "features": 4, "noise": 0.1, "carries": carries, "span": 1.0}
        for name, carries in {
            "text": ("happiness", "sadness", "anger"),
            "audio": ("surprise", "disgust", "fear"),
        }.items()
    }
    corpus = small_corpus(modalities=loud, n_train=120, n_validation=60, missing=0.0)
    summary = trained(
        corpus, tmp_path, name="bottleneck", epochs=12, learning_rate=3e-3, patience=0, modality_dropout=0.1
    )
    history = (tmp_path / "history.csv").read_text().splitlines()
    assert float(history[-1].split(",")[2]) > 0.6  # mean over three configurations; Bayes-optimal is about 0.75
    assert summary.n_epochs == 12


def test_a_loss_that_diverges_stops_the_run_and_keeps_no_model(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"the loss became nan in epoch \d; .*lower learning rate than 1e\+30"):
        trained(small_corpus(), tmp_path, epochs=5, patience=0, learning_rate=1e30)
    assert not (tmp_path / "model.safetensors").exists()


def test_a_model_that_diverged_in_its_only_step_is_not_kept_either(tmp_path: Path) -> None:
    """The one loss is finite, the weights are too, and the answers are not."""
    with pytest.raises(CheckpointError, match="answers that are not finite"):
        trained(small_corpus(), tmp_path, epochs=1, patience=1, learning_rate=1e30, batch_size=1000)
    assert not (tmp_path / "model.safetensors").exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04" + b"\0" * 100])
def test_a_damaged_state_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "last.ckpt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"last\.ckpt: cannot resume"):
        trained(small_corpus(), tmp_path, resume=True)


def test_a_state_that_would_run_code_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return (os.mkdir, (str(tmp_path / "was_here"),))

    torch.save({"state_dict": {}, "callbacks": {"RunFiles": Evil()}}, tmp_path / "last.ckpt")
    with pytest.raises(CheckpointError, match="cannot resume"):
        trained(small_corpus(), tmp_path, resume=True)
    assert not (tmp_path / "was_here").exists()


def test_a_state_of_another_model_is_refused(tmp_path: Path) -> None:
    corpus = small_corpus()
    trained(corpus, tmp_path, epochs=1)
    with pytest.raises(CheckpointError, match="holds another model"):
        trained(corpus, tmp_path, epochs=2, name="bottleneck", resume=True)


def test_a_class_absent_from_train_is_refused(tmp_path: Path) -> None:
    corpus = small_corpus()
    only = tuple(
        replace(u, label="anger") if u.split == "train" and u.label == "fear" else u for u in corpus.utterances
    )
    with pytest.raises(DatasetError, match="class 'fear' holds in no training utterance"):
        trained(replace(corpus, utterances=only), tmp_path)


def test_a_class_that_always_holds_is_refused() -> None:
    corpus = small_corpus(task="multilabel")
    always = tuple(replace(u, label=tuple({*u.label, "fear"})) for u in corpus.utterances)
    with pytest.raises(DatasetError, match="class 'fear' holds in every training utterance"):
        class_shares(replace(corpus, utterances=always), corpus.indices("train"))


def spoilt_corpus() -> Corpus:
    """Two training utterances; one audio frame of three holds NaN, and one holds infinity."""
    ids = ("a", "b")
    audio = np.array([[1, 10], [np.nan, 20], [3, np.inf], [5, 30], [9, 30]], dtype=np.float32)
    sequence = ComputationalSequence(ids, audio, np.zeros((5, 2)), np.array([0, 3, 5]))
    utterances = tuple(Utterance(id=i, split="train", label=label) for i, label in zip(ids, ("x", "y"), strict=True))
    return Corpus("spoilt", "t", "none", LabelSet("categorical", ("x", "y")), utterances, {"audio": sequence})


def test_non_finite_frames_are_counted_once_and_kept_out_of_the_statistics(tmp_path: Path) -> None:
    corpus = spoilt_corpus()
    assert trained(corpus, tmp_path, patience=0, epochs=2).n_non_finite == {"audio": 2}
    model = load_model(tmp_path)
    encoder = model.encoder("audio")
    assert isinstance(encoder, Features)
    standardize = encoder.standardize
    torch.testing.assert_close(standardize.center, torch.tensor([5.0, 30.0]))  # medians of 1, 5, 9 and 10, 30, 30
    torch.testing.assert_close(standardize.scale[0], torch.tensor(4 / 1.3489795))  # quartiles 3 and 7


def test_a_modality_without_a_finite_frame_is_refused(tmp_path: Path) -> None:
    corpus = spoilt_corpus()
    sequence = corpus.sequences["audio"]
    nothing = replace(sequence, values=np.full_like(sequence.values, np.nan))
    with pytest.raises(FeatureError, match="audio has no finite frame"):
        trained(replace(corpus, sequences={"audio": nothing}), tmp_path, patience=0)


def test_robust_scale_of_a_normal_feature_is_its_mean_and_sd_despite_outliers() -> None:
    rng = np.random.default_rng(0)
    frames = np.stack([rng.normal(7, 3, 20_000), np.full(20_000, 4.0), np.zeros(20_000)], axis=1).astype(np.float32)
    frames[:100, 0] = 1e6
    frames[:2_000, 2] = 5.0  # mostly zero: the interquartile range is 0, the standard deviation is 5 x 0.3
    center, scale = robust_scale(frames)
    np.testing.assert_allclose(center, [7, 4, 0], atol=0.1)
    np.testing.assert_allclose(scale, [3, 1, 1.5], rtol=0.03)


def test_prior_is_the_log_share_of_each_class() -> None:
    corpus = small_corpus()
    model = made_model("late", sizes=corpus.sizes)
    model.prior_logits = torch.zeros(6)
    fit_statistics(model, corpus, corpus.indices("train"))
    labels = Counter(u.label for u in corpus.utterances if u.split == "train")
    expected = torch.tensor([labels[name] / 40 for name in corpus.label_set.names]).log()
    torch.testing.assert_close(model.prior_logits, expected)


RATED = LabelSet("continuous", ("sentiment", "fear"), ((-3.0, 3.0), (0.0, 3.0)))


def rated_corpus(**settings: object) -> Corpus:
    """The planted classes as ratings: sentiment from what is happy or sad, fear from what is afraid."""
    corpus = small_corpus(**settings)
    values = {"happiness": (2.0, 0.0), "sadness": (-2.0, 0.0), "fear": (-0.5, 2.5)}
    utterances = tuple(replace(u, label=values.get(str(u.label), (0.25, 0.0))) for u in corpus.utterances)
    return replace(corpus, label_set=RATED, utterances=utterances, posteriors=None)


def test_the_prior_of_continuous_labels_is_the_training_mean() -> None:
    corpus = rated_corpus()
    train = [u.label for u in corpus.utterances if u.split == "train"]
    expected = [sum(float(label[k]) for label in train) / len(train) for k in (0, 1)]
    np.testing.assert_allclose(prior_logits(corpus, corpus.indices("train")), expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["bottleneck", "late", "lstm_concat"])
def test_an_untrained_model_answers_close_to_the_training_mean(name: str) -> None:
    corpus = rated_corpus()
    model = build(corpus, ModelSettings(name=name), TrainingSettings(patience=0))
    answers = np.concatenate(list(predict(model, corpus, "train").logits.values()))
    offset = (answers - prior_logits(corpus, corpus.indices("train"))) / np.array([6.0, 3.0])
    assert 1e-4 < np.abs(offset).mean() < 0.05  # of the range


def test_a_continuous_label_that_never_varies_is_refused() -> None:
    corpus = rated_corpus()
    same = tuple(replace(u, label=(float(u.label[0]), 1.5)) for u in corpus.utterances)
    with pytest.raises(DatasetError, match=r"'fear' is 1\.5 in every training utterance"):
        prior_logits(replace(corpus, utterances=same), corpus.indices("train"))


def test_continuous_labels_have_no_class_weights() -> None:
    corpus = rated_corpus()
    assert class_weights(corpus, corpus.indices("train"), balanced=True).tolist() == [1, 1]


def test_the_continuous_loss_by_hand() -> None:
    """Errors of half a range and of a whole one: 0.5 and |2| - 0.5, whatever the label's range."""
    logits = torch.tensor([[3.0, 1.5], [-3.0, 3.0]])
    targets = torch.tensor([[0.0, 0.0], [3.0, 0.0]])
    by_hand = (0.5 + 0.5 + 1.5 + 1.5) / 4
    torch.testing.assert_close(task_loss(logits, targets, RATED, torch.ones(2)), torch.tensor(by_hand))


def test_training_learns_planted_ratings(tmp_path: Path) -> None:
    corpus = rated_corpus(n_train=300, n_test=100)
    trained(corpus, tmp_path, patience=0, epochs=8, learning_rate=2e-3)
    made = predict(load_model(tmp_path), corpus, "test")
    complete = max(made.logits, key=lambda c: len(c.modalities))
    r = [np.corrcoef(made.logits[complete][:, k], made.targets[:, k])[0, 1] for k in (0, 1)]
    assert min(r) > 0.3


def test_class_weights_equal_scikit_learns() -> None:
    labels = np.array([0] * 6 + [1] * 3 + [2])
    shares = np.bincount(labels) / len(labels)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    np.testing.assert_allclose(balanced_weights(shares, LabelSet("categorical", ("a", "b", "c"))), expected, rtol=1e-6)


def test_losses_equal_pytorchs() -> None:
    rng = torch.Generator().manual_seed(0)
    logits, weights = torch.randn(5, 3, generator=rng), torch.tensor([0.5, 1.0, 2.0])
    labels = torch.tensor([0, 1, 2, 2, 1])
    one_hot = torch.nn.functional.one_hot(labels, 3).float()
    names = ("a", "b", "c")
    torch.testing.assert_close(
        task_loss(logits, one_hot, LabelSet("categorical", names), weights),
        torch.nn.functional.cross_entropy(logits, labels, weight=weights),
    )
    by_hand = -(weights * one_hot * logits.sigmoid().log() + (1 - one_hot) * (1 - logits.sigmoid()).log()).mean()
    torch.testing.assert_close(task_loss(logits, one_hot, LabelSet("multilabel", names), weights), by_hand)


def test_epochs_visit_every_utterance_once_in_another_order() -> None:
    indices, lengths = np.arange(100, 150), np.arange(50) % 7
    batches = EpochBatches(indices, lengths, 8, seed=3)
    seen = []
    for epoch in range(2):
        batches.set_epoch(epoch)
        drawn = list(batches)
        assert len(drawn) == len(batches) == 7
        assert sorted(np.concatenate(drawn)) == list(indices)
        seen.append(np.concatenate(drawn).tolist())
    assert seen[0] != seen[1]
    batches.set_epoch(0)
    assert np.concatenate(list(batches)).tolist() == seen[0]


def test_processes_share_an_epoch_without_overlap_and_in_equal_parts() -> None:
    indices, lengths = np.arange(64), np.zeros(64, dtype=np.int64)
    parts = [list(EpochBatches(indices, lengths, 8, seed=0, rank=rank, world=2)) for rank in (0, 1)]
    assert [len(part) for part in parts] == [4, 4]
    assert sorted(np.concatenate(parts[0] + parts[1])) == list(range(64))


def test_derived_seeds_differ_along_the_path() -> None:
    seeds = {derived_seed(*path) for path in [(0,), (0, 0), (0, 1), (1, 0), (0, 0, 0), (0, 0, 1)]}
    assert len(seeds) == 6


def test_modality_dropout_drops_at_its_rate_and_never_all() -> None:
    n, p = 20_000, 0.3
    always = torch.ones(n, dtype=torch.bool)
    kept = draw_kept({"a": always, "b": always, "c": always}, p, torch.Generator().manual_seed(0))
    stacked = torch.stack(list(kept.values()))
    assert stacked.any(dim=0).all()
    # a modality is dropped with p, less the third of the p^3 all-dropped cases in which it is the one that is saved
    expected = p - p**3 / 3
    np.testing.assert_allclose(1 - stacked.float().mean(dim=1), expected, atol=4 * (expected / n) ** 0.5)


def test_modality_dropout_spares_the_only_modality_present() -> None:
    n = 500
    present = {"a": torch.zeros(n, dtype=torch.bool), "b": torch.ones(n, dtype=torch.bool)}
    assert draw_kept(present, 0.9, torch.Generator().manual_seed(0))["b"].all()


def test_modality_dropout_per_batch_takes_the_same_from_all_and_sometimes_everything() -> None:
    present = {"a": torch.ones(5, dtype=torch.bool), "b": torch.tensor([True, False, True, True, True])}
    generator = torch.Generator().manual_seed(0)
    n, p = 4_000, 0.3
    drawn = [draw_kept_by_batch(present, p, generator) for _ in range(n)]
    assert all(kept[name].shape == (5,) and len(kept[name].unique()) == 1 for kept in drawn for name in present)
    a, b = (np.array([bool(kept[name][0]) for kept in drawn]) for name in present)
    for dropped, expected in ((~a, p), (~b, p), (~a & ~b, p * p)):
        np.testing.assert_allclose(dropped.mean(), expected, atol=4 * (expected / n) ** 0.5)


@pytest.mark.parametrize(("per", "mixed"), [("utterance", True), ("batch", False)])
def test_the_settings_say_how_modalities_are_dropped(tmp_path: Path, monkeypatch, per: str, mixed: bool) -> None:
    """Whether in some step one modality is kept in some utterances and dropped in others."""
    drawn: list[list[bool]] = []

    def keep(self: Encoded, kept: dict[str, torch.Tensor]) -> Encoded:
        drawn.extend(of_one.tolist() for of_one in kept.values())
        return replace(self, present={name: present & kept[name] for name, present in self.present.items()})

    monkeypatch.setattr(Encoded, "keep", keep)
    trained(small_corpus(missing=0.0), tmp_path, epochs=1, modality_dropout=0.4, modality_dropout_per=per)
    assert any(len(set(kept)) == 2 for kept in drawn) == mixed
    assert any(not all(kept) for kept in drawn)


def test_ctrl_c_keeps_the_finished_epochs(tmp_path: Path) -> None:
    """A real signal to the real command: exit code 130, how to resume is said, and resuming finishes the run."""
    command = [sys.executable, "-m", "emotiwave", "train", "synthetic", "--out", str(tmp_path / "run")]
    command += ["--set", "dataset.n_train=64", "--set", "dataset.n_validation=16", "--set", "training.epochs=400"]
    command += ["--set", "training.patience=0", "--set", "model.name=late"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 90
    while not (tmp_path / "run" / "last.ckpt").exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "--resume" in said
    assert "Traceback" not in said
    state = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["callbacks"]["RunFiles"]
    assert 1 <= len(state["history"]) < 400
    assert not state["finished"]


def test_every_configuration_in_a_step_learns_of_the_utterances_that_have_it() -> None:
    corpus = small_corpus()
    settings = TrainingSettings(configurations="all", class_weights=False)
    model = build(corpus, ModelSettings(name="late"), settings).eval()
    module = TrainingModule(model, corpus, settings)
    batch = collate(corpus, corpus.indices("train")[:8])
    mask = {name: values.clone() for name, values in batch.mask.items()}
    mask["text"][:5] = False  # rows 5 to 7 have all three
    batch = replace(batch, mask=mask)
    found = module._loss_of_all_configurations(model.encode(batch), batch.targets)
    expected = []
    for configuration in all_configurations(corpus.modalities):
        rows = range(5, 8) if "text" in configuration else range(8)
        logits = model(keep_only(batch, configuration.modalities))
        per_row = [-torch.log_softmax(logits[row], 0) @ batch.targets[row] for row in rows]
        expected.append(sum(per_row) / len(per_row))
    torch.testing.assert_close(found, sum(expected) / 7)


@pytest.mark.parametrize("task", ["categorical", "multilabel"])
def test_distillation_draws_incomplete_answers_to_the_complete_one(task: str) -> None:
    corpus = small_corpus(task=task, missing=0.4)
    plain = TrainingSettings(configurations="all")
    model = build(corpus, ModelSettings(name="late"), plain).eval()
    batch = collate(corpus, corpus.indices("train"))
    complete = torch.stack(list(batch.present.values())).all(dim=0)
    assert complete.any()
    assert not complete.all()
    losses = {}
    for weight in (0.0, 0.5):
        settings = plain.model_copy(update={"distillation": weight})
        losses[weight] = TrainingModule(model, corpus, settings)._loss_of_all_configurations(
            model.encode(batch), batch.targets
        )
    divergences = []
    *incomplete, everything = all_configurations(corpus.modalities)
    wanted = model(keep_only(batch, everything.modalities))[complete].double()
    for configuration in incomplete:
        given = model(keep_only(batch, configuration.modalities))[complete].double()
        if task == "categorical":
            p, q = torch.softmax(wanted, 1), torch.softmax(given, 1)
            divergences.append((p * (p / q).log()).sum(1).mean())
        else:
            p, q = torch.sigmoid(wanted), torch.sigmoid(given)
            divergences.append((p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).mean())
    expected = 0.5 * sum(divergences) / 6
    assert expected > 1e-4
    torch.testing.assert_close((losses[0.5] - losses[0.0]).double(), expected, rtol=1e-3, atol=1e-6)


def test_the_complete_answer_is_not_drawn_to_the_incomplete_ones() -> None:
    """Where only the complete configuration has a weight of its own, distillation leaves that weight alone."""
    corpus = small_corpus(missing=0.0)
    model = build(corpus, ModelSettings(name="late"), TrainingSettings()).eval()
    batch = collate(corpus, corpus.indices("train")[:8])
    shift = torch.zeros(6, requires_grad=True)
    fuse = model.fuse

    def shifted(encoded: Encoded) -> torch.Tensor:
        complete = all(there.all() for there in encoded.present.values())
        return fuse(encoded) + shift if complete else fuse(encoded)

    model.fuse = shifted
    gradients = []
    for weight in (0.0, 5.0):
        settings = TrainingSettings(configurations="all", distillation=weight)
        loss = TrainingModule(model, corpus, settings)._loss(model.encode(batch), batch.targets)
        gradients.append(torch.autograd.grad(loss, shift)[0])
    assert gradients[0].abs().max() > 1e-4
    torch.testing.assert_close(gradients[1], gradients[0])


def test_distillation_needs_every_configuration() -> None:
    with pytest.raises(ValueError, match='distillation needs configurations = "all"'):
        TrainingSettings(distillation=0.5)


def test_with_context_neighbours_also_learn_to_answer_alone() -> None:
    corpus = small_corpus(missing=0.0)
    settings = TrainingSettings(configurations="all", class_weights=False)
    chosen = ModelSettings.model_validate({"evidence": {"context": {"before": 2, "after": 2}}})
    model = build(corpus, chosen, settings).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    module = TrainingModule(model, corpus, settings)
    indices = corpus.indices("train")[:6]
    batch = collate(corpus, indices, find_neighbours(corpus, model.context))
    encoded = model.encode(batch)
    shrinkage = sum(model.auxiliary_losses(encoded).values())
    expected = module._loss(encoded, batch.targets)
    alone = []
    for configuration in all_configurations(corpus.modalities):
        for row, index in enumerate(indices):
            one = collate(corpus, [int(index)], find_neighbours(corpus, model.context))
            read = model.encode(one).keep_only(configuration)
            rest = {name: torch.arange(len(there)) > 0 for name, there in read.present.items()}
            logits = model.fuse(read.keep(rest))[0]
            alone.append(-torch.log_softmax(logits, 0) @ batch.targets[row])
    torch.testing.assert_close(
        module.training_step(batch, 0), expected + 0.3 * torch.stack(alone).mean() + shrinkage, rtol=1e-4, atol=1e-4
    )
    torch.testing.assert_close(module.losses[-1], expected.detach())  # of the task alone, as for every model


@pytest.mark.parametrize("configurations", ["drawn", "all"])
def test_a_step_learns_of_what_the_model_adds_to_the_loss(configurations: str) -> None:
    corpus = small_corpus()
    settings = TrainingSettings.model_validate({"configurations": configurations, "modality_dropout": 0.0})
    model = build(corpus, ModelSettings(name="misa"), settings).eval()
    module = TrainingModule(model, corpus, settings)
    batch = collate(corpus, corpus.indices("train")[:8])
    encoded = model.encode(batch)
    added = model.auxiliary_losses(encoded)
    assert all(loss > 0 for loss in added.values())
    if configurations == "all":
        of_task = module._loss_of_all_configurations(encoded, batch.targets)
    else:
        of_task = task_loss(model(batch), batch.targets, corpus.label_set, module.class_weights)
    torch.testing.assert_close(module.training_step(batch, 0), of_task + sum(added.values()))


def test_words_of_validation_and_test_are_unknown_to_the_model() -> None:
    said = {"a": ("train", "so glad"), "b": ("train", "so sad"), "c": ("validation", "calm"), "d": ("test", "so angry")}
    utterances = tuple(
        Utterance(id=name, split=split, label="xy"[k % 2]) for k, (name, (split, _)) in enumerate(said.items())
    )
    frames = {name: encode_words(text.split()) for name, (_, text) in said.items()}
    text = ComputationalSequence.from_sequences(
        {name: FeatureSequence(values, np.zeros((len(values), 2))) for name, values in frames.items()}
    )
    corpus = Corpus("said", "t", "none", LabelSet("categorical", ("x", "y")), utterances, {"text": text})
    small = {"name": "gru", "width": 4, "width_embedding": 4}
    settings = ModelSettings.model_validate({"name": "late", "encoders": {"text": small}})
    encoder = build(corpus, settings, TrainingSettings(patience=0)).encoder("text")
    assert isinstance(encoder, Gru)
    assert set(encoder.vocabulary.words) == {"so", "glad", "sad"}


def test_batches_at_random_are_of_mixed_lengths(tmp_path: Path) -> None:
    corpus = small_corpus()
    spread = {}
    for by_length in (True, False):
        settings = TrainingSettings(batch_by_length=by_length, batch_size=8)
        module = TrainingModule(build(corpus, ModelSettings(name="late"), settings), corpus, settings)
        module.trainer = SimpleNamespace(global_rank=0, world_size=1)
        batches = list(module.train_dataloader().sampler)
        assert sorted(np.concatenate(batches)) == sorted(corpus.indices("train"))
        spread[by_length] = np.mean([np.ptp(corpus.lengths(batch)) for batch in batches])
    assert spread[False] > 2 * spread[True]
