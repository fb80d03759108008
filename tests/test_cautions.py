"""What is questionable about a recipe is said; what is sound is not."""

from pathlib import Path

import pytest

from emotiwave.cautions import cautions
from emotiwave.config import parse_recipe, read_recipe, shipped_recipes

COLUMNS = ["sentiment", "happiness", "sadness", "anger", "surprise", "disgust", "fear"]
FAULTS = {
    "labels averaged by video": ({"dataset": {"level": "video"}}, "Labels are averaged over whole videos"),
    "argmax": ({"dataset": {"task": "argmax"}}, "utterances without any emotion become happiness"),
    "exchanged columns": (
        {"dataset": {"columns": [*COLUMNS[:5], "fear", "disgust"]}},
        "(disgust is read as fear, fear is read as disgust): those emotions are mislabelled",
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


def found(tables: dict[str, dict[str, object]]) -> list[str]:
    tables = {**tables, "dataset": {"name": "mosei", **tables.get("dataset", {})}}
    return cautions(parse_recipe(tables, source="r"))


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_named(fault: str) -> None:
    tables, words = FAULTS[fault]
    said = found(tables)
    assert len(said) == (2 if fault == "padding" else 1), said
    assert words in said[-1]
    assert all(sentence[0].isupper() and sentence.endswith(".") for sentence in said)


def test_the_notebook_has_every_fault() -> None:
    said = cautions(read_recipe("mosei_notebook"))
    assert len(said) == len(set(said)) == len(FAULTS)
    for _, words in FAULTS.values():
        assert any(words in sentence for sentence in said), words


@pytest.mark.parametrize("name", sorted(shipped_recipes().keys() - {"mosei_notebook"}))
def test_of_other_recipes_there_is_nothing_to_say(name: str) -> None:
    assert cautions(read_recipe(name)) == []


@pytest.mark.parametrize(
    "tables",
    [
        {"dataset": {"columns": COLUMNS}},
        {"dataset": {"task": "categorical"}},
        {"features": {"align": "words", "frames": {"audio": 3}, "collapse": "max"}},
        {"training": {"modality_dropout": 0.0, "modality_dropout_per": "batch"}},
        {"model": {"name": "lstm_concat"}},
    ],
)
def test_of_sound_settings_there_is_nothing_to_say(tables: dict[str, dict[str, object]]) -> None:
    assert found(tables) == []


def test_a_store_is_judged_by_its_training_alone(tmp_path: Path) -> None:
    tables = {"dataset": {"store": str(tmp_path)}, "model": {"name": "lstm_concat_zeros"}}
    assert len(cautions(parse_recipe(tables, source="r"))) == 1
