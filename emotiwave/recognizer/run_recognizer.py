"""Anyone's clip by a run that was trained on media: the features of its recipe, its model in every configuration."""

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from emotiwave.analysis import Analysis, Moment
from emotiwave.batch import collate
from emotiwave.dialogues import find_neighbours
from emotiwave.errors import CheckpointError, ConfigError, EmotiwaveError, MediaError
from emotiwave.explanation.modalities import SCALES
from emotiwave.explanation.shapley import attributable_scores
from emotiwave.features.extraction.reader import MediaReader, OpenMedia
from emotiwave.features.extraction.settings import DEFAULTS, MediaFeatureSettings
from emotiwave.features.extractors import EXTRACTORS
from emotiwave.features.prepared import PreparedRecording
from emotiwave.models.checkpoint import load_model
from emotiwave.models.fusion import FusionModel
from emotiwave.recognizer.clip import Clip, make_clip, modalities_asked
from emotiwave.recognizer.clip_reading import Watch
from emotiwave.recognizer.failures import NOT_THE_FILES_FAULT, Failed
from emotiwave.recognizer.fusion import contributions_of, explain_subsets, subsets
from emotiwave.recognizer.run_answers import Answers, Judge, join
from emotiwave.recognizer.run_attribution import MOST_STRETCHES, attribute
from emotiwave.recognizer.run_usability import uses_of, warned
from emotiwave.recognizer.stretches import UTTERANCE, as_files, readable_words, seconds_of, stretches_of
from emotiwave.recordings import Sources
from emotiwave.run_folder import is_finished, read_environment, read_run
from emotiwave.run_results import read_thresholds
from emotiwave.sequences import ComputationalSequence
from emotiwave.settings import PathLike
from emotiwave.types import Configuration, Corpus, Label, LabelSet, Segment, Utterance

MOST_WINDOWS = 256
"""Stretches that are read together, which bounds memory."""
Array = NDArray[np.float64]


