"""Score runs in every configuration, under conditions, in parts, and say how sure they are."""

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from emotiwave.api.confidence import measure_confidence
from emotiwave.api.run_checks import check_measured, check_seeds, check_selection, read_runs, warn_of_non_finite
from emotiwave.api.spoiled_media import checked_conditions, spoiling
from emotiwave.calibration import fit_thresholds
from emotiwave.config import Recipe
from emotiwave.errors import ConfigError, DataWarning
from emotiwave.evaluation.curves import score_curves
from emotiwave.evaluation.scoring import constant_scores, optimal_predictions, score, summarise_seeds
from emotiwave.evaluation.settings import EvaluationSettings
from emotiwave.evaluation.subgroups import read_facts, score_subgroups
from emotiwave.evaluation.under_conditions import answer_under_conditions
from emotiwave.inference import predict
from emotiwave.models.checkpoint import load_model
from emotiwave.models.fusion import FusionModel
from emotiwave.run_folder import (
    check_comparable,
    check_same_data,
    check_same_model,
    describe_evaluation,
    is_finished,
    label_runs,
    read_cautions,
    write_card,
)
from emotiwave.run_results import (
    discard_results,
    write_conditions,
    write_confidence,
    write_predictions,
    write_provenance,
    write_scores,
    write_subgroups,
    write_thresholds,
)
from emotiwave.sequences import ComputationalSequence
from emotiwave.settings import PathLike
from emotiwave.training.statistics import without_unlearnable
from emotiwave.types import BAYES_OPTIMAL, Corpus, Predictions, Score


@dataclass(frozen=True)
class Evaluation:
    """Score rows, in a sentence each what must be known of them, and of runs what ``confidence.json`` holds."""

    scores: list[Score]
    notes: list[str]
    confidence: dict[str, dict[str, Any]]


def evaluate(
    runs: PathLike | Sequence[PathLike],
    *,
    split: str | None = None,
    conditions: Sequence[str] | None = None,
    draws: int | None = None,
    masks: PathLike | None = None,
    calibrate: bool | None = None,
    abstain_above: float | None = None,
    by: Sequence[str] | None = None,
) -> list[Score]:
    """Score runs in every modality configuration, beside the baselines.

    Writes ``scores.jsonl``, ``predictions.parquet`` and the card ``README.md`` into each run. Runs that differ by their
    seed only are followed by rows with the mean and standard deviation over them.

    Args:
        runs: One run folder or several, of one corpus.
        split: Instead of the recipe's ``evaluation.split``.
        conditions: Instead of its ``evaluation.conditions``: what is hidden or spoiled ever more, as `list_names` names
            it, such as ``missing`` or ``frame_drop:audio=0.1,0.5``; rows go to ``conditions.jsonl``.
        draws: Instead of its ``evaluation.draws``.
        masks: Instead of its ``evaluation.masks``: a folder of masks, read where they are there, else written.
        calibrate: Instead of its ``evaluation.calibrate``: fit confidence on the selection split and measure it; that
            goes to ``confidence.json``.
        abstain_above: Instead of its ``evaluation.abstain_above``, with `calibrate`: the share of wrong answers above
            which to say "not sure".
        by: Instead of its ``evaluation.by``: facts by which scores are told apart, such as ``speaker`` or ``sex``; rows
            go to ``subgroups.jsonl``.

    Raises:
        EmotiwaveError: If a run is incomplete, its data is not what it trained on, or runs cannot be compared.
    """
    return evaluate_with_notes(
        runs,
        split=split,
        conditions=conditions,
        draws=draws,
        masks=masks,
        calibrate=calibrate,
        abstain_above=abstain_above,
        by=by,
    ).scores


def evaluate_with_notes(
    runs: PathLike | Sequence[PathLike],
    *,
    split: str | None = None,
    conditions: Sequence[str] | None = None,
    draws: int | None = None,
    masks: PathLike | None = None,
    calibrate: bool | None = None,
    abstain_above: float | None = None,
    by: Sequence[str] | None = None,
) -> Evaluation:
    """Score runs as `evaluate` does, and say what is questionable about them and how many utterances lack a modality.

    Raises:
        EmotiwaveError: As `evaluate`.
    """
    recipes = read_runs(runs)
    given = {"split": split, "conditions": conditions, "draws": draws, "masks": masks}
    given |= {"calibrate": calibrate, "abstain_above": abstain_above, "by": by}
    changes = {name: value for name, value in given.items() if value is not None}
    check_comparable(recipes)
    corpus = without_unlearnable(next(iter(recipes.values())).load_corpus())
    labels = label_runs(recipes)
    check_seeds(recipes, labels)
    by_label: dict[str, list[list[Score]]] = {}
    references: list[Score] = []
    measured: dict[str, dict[str, Any]] = {}
    for folder, recipe in recipes.items():
        settings = _change(recipe.evaluation, changes)
        rows, references = _evaluate_run(folder, recipe, corpus, settings)
        if settings.calibrate:
            measured[str(folder)] = json.loads((folder / "confidence.json").read_text(encoding="utf-8"))
        by_label.setdefault(labels[folder], []).append([replace(row, model=labels[folder]) for row in rows])
    scores = [row for runs_of_model in by_label.values() for rows in runs_of_model for row in rows]
    for runs_of_model in by_label.values():
        if len(runs_of_model) > 1:
            scores += summarise_seeds(runs_of_model)
    return Evaluation(scores + references, _say_lacking(corpus, scores[0].split) + _say_cautions(labels), measured)


