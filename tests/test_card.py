"""The card of a model: what it must say, and that text of others stays text."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard, constants, file_download

import emotiwave
from emotiwave.errors import CheckpointError
from emotiwave.features.parts import published_parts
from emotiwave.features.store import write_store
from emotiwave.models.encoders import ENCODERS, EncoderEntry
from emotiwave.report.card import Facts, draw_card, licences, without_place
from emotiwave.report.file_formats import Environment
from emotiwave.run_folder import read_card_facts
from emotiwave.types import LabelSet, Score
from tests.lettered_encoder import Lettered, LetteredSettings
from tests.made import small_corpus

SMALL = ["dataset.n_train=40", "dataset.n_validation=20", "dataset.n_test=20", "training.epochs=2", "model.name=late"]


def environment(**corpus: Any) -> Environment:
    described = {
        "name": "made",
        "task": "categorical",
        "licence": "CC BY 4.0",
        "digest": "d1" * 32,
        "label_set": asdict(LabelSet("categorical", ("joy", "fear"))),
        "splits": {
            "test": {"utterances": 7, "groups": 2},
            "extra": {"utterances": 1, "groups": 1},
            "train": {"utterances": 30, "groups": 4},
        },
        "modalities": {"text": {"features": 5, "utterances": 37, "frames": 90}},
    }
    training = {"n_epochs": 9, "best_epoch": 4, "best_score": 0.5125, "n_parameters": 1234567}
    return Environment.model_validate(
        {
            "corpus": described | corpus,
            "seed": 3,
            "python": "3.11",
            "platform": "Linux",
            "threads": 1,
            "packages": {"emotiwave": "9.9"},
            "training": training,
            "cautions": ["Videos are split at random."],
        }
    )


def score(metric: str, value: float, available: tuple[str, ...] | None = ("text",), model: str = "late") -> Score:
    condition = "configuration" if available else "mean"
    return Score(model, "made", "test", condition, available, metric, None, value, value - 0.1, value + 0.1, 7, 3)


def facts(**changes: Any) -> Facts:
    tables = {
        "dataset": {"name": "table"},
        "model": {"name": "late"},
        "training": {"patience": 5, "selection_split": "validation"},
        "evaluation": {"bootstrap": 100, "confidence": 0.9, "split": "test"},
    }
    return replace(Facts(environment(), tables, {"text": "gru"}, {"text": []}), **changes)


def test_front_matter_is_what_the_hub_reads() -> None:
    parts = [
        {"name": "google-bert/bert-base-uncased", "licence": "apache-2.0", "revision": "abc"},
        {"name": "/home/someone/bert", "licence": "", "revision": ""},
    ]
    scores = [score("macro_f1", 0.5), score("accuracy", 0.6), score("f1", 0.1)]
    data = ModelCard(draw_card(facts(parts={"text": parts}, scores=scores))).data.to_dict()
    assert data == {
        "license": "other",
        "license_name": "those-of-corpus-and-parts",
        "library_name": "emotiwave",
        "tags": ["emotion-recognition", "multimodal", "text"],
        "datasets": ["made"],
        "metrics": ["f1", "accuracy"],
        "base_model": ["google-bert/bert-base-uncased"],
    }


def test_it_says_what_the_run_was() -> None:
    card = draw_card(facts())
    for said in (
        "# late on made\n",
        "It answers with probabilities of exactly one of: joy, fear.",
        "| text | as in the corpus | 5 | gru |",
        "| split | utterances | groups |",
        "Groups are what a bootstrap draws whole: videos, dialogues, speakers or single utterances.",
        "| train | 30 | 4 |\n| test | 7 | 2 |\n| extra | 1 | 1 |",
        "- seed 3; emotiwave 9.9",
        "- 9 epochs; the weights of epoch 4 are kept, chosen by macro-F1 over all configurations on 'validation' (0.51",
        "- 1,234,567 parameters",
        "d1d1d1",
        "It was not evaluated yet.",
        "- Videos are split at random.",
        "| corpus | made | CC BY 4.0 |",
        "judging people at work",
    ):
        assert said in card, said
    assert "label-paired" not in card
    assert draw_card(facts()) == card


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (LabelSet("multilabel", ("joy", "fear")), "probabilities of any of: joy, fear."),
        (
            LabelSet("distribution", ("joy", "fear")),
            "probabilities of exactly one of: joy, fear. They were learned from the shares of raters.",
        ),
        (LabelSet("continuous", ("sentiment",), ((-3.0, 3.0),)), "values: sentiment (-3 to 3)."),
    ],
)
def test_other_answers(labels: LabelSet, said: str) -> None:
    assert said in draw_card(facts(environment=environment(label_set=asdict(labels))))


def test_scores_stand_with_their_interval_their_number_and_the_best_constant_answer() -> None:
    scores = [
        score("macro_f1", 0.5),
        score("accuracy", 0.625),
        score("macro_f1", 0.45, None),
        score("accuracy", 0.5, None),
        score("macro_f1", 0.25, None, "constant"),
        replace(score("accuracy", 0.99), label="joy"),
    ]
    card = draw_card(facts(scores=scores))
    assert "On `test` of made. Intervals cover 90%, by bootstrap over groups." in card
    assert (
        "| available | Macro-F1 | Accuracy | n |\n| --- | --- | --- | --- |\n"
        "| text | 0.500 (0.400 to 0.600) | 0.625 (0.525 to 0.725) | 7 |\n"
        "| mean | 0.450 (0.350 to 0.550) | 0.500 (0.400 to 0.600) | 7 |\n"
        "| the best constant answer, mean | 0.250 (0.150 to 0.350) |  | 7 |\n"
    ) in card
    assert "flatter" not in card
    chosen = [replace(row, split="validation") for row in scores]
    assert "This split chose the model, so the scores flatter." in draw_card(facts(scores=chosen))


def test_a_licence_that_nobody_says_is_unknown() -> None:
    parts = {"text": [{"name": "/home/someone/bert"}]}
    told = facts(environment=environment(licence=""), parts=parts)
    assert [(part.name, part.licence) for part in licences(told)] == [("made", None), ("bert", None)]
    assert draw_card(told).count("unknown: ask its makers before you use it") == 2
    assert "/home" not in draw_card(told)


COMMIT = "c0ffee" + "0" * 34


def cached_card(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the card of a model into a cache of the Hub, as a download leaves it."""
    snapshot = folder / "models--google-bert--bert-base-uncased" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(file_download, "HF_HUB_CACHE", str(folder), raising=False)


