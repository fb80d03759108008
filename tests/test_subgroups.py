"""Scores told apart by facts: parts against scikit-learn, gaps against every resample, what is small, what is shown."""

import errno
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

import emotiwave
from emotiwave import run_results
from emotiwave.datasets.cremad_votes import CremadVotesSettings
from emotiwave.datasets.cremad_votes import load as load_votes
from emotiwave.errors import CheckpointError, ConfigError, DatasetError, DataWarning
from emotiwave.evaluation.scoring import draw_groups, number_groups
from emotiwave.evaluation.settings import EvaluationSettings
from emotiwave.evaluation.subgroups import read_facts, score_subgroups
from emotiwave.features.store import open_store, write_store
from emotiwave.types import Configuration, Corpus, LabelSet, Predictions, Score
from tests.test_cli import run
from tests.test_conditions import made
from tests.test_cremad_votes import made_table
from tests.test_cremad_votes import write as write_votes
from tests.tiny_encoders import one_thread

one_thread = pytest.fixture(scope="module", autouse=True)(one_thread)
LABELS = LabelSet("categorical", ("a", "b", "c"))
TEXT, BOTH = Configuration(("text",)), Configuration(("text", "audio"))
SETTINGS = EvaluationSettings(bootstrap=200)


def answered(n: int = 120, n_groups: int = 30) -> tuple[Predictions, dict[str, list[str | None]]]:
    """Men are answered well, women badly, a few others not at all known."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, n)
    facts: list[str | None] = ["male" if k % 3 else "female" for k in range(n)]
    facts[:4] = ["other", None, "other", None]
    targets = np.eye(3, dtype=np.float32)[truth]
    skill = np.where([fact == "male" for fact in facts], 2.0, 0.7)
    logits = {
        TEXT: (targets * skill[:, None] * 0.6 + rng.standard_normal((n, 3))).astype(np.float32),
        BOTH: (targets * skill[:, None] + rng.standard_normal((n, 3))).astype(np.float32),
    }
    ids = tuple(f"u{k}" for k in range(n))
    groups = tuple(f"v{k % n_groups:02d}" for k in range(n))
    return Predictions(ids, groups, "test", LABELS, targets, logits), {"sex": facts}


def scored(predictions: Predictions, facts: Mapping[str, Sequence[str | None]]) -> dict[tuple, Score]:
    rows = score_subgroups(predictions, facts, SETTINGS, model="m", dataset="d", seed=1)
    return {(row.condition, row.available is None, row.metric): row for row in rows}


def test_parts_are_scored_as_scikit_learn_does() -> None:
    predictions, facts = answered()
    found = scored(predictions, facts)
    truth = predictions.targets.argmax(axis=1)
    for value in ("male", "female", "other"):
        part = np.array([fact == value for fact in facts["sex"]])
        each = {c: predictions.logits[c].argmax(axis=1)[part] for c in (TEXT, BOTH)}
        row = found[f"by:sex={value}", False, "accuracy"]
        assert row.value == pytest.approx(accuracy_score(truth[part], each[BOTH]))
        assert (row.n, row.available, row.seed) == (part.sum(), BOTH.modalities, 1)
        if value == "other":  # two utterances, which do not have all classes
            continue
        mean = np.mean([f1_score(truth[part], said, average="macro", zero_division=0) for said in each.values()])
        assert found[f"by:sex={value}", True, "macro_f1"].value == pytest.approx(mean)
    gap = found["gap:sex", False, "accuracy"]
    male, female = (found[f"by:sex={value}", False, "accuracy"].value for value in ("male", "female"))
    assert gap.value == pytest.approx(abs(male - female))  # two others are too few to be in it
    assert gap.n == 116


def test_gaps_are_paired_on_every_resample() -> None:
    predictions, facts = answered()
    truth, said = predictions.targets.argmax(axis=1), predictions.logits[BOTH].argmax(axis=1)
    groups = number_groups(predictions.groups)
    sex = np.array([fact or "" for fact in facts["sex"]])
    gaps = []
    for draw in draw_groups(30, SETTINGS)[1:].astype(int):
        rows = np.concatenate([np.tile(np.flatnonzero(groups == g), n) for g, n in enumerate(draw)]).astype(int)
        each = {v: accuracy_score(truth[r], said[r]) for v in ("male", "female") if len(r := rows[sex[rows] == v])}
        if len(each) == 2:
            gaps.append(each["male"] - each["female"])
    row = scored(predictions, facts)["gap:sex", False, "accuracy"]
    assert [row.ci_low, row.ci_high] == pytest.approx(np.quantile(gaps, [0.025, 0.975]).tolist())
    assert row.ci_low > 0


def test_resamples_without_a_part_are_left_out() -> None:
    predictions, _ = answered()
    few = [f"v{k:02d}" for k in range(3)]  # three of thirty videos: one resample in twenty has none of them
    facts = {"room": ["small" if group in few else "large" for group in predictions.groups]}
    truth, said = predictions.targets.argmax(axis=1), predictions.logits[BOTH].argmax(axis=1)
    groups, room = number_groups(predictions.groups), np.array(facts["room"])
    gaps, alone, n_without = [], [], 0
    for draw in draw_groups(30, SETTINGS)[1:].astype(int):
        rows = np.concatenate([np.tile(np.flatnonzero(groups == g), n) for g, n in enumerate(draw)]).astype(int)
        each = {v: accuracy_score(truth[r], said[r]) for v in ("small", "large") if len(r := rows[room[rows] == v])}
        n_without += "small" not in each
        if len(each) == 2:
            gaps.append(each["large"] - each["small"])
            alone.append(each["small"])
    assert n_without > 2
    found = scored(predictions, facts)
    sign = (
        1 if found["by:room=large", False, "accuracy"].value > found["by:room=small", False, "accuracy"].value else -1
    )
    for row, values in (
        (found["gap:room", False, "accuracy"], sign * np.array(gaps)),
        (found["by:room=small", False, "accuracy"], np.array(alone)),
    ):
        assert [row.ci_low, row.ci_high] == pytest.approx(np.quantile(values, [0.025, 0.975]).tolist())


def test_a_part_of_one_group_or_of_one_utterance_has_no_interval() -> None:
    predictions, _ = answered()
    by_speaker = {"speaker": [f"s{int(group[1:]) % 3}" if k else "alone" for k, group in enumerate(predictions.groups)]}
    found = scored(predictions, by_speaker | {"video": list(predictions.groups)})
    alone = found["by:speaker=alone", False, "accuracy"]
    assert (alone.n, alone.ci_low, alone.ci_high) == (1, None, None)
    assert found["by:speaker=s1", False, "accuracy"].ci_low is not None
    assert found["by:video=v03", False, "accuracy"].ci_low is None
    assert ("gap:video", False, "accuracy") not in found  # four utterances each
    assert found["gap:speaker", False, "accuracy"].n == 119


def test_a_part_without_a_class_is_told() -> None:
    predictions, _ = answered()
    facts = {"mood": ["low" if row.argmax() == 0 else "high" for row in predictions.targets]}
    with pytest.warns(DataWarning, match=r"by mood: not all parts have all classes.*low lacks b, c"):
        scored(predictions, facts)


def test_perfect_answers_have_no_gap_whatever_classes_a_part_lacks() -> None:
    labels = LabelSet("multilabel", ("a", "b", "c", "d"))
    rng = np.random.default_rng(0)
    targets = (rng.random((80, 4)) < 0.5).astype(np.float32)
    targets[::2, 2:] = 0  # half of them never show two of the classes
    ids = tuple(f"u{k}" for k in range(80))
    perfect = Predictions(ids, ids, "test", labels, targets, {TEXT: (20 * targets - 10).astype(np.float32)})
    with pytest.warns(DataWarning, match="f lacks c, d"):
        found = scored(perfect, {"sex": ["f" if k % 2 == 0 else "m" for k in range(80)]})
    assert found["gap:sex", False, "macro_f1"].value == 0
    assert found["by:sex=f", False, "macro_f1"].value == 1


def with_facts(corpus: Corpus) -> Corpus:
    facts = [{"sex": "female"} if k % 2 else None for k in range(len(corpus.utterances))]
    utterances = [replace(u, about=about, language="en") for u, about in zip(corpus.utterances, facts, strict=True)]
    return replace(corpus, utterances=tuple(utterances))


def test_facts_are_read_and_others_are_named(tmp_path: Path) -> None:
    corpus = with_facts(made())
    ids = [u.id for u in corpus.utterances][:4]
    assert read_facts(corpus, ids, ["sex", "language"]) == {
        "sex": [None, "female", None, "female"],
        "language": ["en"] * 4,
    }
    with pytest.raises(ConfigError, match=r"cannot be told apart by 'sexx': unknown fact 'sexx'; did you mean 'sex'"):
        read_facts(corpus, ids, ["sexx"])
    with pytest.raises(ConfigError, match="unknown fact 'age'; Known: dialogue, leak"):
        read_facts(made(), ids, ["age"])
    silent = replace(made(), utterances=tuple(replace(u, dialogue=None) for u in made().utterances))
    with pytest.raises(ConfigError, match="unknown fact 'age'; Known: leak"):
        read_facts(silent, ids, ["age"])
    assert corpus.digest == replace(corpus, utterances=tuple(replace(u, about=None) for u in corpus.utterances)).digest
    write_store(corpus, tmp_path / "store")
    assert open_store(tmp_path / "store").utterances == corpus.utterances
    assert [u.about for u in open_store(tmp_path / "store").utterances] == [u.about for u in corpus.utterances]


@pytest.fixture
def manifest(tmp_path: Path) -> list[str]:
    with (tmp_path / "lines.csv").open("w") as file:
        file.write("id,text,label,split,sex,about.home\n")
        for k in range(60):
            split = "train" if k < 20 else "validation" if k < 30 else "test"
            name, words = ("joy", "so very glad") if k % 2 else ("grief", "oh how sad")
            file.write(
                f"u{k},{words} number {k},{name},{split},{'female' if k % 4 < 2 else 'male'},{'north' * (k > 40)}\n"
            )
    words = [f"dataset.file={tmp_path / 'lines.csv'}", "features.extractors.text=words", "features.frames=16"]
    words += ["model.encoders.text=gru", "training.epochs=1", "training.patience=0", "evaluation.bootstrap=50"]
    return [*words, f"features.store={tmp_path / 's'}", 'dataset.about_columns=["sex"]']


def test_any_column_of_a_manifest(manifest: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = emotiwave.train("manifest", out=tmp_path / "run", overrides=manifest).folder
    code, out, _ = run(capsys, "evaluate", str(folder), "--by", "sex", "--by", "home")
    assert code == 0
    assert "sex=female (n = 14)" in out
    assert "sex: best less worst" in out
    rows = [json.loads(line) for line in (folder / "subgroups.jsonl").read_text().splitlines()]
    assert {row["condition"] for row in rows} == {"by:sex=female", "by:sex=male", "gap:sex", "by:home=north"}
    page = emotiwave.write_report(folder, out=tmp_path / "report.html").read_text()
    shown = page.split("Who is answered worse")[1]
    worst = min(
        (r for r in rows if r["condition"].startswith("by:sex") and r["metric"] == "macro_f1"), key=lambda r: r["value"]
    )
    assert shown.index(worst["condition"].removeprefix("by:sex=")) < shown.index("best less worst")
    card = (folder / "README.md").read_text().split("## Who is answered worse")[1]
    assert f"{worst['value']:.3f}" in card
    code, _, told = run(capsys, "evaluate", str(folder), "--by", "ses")
    assert (code, "did you mean 'sex'" in told.replace("\n", " ")) == (1, True)
    emotiwave.evaluate(folder)
    assert not (folder / "subgroups.jsonl").exists()
    assert "Who is answered worse" not in (folder / "README.md").read_text()
    with pytest.raises(DatasetError, match=r"unknown column 'sex'.* or in about_columns"):
        emotiwave.train("manifest", out=tmp_path / "other", overrides=[*manifest, "dataset.about_columns=[]"])
    with pytest.raises(DatasetError, match="unknown column 'seks'"):
        emotiwave.train("manifest", out=tmp_path / "other", overrides=[*manifest, 'dataset.about_columns=["seks"]'])


def test_a_full_disk_leaves_no_half_of_an_evaluation(
    manifest: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = emotiwave.train("manifest", out=tmp_path / "run", overrides=manifest).folder
    emotiwave.evaluate(folder, by=["sex"])
    real = run_results.replace_file

    def full(path: Path, content: bytes) -> None:
        if path.name == "predictions.parquet":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        real(path, content)

    monkeypatch.setattr(run_results, "replace_file", full)
    code, _, told = run(capsys, "evaluate", str(folder))
    assert code == 1
    assert "No space left on device" in told
    assert "Traceback" not in told
    assert {path.name for path in folder.iterdir()} & {
        "scores.jsonl",
        "predictions.parquet",
        "subgroups.jsonl",
    } == set()
    with pytest.raises(CheckpointError, match="run `emotiwave evaluate"):
        emotiwave.write_report(folder)


def test_actors_of_crema_d(tmp_path: Path) -> None:
    write_votes(tmp_path, made_table())
    (tmp_path / "VideoDemographics.csv").write_text(
        '"ActorID","Age","Sex","Race","Ethnicity"\n1001,51,"Male","Caucasian","Not Hispanic"\n'
    )
    corpus = load_votes(CremadVotesSettings(root=tmp_path))
    about = {u.speaker: u.about for u in corpus.utterances}
    assert about["1001"] == {"sex": "male", "age": "50-59", "race": "Caucasian", "ethnicity": "Not Hispanic"}
    assert about["1002"] is None
    (tmp_path / "VideoDemographics.csv").write_text("ActorID,Age\n1001,old\n")
    with pytest.raises(DatasetError, match="cannot be read as the table of actors"):
        load_votes(CremadVotesSettings(root=tmp_path))
