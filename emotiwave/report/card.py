"""The card of a model: a ``README.md`` for people, with front matter as the Hugging Face Hub reads it.

It says what a run answers, what it was made of and trained on, under which licences, what it scores, and what it must
not be used for (Mitchell et al., Model Cards for Model Reporting, FAT* 2019).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from huggingface_hub import ModelCardData

from emotiwave.datasets.paired import LABEL_PAIRED
from emotiwave.errors import printable
from emotiwave.metrics import HEADLINE
from emotiwave.report.file_formats import Data, Environment, ModalitySize
from emotiwave.report.run_subgroups import subgroup_tables
from emotiwave.report.tables import BASELINE_WORDS, METRIC_NAMES, SPLIT_ORDER
from emotiwave.types import LabelSet, Score

LICENCE_NAME = "those-of-corpus-and-parts"
UNKNOWN = "unknown: ask its makers before you use it"
SHOWN = (HEADLINE, "accuracy", "weighted_accuracy", "nll", "mae", "pearson")
"""Metrics of the table, where they were scored."""
HUB_METRICS = {HEADLINE: "f1", "accuracy": "accuracy", "mae": "mae", "pearson": "pearsonr"}
"""Names that the Hub has for them."""
MARKUP = str.maketrans({"<": "&lt;", "|": "&#124;", "[": "&#91;", "`": "&#96;"})
USE = """
A model says what raters would say of a signal in its corpus. It does not know what a person feels.

**For** research on emotion recognition and on missing modalities, teaching, and tools that people use on their own
recordings, knowing what it is.

**Not for** judging people at work, in school, in hiring, in insurance, at borders or before the law; not for watching
people who have not agreed to it; not for diagnosis. In the European Union, inferring emotions at work and in education
is prohibited but for medical and safety reasons (Regulation (EU) 2024/1689, article 5).