def test_published_parts_of_extractors_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def parts(extractor: object, settings: dict[str, Any] | None = None, **more: object) -> list[dict[str, str]]:
        return published_parts({"extractor": extractor} | more, settings or {})

    cached_card(tmp_path / "cache", monkeypatch)
    (tmp_path / "hubert").mkdir()
    (tmp_path / "hubert" / "README.md").write_text("---\nlicense: mit\n---\n")
    bert = {"hub": "google-bert/bert-base-uncased", "commit": COMMIT}
    told = {"name": bert["hub"], "revision": COMMIT, "licence": "apache-2.0"}
    assert parts({"name": "text_encoder", "model": bert}) == parts({"name": "tokens", "ids": bert}) == [told]
    other = bert | {"commit": "0" * 40}  # of which the cache has no card
    assert parts({"name": "text_encoder", "model": other}) == [{"name": bert["hub"], "revision": "0" * 40}]
    hubert = {"name": "speech_encoder", "model": {"sha256": "ab" * 32}}
    hashed = {"revision": "sha256 abababababab"}
    assert parts(hubert, {"model": str(tmp_path / "hubert")}) == [{"name": "hubert", **hashed, "licence": "mit"}]
    assert parts(hubert, {"model": str(tmp_path / "gone")}) == [{"name": "gone", **hashed}]
    assert parts(hubert) == [{"name": "speech_encoder", **hashed}]
    assert parts({"name": "egemaps", "opensmile": "3.0.2", "settings": {}}) == [
        {"name": "egemaps", "revision": "3.0.2", "licence": "openSMILE 3: research and education only (audEERING)"}
    ]
    several = {"name": "text_encoder", "model": [bert, {"sha256": "ab" * 32}]}
    named = {"model": [bert["hub"], str(tmp_path / "hubert")]}
    assert parts(several, named) == [told, {"name": "hubert", **hashed, "licence": "mit"}]
    assert parts(several) == [told, {"name": "text_encoder", **hashed}]
    assert parts(several, {"model": [str(tmp_path / "hubert")]}) == parts(several, {"model": "one"}) == parts(several)
    assert parts({"name": "text_encoder", "model": ["x", None]}) == []
    faces = {"name": "yunet", "sha256": "cd" * 32}
    assert parts({"name": "face"}, faces=faces) == [{"name": "face detector yunet", "revision": "sha256 cdcdcdcdcdcd"}]
    assert parts("synthetic") == parts({"name": "tokens", "ids": {"n_ids": 5}}) == published_parts({}, {}) == []


