"""The nouns of an answer, and their JSON Schema."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from emotiwave.errors import ConfigError

Probability = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0)]
DIGITS = 6
"""Decimal places in `Analysis.to_dict`."""
SURE = 0.5
"""A decision about one class that is less probable is told as one that is not sure."""


class Part(BaseModel):
    """A part of an answer; never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ModalityUse(Part):
    """How much of a modality could be used: a share ``observed`` of what was given, and why not the rest."""

    used: bool
    observed: Probability
    reason: str | None = None


class Contributions(BaseModel):
    """Who contributed what: ``base`` and every modality's share add up to the answer, on the ``scale`` named.

    ``log_odds`` of each class where one class holds, ``logit`` where several may, ``value`` of continuous labels; or
    ``probability`` of either.
    Further keys are modalities, each with its exact Shapley value per class.
    """

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)
    __pydantic_extra__: dict[str, dict[str, float]] = Field(init=False)  # pyright: ignore[reportIncompatibleVariableOverride]

    scale: Literal["log_odds", "logit", "value", "probability"]
    base: dict[str, float]

    @property
    def modalities(self) -> Mapping[str, dict[str, float]]:
        """Modality -> class -> its share."""
        return self.__pydantic_extra__

    def total(self, name: str) -> float:
        """What base and modalities add up to for a class."""
        return self.base[name] + sum(shares[name] for shares in self.modalities.values())


NOTHING_SAID = "a modality that speaks for all classes alike"
"""The baseline of attributions that share what evidence adds; others name theirs."""


class AttributedSpan(Part):
    """A part of one modality, and how much it moves the score of the class that is explained.

    ``start`` and ``end`` are seconds, None without times; ``text`` is what is said then.
    """

    start: Seconds | None
    end: Seconds | None
    text: str | None = None
    value: float


class Attribution(Part):
    """When a modality speaks for the class ``target`` (above 0) or against it, on the scale of the contributions.

    ``baseline`` says what each span was compared with.
    """

    modality: str
    target: str
    method: Literal["occlusion", "integrated_gradients", "attention"]
    baseline: str
    spans: tuple[AttributedSpan, ...]


class Explanation(Part):
    """More of why: what two modalities do to each other, what would change the answer, and when what was expressed.

    ``interactions`` maps pairs such as ``audio+text`` to the Shapley interaction index of each class: above 0 they add
    more together than each alone, below 0 they tell the same. ``flip`` is the smallest set of modalities whose absence
    changes the decision; None if even nothing at all is answered so. ``probability`` holds contributions to
    probabilities, None of continuous labels.
    """

    probability: Contributions | None
    interactions: dict[str, dict[str, float]]
    flip: tuple[str, ...] | None
    attributions: tuple[Attribution, ...] = ()


class Moment(Part):
    """A stretch of the clip in seconds; ``emotions`` is None where nothing could be observed.

    ``final`` tells an answer that stays from one that more of a stream may change; ``modalities`` are those heard.
    """

    start: Seconds
    end: Seconds
    final: bool = True
    emotions: dict[str, float] | None
    modalities: tuple[str, ...] = ()


class Subject(Part):
    """A face that was seen for ``seconds``, from ``start`` to ``end`` (None in photos), and what it alone expresses."""

    id: str
    judged: bool
    start: Seconds | None = None
    end: Seconds | None = None
    seconds: Seconds | None = None
    emotions: dict[str, float] | None
    decision: str | tuple[str, ...] | None


class Analysis(Part):
    """What is expressed, how sure that is, from which signal, and when.

    ``emotions`` are probabilities (values of continuous labels), or None where there is nothing to judge. ``decision``
    is then None too, and ``reason`` says why; it also says what makes a decision doubtful. A decision that is held back
    is None beside its ``emotions`` (`abstaining`). ``confidence`` is the probability that the decision is right
    (multilabel: the whole set), None of continuous labels.
    """

    schema_version: Literal[1] = Field(default=1, alias="schema")
    input: str
    model: str
    label_kind: Literal["categorical", "multilabel", "continuous"]
    label_set: tuple[str, ...]
    emotions: dict[str, float] | None
    decision: str | tuple[str, ...] | None
    confidence: Probability | None
    reason: str | None = None
    modalities: dict[str, ModalityUse]
    contributions: Contributions | None = None
    explanation: Explanation | None = None
    timeline: tuple[Moment, ...] = ()
    subjects: tuple[Subject, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def answered(self) -> bool:
        """Whether there was anything to judge."""
        return self.emotions is not None

    @property
    def is_sure(self) -> bool:
        """Whether the decision is more probable than all else together; True of continuous labels."""
        return self.answered and (self.confidence is None or self.confidence >= SURE)

    def abstaining(self, risk: float) -> "Analysis":
        """Give the same answer, its decision held back where such decisions are wrong more often than ``risk``.

        That is where ``confidence`` is below 1 - ``risk``; it is as true as the model's probabilities are. Values of
        continuous labels have none and stay.

        Raises:
            ConfigError: If the risk is not between 0 and 1.
        """
        if not 0 < risk < 1:
            raise ConfigError(f"the risk to abstain above is {risk:g}; expected a share of wrong answers, 0 to 1")
        if self.decision is None or self.confidence is None or 1 - self.confidence <= risk:
            return self
        wrong = f"such answers are wrong in {100 * (1 - self.confidence):.0f} %, more than {100 * risk:g} %"
        return self.model_copy(update={"decision": None, "reason": f"not sure: {wrong}"})

    def ranked(self) -> list[tuple[str, float]]:
        """Classes and their probabilities (values), the largest first."""
        return sorted((self.emotions or {}).items(), key=lambda item: -item[1])

    def to_dict(self) -> dict[str, Any]:
        """Give plain values as the JSON Schema says, numbers to six decimal places."""
        return _rounded(self.model_dump(mode="json", by_alias=True))

    def _repr_html_(self) -> str:
        from emotiwave.analysis.html import draw_html

        return draw_html(self)


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of `Analysis.to_dict`; ``analysis/schema.json`` holds the same."""
    schema = Analysis.model_json_schema(by_alias=True, mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, DIGITS)
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return [_rounded(inner) for inner in value] if isinstance(value, list) else value