It was scored on its own corpus. Other people, languages, cameras and rooms are another matter: measure before you rely
on it.
"""


@dataclass(frozen=True)
class Part:
    """Something that a model was made of, and its licence; None where nobody says."""

    what: str
    name: str
    licence: str | None
    revision: str | None = None


@dataclass(frozen=True)
class Facts:
    """What a card tells of a run.

    ``tables`` are those of its recipe; ``encoders``, by modality of the model, say what each is, ``parts`` what these
    were made of and ``extractors`` what the features were made by; ``scores`` are empty before evaluation,
    and ``apart``, those of parts, unless these were asked for.
    """

    environment: Environment
    tables: Mapping[str, Mapping[str, Any]]
    encoders: Mapping[str, str]
    parts: Mapping[str, Sequence[Mapping[str, str]]]
    extractors: Mapping[str, Sequence[Mapping[str, str]]] = field(default_factory=dict)
    scores: Sequence[Score] = ()
    apart: Sequence[Score] = ()


def licences(facts: Facts) -> list[Part]:
    """List what the model was made of: the corpus, then the published parts of its extractors and encoders."""
    corpus = facts.environment.corpus
    found = [Part("corpus", corpus.name, corpus.licence or None)]
    for kind, by_modality in (("extractor", facts.extractors), ("encoder", facts.parts)):
        for modality, parts in by_modality.items():
            for part in parts:
                name = without_place(part.get("name", UNKNOWN))
                found.append(Part(f"{modality} {kind}", name, part.get("licence") or None, part.get("revision")))
    return found


def without_place(text: str) -> str:
    """Leave of a path its last name, which says what it is and not where on whose machine.

    >>> [without_place(text) for text in ("/home/someone/bert-tiny", "google-bert/bert-base-uncased", "/")]
    ['bert-tiny', 'google-bert/bert-base-uncased', '/']
    """
    windows = PureWindowsPath(text)
    if windows.is_absolute():
        return windows.name or text
    return (PurePosixPath(text).name if text.startswith(("/", "~/")) else "") or text


def draw_card(facts: Facts, *, repo: str = "OWNER/NAME") -> str:
    """Write the card of a run as Markdown; ``repo`` is its name on the Hub. The same run gives the same card."""
    corpus, model = facts.environment.corpus, facts.tables["model"]["name"]
    sections = {
        f"{model} on {plain(corpus.name)}": _answers(facts),
        "What goes in": _inputs(facts),
        "How it was trained": _training(facts),
        "Scores": _scores(facts),
        "Who is answered worse": _apart(facts),
        "Cautions": [f"- {plain(caution)}" for caution in facts.environment.cautions],
        "Licences": _licences(facts),
        "Use": USE.strip().splitlines(),
        "How to load it": [
            "```python",
            "import emotiwave",
            "",
            f'model = emotiwave.load_model("{repo}")  # or a folder',
            "```",
        ],
    }
    lines = [line for title, body in sections.items() if body for line in ("", f"## {title}", "", *body)]
    lines[1] = lines[1].removeprefix("#")  # the first is the title of the page
    return f"---\n{_front_matter(facts).rstrip()}\n---\n" + "\n".join(lines) + "\n"


def _front_matter(facts: Facts) -> str:
    corpus = facts.environment.corpus
    scored = {row.metric for row in facts.scores}
    bases = [part.name for part in licences(facts) if part.revision and part.name.count("/") == 1]
    tags = ["emotion-recognition", "multimodal", *_modalities(facts)]
    return ModelCardData(
        license="other",
        license_name=LICENCE_NAME,
        library_name="emotiwave",
        tags=[*map(_slug, tags), *([LABEL_PAIRED] if _is_label_paired(corpus) else [])],
        datasets=list(dict.fromkeys(map(_slug, _corpora(facts)))),
        metrics=[name for metric, name in HUB_METRICS.items() if metric in scored] or None,
        base_model=list(dict.fromkeys(bases)) or None,
    ).to_yaml()


def _corpora(facts: Facts) -> list[str]:
    """Names of the corpora: of the one, or of those that were put together."""
    inner = [
        table["name"] for table in facts.tables["dataset"].values() if isinstance(table, Mapping) and "name" in table
    ]
    return inner or [facts.environment.corpus.name]


def _is_label_paired(corpus: Data) -> bool:
    return LABEL_PAIRED in f"{corpus.name} {corpus.task}"


def _answers(facts: Facts) -> list[str]:
    corpus, modalities = facts.environment.corpus, _modalities(facts)
    paragraphs = [f"Task: {plain(corpus.task)}. {_say_answer(corpus.label_set)}"]
    if len(modalities) > 1:
        paragraphs.append(f"It takes any of {plain(', '.join(modalities))}, alone or together.")
    else:
        paragraphs.append(f"It takes {plain(', '.join(modalities))} alone.")
    if _is_label_paired(corpus):
        paragraphs.append(
            "**The training data is label-paired**: signals of different people were put together because they have "
            "the same label. What one modality adds to another is then too optimistic, in training and in the scores; "
            "nothing about fusion on real recordings follows from them."
        )
    return _paragraphs(paragraphs)


def _say_answer(labels: LabelSet) -> str:
    if labels.ranges is not None:
        ranges = [
            f"{name} ({low:g} to {high:g})" for name, (low, high) in zip(labels.names, labels.ranges, strict=True)
        ]
        return f"It answers with values: {plain(', '.join(ranges))}."
    how = "exactly one of" if labels.is_exclusive else "any of"
    learned = " They were learned from the shares of raters." if labels.kind == "distribution" else ""
    return f"It answers with probabilities of {how}: {plain(', '.join(labels.names))}.{learned}"


def _inputs(facts: Facts) -> list[str]:
    extractors = facts.tables.get("features", {}).get("extractors", {})
    rows = []
    for name, size in _modalities(facts).items():
        parts = ", ".join(without_place(part.get("name", "")) for part in facts.extractors.get(name, ()))
        extractor = _name_of(extractors.get(name, "as in the corpus"))
        rows.append((name, f"{extractor}: {parts}" if parts else extractor, str(size.features), facts.encoders[name]))
    return _table(("modality", "extractor", "features per frame", "encoder"), rows)


def _modalities(facts: Facts) -> dict[str, ModalitySize]:
    """Those of the model, which may be fewer than the corpus has."""
    return {name: size for name, size in facts.environment.corpus.modalities.items() if name in facts.encoders}


def _name_of(choice: Any) -> str:
    return str(choice.get("name", "")) if isinstance(choice, Mapping) else str(choice)


def _training(facts: Facts) -> list[str]:
    environment, settings = facts.environment, facts.tables["training"]
    corpus, training = environment.corpus, environment.training
    order = sorted(corpus.splits, key=lambda name: (*SPLIT_ORDER, name).index(name))
    rows = [(name, str(corpus.splits[name].utterances), str(corpus.splits[name].groups)) for name in order]
    facts_of_it = [f"- seed {environment.seed}; emotiwave {environment.packages.get('emotiwave', UNKNOWN)}"]
    if training is None:
        facts_of_it.append("- **training is not finished**: the weights are those of the best epoch so far")
    else:
        kept = f"the weights of epoch {training.best_epoch} are kept, {_say_selection(settings, training.best_score)}"
        facts_of_it.append(f"- {training.n_epochs} epochs; {kept}")
        facts_of_it.append(f"- {training.n_parameters:,} parameters")
    facts_of_it.append(f"- content hash of the data: `{corpus.digest}`")
    told = f"Groups are what a bootstrap draws whole: {_say_groups(corpus)}."
    return [*_table(("split", "utterances", "groups"), rows), "", told, "", *facts_of_it]


def _say_groups(corpus: Data) -> str:
    if _is_label_paired(corpus):
        return "the items of one side, each of which may be in several pairs, or the speakers or dialogues of that side"
    return "videos, dialogues, speakers or single utterances"


def _say_selection(settings: Mapping[str, Any], score: float | None) -> str:
    if not settings.get("patience"):
        return "the last ones of a number fixed beforehand"
    reached = "" if score is None else f" ({score:.3f})"
    return f"chosen by macro-F1 over all configurations on {settings['selection_split']!r}{reached}"


def _scores(facts: Facts) -> list[str]:
    own = [row for row in facts.scores if row.label is None and row.model not in BASELINE_WORDS]
    metrics = [metric for metric in SHOWN if any(row.metric == metric for row in own)]
    if not metrics:
        return ["It was not evaluated yet."]
    places: dict[str, dict[str, Score]] = {}
    for row in own:
        place = "+".join(row.available) if row.available else row.condition.replace("_", " ")
        places.setdefault(place, {})[row.metric] = row
    for row in facts.scores:
        if row.model in BASELINE_WORDS and row.label is None and row.condition == "mean":
            places.setdefault(f"{BASELINE_WORDS[row.model]}, mean", {})[row.metric] = row
    rows = [
        (place, *(_cell(by_metric.get(metric)) for metric in metrics), str(next(iter(by_metric.values())).n))
        for place, by_metric in places.items()
    ]
    evaluation, first = facts.tables["evaluation"], own[0]
    words = [f"On `{plain(first.split)}` of {plain(first.dataset)}."]
    if evaluation.get("bootstrap"):
        words.append(f"Intervals cover {evaluation['confidence']:.0%}, by bootstrap over groups.")
    if facts.tables["training"].get("patience") and first.split == facts.tables["training"]["selection_split"]:
        words.append("**This split chose the model, so the scores flatter.**")
    return [" ".join(words), "", *_table(("available", *(METRIC_NAMES[metric] for metric in metrics), "n"), rows)]


def _apart(facts: Facts) -> list[str]:
    lines = []
    for table in subgroup_tables(facts.apart):
        rows = [
            (row.name, *(f"{cell.text} ({cell.small})" if cell.small else cell.text for cell in row.cells))
            for row in table.rows
        ]
        lines += [f"{plain(table.caption)}.", "", *_table((table.corner, *table.columns), rows), ""]
    return lines[:-1]


def _cell(score: Score | None) -> str:
    if score is None:
        return ""
    interval = "" if score.ci_low is None else f" ({score.ci_low:.3f} to {score.ci_high:.3f})"
    return f"{score.value:.3f}{interval}"


def _licences(facts: Facts) -> list[str]:
    rows = [(p.what, p.name, p.licence or UNKNOWN, p.revision or "") for p in licences(facts)]
    words = (
        "A model is bound by the terms of all that it was made of; of these the strictest counts, and nothing here "
        "grants more than they do."
    )
    return [words, "", *_table(("part", "name", "licence", "revision"), rows)]


def _paragraphs(texts: Iterable[str]) -> list[str]:
    return "\n\n".join(texts).split("\n")


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(map(plain, cells))} |" for cells in lines]


def plain(text: str) -> str:
    r"""Keep text of others on its line, in its cell, and free of markup.

    >>> print(plain("a|b\n<script>"))
    a&#124;b\n&lt;script>
    """
    return printable(text).translate(MARKUP)


def _slug(name: str) -> str:
    """Write a name as the Hub takes it.

    >>> _slug("my corpus (2)")
    'my-corpus-2'
    """
    return re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-.") or "unnamed"