@pytest.mark.parametrize(
    "hub", ["google-bert/bert-base-uncased", "../..", "a/b/c", "", "a--b/c..d", "/etc", "a\0b", "a" * 5000]
)
@pytest.mark.parametrize("commit", ["../../..", "", "a\0b", "a" * 5000, "1" * 40])
def test_a_store_of_anyone_opens_no_file_by_its_names(
    hub: str, commit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached_card(tmp_path / "cache", monkeypatch)
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n")
    found = published_parts({"extractor": {"name": "text_encoder", "model": {"hub": hub, "commit": commit}}}, {})
    assert all("licence" not in part for part in found)


def test_what_features_were_made_by_stands_in_the_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached_card(tmp_path / "cache", monkeypatch)
    corpus = small_corpus(n_train=40)
    made_by = {
        "text": {"name": "text_encoder", "model": {"hub": "google-bert/bert-base-uncased", "commit": COMMIT}},
        "audio": {"name": "egemaps", "opensmile": "3.0.2"},
        "vision": {"name": "image_encoder", "model": {"sha256": "ab" * 32}},
    }
    sequences = {
        name: replace(sequence, metadata={"extractor": made_by[name]}) for name, sequence in corpus.sequences.items()
    }
    store = write_store(replace(corpus, sequences=sequences), tmp_path / "store")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(f'[dataset]\nstore = "{store}"\n')
    run = emotiwave.train(recipe, out=tmp_path / "run", overrides=["training.epochs=1", "model.name=late"])
    recorded = json.loads((run.folder / "environment.json").read_text())
    assert recorded["extractors"]["vision"] == [{"name": "image_encoder", "revision": "sha256 abababababab"}]
    assert recorded["encoders"]["text"] == "features, standardised"
    card = (run.folder / "README.md").read_text()
    for said in (
        f"| text | as in the corpus: google-bert/bert-base-uncased | {corpus.sizes['text']} | features, standardised |",
        f"| text extractor | google-bert/bert-base-uncased | apache-2.0 | {COMMIT} |",
        "| audio extractor | egemaps | openSMILE 3: research and education only (audEERING) | 3.0.2 |",
        "| vision extractor | image_encoder | unknown: ask its makers before you use it | sha256 abababababab |",
    ):
        assert said in card, said
    assert ModelCard(card).data.to_dict()["base_model"] == ["google-bert/bert-base-uncased"]


def test_encoders_are_described_and_only_modalities_of_the_model_are_listed() -> None:
    sizes = {name: {"features": 5, "utterances": 37, "frames": 90} for name in ("text", "vision", "audio")}
    of_two = facts(
        environment=environment(modalities=sizes),
        encoders={"vision": "ResNet-18 from scratch, side 64, trained in full", "text": "gru of 9 words"},
    )
    card = draw_card(of_two)
    assert "| vision | as in the corpus | 5 | ResNet-18 from scratch, side 64, trained in full |" in card
    assert "It takes any of text, vision, alone or together." in card
    assert "audio" not in card
    assert "It takes text alone." in draw_card(replace(of_two, encoders={"text": "gru"}))


def test_label_paired_data_is_said_to_be_so() -> None:
    paired = environment(name="label-paired fer2013+dair_emotion", task="label-paired seven")
    tables = dict(facts().tables) | {
        "dataset": {"name": "paired", "vision": {"name": "fer2013"}, "text": {"name": "x y"}}
    }
    card = draw_card(facts(environment=paired, tables=tables))
    assert "# late on label-paired fer2013+dair_emotion" in card
    assert "**The training data is label-paired**" in card
    assert "Groups are what a bootstrap draws whole: the items of one side, each of which may be in several" in card
    data = ModelCard(card).data.to_dict()
    assert data["datasets"] == ["fer2013", "x-y"]
    assert "label-paired" in data["tags"]


def test_training_that_did_not_end_or_chose_nothing_is_said() -> None:
    assert "**training is not finished**" in draw_card(
        facts(environment=environment().model_copy(update={"training": None}))
    )
    tables = dict(facts().tables) | {"training": {"patience": 0, "selection_split": "validation"}}
    assert "the last ones of a number fixed beforehand" in draw_card(facts(tables=tables))


def test_text_of_others_is_only_text() -> None:
    name = "x\n---\nlicense: mit\n# free | <script>alert(1)</script> [y](http://z) \x1b[2J"
    card = draw_card(facts(environment=environment(name=name, licence=name, task=name)))
    assert ModelCard(card).data.to_dict()["license"] == "other"
    assert card.count("\n---\n") == 1
    for markup in ("<script", "[y]", "\x1b", "\n# free"):
        assert markup not in card
    rows = [line for line in card.splitlines() if line.startswith("| corpus")]
    assert [row.count("|") for row in rows] == [5]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("/a/b.csv", "b.csv"),
        ("~/models/bert", "bert"),
        ("C:\\Users\\me\\bert", "bert"),
        ("google/bert", "google/bert"),
        ("/", "/"),
        ("~", "~"),
        ("", ""),
        ("bert", "bert"),
    ],
)
def test_of_a_path_its_last_name_is_kept(text: str, kept: str) -> None:
    assert without_place(text) == kept


