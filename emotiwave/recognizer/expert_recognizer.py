"""Anyone's clip, voice, photo or sentence, by the experts: read, put together, told with reasons."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from emotiwave.analysis import Analysis, Explanation, ModalityUse, Moment, Subject
from emotiwave.errors import ConfigError, EmotiwaveError, MediaError, unknown_name
from emotiwave.experts import MODALITIES, CalibratedExpert, Experts, ModalityExpert, PublishedExpert, Speaker
from emotiwave.experts.label_map import say_map
from emotiwave.explanation.shapley import attributable_scores
from emotiwave.labels import SEVEN
from emotiwave.recognizer.clip import Clip, make_clip, modalities_asked
from emotiwave.recognizer.clip_reading import FACES_KEPT, ClipReader, Heard, Watch
from emotiwave.recognizer.expert_attribution import Evidence, explain_readings
from emotiwave.recognizer.face_reading import FacesSeen
from emotiwave.recognizer.failures import NOT_THE_FILES_FAULT, Failed
from emotiwave.recognizer.fusion import PRIOR, Fusion, contributions_of, explain_subsets, subsets
from emotiwave.recognizer.reading import Array, Reading
from emotiwave.recognizer.settings import RecognizerSettings
from emotiwave.types import LabelSet

TEXTS_AT_ONCE = 64
LATE = 5.0
"""Seconds by which words may go on after the recording without a warning."""
MOST_STRETCHES = 240
"""Stretches of a timeline that are a second long; of a longer clip they grow, up to four seconds."""
LONGEST_STRETCH = 4.0
MOST_OF_ALL = 10_800
"""Stretches of a timeline, however long it is: twelve hours of four seconds."""
NOT_CALIBRATED = "not calibrated on your data, so that it may be too sure of itself; see emotiwave calibrate"
Readings = Mapping[str, Reading]
"""What was read of a clip, by modality; without those that it does not have."""


class ExpertRecognizer:
    """Three experts, and their evidence put together; `emotiwave.load` makes one."""

    label_set = LabelSet("categorical", SEVEN)

    def __init__(
        self, experts: Experts, settings: RecognizerSettings | None = None, speaker: Speaker | None = None
    ) -> None:
        self.experts = experts
        self.settings = settings or RecognizerSettings()
        self._reader = ClipReader(experts, self.settings, speaker)
        for modality in self.settings.reliability:
            if modality not in MODALITIES:
                raise ConfigError(f"reliability: {unknown_name('modality', modality, MODALITIES)}")
        self.fusion = Fusion(SEVEN, self._prior(), self.settings.overlap)

    def _prior(self) -> Array:
        """What is said of nothing: how common classes are in the user's data if experts were calibrated on it."""
        found = [one.prior for m in MODALITIES if isinstance(one := self.experts[m], CalibratedExpert)]
        return np.mean(found, axis=0) if found else np.array([PRIOR[name] for name in SEVEN])

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the labels of published classifiers were taken for."""
        found = ((m, getattr(self.experts[m], "expert", self.experts[m])) for m in MODALITIES)
        return tuple(f"{m}: {one.name}: {say_map(one.labels)}" for m, one in found if isinstance(one, PublishedExpert))

    @property
    def text(self) -> ModalityExpert:
        """The expert of words."""
        return self.experts.text

    @property
    def audio(self) -> ModalityExpert:
        """The expert of voices."""
        return self.experts.audio

    @property
    def vision(self) -> ModalityExpert:
        """The expert of faces."""
        return self.experts.vision

    @property
    def name(self) -> str:
        """What answers, in a few words."""
        weights = self.experts.weights
        of_weights = [] if weights is None else [f"emotiwave-weights-research {weights.version}"]
        others = [f"{m}: {self.experts[m].name}" for m in MODALITIES if not self.experts[m].is_shipped]
        return ", ".join([*of_weights, *others])

    def analyze(
        self, media: Any = None, *, modalities: Iterable[str] | None = None, explain: bool = False, **given: Any
    ) -> Analysis:
        """Say what is expressed in a clip, how sure that is, from which signal, and when.

        Args:
            media: A file, a picture (array or Pillow image), a `Waveform`, or a `Clip`.
            modalities: The only ones to listen to, of text, audio and vision.
            explain: Whether to say also when what was expressed, which asks the experts many times.
            **given: What `make_clip` takes: ``video``, ``audio``, ``image``, ``text``, ``transcript``, ``start``,
                ``end``, ``is_face``, ``name``.

        Raises:
            EmotiwaveError: If nothing that was given can be read.
        """
        clip = make_clip(media, **given)
        asked = modalities_asked(modalities, MODALITIES)
        return self._sum_up(clip, self._reader.read([clip], asked, to_explain=explain)[0], explain=explain)

    def explain(self, clip: Clip, modalities: Iterable[str] | None = None) -> tuple[Analysis, Heard]:
        """Analyse a clip with its explanation, and give what was read of it.

        Raises:
            EmotiwaveError: If nothing that was given can be read.
        """
        asked = modalities_asked(modalities, MODALITIES)
        (heard,) = self._reader.read([clip], asked, to_explain=True, faces_kept=FACES_KEPT)
        return self._sum_up(clip, heard, explain=True), heard

    def analyze_each(
        self, clips: Iterable[Clip], *, modalities: Iterable[str] | None = None, explain: bool = False
    ) -> Iterator[Analysis | Failed]:
        """Analyse one clip after the other; one that cannot be read is told of, and the next one's turn comes.

        Sentences that follow each other are read together, which is faster.
        """
        modalities = modalities_asked(modalities, MODALITIES)
        waiting: list[Clip] = []
        for clip in clips:
            if clip.is_text_only:
                waiting.append(clip)
                if len(waiting) < TEXTS_AT_ONCE:
                    continue
                yield from self._answer(waiting, modalities, explain=explain)
                waiting = []
            else:
                yield from self._answer(waiting, modalities, explain=explain)
                waiting = []
                yield from self._answer([clip], modalities, explain=explain)
        yield from self._answer(waiting, modalities, explain=explain)

    def _answer(
        self, clips: Sequence[Clip], modalities: Sequence[str], *, explain: bool
    ) -> Iterator[Analysis | Failed]:
        try:
            heard = self._reader.read(clips, modalities, to_explain=explain)
        except NOT_THE_FILES_FAULT:
            raise
        except EmotiwaveError as error:
            yield from (Failed(clip.name, str(error)) for clip in clips)
            return
        for clip, one in zip(clips, heard, strict=True):
            try:
                yield self._sum_up(clip, one, explain=explain)
            except MediaError as error:
                yield Failed(clip.name, str(error))
            except Exception as unknown:  # a fault of ours in one clip must not lose the others
                yield Failed(clip.name, f"{type(unknown).__name__}: {unknown}")

    def analyze_configurations(self, clip: Clip, modalities: Iterable[str] | None = None) -> dict[str, Analysis]:
        """Analyse a clip in every configuration of the modalities that it has, by their names (``text+audio``).

        The first is of all that it has, and that are asked for.

        It is read once. What cannot be read alone is left out.

        Raises:
            EmotiwaveError: If nothing that was given can be read.
        """
        (heard,) = self._reader.read([clip], modalities_asked(modalities, MODALITIES))
        found = {"+".join(m for m in MODALITIES if m in {**heard.readings, **heard.errors}): self._sum_up(clip, heard)}
        for some in subsets([m for m in MODALITIES if m in heard.readings]):
            if some:
                readings = {name: heard.readings[name] for name in some}
                faces = heard.faces if "vision" in some else None
                found.setdefault("+".join(some), self._sum_up(clip, Heard(readings, faces, {}, heard.warnings)))
        return found

    @property
    def watch(self) -> Watch | None:
        """Is told how far a clip was read."""
        return self._reader.watch

    @watch.setter
    def watch(self, watch: Watch | None) -> None:
        self._reader.watch = watch

    def read(self, clips: Sequence[Clip], modalities: Iterable[str] | None = None) -> list[Heard]:
        """Let the experts read clips, and put nothing together yet."""
        return self._reader.read(clips, modalities_asked(modalities, MODALITIES))

    def _sum_up(self, clip: Clip, heard: Heard, *, explain: bool = False) -> Analysis:
        if not heard.readings and heard.errors:
            raise MediaError(_worst(clip, heard.errors))
        used = {name: reading for name, reading in heard.readings.items() if reading.is_used}
        uses = {name: _use(reading) for name, reading in heard.readings.items()}
        uses |= {
            name: ModalityUse(used=False, observed=0.0, reason=_without_path(why, clip))
            for name, why in heard.errors.items()
        }
        evidence = {name: reading.pool() for name, reading in used.items()}
        worth = {name: reading.worth for name, reading in used.items()}
        each = self.fusion.each_subset(evidence, worth)
        scores = {some: attributable_scores(values, "categorical") for some, values in each.items()}
        answer = np.exp(each[frozenset(used)]) if used else None
        decision = None if answer is None else SEVEN[int(answer.argmax())]
        confidence = None if answer is None else float(answer.max())
        return Analysis(
            input=clip.name,
            model=self.name if heard.faces is None else f"{self.name}{heard.faces.found_by}",
            label_kind="categorical",
            label_set=SEVEN,
            emotions=None if answer is None else _by_class(answer),
            decision=decision,
            confidence=confidence,
            reason=_reason(uses, answer),
            modalities={name: uses[name] for name in MODALITIES if name in uses},
            contributions=contributions_of(scores, SEVEN, "log_odds") if used else None,
            explanation=self._explain(used, each, scores) if explain and used else None,
            timeline=self._timeline(used, heard.readings),
            subjects=self._subjects(heard.faces),
            warnings=(*clip.spoiled, *heard.warnings, *self._doubts(heard)),
        )

    def _explain(
        self, used: Readings, each: Mapping[frozenset[str], Array], scores: Mapping[frozenset[str], Array]
    ) -> Explanation:
        """Say more of why, and when."""
        target = int(each[frozenset(used)].argmax())

        def score(pooled: Mapping[str, Evidence]) -> float:
            evidence = {name: values for name, (values, _) in pooled.items()}
            worth = {name: of for name, (_, of) in pooled.items()}
            return float(attributable_scores(self.fusion.log_posterior(evidence, worth), "categorical")[target])

        answers = {some: np.exp(values) for some, values in each.items()}
        decisions = {some: int(values.argmax()) for some, values in each.items()}
        experts = {name: self._reader.ask(name) for name in used}
        found = explain_subsets(scores, answers, decisions, SEVEN)
        return found.model_copy(update={"attributions": explain_readings(used, experts, score, SEVEN[target])})

    def _timeline(self, used: Readings, everything: Readings) -> tuple[Moment, ...]:
        """Tell what is expressed when, over all of the clip, in stretches of a second or a few."""
        timed = {name: reading for name, reading in used.items() if reading.is_timed}
        end = _duration(everything) if timed else 0.0
        if end <= 0:
            return ()
        length = max(min(LONGEST_STRETCH, max(1.0, np.ceil(end / MOST_STRETCHES))), np.ceil(end / MOST_OF_ALL))
        edges = np.append(np.arange(0.0, end - length / 4, length), end)  # no short stretch at the end
        evidence = {name: reading.between(edges) for name, reading in timed.items()}
        worth = {name: reading.reliability for name, reading in timed.items()}
        answers = np.exp(self.fusion.log_posterior(evidence, worth))
        moments = []
        for index, (first, last) in enumerate(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)):
            there = tuple(name for name, values in evidence.items() if np.isfinite(values[index]).all())
            emotions = _by_class(answers[index]) if there else None
            moments.append(Moment(start=first, end=last, emotions=emotions, modalities=there))
        return tuple(moments)

    def _subjects(self, faces: FacesSeen | None) -> tuple[Subject, ...]:
        """Tell of every face, what it alone expresses; there is nothing to tell apart of a clip with one."""
        found = []
        for seen in () if faces is None else faces.faces:
            alone = {"vision": seen.reading.pool()} if seen.reading.is_used else {}
            answer = np.exp(self.fusion.log_posterior(alone, {"vision": seen.reading.worth}))
            times = {"start": seen.start, "end": seen.end, "seconds": seen.seconds}
            found.append(
                Subject(
                    id=f"face-{seen.number + 1}",
                    judged=faces is not None and seen.reading is faces.reading,
                    emotions=_by_class(answer) if alone else None,
                    decision=SEVEN[int(answer.argmax())] if alone else None,
                    **{name: None if np.isnan(value) else value for name, value in times.items()},
                )
            )
        return tuple(found)

    def _doubts(self, heard: Heard) -> list[str]:
        told = [f"{name}: {doubt}" for name, reading in heard.readings.items() for doubt in reading.warnings]
        for name, reading in heard.readings.items():
            expert = self.experts[name]
            if reading.is_used and isinstance(expert, PublishedExpert):
                told.append(f"{name}: {expert.name} is {NOT_CALIBRATED}")
        text = heard.readings.get("text")
        others_are_timed = any(reading.seconds > 0 for name, reading in heard.readings.items() if name != "text")
        if text is not None and text.is_used and not text.is_timed and others_are_timed:
            told.append("text: its words have no times; they count for the whole clip and not in the timeline")
        duration = _duration(heard.readings) if heard.readings else 0.0
        if text is not None and text.is_timed and text.seconds > duration + LATE:
            told.append(f"text: words up to {text.seconds:.0f} s, and a recording of {duration:.0f} s: is it its own?")
        judged = [seen for seen in heard.faces.faces if seen.reading is heard.faces.reading] if heard.faces else []
        others = 0 if heard.faces is None else len(heard.faces.faces) - len(judged)
        if others:
            told.append(f"vision: {others} other {'face' if others == 1 else 'faces'}; the one judged is there longest")
        return told


def _duration(readings: Readings) -> float:
    """How long a clip is, in seconds: its sound and pictures, or else its words, tell."""
    recorded = [reading.seconds for name, reading in readings.items() if name != "text" and reading.seconds > 0]
    return max(recorded or [reading.seconds for reading in readings.values()])


def _use(reading: Reading) -> ModalityUse:
    judged = reading.usability
    told = ", ".join(f"{reason} {100 * share:.0f} %" for reason, share in judged.reasons.items() if share >= 0.005)
    return ModalityUse(
        used=reading.is_used,
        observed=min(1.0, max(0.0, judged.observed)),
        reason=(told or ("nothing could be read" if not reading.is_used else None)),
    )


def _reason(uses: Mapping[str, ModalityUse], answer: Array | None) -> str | None:
    if answer is None:
        why = "; ".join(f"{name}: {use.reason}" for name, use in uses.items())
        return f"nothing to judge ({why or 'no modality that was asked for is there'})"
    if answer.max() >= 0.5:
        return None
    first, second = np.argsort(-answer)[:2]
    return f"not sure: {SEVEN[first]} {answer[first]:.2f}, {SEVEN[second]} {answer[second]:.2f}"


def _worst(clip: Clip, errors: Mapping[str, str]) -> str:
    whys = dict.fromkeys(errors.values())
    return "; ".join(whys) or f"{clip.name}: nothing could be read"


def _without_path(why: str, clip: Clip) -> str:
    for path in clip.sources.files:
        why = why.removeprefix(f"{path}: ")
    return why


def _by_class(answer: Array) -> dict[str, float]:
    return dict(zip(SEVEN, answer.tolist(), strict=True))
