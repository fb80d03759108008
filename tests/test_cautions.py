"""What is questionable about a recipe is said; what is sound is not."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from emotiwave.cautions import cautions
from emotiwave.config import Recipe, parse_recipe, read_recipe, shipped_recipes
from emotiwave.datasets import synthetic
from emotiwave.datasets.csd.corpus import CsdSettings
from emotiwave.types import Corpus

SEE_NEIGHBOURS = ("mosi", "mosi_transcripts")
COLUMNS = ["sentiment", "happiness", "sadness", "anger", "surprise", "disgust", "fear"]
EXCHANGED = [*COLUMNS[:5], "fear", "disgust"]
FAULTS = {
    "labels averaged by video": ({"dataset": {"level": "video"}}, "Labels are averaged over whole videos"),
    "argmax": ({"dataset": {"task": "argmax"}}, "utterances without any emotion become happiness"),
    "exchanged columns": (
        {"dataset": {"columns": EXCHANGED}},
        ": disgust is read as fear, fear is read as disgust. If the file has the documented order, those emotions are",
    ),
    "random split": ({"dataset": {"split": "random"}}, "split at random"),
    "only complete data": ({"dataset": {"require": "all"}}, "What lacks a modality was left out"),
    "cut": ({"features": {"frames": 300, "beyond": "cut"}}, "Only the first frames (300)"),
    "zeros": ({"features": {"unobserved": "zero"}}, "zeros that the model takes for measurements"),
    "padding": ({"features": {"pad": True, "unobserved": "zero"}}, "Padding is read like data"),
    "dropout by batch": ({"training": {"modality_dropout_per": "batch"}}, "dropped for a whole batch at a time"),
    "zeros for what is missing": (
        {"model": {"name": "lstm_concat_zeros"}},
        "A missing modality is a sequence of zeros",
    ),
}


@cache
def made() -> Corpus:
    return synthetic.load(synthetic.SyntheticSettings(n_train=2, n_validation=0, n_test=0, longest=2.5))


def corpus_of(recipe: Recipe, columns: Sequence[str] = COLUMNS) -> Corpus:
    """A corpus whose label file has these columns, unless the recipe names them."""
    given = recipe.dataset.columns if isinstance(recipe.dataset, CsdSettings) else None
    return replace(made(), counts={"label columns": ", ".join(given or columns)})


def found(tables: dict[str, dict[str, object]], columns: Sequence[str] = COLUMNS) -> list[str]:
    recipe = parse_recipe({**tables, "dataset": {"name": "mosei", **tables.get("dataset", {})}}, source="r")
    return cautions(recipe, corpus_of(recipe, columns))


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_named(fault: str) -> None:
    tables, words = FAULTS[fault]
    said = found(tables)
    assert len(said) == (2 if fault == "padding" else 1), said
    assert words in said[-1]
    assert all(sentence[0].isupper() and sentence.endswith(".") for sentence in said)


def test_the_notebook_has_every_fault() -> None:
    recipe = read_recipe("mosei_notebook")
    said = cautions(recipe, corpus_of(recipe))
    assert len(said) == len(set(said)) == len(FAULTS)
    for _, words in FAULTS.values():
        assert any(words in sentence for sentence in said), words


@pytest.mark.parametrize(
    "name",
    sorted(
        name
        for name in shipped_recipes()
        if name not in ("mosei_notebook", *SEE_NEIGHBOURS) and not name.startswith("compare_")
    ),
)
def test_of_other_recipes_there_is_nothing_to_say(name: str) -> None:
    recipe = read_recipe(name)
    assert cautions(recipe, corpus_of(recipe)) == []
    assert cautions(recipe, made()) == []  # no columns are known


@pytest.mark.parametrize(
    "tables",
    [
        {"dataset": {"columns": COLUMNS}},
        {"dataset": {"columns": ["sentiment"], "task": "sentiment"}},  # of a file that has no other
        {"dataset": {"columns": COLUMNS[1:]}},
        {"dataset": {"task": "categorical"}},
        {"features": {"align": "words", "frames": {"audio": 3}, "collapse": "max"}},
        {"training": {"modality_dropout": 0.0, "modality_dropout_per": "batch"}},
        {"model": {"name": "lstm_concat"}},
    ],
)
def test_of_sound_settings_there_is_nothing_to_say(tables: dict[str, dict[str, object]]) -> None:
    assert found(tables) == []


def test_the_columns_that_were_used_are_judged_and_not_what_the_recipe_says_of_them() -> None:
    """Metadata may exchange fear and disgust as well as a recipe."""
    (said,) = found({}, EXCHANGED)
    assert said.endswith(f"{FAULTS['exchanged columns'][1]} mislabelled.")
    assert found({"dataset": {"columns": COLUMNS}}, EXCHANGED) == []
    assert found({}, ["sentiment"]) == found({}, COLUMNS[1:]) == []


def test_columns_of_another_corpus_are_not_those_of_mosei() -> None:
    assert found({"dataset": {"name": "mosi_csd", "columns": ["sentiment"]}}, EXCHANGED) == []
    recipe = parse_recipe({"dataset": {"name": "mosi_csd"}}, source="r")
    assert cautions(recipe, corpus_of(recipe, EXCHANGED)) == []


@pytest.mark.parametrize("name", SEE_NEIGHBOURS)
def test_what_is_seen_of_neighbours_is_said(name: str) -> None:
    recipe, corpus = read_recipe(name), made()
    (said,) = cautions(recipe, corpus)
    assert said.startswith("The model also sees neighbours in the same dialogue (up to 3 before and 3 after), without")
    alone = replace(corpus, utterances=tuple(replace(u, dialogue=None) for u in corpus.utterances))
    (said,) = cautions(recipe, alone)
    assert said.endswith("but no two utterances are said to be of one dialogue.")


def test_a_store_is_judged_by_its_training_alone(tmp_path: Path) -> None:
    tables = {"dataset": {"store": str(tmp_path)}, "model": {"name": "lstm_concat_zeros"}}
    recipe = parse_recipe(tables, source="r")
    assert len(cautions(recipe, corpus_of(recipe, EXCHANGED))) == 1