def test_train_and_evaluate_write_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENCODERS, "lettered", EncoderEntry(LetteredSettings, Lettered))
    run = emotiwave.train("synthetic", out=tmp_path / "run", overrides=[*SMALL, "model.encoders.text=lettered"])
    card = (run.folder / "README.md").read_text()
    assert "It was not evaluated yet." in card
    assert "| text encoder | someone/lettered | cc-by-nc-4.0 | abc |" in card
    assert [line for line in card.splitlines() if line.endswith("| Lettered |")]
    rows = [row for row in emotiwave.evaluate(run) if row.metric == "macro_f1" and row.available == ("text", "audio")]
    (value,) = [row.value for row in rows if row.model == "late"]
    (line,) = [
        line for line in (run.folder / "README.md").read_text().splitlines() if line.startswith("| text+audio |")
    ]
    assert line.startswith(f"| text+audio | {value:.3f} (")
    (run.folder / "scores.jsonl").write_text("{}\n")
    with pytest.raises(CheckpointError, match=r"scores\.jsonl: cannot be read.*evaluate"):
        read_card_facts(run.folder)
    (run.folder / "environment.json").write_text(json.dumps({"seed": 1}))
    with pytest.raises(CheckpointError, match=r"environment\.json: corpus: Field required; train the run again"):
        read_card_facts(run.folder)