def _change(settings: EvaluationSettings, changes: dict[str, Any]) -> EvaluationSettings:
    try:
        return EvaluationSettings.model_validate(settings.model_dump() | changes)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ConfigError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}; got {first['input']!r}") from None


def _evaluate_run(
    folder: Path, recipe: Recipe, corpus: Corpus, settings: EvaluationSettings
) -> tuple[list[Score], list[Score]]:
    """Rows of the run, and of the baselines on the same utterances; both go to ``scores.jsonl``."""
    check_same_data(folder, corpus)
    conditions = checked_conditions(settings, recipe, corpus)
    model = load_model(folder)
    check_same_model(folder, model.spec.settings, recipe)
    check_measured(conditions, model, corpus)
    selection = _predict_selection(model, corpus, recipe, settings)
    is_tuned = settings.thresholds == "validation"
    thresholds = fit_thresholds(selection) if selection and is_tuned else None
    if not is_finished(folder):
        warnings.warn(
            f"{folder}: training is not finished; the scores are of its best epoch so far", DataWarning, stacklevel=4
        )
    if recipe.training.patience and settings.split == recipe.training.selection_split:
        warnings.warn(
            f"{folder}: {settings.split!r} chose this model, so its scores flatter", DataWarning, stacklevel=4
        )
    predictions = predict(model, corpus, settings.split)
    warn_of_non_finite(settings.split, predictions.n_non_finite)
    facts = read_facts(corpus, predictions.ids, settings.by)
    rows = score(
        predictions,
        settings,
        model=recipe.model.name,
        dataset=corpus.name,
        seed=recipe.training.seed,
        thresholds=thresholds,
    )
    references = constant_scores(predictions, settings, dataset=corpus.name)
    optimal = optimal_predictions(corpus, predictions)
    if optimal is not None:
        known = optimal_predictions(corpus, selection) if selection and is_tuned else None
        tuned = fit_thresholds(known) if known else None
        references += score(optimal, settings, model=BAYES_OPTIMAL, dataset=corpus.name, thresholds=tuned)
    complete = max(predictions.logits, key=lambda c: len(c.modalities))
    with spoiling(recipe, corpus, predictions.ids, settings) as spoil_signals:
        answered, met = answer_under_conditions(
            conditions,
            corpus,
            predictions,
            lambda changed: predict(model, changed, settings.split, (complete,)),
            settings,
            folder=folder / "masks",
            sees_neighbours=model.context is not None,
            spoil_signals=spoil_signals,
        )
    under = score_curves(
        predictions,
        answered,
        settings,
        model=recipe.model.name,
        dataset=corpus.name,
        seed=recipe.training.seed,
        thresholds=thresholds.by_configuration if thresholds else None,
    )
    apart = score_subgroups(
        predictions,
        facts,
        settings,
        model=recipe.model.name,
        dataset=corpus.name,
        seed=recipe.training.seed,
        thresholds=thresholds.by_configuration if thresholds else None,
    )
    confidence = measure_confidence(selection, predictions, settings) if selection and settings.calibrate else None
    discard_results(folder)  # nothing of an earlier evaluation stands beside what is new, whatever happens now
    write_thresholds(thresholds, folder)
    write_confidence(confidence, folder)
    write_subgroups(apart, folder)
    write_conditions(under, answered, met, folder, thresholds, dataset=corpus.name)
    write_predictions(predictions, folder, thresholds, dataset=corpus.name)
    write_provenance(describe_evaluation(folder, recipe, corpus, predictions, settings), folder)
    write_scores(rows + references, folder)  # last: a run without them was not evaluated
    write_card(folder)
    return rows + under + apart, references


def _predict_selection(
    model: FusionModel, corpus: Corpus, recipe: Recipe, settings: EvaluationSettings
) -> Predictions | None:
    """What thresholds are tuned on, and temperatures fitted; None where neither is asked for."""
    if settings.thresholds == "fixed" and not settings.calibrate:
        return None
    check_selection(corpus, recipe, settings)
    return predict(model, corpus, recipe.training.selection_split)


def _say_lacking(corpus: Corpus, split: str) -> list[str]:
    """Say how many of the scored utterances lack each modality; nothing where none does."""
    ids = [corpus.utterances[index].id for index in corpus.indices(split)]
    counts = {name: sum(not _is_observed(sequence, one) for one in ids) for name, sequence in corpus.sequences.items()}
    lacking = ", ".join(f"{count:,} lack {name}" for name, count in counts.items() if count)
    if not lacking:
        return []
    told = (
        f"Of the {len(ids):,} {split} utterances {lacking}. They are scored all the same: where an utterance has "
        "nothing of what is available, nor has a neighbour that the model sees, the answer is the prior, which looks "
        "at nothing."
    )
    return [told]


def _is_observed(sequence: ComputationalSequence, utterance_id: str) -> bool:
    if not sequence.n_frames(utterance_id):
        return False
    return bool(np.isfinite(sequence[utterance_id].values).all(axis=1).any())


def _say_cautions(labels: Mapping[Path, str]) -> list[str]:
    """Give each caution of the runs once; one that is not of every model names those that it is of."""
    models: dict[str, list[str]] = {}
    for folder, label in labels.items():
        for caution in read_cautions(folder):
            of = models.setdefault(caution, [])
            of += [label] if label not in of else []
    n_models = len(set(labels.values()))
    return [caution if len(of) == n_models else f"{', '.join(of)}: {caution}" for caution, of in models.items()]
