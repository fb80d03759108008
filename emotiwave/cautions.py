"""What is questionable about an experiment, for the page of its run: settings that are there for comparison only."""

from collections import Counter

from emotiwave.config import Recipe
from emotiwave.datasets.csd.corpus import CsdSettings
from emotiwave.datasets.mosei import MOSEI
from emotiwave.datasets.paired import LABEL_PAIRED
from emotiwave.features.extraction.collapsing import CUT
from emotiwave.features.settings import FeatureSettings
from emotiwave.training.settings import TrainingSettings
from emotiwave.types import Corpus


def cautions(recipe: Recipe, corpus: Corpus) -> list[str]:
    """Say in a sentence each what is wrong with settings that a recipe chose; nothing for sound ones."""
    found = _about_labels(recipe, recipe.dataset, corpus) if isinstance(recipe.dataset, CsdSettings) else []
    if corpus.task.startswith(LABEL_PAIRED):
        found += _about_pairs(corpus)
    found += _about_cuts(corpus)
    if recipe.features is not None:
        found += _about_features(recipe.features)
    return found + _about_context(recipe, corpus) + _about_training(recipe.training, recipe.model.name)


def _about_context(recipe: Recipe, corpus: Corpus) -> list[str]:
    """Say what is seen of the scored data beside the utterance that is answered."""
    context = None if recipe.model.evidence is None else recipe.model.evidence.context
    if context is None:
        return []
    dialogues = Counter((utterance.split, utterance.dialogue) for utterance in corpus.utterances if utterance.dialogue)
    if max(dialogues.values(), default=1) < 2:
        return [f"The model is to see neighbours ({context}), but no two utterances are said to be of one dialogue."]
    seen = f"The model also sees neighbours in the same dialogue ({context}), without their labels"
    return [f"{seen}: scores are not those of utterances that come alone."]


def _about_labels(recipe: Recipe, dataset: CsdSettings, corpus: Corpus) -> list[str]:
    found = []
    if dataset.level == "video":
        found.append(
            "Labels are averaged over whole videos, though every row of the label file rates one segment: most of what "
            "the annotators said is thrown away."
        )
    if recipe.tables()["dataset"].get("task") == "argmax":
        found.append(
            "The largest of six intensities is taken as the only class: utterances without any emotion become "
            "happiness, ties go to the first, and emotions that were rated together exclude each other."
        )
    columns = str(corpus.counts.get("label columns", "")).split(", ")
    comparable = recipe.dataset_name == "mosei" and len(columns) == len(MOSEI.documented)
    pairs = zip(MOSEI.documented, columns, strict=True) if comparable else ()
    moved = [f"{name} is read as {given}" for name, given in pairs if name != given]
    if moved:
        found.append(
            f"The label columns are named otherwise than the corpus documents them: {', '.join(moved)}. If the file "
            "has the documented order, those emotions are mislabelled."
        )
    if dataset.split == "random":
        found.append("Videos are split at random, so the numbers cannot be compared with those on the official folds.")
    if dataset.require == "all":
        found.append("What lacks a modality was left out, so real missing data is neither trained on nor scored.")
    return found


def _about_pairs(corpus: Corpus) -> list[str]:
    """Say what no number on label-paired data shows, and which classes are given away by what they lack."""
    independent = (
        "The data is label-paired: signals of different people were joined at random because their class is the same. "
        "Given the class they are independent, so fusion gains more here than on real recordings, and adding up the "
        "evidence of each modality is right by construction. No claim about fusion or calibration may rest on it."
    )
    found = [independent]
    for modality, sequence in corpus.sequences.items():
        having = set(sequence.ids)
        there = {utterance.label for utterance in corpus.utterances if utterance.id in having}
        lacking = {utterance.label for utterance in corpus.utterances} - there
        if lacking:
            names = " and ".join(name for name in corpus.label_set.names if name in lacking)
            found.append(
                f"No utterance of {names} has {modality}: that it is missing gives the class away, so scores with "
                f"{modality} flatter, and answers without {modality} may lean towards it. Compare over the other "
                "classes."
            )
    return found


def _about_cuts(corpus: Corpus) -> list[str]:
    """Say of which utterances the end is lost, as pieces of a signal cannot be pooled."""
    of = f"of {len(corpus.utterances):,} utterances"
    return [
        f"In {n:,} {of}, {name.removeprefix('utterances whose ')} that are observed: the model never sees the rest."
        for name, n in corpus.counts.items()
        if CUT in name
    ]


def _about_features(features: FeatureSettings) -> list[str]:
    found = []
    if features.beyond == "cut":
        found.append(
            f"Only the first frames ({features.frames}) of an utterance are seen: at 100 Hz that is a few seconds, and "
            "the rest is thrown away."
        )
    if features.unobserved == "zero":
        found.append("Frames that are infinite or not a number become zeros that the model takes for measurements.")
    if features.pad:
        found.append("Padding is read like data, so an utterance's answer depends on how far it was padded.")
    return found


def _about_training(training: TrainingSettings, model: str) -> list[str]:
    found = []
    if training.modality_dropout and training.modality_dropout_per == "batch":
        found.append(
            "Modalities are dropped for a whole batch at a time, and sometimes all of them: such steps teach nothing "
            "but the class frequencies."
        )
    if model == "lstm_concat_zeros":
        found.append("A missing modality is a sequence of zeros, which is also what a real measurement may look like.")
    return found
