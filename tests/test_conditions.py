"""What is hidden and spoiled: as much as asked for, nested, the same for everybody, and nothing else is touched."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

import emotiwave
from emotiwave.conditions.hiding import Frames, hide_frames, hide_modalities, hide_stretch, observed_frames
from emotiwave.conditions.masks import draw_masks, find_masks, read_masks
from emotiwave.conditions.registry import KINDS, read_condition, spoilt, with_hidden
from emotiwave.errors import CheckpointError, ConfigError, DatasetError, DataWarning
from emotiwave.evaluation.under_conditions import read_conditions
from emotiwave.features.store import write_store
from emotiwave.inference import predict
from emotiwave.models.checkpoint import load_model
from emotiwave.run_folder import read_run
from emotiwave.sequences import ComputationalSequence, FeatureSequence
from emotiwave.types import Configuration, Corpus, LabelSet, Utterance
from tests.test_cli import run
from tests.tiny_encoders import one_thread

one_thread = pytest.fixture(scope="module", autouse=True)(one_thread)
MODALITIES = ("text", "audio", "vision")
LABELS = LabelSet("categorical", ("a", "b"))


def made(n: int = 40, missing: bool = False) -> Corpus:
    """Utterances of 1 to 12 frames of a tenth of a second; of every fifth only the text is there, if wished."""
    rng = np.random.default_rng(0)
    utterances = tuple(Utterance(f"u{k}", "test" if k % 2 else "train", "ab"[k % 3 == 0], f"d{k}") for k in range(n))
    sequences = {}
    for name in MODALITIES:
        of = {}
        for k in range(n):
            if missing and k % 5 == 0 and name != "text":
                continue
            n_frames = 1 + (k * (3 if name == "audio" else 5)) % 12
            times = np.stack([np.arange(n_frames), np.arange(1, n_frames + 1)], axis=1) / 10
            of[f"u{k}"] = FeatureSequence(rng.standard_normal((n_frames, 2)).astype(np.float32), times)
        sequences[name] = ComputationalSequence.from_sequences(of)
    return Corpus("made", "task", "none", LABELS, utterances, sequences)


IDS = [f"u{k}" for k in range(40)]


@pytest.mark.parametrize("hide", [hide_modalities, hide_frames, hide_stretch])
def test_what_is_hidden_stays_hidden_when_it_gets_worse(hide) -> None:
    observed, before = observed_frames(made(missing=True), IDS, MODALITIES), {}
    for severity in (0.0, 0.1, 0.25, 0.5, 0.7, 0.9, 1.0):
        hidden = hide(observed, severity, (3,))
        assert severity or not hidden
        for name, of in before.items():
            for one, mask in of.items():
                assert (hidden[name][one] | ~mask).all()
        before = hidden
    again, same, other = (hide(observed, 0.5, (seed,)) for seed in (3, 3, 4))
    assert rows_of(again) == rows_of(same) != rows_of(other)


def rows_of(hidden: Frames) -> list:
    return sorted((name, one, mask.tolist()) for name, of in hidden.items() for one, mask in of.items())


def test_modalities_go_missing_at_the_rate_and_one_is_kept() -> None:
    for corpus, there in ((made(), 120), (made(missing=True), 40 + 2 * 32)):
        observed = observed_frames(corpus, IDS, MODALITIES)
        for severity in (0.1, 0.3, 0.5):
            hidden = hide_modalities(observed, severity, (0,))
            assert sum(len(of) for of in hidden.values()) == round(severity * there)
            assert all(mask.all() for of in hidden.values() for mask in of.values())
        hidden = hide_modalities(observed, 0.9, (0,))
        assert sum(len(of) for of in hidden.values()) == there - 40  # one is kept of each of the forty
        for one in IDS:
            assert sum(one in corpus.sequences[name] and one not in hidden.get(name, {}) for name in MODALITIES) == 1
    hidden = hide_modalities(observed_frames(made(), IDS, MODALITIES), 1.0, (0,))
    assert all(18 < len(hidden[name]) < 35 for name in MODALITIES)  # any of the three is kept, about as often


def test_frames_go_missing_at_the_rate() -> None:
    observed = observed_frames(made(), IDS, MODALITIES)
    for severity in (0.1, 0.5, 0.7, 0.9):
        dropped, gone = (hide(observed, severity, (0,)) for hide in (hide_frames, hide_stretch))
        for found in (dropped, gone):
            n_hidden = n_all = 0
            for name, of in observed.items():
                for one, there in of.items():
                    n, mask = len(there), found.get(name, {}).get(one, np.zeros(len(there), bool))
                    assert severity * n - 1 < mask.sum() < severity * n + 1
                    n_hidden, n_all = n_hidden + mask.sum(), n_all + n
            assert n_hidden / n_all == pytest.approx(severity, abs=0.03)
        assert all((np.diff(np.flatnonzero(mask)) == 1).all() for of in gone.values() for mask in of.values())
    single = {"text": {f"u{k}": np.ones(1, bool) for k in range(2000)}}  # one frame each: hidden as often as asked for
    assert len(hide_frames(single, 0.3, (0,))["text"]) == pytest.approx(600, abs=60)
    alone = hide_frames({"audio": {"u7": observed["audio"]["u7"]}}, 0.5, (0,))
    np.testing.assert_array_equal(alone["audio"]["u7"], hide_frames(observed, 0.5, (0,))["audio"]["u7"])


def test_what_is_not_observed_is_neither_kept_nor_hidden() -> None:
    values = np.array([[1.0], [np.nan], [2.0], [3.0]], np.float32)
    times = np.stack([np.arange(4), np.arange(1, 5)], axis=1) * 1.0
    nothing = FeatureSequence(np.full((2, 1), np.nan, np.float32), times[:2])
    sequences = {
        "text": ComputationalSequence.from_sequences({"u": FeatureSequence(values, times)}),
        "audio": ComputationalSequence.from_sequences({"u": nothing}),
        "vision": ComputationalSequence.from_sequences({"u": FeatureSequence(values, times)}),
    }
    observed = observed_frames(
        Corpus("c", "t", "n", LABELS, (Utterance("u", "test", "a"),), sequences), ["u"], MODALITIES
    )
    assert set(observed) == {"text", "vision"}
    for seed in range(8):
        hidden = hide_modalities(observed, 0.5, (seed,))
        ((name, of),) = hidden.items()
        assert name in ("text", "vision")
        assert of["u"].tolist() == [True, False, True, True]
        assert not hide_frames(observed, 1.0, (seed,))["text"]["u"][1]
        stretch = hide_stretch(observed, 2 / 3, (seed,))["text"]["u"]
        assert stretch.tolist() in ([True, False, True, False], [False, False, True, True])


def test_hidden_frames_are_not_observed_and_all_else_is_as_it_was() -> None:
    corpus = made()
    mask = np.array([True, False, True] + [False] * 20)[: corpus.sequences["audio"].n_frames("u5")]
    changed = with_hidden(corpus, IDS, {"audio": {"u5": mask}})
    assert [u.id for u in changed.utterances] == IDS
    for name in MODALITIES:
        for one in IDS:
            before, after = corpus.sequences[name][one], changed.sequences[name][one]
            np.testing.assert_array_equal(after.intervals, before.intervals)
            rows = mask if (name, one) == ("audio", "u5") else np.zeros(len(before.values), bool)
            assert np.isnan(after.values[rows]).all()
            np.testing.assert_array_equal(after.values[~rows], before.values[~rows])
    assert np.isfinite(corpus.sequences["audio"]["u5"].values).all()


def test_noise_is_so_many_standard_deviations() -> None:
    corpus = made(n=40)
    noisy = {s: spoilt(corpus, IDS, read_condition("feature_noise:audio"), s, 0) for s in (1.0, 2.0)}
    added = {s: of.sequences["audio"].values - corpus.sequences["audio"].values for s, of in noisy.items()}
    np.testing.assert_allclose(added[2.0], 2 * added[1.0], atol=1e-5)
    spread = corpus.sequences["audio"].values.std(axis=0)
    np.testing.assert_allclose(added[1.0].std(axis=0), spread, rtol=0.15)
    np.testing.assert_array_equal(noisy[1.0].sequences["text"].values, corpus.sequences["text"].values)


def test_a_late_modality_shows_what_was_before() -> None:
    values = np.arange(10, 16, dtype=np.float32)[:, None]
    times = np.stack([np.arange(6), np.arange(1, 7)], axis=1) * 0.5
    sequences = {name: ComputationalSequence.from_sequences({"u": FeatureSequence(values, times)}) for name in "ab"}
    corpus = Corpus("c", "t", "none", LabelSet("categorical", ("x", "y")), (Utterance("u", "test", "x"),), sequences)
    late = spoilt(corpus, ["u"], read_condition("time_shift:a"), 1.0, 0)
    np.testing.assert_array_equal(late.sequences["a"].values[:, 0], [np.nan, np.nan, 10, 11, 12, 13])
    np.testing.assert_array_equal(late.sequences["b"].values, values)
    times = np.array([[0.0, 0.5], [0.5, 1.0], [2.0, 2.5], [2.5, 3.0]])  # a second of nothing
    paused = ComputationalSequence.from_sequences({"u": FeatureSequence(values[:4], times)})
    late = spoilt(replace(corpus, sequences={"a": paused}), ["u"], read_condition("time_shift:a"), 0.5, 0)
    np.testing.assert_array_equal(late.sequences["a"].values[:, 0], [np.nan, 10, np.nan, 12])
    times = np.stack([np.arange(6), np.arange(6) + 10.0], axis=1) / 10  # a second each, a tenth apart
    wide = ComputationalSequence.from_sequences({"u": FeatureSequence(values, times)})
    late = spoilt(replace(corpus, sequences={"a": wide}), ["u"], read_condition("time_shift:a"), 0.2, 0)
    np.testing.assert_array_equal(late.sequences["a"].values[:, 0], [10, 10, 10, 11, 12, 13])
    timeless = ComputationalSequence.from_sequences({"u": FeatureSequence(values, np.full((6, 2), np.nan))})
    with pytest.raises(ConfigError, match="'u' have no times in c"):
        spoilt(replace(corpus, sequences={"a": timeless}), ["u"], read_condition("time_shift:a"), 0.2, 0)


def test_masks_are_kept_and_shared(tmp_path: Path) -> None:
    corpus, condition = made(missing=True), read_condition("frame_drop:audio=0.3,0.6")
    path = tmp_path / "new" / "masks.json"
    drawn = find_masks(corpus, "test", condition, 2, path)
    before = path.read_bytes()
    found = read_masks(corpus, "test", condition, 2, path)
    assert found.digests == drawn.digests
    assert all(rows_of(found.hidden[s]) == rows_of(drawn.hidden[s]) for s in (0.3, 0.6))
    n = sum(corpus.sequences["audio"].n_frames(f"u{k}") for k in range(1, 40, 2))
    hidden = sum(mask.sum() for of in drawn.hidden[0.6].values() for mask in of.values())
    assert found.realised[0.6] == pytest.approx(hidden / n)
    find_masks(corpus, "test", read_condition("frame_drop:audio=0.6"), 2, path)
    assert path.read_bytes() == before
    more = find_masks(corpus, "test", read_condition("frame_drop:audio=0.1"), 2, path)  # is added to what is there
    assert set(more.hidden) == {0.1, 0.3, 0.6}
    assert {s: more.digests[s] for s in (0.3, 0.6)} == found.digests
    # other features of the same frames meet the same masks
    sequences = {
        name: ComputationalSequence(of.ids, of.values * 2, of.intervals, of.offsets)
        for name, of in corpus.sequences.items()
    }
    assert read_masks(replace(corpus, sequences=sequences), "test", condition, 2, path).digests == more.digests
    for wanted, message in (
        ((replace(corpus, name="other"), "test", condition, 2), "another corpus: 'made'; expected 'other'"),
        ((made(), "test", condition, 2), "another set of observed input"),
        ((corpus, "train", condition, 2), "another set of observed input|another split"),
        ((corpus, "test", condition, 3), "another seed: 2; expected 3"),
        ((corpus, "test", read_condition("span_drop:audio"), 2), "another condition"),
    ):
        with pytest.raises(DatasetError, match=message):
            read_masks(*wanted, path)
    described = json.loads(path.read_text())
    first = described["severities"][0]["hidden"]["audio"]
    name = next(one for one, text in first.items() if text != "all")

    def changed(text: object) -> Path:
        first[name] = text
        (tmp_path / "changed.json").write_text(json.dumps(described))
        return tmp_path / "changed.json"

    for text, message in (
        ("all", "was changed since it was drawn"),
        ("ff" * 2**20, "digits for"),
        ("zz", "damaged"),
        (7, "damaged"),
    ):
        with pytest.raises(DatasetError, match=message):
            read_masks(corpus, "test", condition, 2, changed(text))
    for text in ("", "{}", "[" * 100_000, json.dumps(described | {"form": 9})):
        (tmp_path / "none.json").write_text(text)
        with pytest.raises(DatasetError, match="no mask manifest, or damaged"):
            read_masks(corpus, "test", condition, 2, tmp_path / "none.json")


def test_nothing_can_be_missing_of_one_modality() -> None:
    corpus = made()
    corpus = replace(corpus, sequences={"text": corpus.sequences["text"]})
    with pytest.raises(ConfigError, match="no test utterance of made has two modalities"):
        draw_masks(corpus, "test", read_condition("missing"), 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("missng", "did you mean 'missing'"),
        ("missing:audio", "of all modalities at once"),
        ("time_shift", "of one modality"),
        ("frame_drop=1.5", "severity 1.5 is outside 0 to 1"),
        ("frame_drop=-0.1", "outside 0 to 1"),
        ("frame_drop=nan", "outside 0 to 1"),
        ("frame_drop=a lot", "severities are numbers"),
        ("frame_drop=0", "no severity above 0"),
    ],
)
def test_what_is_no_condition_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_condition(text)


def test_every_kind_leaves_every_utterance_and_starts_at_nothing() -> None:
    corpus = made()
    for name, kind in KINDS.items():
        assert sum(of is not None for of in (kind.hide, kind.spoil, kind.signal)) == 1
        if kind.signal is not None:
            continue  # test_media_conditions.py
        condition = read_condition(f"{name}:audio" if kind.needs_one else name)
        assert all(0 < severity <= kind.highest for severity in condition.severities)
        for severity in (0.0, condition.severities[-1]):
            if kind.hide is not None:
                observed = observed_frames(corpus, IDS, condition.modalities(corpus))
                changed = with_hidden(corpus, IDS, kind.hide(observed, severity, (0,)))
            else:
                changed = spoilt(corpus, IDS, condition, severity, 0)
            assert changed.utterances == corpus.utterances
            is_same = all(
                np.array_equal(changed.sequences[m].values, corpus.sequences[m].values, equal_nan=True)
                for m in MODALITIES
            )
            assert is_same == (severity == 0)
    with pytest.raises(ConfigError, match="made has no smell; it has text, audio, vision"):
        read_condition("frame_drop:smell").modalities(corpus)


SMALL = [
    "dataset.n_train=60",
    "dataset.n_validation=24",
    "dataset.n_test=30",
    "training.epochs=2",
    "training.patience=0",
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = [*SMALL, "evaluation.bootstrap=50"]
    return emotiwave.train("synthetic", out=tmp_path_factory.mktemp("run") / "run", overrides=settings).folder


def test_a_run_is_scored_under_conditions(trained: Path, tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    rows = emotiwave.evaluate(trained, conditions=["missing=0.4,0.6", "feature_noise:audio=1"], draws=2, masks=masks)
    written = [json.loads(line) for line in (trained / "conditions.jsonl").read_text().splitlines()]
    under = [row for row in rows if "missing" in row.condition or "noise" in row.condition]
    assert [row["value"] for row in written] == [row.value for row in under]
    found = {(row.condition, row.severity): row for row in under if row.metric == "macro_f1"}
    complete = next(row for row in rows if row.available == MODALITIES and row.metric == "macro_f1" and not row.label)
    at = [found["missing", severity] for severity in (0.0, 0.4, 0.6)]
    assert (at[0].value, at[0].ci_low, at[0].ci_high) == (complete.value, complete.ci_low, complete.ci_high)
    area = found["area:missing", None].value
    assert area == pytest.approx((0.4 * (at[0].value + at[1].value) / 2 + 0.2 * (at[1].value + at[2].value) / 2) / 0.6)
    assert found["relative:missing", None].value == pytest.approx(area / at[0].value)
    assert found["area:missing", None].ci_low <= area <= found["area:missing", None].ci_high
    met = json.loads((trained / "conditions.json").read_text())
    assert [(one["condition"], one["seed"]) for one in met] == [
        ("missing", 0),
        ("missing", 1),
        ("feature_noise:audio", 0),
        ("feature_noise:audio", 1),
    ]
    for one in met[:2]:
        assert one["realised"] == {"0.4": pytest.approx(0.4, abs=0.01), "0.6": pytest.approx(0.6, abs=0.01)}
    assert met[0]["sha256"]["0.4"] != met[1]["sha256"]["0.4"]
    # what is left of an utterance is answered as its configuration is
    model, corpus = load_model(trained), read_run(trained).load_corpus()
    each = predict(model, corpus, "test")
    scored = []
    for draw in (0, 1):
        hidden = draw_masks(corpus, "test", read_condition("missing=0.4,0.6"), draw).hidden[0.4]
        logits = np.stack(
            [
                each.logits[Configuration(tuple(m for m in MODALITIES if one not in hidden.get(m, {})))][row]
                for row, one in enumerate(each.ids)
            ]
        )
        scored.append((logits.argmax(axis=1) == each.targets.argmax(axis=1)).mean())
    accuracy = next(row for row in under if (row.condition, row.severity, row.metric) == ("missing", 0.4, "accuracy"))
    assert accuracy.value == pytest.approx(np.mean(scored))
    before = {path.name: path.read_bytes() for path in masks.iterdir()}
    assert set(before) == {"missing.test.0.json", "missing.test.1.json"}
    again = emotiwave.evaluate(trained, conditions=["missing=0.4,0.6"], draws=2, masks=masks)
    assert {path.name: path.read_bytes() for path in masks.iterdir()} == before
    assert [row for row in again if "missing" in row.condition] == [row for row in under if "missing" in row.condition]
    emotiwave.evaluate(trained)
    assert not (trained / "conditions.jsonl").exists()


def test_what_is_left_is_decided_by_its_own_thresholds(tmp_path: Path) -> None:
    tuned = [*SMALL, "dataset.task=multilabel", "evaluation.thresholds=validation", "evaluation.bootstrap=0"]
    folder = emotiwave.train("synthetic", out=tmp_path / "run", overrides=tuned).folder
    rows = emotiwave.evaluate(folder, conditions=["missing=0.6", "frame_drop=0.5"])
    thresholds = json.loads((folder / "thresholds.json").read_text())["thresholds"]
    corpus = read_run(folder).load_corpus()
    truth = {u.id: np.array([name in u.label for name in corpus.label_set.names]) for u in corpus.utterances}
    said = pd.read_parquet(folder / "conditions.parquet")
    for condition, severity in (("missing", 0.6), ("frame_drop", 0.5)):
        part = said[said.condition == condition]
        assert set(part.severity) == {severity}
        decided = np.array(
            [
                [row[f"probability_{name}"] > thresholds[row["configuration"]][name] for name in corpus.label_set.names]
                for row in part.to_dict("records")
            ]
        )
        expected = f1_score(np.stack([truth[one] for one in part.id]), decided, average="macro", zero_division=0)
        (row,) = [r for r in rows if (r.condition, r.severity, r.metric) == (condition, severity, "macro_f1")]
        assert row.value == pytest.approx(expected)
    left = set(said[said.condition == "missing"].configuration)
    assert {"text", "audio+vision"} <= left
    assert set(said[said.condition == "frame_drop"].configuration) == {"text+audio+vision"}


def test_values_are_scored_under_conditions_too(tmp_path: Path) -> None:
    """Continuous labels: the area under the error is a mean error, and there is no share of it."""
    rng = np.random.default_rng(0)
    labels = LabelSet("continuous", ("valence",), ((-1.0, 1.0),))
    corpus = made()
    utterances = tuple(
        replace(u, label=(float(rng.uniform(-1, 1)),), split=("train", "validation", "test")[k % 3])
        for k, u in enumerate(corpus.utterances)
    )
    write_store(replace(corpus, label_set=labels, utterances=utterances), tmp_path / "store")
    recipe = tmp_path / "values.toml"
    recipe.write_text(f'[dataset]\nstore = "{tmp_path / "store"}"\n[training]\nepochs = 1\npatience = 0\n')
    folder = emotiwave.train(recipe, out=tmp_path / "run").folder
    rows = emotiwave.evaluate(folder, conditions=["missing=0.5", "time_shift:audio=0.2"])
    by_place = {(r.condition, r.severity, r.metric): r.value for r in rows if r.label is None}
    area = (by_place["missing", 0.0, "mae"] + by_place["missing", 0.5, "mae"]) / 2
    assert by_place["area:missing", None, "mae"] == pytest.approx(area)
    assert ("relative:missing", None, "mae") not in by_place
    assert ("relative:missing", None, "macro_f1") in by_place
    assert "time_shift:audio" in emotiwave.write_report(folder).read_text()


def test_the_report_shows_the_curves(trained: Path, tmp_path: Path) -> None:
    rows = emotiwave.evaluate(trained, conditions=["missing=0.4", "time_shift:audio=0.5"])
    page = emotiwave.write_report(trained, out=tmp_path / "report.html").read_text()
    assert "When input is spoiled" in page
    for name in ("missing", "time_shift:audio"):
        assert f"Macro-F1 with all modalities, by severity of {name}; bars are intervals." in page
        area = next(row for row in rows if (row.condition, row.metric) == (f"area:{name}", "macro_f1"))
        row = page.split(f'<th scope="row">{name}, mean over severities</th>')[1].split("</tr>")[0]
        assert f">{area.value:.3f}<" in row
    before = (trained / "conditions.jsonl").read_text()
    (trained / "conditions.jsonl").write_text(before[:-20])
    with pytest.raises(CheckpointError, match=r"conditions.jsonl cannot be read .*; run `emotiwave evaluate"):
        emotiwave.write_report(trained, out=tmp_path / "report.html")
    emotiwave.evaluate(trained)
    assert "When input is spoiled" not in emotiwave.write_report(trained, out=tmp_path / "report.html").read_text()


def test_on_the_command_line(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "evaluate", str(trained), "--condition", "span_drop:text=0.5", "--masks", str(tmp_path))
    assert code == 0
    assert "span_drop:text 0.5" in out
    assert (tmp_path / "span_drop-text.test.0.json").is_file()
    code, out, _ = run(capsys, "list", "conditions")
    assert set(KINDS) <= {line.split()[0] for line in out.splitlines() if line.strip()}
    (tmp_path / "missing.test.0.json").write_text("")
    for words, message in (
        (("--condition", "gloom"), "unknown condition 'gloom'"),
        (("--condition", "frame_drop:smell"), "has no smell"),
        (("--condition", "missing", "--condition", "missing=0.3"), "named twice"),
        (("--condition", "missing", "--masks", str(tmp_path)), "no mask manifest, or damaged"),
        (("--masks", str(tmp_path)), "masks are of conditions"),
    ):
        code, _, told = run(capsys, "evaluate", str(trained), *words)
        assert (code, message in told.replace("\n", " ")) == (1, True), told


def test_less_is_missing_than_asked_for_where_one_is_kept(trained: Path, tmp_path: Path) -> None:
    with pytest.warns(DataWarning, match=r"missing: no more is hidden than 0.6\d at 0.9"):
        emotiwave.evaluate(trained, conditions=["missing=0.3,0.9"], masks=tmp_path)


def test_a_condition_that_is_none_is_refused_before_training(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown condition"):
        emotiwave.train("synthetic", out=tmp_path / "run", overrides=[*SMALL, 'evaluation.conditions=["mising"]'])
    assert not (tmp_path / "run").exists()


def test_missing_ends_where_nothing_more_can_be_hidden(recwarn: pytest.WarningsRecorder) -> None:
    corpus = made()
    three = read_conditions(["missing"], corpus)[0].severities
    assert three == (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)  # 0.7 is the first that reaches 2 of 3
    assert not recwarn.list
    two = replace(corpus, sequences={name: corpus.sequences[name] for name in ("text", "audio")})
    with pytest.warns(DataWarning, match=r"of 2 modalities 0.50 can be hidden, so 0.6, 0.7 would be 0.5 once more"):
        assert read_conditions(["missing"], two)[0].severities == (0.1, 0.2, 0.3, 0.4, 0.5)
    one = replace(corpus, sequences={"text": corpus.sequences["text"]})
    with pytest.raises(ConfigError, match="has text alone, which would be kept"):
        read_conditions(["missing"], one)
