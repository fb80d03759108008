"""Explain a run: who contributed what to the answers of a split, when in some utterances, and whether that is true."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from emotiwave.batch import Batch, collate
from emotiwave.config import Recipe
from emotiwave.errors import ConfigError, DatasetError, DataWarning
from emotiwave.explanation.explainers import FrameAttribution, explainers_of, find_explainer
from emotiwave.explanation.faithfulness import check_utterance, sum_up, with_randomised
from emotiwave.explanation.means import Mean
from emotiwave.explanation.modalities import ModalityExplanation, explain_modalities
from emotiwave.explanation.overview import overview
from emotiwave.explanation.results import (
    FOLDER,
    ExplainedClass,
    ExplainedUtterance,
    Moment,
    RunExplanation,
    digest_of_answers,
    write_explanation,
)
from emotiwave.explanation.units import Unit, units_of, word_of
from emotiwave.inference import predict
from emotiwave.models.checkpoint import load_model
from emotiwave.models.fusion import FusionModel
from emotiwave.report.explanation_page import write_explanation_page, write_figures
from emotiwave.run_folder import check_same_data, check_same_model, read_run
from emotiwave.run_results import read_thresholds
from emotiwave.settings import PathLike
from emotiwave.training.statistics import without_unlearnable
from emotiwave.types import Configuration, Corpus

N_SHOWN = 5
"""Wrong answers that are looked at in time where no utterance is named."""
MOST_CLASSES = 3
"""Of an utterance: what was decided and what is true."""
SEED = 0


@dataclass(frozen=True)
class Explained:
    """What was found, and the folder that it was written to; ``page`` shows it."""

    found: RunExplanation
    folder: Path
    page: Path


@dataclass(frozen=True, eq=False)
class _Asked:
    """A model and the utterances that it is asked about: ``indices`` of the corpus, a row each."""

    model: FusionModel
    corpus: Corpus
    indices: NDArray[np.int64]

    @property
    def names(self) -> list[str]:
        """The modalities that the model hears, in the order of the corpus."""
        return [name for name in self.corpus.modalities if name in self.model.modalities]

    def batch(self, row: int) -> tuple[Batch, tuple[Unit, ...]]:
        """One utterance, and what may be hidden of it."""
        batch = collate(self.corpus, self.indices[[row]])
        return batch, units_of(self.corpus, int(self.indices[row]), batch, 0, names=self.names)


def explain(
    run: PathLike,
    *,
    split: str | None = None,
    utterances: Sequence[str] = (),
    explainer: str | None = None,
    check: int = 0,
    out: PathLike | None = None,
    figures: PathLike | None = None,
    console: Console | None = None,
) -> Explained:
    """Say who contributed what to the answers of a run, exactly, and when in some utterances.

    Writes ``contributions.parquet``, ``moments.parquet``, ``explanation.json`` and the page ``explanation.html``.

    Args:
        run: A run folder.
        split: Of the corpus; by default the one that models are chosen on, and where there is none that of evaluation.
        utterances: Which ones to look at in time, by id; by default the wrong ones that are most sure.
        explainer: One of `EXPLAINERS`; by default integrated gradients where frames have them, else occlusion.
        check: By how many utterances, drawn at random, to measure whether explanations in time are true; 0: not.
        out: The folder to write to, ``RUN/explanation`` by default.
        figures: A folder for figures as SVG and PNG; by default none are drawn.
        console: Where progress is shown; standard error by default.

    Raises:
        EmotiwaveError: If the run is incomplete, its data is not what it trained on, or a name is unknown.
    """
    folder = Path(run)
    recipe = read_run(folder)
    corpus = without_unlearnable(recipe.load_corpus())
    check_same_data(folder, corpus)
    model = load_model(folder)
    check_same_model(folder, model.spec.settings, recipe)
    name = explainer or explainers_of(model)[0]
    find_explainer(name)
    if name not in explainers_of(model):
        raise ConfigError(
            f"{name} cannot explain this model ({recipe.model.name}); choose one of {', '.join(explainers_of(model))}"
        )
    split = split or (recipe.training.selection_split if _has_selection(recipe, corpus) else recipe.evaluation.split)
    predictions = predict(model, corpus, split)
    asked = _Asked(model, corpus, corpus.indices(split))
    present = _present(asked, corpus.modalities)
    who = explain_modalities(predictions, model.prior_logits.double().numpy(), _thresholds(folder, model), present)
    summary = overview(who, present)
    shown = [_row(who, one, corpus) for one in utterances] or [who.predictions.ids.index(i) for i in summary.worst]
    told = _warnings(recipe, model)
    progress = console or Console(stderr=True)
    rows = shown if utterances else shown[:N_SHOWN]
    found = RunExplanation(
        model=recipe.model.name,
        dataset=corpus.name,
        data=corpus.digest,
        split=split,
        scale=who.scale,
        modalities=who.modalities,
        overview=summary,
        utterances=[
            _explain(asked, who, row, name)
            for row in track(rows, "explaining", console=progress, transient=True, disable=not progress.is_terminal)
        ],
        warnings=told,
        faithfulness=_check(asked, who, check, progress) if check else None,
        answers=digest_of_answers(folder),
    )
    target = folder / FOLDER if out is None else Path(out)
    write_explanation(found, who, target)
    for warning in told:
        warnings.warn(warning, DataWarning, stacklevel=2)
    if figures is not None:
        write_figures(target, Path(figures))
    return Explained(found, target, write_explanation_page(target))


def _has_selection(recipe: Recipe, corpus: Corpus) -> bool:
    return corpus.has_split(recipe.training.selection_split)


def _thresholds(folder: Path, model: FusionModel) -> dict[Configuration, NDArray[np.float64]]:
    """Those that an evaluation tuned; none where it was not evaluated, or they are fixed."""
    names = model.spec.label_set.names
    return {
        Configuration(tuple(name.split("+"))): np.array([row.get(label, 0.5) for label in names])
        for name, row in read_thresholds(folder, model.spec.label_set).items()
    }


def _present(asked: _Asked, modalities: Sequence[str]) -> NDArray[np.bool_]:
    """Whether utterances have each modality, and the model listens to it."""
    ids = [asked.corpus.utterances[index].id for index in asked.indices]
    sequences = [asked.corpus.sequences[name] for name in modalities]
    heard = np.array([name in asked.model.heard for name in modalities])
    found = [[one in of and bool(np.isfinite(of[one].values).all(axis=1).any()) for of in sequences] for one in ids]
    return np.array(found).reshape(len(ids), len(sequences)) & heard


def _row(who: ModalityExplanation, utterance: str, corpus: Corpus) -> int:
    ids = who.predictions.ids
    if utterance not in ids:
        near = get_close_matches(utterance, ids, n=1, cutoff=0.0)[0]
        where = f"the {len(ids):,} utterances of {who.predictions.split}"
        raise DatasetError(f"{corpus.name}: {utterance!r} is none of {where}; did you mean {near!r}?")
    return ids.index(utterance)


def _warnings(recipe: Recipe, model: FusionModel) -> tuple[str, ...]:
    found = []
    training = recipe.training
    if len(model.modalities) > 1 and not training.modality_dropout and training.configurations != "all":
        found.append(
            "the model was trained without missing modalities: what it says without one is a rough guess, and so are "
            "contributions; train with training.modality_dropout above 0"
        )
    if model.context is not None:
        found.append(
            "the model sees neighbours: in time, utterances are explained without them; contributions are with them, "
            "so that a modality which an utterance lacks may contribute by its neighbours"
        )
    return tuple(found)


def _explain(asked: _Asked, who: ModalityExplanation, row: int, explainer: str) -> ExplainedUtterance:
    labels = who.predictions.label_set
    decided = who.decisions[frozenset(who.modalities)][row]
    truth = labels.holds(who.predictions.targets)[row]
    flip = who.flips[row]
    return ExplainedUtterance(
        id=who.predictions.ids[row],
        truth=_named(labels.names, truth),
        decision=_named(labels.names, decided),
        sureness=float(who.sureness[row]),
        flip=None if flip is None else tuple(sorted(flip)),
        classes=[_explain_class(asked, who, row, k, explainer) for k in _classes(who, row, decided, truth)],
    )


def _classes(who: ModalityExplanation, row: int, decided: NDArray[np.bool_], truth: NDArray[np.bool_]) -> list[int]:
    """What is decided or true, what is decided wrong first; the highest score where nothing is."""
    total = who.on_scale.total[row]
    wanted = sorted(np.flatnonzero(decided | truth).tolist(), key=lambda k: (decided[k] == truth[k], -total[k]))
    return wanted[:MOST_CLASSES] or [int(total.argmax())]


def _explain_class(asked: _Asked, who: ModalityExplanation, row: int, target: int, explainer: str) -> ExplainedClass:
    batch, units = asked.batch(row)
    when = find_explainer(explainer)(asked.model, batch, target, units)
    return ExplainedClass(
        name=who.predictions.label_set.names[target],
        base=float(who.on_scale.base[target]),
        shares={name: float(who.on_scale.values[name][row, target]) for name in who.modalities},
        method=when.method,
        baseline=when.baseline,
        gap=when.gap,
        moments=_moments(asked.model, batch, units, when),
    )


def _moments(model: FusionModel, batch: Batch, units: Sequence[Unit], when: FrameAttribution) -> list[Moment]:
    found = []
    for unit, value in zip(units, when.of(units).tolist(), strict=True):
        start, end = (None if np.isnan(of) else of for of in (unit.start, unit.end))
        found.append(Moment(unit.modality, start, end, value, word_of(model, batch, unit)))
    return found


def _check(asked: _Asked, who: ModalityExplanation, n: int, console: Console) -> dict[str, dict[str, Mean]]:
    """Measure every explainer of the model by the same utterances and the classes that were decided."""
    ids = who.predictions.ids
    drawn = np.random.default_rng(SEED).permutation(len(ids))[:n]
    targets = who.on_scale.total.argmax(axis=1)
    found = {}
    for name in explainers_of(asked.model):
        checks, groups = [], []
        pairs = with_randomised(asked.model, drawn.tolist(), SEED)
        told = track(pairs, f"checking {name}", total=len(drawn), console=console, transient=True)
        for row, other in told if console.is_terminal else pairs:
            batch, units = asked.batch(row)
            if len(units) > 1:
                checks.append(
                    check_utterance(find_explainer(name), asked.model, other, batch, int(targets[row]), units, row)
                )
                groups.append(who.predictions.groups[row])
        found[name] = sum_up(checks, groups, SEED)
    return found


def _named(names: Sequence[str], which: NDArray[np.bool_]) -> tuple[str, ...]:
    return tuple(name for name, holds in zip(names, which.tolist(), strict=True) if holds)