class RunRecognizer:
    """A trained model and the extractors of its features; a stretch of some seconds is an utterance."""

    def __init__(
        self,
        model: FusionModel,
        features: MediaFeatureSettings,
        *,
        name: str,
        thresholds: Mapping[str, Mapping[str, float]] | None = None,
        met_missing: bool = True,
        faces_found_by: str | None = None,
    ) -> None:
        self.model, self.features, self.name = model.eval(), features, name
        self.met_missing = met_missing
        self.watch: Watch | None = None
        self.judge = Judge(
            model.spec.label_set,
            model.prior_logits.double().numpy(),
            {frozenset(some.split("+")): of for some, of in (thresholds or {}).items()},
        )
        signals = model.modalities if features.extractors is None else tuple(DEFAULTS)
        choices = features.choices([signal for signal in signals if signal in DEFAULTS])
        missing = set(model.modalities) - set(choices)
        if missing:
            raise ConfigError(f"{name}: nothing extracts {min(missing)!r} from media, which the model needs")
        self.choices = {modality: choices[modality] for modality in model.modalities}
        self.signals = {modality: EXTRACTORS[choice.name].signal for modality, choice in self.choices.items()}
        self.faces_found_by = faces_found_by

    @classmethod
    def load(cls, folder: Path) -> "RunRecognizer":
        """Read a run that was trained on features of media.

        Raises:
            CheckpointError: If there is no finished run, or it is damaged.
            ConfigError: If its features are not ones that Emotiwave extracts from media.
        """
        recipe = read_run(folder)
        if (folder / "environment.json").exists() and not is_finished(folder):  # the Hub is not given that file
            raise CheckpointError(f"{folder}: the run is not finished; go on with emotiwave train --resume")
        if not isinstance(recipe.features, MediaFeatureSettings):
            raise ConfigError(
                f"{folder}: was trained on features that came with {recipe.dataset_name or 'its feature store'}, and "
                "not on ones that are extracted from media; analyse by a run of media, such as one of the recipe "
                "manifest"
            )
        model = load_model(folder)
        training = recipe.training
        return cls(
            model,
            recipe.features,
            name=folder.name,
            thresholds=read_thresholds(folder, model.spec.label_set),
            met_missing=training.configurations == "all" or training.modality_dropout > 0,
            faces_found_by=_faces_found_by(folder),
        )

    def analyze_configurations(self, clip: Clip, modalities: Iterable[str] | None = None) -> dict[str, Analysis]:
        """Analyse a clip in every configuration of the modalities that it has, by their names (``text+audio``).

        The first is of all that it has, and that are asked for.

        Raises:
            EmotiwaveError: If nothing that was given can be read.
        """
        whole = self.analyze(clip, modalities=modalities)
        there = tuple(name for name in self.model.modalities if name in whole.modalities)
        found = {"+".join(there): whole}
        for some in subsets([name for name in there if whole.modalities[name].used]):
            if some and "+".join(some) not in found:
                found["+".join(some)] = self.analyze(clip, modalities=some)
        return found

    remarks: tuple[str, ...] = ()
    """Nothing: a run has labels of its own."""

    @property
    def label_set(self) -> LabelSet:
        """What the run answers."""
        return self.model.spec.label_set

    def analyze(
        self, media: Any = None, *, modalities: Iterable[str] | None = None, explain: bool = False, **given: Any
    ) -> Analysis:
        """Say what is expressed in a clip, as `ExpertRecognizer.analyze` does.

        Raises:
            EmotiwaveError: If nothing that was given can be read.
        """
        clip = make_clip(media, **given)
        with ExitStack() as stack:
            reader = stack.enter_context(self._open(clip.sources.is_face))
            return self._analyze(reader, clip, modalities, explain=explain)

    def analyze_each(
        self, clips: Iterable[Clip], *, modalities: Iterable[str] | None = None, explain: bool = False
    ) -> Iterator[Analysis | Failed]:
        """Analyse one clip after the other; one that cannot be read is told of, and the next one's turn comes."""
        with ExitStack() as stack:
            modalities = modalities_asked(modalities, self.model.modalities)
            readers: dict[bool, MediaReader] = {}
            for clip in clips:
                is_face = clip.sources.is_face
                if is_face not in readers:
                    readers[is_face] = stack.enter_context(self._open(is_face))
                try:
                    yield self._analyze(readers[is_face], clip, modalities, explain=explain)
                except NOT_THE_FILES_FAULT:
                    raise
                except (EmotiwaveError, OSError) as error:
                    yield Failed(clip.name, str(error))
                except Exception as unknown:  # a fault of ours in one clip must not lose the others
                    yield Failed(clip.name, f"{type(unknown).__name__}: {unknown}")

    def _open(self, is_face: bool) -> MediaReader:
        settings = self.features.model_copy(update={"cache": False})
        opener = OpenMedia(settings, self.choices, finds_faces=not is_face)
        opener.fetch()  # the face detector that the run was trained with, if it can be had
        return opener()

    def _analyze(self, reader: MediaReader, clip: Clip, modalities: Iterable[str] | None, *, explain: bool) -> Analysis:
        asked = modalities_asked(modalities, self.model.modalities)
        with tempfile.TemporaryDirectory() as scratch:
            sources = as_files(clip, Path(scratch))
            stretches = stretches_of(clip, sources)
            sources, warnings = readable_words(sources, stretches)
            parts = [stretches[first : first + MOST_WINDOWS] for first in range(0, len(stretches), MOST_WINDOWS)]
            read, answered = [], []
            for part in parts:  # of the features of one part only is there memory
                reader.spoiler = clip.spoiler
                self._tell(part[0], stretches)
                prepared = self._read(reader, sources, part, clip)
                self._tell(part[-1], stretches)
                answered.append(self._answer(prepared, part, asked))
                is_kept = explain and len(stretches) <= MOST_STRETCHES
                read.append(prepared if is_kept else replace(prepared, modalities={}))
        answers = join(answered)
        try:
            found = self._sum_up(
                clip, stretches, read, answers, asked, [*clip.spoiled, *warnings, *self._remarks_on(reader)]
            )
            return self._explain(found, stretches, read, answers) if explain and found.answered else found
        except MediaError as error:
            raise MediaError(str(error).replace(f"{scratch}{os.sep}", "")) from None

    def _tell(self, at: Segment | None, stretches: Sequence[Segment | None]) -> None:
        """Tell how far a clip was read, in seconds from its first stretch on."""
        if self.watch is not None:
            first = stretches[0]
            self.watch("all", 0.0 if at is None or first is None else at.start - first.start)

    def _remarks_on(self, reader: MediaReader) -> list[str]:
        """Say so where faces are found by another detector than in training."""
        detector = reader.detector
        if detector is None or self.faces_found_by is None or self.faces_found_by.startswith(detector.name):
            return []
        told = f"vision: faces are found by {detector.name}, and were by {self.faces_found_by} when the run was trained"
        return [f"{told}: what is said of them may be wrong"]

    def _read(
        self, reader: MediaReader, sources: Sources, stretches: Sequence[Segment | None], clip: Clip
    ) -> PreparedRecording:
        names = [str(index) for index in range(len(stretches))]
        label = self._any_label()
        wanted = [
            (Utterance(name, "test", label, dialogue=clip.name, segment=segment), sources)
            for name, segment in zip(names, stretches, strict=True)
        ]
        return reader.read(clip.name, wanted)

    def _any_label(self) -> Label:
        """A label for utterances that have none: the corpus wants one, the model never sees it."""
        labels = self.label_set
        if labels.kind == "categorical":
            return labels.names[0]
        if labels.kind == "multilabel":
            return ()
        if labels.kind == "distribution":
            return (1.0, *(0.0,) * (len(labels.names) - 1))
        return (0.0,) * len(labels.names)

    @torch.inference_mode()
    def _answer(
        self, prepared: PreparedRecording, stretches: Sequence[Segment | None], asked: Sequence[str]
    ) -> Answers:
        n, n_classes = len(stretches), self.model.n_classes
        present = {name: np.array(prepared.modalities[name].observed, dtype=bool) for name in asked}
        there = [name for name in asked if present[name].any()]
        prior = self.model.prior_logits.double().numpy()
        logits = {frozenset(some): np.tile(prior, (n, 1)) for some in subsets(there)}
        kept = np.flatnonzero(np.array(prepared.kept))
        if len(kept):
            corpus = self._corpus(prepared, kept)
            neighbours = None if self.model.context is None else find_neighbours(corpus, self.model.context)
            batch = collate(corpus, np.arange(len(kept)), neighbours)
            wanted = [Configuration(some) for some in subsets(there) if some]
            for configuration, answer in self.model.each_configuration(batch, wanted):
                if not torch.isfinite(answer).all():
                    raise CheckpointError(f"{self.name}: answers that are not finite; train the run again")
                logits[frozenset(configuration.modalities)][kept] = answer.double().numpy()
        return Answers({some: values.reshape(n, n_classes) for some, values in logits.items()}, present)

    def _corpus(self, prepared: PreparedRecording, kept: NDArray[np.int64]) -> Corpus:
        ids = [prepared.ids[row] for row in kept]
        sequences = {}
        for name, of in prepared.modalities.items():
            lengths = np.array(of.lengths)
            offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
            sequences[name] = ComputationalSequence(prepared.ids, of.values, of.intervals, offsets)
            if len(kept) < len(prepared.ids):
                sequences[name] = ComputationalSequence.from_sequences(
                    {one: sequences[name][one] for one in ids}, size=of.values.shape[1]
                )
        utterances = tuple(Utterance(one, "test", self._any_label(), dialogue="clip") for one in ids)
        return Corpus("clip", "analysis", "that of the clip", self.label_set, utterances, sequences)

    # --- summing up

    def _sum_up(
        self,
        clip: Clip,
        stretches: Sequence[Segment | None],
        read: Sequence[PreparedRecording],
        answers: Answers,
        asked: Sequence[str],
        warnings: Sequence[str],
    ) -> Analysis:
        labels, uses = self.label_set, uses_of(read, asked, stretches)
        errors = list(
            dict.fromkeys(row["error"] for prepared in read for row in prepared.errors if row["modality"] in asked)
        )
        there = answers.there
        if not there and errors:
            raise MediaError("; ".join(errors))
        pooled = self.judge.pool(answers, _weights(stretches))
        emotions = confidence = decision = contributions = None
        if there:
            logits = pooled[frozenset(there)]
            emotions = self.judge.by_class(logits)
            decision, confidence = self.judge.decide(logits, there)
            scores = {some: attributable_scores(values, labels.kind) for some, values in pooled.items()}
            contributions = contributions_of(scores, labels.names, SCALES[labels.kind])
        reason = None
        if not there:
            why = "; ".join(f"{name}: {use.reason}" for name, use in uses.items())
            reason = f"nothing to judge ({why or 'no modality of the run is there'})"
        elif labels.is_exclusive and confidence is not None and confidence < 0.5:
            reason = f"not sure: {decision} {confidence:.2f}"
        told = [*warnings, *warned(read, asked, self.signals), *errors]
        if there and len(there) > 1 and not self.met_missing:
            told.append("the run was trained without missing modalities: what each one contributes is a rough guess")
        if len(stretches) > 1:
            told.append(f"looked at in stretches of about {UTTERANCE:g} s, each as one utterance")
        return Analysis(
            input=clip.name,
            model=self.name,
            label_kind="categorical" if labels.is_exclusive else labels.kind,  # pyright: ignore[reportArgumentType]
            label_set=labels.names,
            emotions=emotions,
            decision=decision,
            confidence=confidence,
            reason=reason,
            modalities=uses,
            contributions=contributions,
            timeline=self._timeline(stretches, answers),
            warnings=tuple(dict.fromkeys(told)),
        )

    def _explain(
        self,
        found: Analysis,
        stretches: Sequence[Segment | None],
        read: Sequence[PreparedRecording],
        answers: Answers,
    ) -> Analysis:
        """Say more of why, and when; of clips of more stretches than a few not when."""
        labels, there, weights = self.label_set, answers.there, _weights(stretches)
        pooled = self.judge.pool(answers, weights)
        is_continuous = labels.kind == "continuous"
        scores = {some: attributable_scores(values, labels.kind) for some, values in pooled.items()}
        shares = {some: np.array([*self.judge.by_class(values).values()]) for some, values in pooled.items()}
        decisions = {some: self.judge.decide(values, sorted(some))[0] for some, values in pooled.items()}
        if is_continuous:
            decisions = {some: tuple(values > 0) for some, values in pooled.items()}
        explanation = explain_subsets(scores, None if is_continuous else shares, decisions, labels.names)
        kept = np.flatnonzero(np.array(read[0].kept))
        if read[0].modalities and len(kept):
            origin = 0.0 if stretches[0] is None else stretches[0].start
            starts = [np.nan if (of := stretches[row]) is None else of.start - origin for row in kept.tolist()]
            if len(stretches) == 1 and stretches[0] is None:
                starts = [0.0]
            attributions = attribute(
                self.model,
                self._corpus(read[0], kept),
                starts,
                (weights[kept] / weights[answers.seen].sum()).tolist(),
                there,
                int(scores[frozenset(there)].argmax()),
            )
            explanation = explanation.model_copy(update={"attributions": attributions})
        told = list(found.warnings)
        if len(stretches) > MOST_STRETCHES:
            told.append(f"when is not told of a clip of more than {MOST_STRETCHES} stretches: give a part of it")
        elif len(stretches) > 1:
            told.append("when: each stretch counts by its length, which is only roughly its share in the answer")
        if self.model.context is not None:
            told.append("when: each stretch is explained without its neighbours; contributions are with them")
        return found.model_copy(update={"explanation": explanation, "warnings": tuple(told)})

    def _timeline(
        self,
        stretches: Sequence[Segment | None],
        answers: Answers,
    ) -> tuple[Moment, ...]:
        there, seen = answers.there, answers.seen
        if not there or any(segment is None for segment in stretches):
            return ()
        origin = stretches[0].start if stretches[0] is not None else 0.0
        moments = []
        for index, segment in enumerate(stretches):
            if segment is None:
                continue
            used = tuple(name for name in there if answers.present[name][index])
            emotions = self.judge.by_class(answers.logits[frozenset(there)][index]) if seen[index] else None
            moments.append(
                Moment(start=segment.start - origin, end=segment.end - origin, emotions=emotions, modalities=used)
            )
        return tuple(moments)


def _weights(stretches: Sequence[Segment | None]) -> Array:
    return np.array([seconds_of(segment) for segment in stretches])


def _faces_found_by(folder: Path) -> str | None:
    """The detector that found the faces of training; None if there is none, or a run of the Hub does not tell."""
    if not (folder / "environment.json").exists():
        return None
    found = read_environment(folder).get("corpus", {}).get("counts", {}).get("faces found by")
    return None if found is None else str(found)


def load_run(folder: PathLike) -> RunRecognizer:
    """Read a run as a recogniser."""
    return RunRecognizer.load(Path(folder))
