"""A run that was trained on media as a recogniser: every kind of labels, long clips, what is missing."""

import csv
import json
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch
from PIL import Image
from scipy.special import expit, softmax

import emotiwave
from emotiwave.analysis import Analysis
from emotiwave.batch import collate
from emotiwave.errors import CheckpointError, ConfigError, MediaError
from emotiwave.recognizer import Clip, Failed, make_clip
from emotiwave.recognizer.run_recognizer import RunRecognizer
from emotiwave.recognizer.stretches import stretches_of
from emotiwave.recordings import Sources
from emotiwave.run_folder import read_run
from emotiwave.signals import Waveform
from emotiwave.types import Configuration
from tests.made_media import write_sound, write_video
from tests.test_cli import run
from tests.test_experts import voice
from tests.tiny_encoders import one_thread

one_thread = pytest.fixture(scope="module", autouse=True)(one_thread)
SCHEMA = json.loads((Path(emotiwave.__file__).parent / "analysis" / "schema.json").read_text())
WORDS = {"happiness": "what a lovely day", "sadness": "this is so sad", "anger": "i hate this so much"}


def _train(root: Path, task: dict[str, Any], *overrides: str) -> Path:
    """Train for one epoch on made voices and words, whose labels a task names."""
    rows = []
    for k in range(18):
        name = list(WORDS)[k % 3]
        write_sound(root / f"{k}.wav", voice(1.0, 100.0 + 60 * (k % 3), seed=k).samples)
        split = "train" if k < 9 else "validation" if k < 15 else "test"
        row = {"id": f"u{k}", "audio": f"{k}.wav", "text": WORDS[name], "split": split, "speaker": f"s{split}"}
        rows.append(row | task["label"](name, k))
    with (root / "clips.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    settings = [
        f"dataset.file={root / 'clips.csv'}",
        "training.epochs=2",
        "training.patience=0",
        "features.cache=false",
    ]
    settings += [f"features.store={root / 'store'}", "evaluation.bootstrap=0", *task["settings"], *overrides]
    return emotiwave.train(
        "manifest", out=root / "run", overrides=[one for one in settings if "bootstrap" not in one]
    ).folder


CATEGORICAL = {"label": lambda name, k: {"label": name}, "settings": []}
MULTILABEL = {
    "label": lambda name, k: {"labels": name if k % 2 else ";".join(sorted({name, "sadness"}))},
    "settings": ["dataset.task=multilabel"],
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _train(tmp_path_factory.mktemp("categorical"), CATEGORICAL)


@pytest.fixture(scope="module")
def recognizer(trained: Path) -> RunRecognizer:
    found = emotiwave.load(trained)
    assert isinstance(found, RunRecognizer)
    return found


def check(analysis: Analysis) -> None:
    jsonschema.validate(analysis.to_dict(), SCHEMA)
    for before, after in pairwise(analysis.timeline):
        assert before.end == pytest.approx(after.start)


def test_it_says_what_the_model_says_of_the_same_utterance(trained: Path, recognizer: RunRecognizer) -> None:
    corpus = read_run(trained).load_corpus()
    row = next(index for index, utterance in enumerate(corpus.utterances) if utterance.id == "u16")
    batch = collate(corpus, [row])
    wanted = [Configuration(some) for some in (("audio",), ("text",), ("audio", "text"))]
    with torch.inference_mode():
        logits = {
            str(c): answer[0].double().numpy() for c, answer in recognizer.model.each_configuration(batch, wanted)
        }
    analysis = recognizer.analyze(audio=trained.parent / "16.wav", text=WORDS["sadness"])
    check(analysis)
    np.testing.assert_allclose(list(analysis.emotions.values()), softmax(logits["audio+text"]), atol=1e-5)
    assert analysis.confidence == pytest.approx(softmax(logits["audio+text"]).max(), abs=1e-5)
    for name, probability in analysis.emotions.items():
        assert analysis.contributions.total(name) == pytest.approx(np.log(probability / (1 - probability)), abs=1e-5)
    prior = softmax(recognizer.model.prior_logits.double().numpy())
    np.testing.assert_allclose(list(analysis.contributions.base.values()), np.log(prior / (1 - prior)), atol=1e-5)
    alone = recognizer.analyze(audio=trained.parent / "16.wav", text=WORDS["sadness"], modalities=["audio"])
    np.testing.assert_allclose(list(alone.emotions.values()), softmax(logits["audio"]), atol=1e-5)
    assert set(alone.contributions.modalities) == {"audio"}


def test_a_long_clip_is_many_utterances(recognizer: RunRecognizer) -> None:
    analysis = recognizer.analyze(Waveform(np.tile(voice(1.0).samples, 30), 16000))
    check(analysis)
    assert [round(moment.end, 3) for moment in analysis.timeline] == [7.5, 15.0, 22.5, 30.0]
    assert any("stretches of about 8 s" in warning for warning in analysis.warnings)
    first = recognizer.analyze(Waveform(np.tile(voice(1.0).samples, 30)[: 7 * 16000 + 8000], 16000))
    np.testing.assert_allclose(list(analysis.timeline[0].emotions.values()), list(first.emotions.values()), atol=2e-3)


def test_what_is_silent_or_missing_is_said(recognizer: RunRecognizer, tmp_path: Path) -> None:
    silent = recognizer.analyze(audio=(np.zeros(32000, np.float32), 16000), text="so sad")
    check(silent)
    assert (silent.modalities["audio"].used, silent.modalities["audio"].reason) == (False, "silent 100 %, ignored")
    words = recognizer.analyze(text="so sad")
    assert words.emotions == silent.emotions
    nothing = recognizer.analyze(audio=(np.zeros(32000, np.float32), 16000))
    check(nothing)
    assert (nothing.answered, nothing.decision) == (False, None)
    assert "silent" in str(nothing.reason)
    with pytest.raises(MediaError, match="does not exist"):
        recognizer.analyze(audio=tmp_path / "gone.wav")
    with pytest.raises(ConfigError, match="unknown modality 'vision'"):
        recognizer.analyze(text="so", modalities=["vision"])


def test_many_clips_and_a_bad_one(recognizer: RunRecognizer, tmp_path: Path) -> None:
    clips = [make_clip(text="so sad", name="a"), Clip("b", Sources.of_file(tmp_path / "gone.wav"))]
    one, other = recognizer.analyze_each(clips)
    assert isinstance(one, Analysis)
    assert isinstance(other, Failed)


def test_several_classes_are_decided_by_thresholds(tmp_path: Path) -> None:
    folder = _train(tmp_path, MULTILABEL)
    (folder / "thresholds.json").write_text(json.dumps({"thresholds": {"text": {"sadness": 0.0, "anger": 1.0}}}))
    recognizer = emotiwave.load(folder)
    analysis = recognizer.analyze(text="so sad")
    check(analysis)
    assert analysis.label_kind == "multilabel"
    assert "sadness" in analysis.decision
    assert "anger" not in analysis.decision
    expected = np.prod([p if n in analysis.decision else 1 - p for n, p in analysis.emotions.items()])
    assert analysis.confidence == pytest.approx(expected)
    for name, probability in analysis.emotions.items():
        assert expit(analysis.contributions.total(name)) == pytest.approx(probability, abs=1e-6)
    both = {"text+audio": {"happiness": 0.0, "anger": 0.0, "sadness": 1.0}}  # in the order of the corpus
    (folder / "thresholds.json").write_text(json.dumps({"thresholds": both}))
    found = emotiwave.load(folder).analyze(audio=folder.parent / "16.wav", text="so sad", explain=True)
    assert set(found.decision) == {"happiness", "anger"}
    assert set(found.explanation.interactions) == {"audio+text"}
    (folder / "thresholds.json").write_text("[]")
    with pytest.raises(CheckpointError, match=r"thresholds\.json"):
        emotiwave.load(folder)


def test_runs_of_other_features_are_refused(tmp_path: Path) -> None:
    run_folder = emotiwave.train("synthetic", out=tmp_path / "run", overrides=["training.epochs=1"]).folder
    with pytest.raises(ConfigError, match="features that came with synthetic"):
        emotiwave.load(run_folder)
    with pytest.raises(ConfigError, match="a run has no experts"):
        emotiwave.load(run_folder, voice="prosody")


def test_on_the_command_line(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "analyze", "--model", str(trained), str(trained.parent / "16.wav"), "--explain")
    assert code == 0
    assert "base and contributions add up" in out
    code, out, _ = run(capsys, "analyze", "--model", str(trained), "--text", "", "--json")
    assert code == 3
    assert json.loads(out)["emotions"] is None


def test_a_stretch_of_an_array_is_cut_once(recognizer: RunRecognizer, tmp_path: Path) -> None:
    samples = np.concatenate([voice(1.0, 100.0 + 80 * k, seed=k).samples for k in range(6)])
    Image.fromarray(np.zeros((60, 60, 3), np.uint8)).save(tmp_path / "p.png")
    expected = recognizer.analyze((samples[2 * 16000 : 4 * 16000], 16000)).emotions
    found = recognizer.analyze(audio=(samples, 16000), image=tmp_path / "p.png", start=2, end=4).emotions
    np.testing.assert_allclose(list(found.values()), list(expected.values()), atol=1e-4)
    twice = make_clip(make_clip((samples, 16000), start=1), start=1, end=3)
    np.testing.assert_array_equal(twice.heard.samples, samples[2 * 16000 : 4 * 16000])
    with pytest.raises(ConfigError, match="none of them is given"):
        make_clip(text="so", image=tmp_path / "p.png", start=1)


def test_a_clip_is_as_long_as_what_is_in_it(recognizer: RunRecognizer, tmp_path: Path) -> None:
    silent_then_loud = np.concatenate([np.zeros(16000 * 10, np.float32), np.tile(voice(1.0).samples, 10)])
    write_sound(tmp_path / "a.aac", silent_then_loud)  # FFmpeg guesses how long it is, by far too long
    analysis = recognizer.analyze(tmp_path / "a.aac")
    check(analysis)
    assert analysis.timeline[-1].end == pytest.approx(20.0, abs=0.2)
    assert analysis.modalities["audio"].observed == pytest.approx(0.5, abs=0.05)
    write_sound(tmp_path / "short.wav", voice(2.0).samples)
    film = write_video(tmp_path / "long.mp4", 50, 2.0, (32, 32), lambda index: np.zeros((32, 32, 3), np.uint8))
    sources = Sources(video=film, audio=tmp_path / "short.wav")
    stretches = stretches_of(Clip("two", sources), sources)
    assert stretches[-1].end == pytest.approx(25.0, abs=0.5)
    (tmp_path / "a.srt").write_text(
        "1\n00:00:01,000 --> 00:00:02,000\nso sad\n\n2\n00:00:05,000 --> 00:00:06,000\nah\n"
    )
    words = recognizer.analyze(transcript=tmp_path / "a.srt", start=1)
    assert words.timeline[-1].end == pytest.approx(5.0)


def test_what_is_warned_of_is_told_and_what_is_not_asked_for_is_not(recognizer: RunRecognizer, tmp_path: Path) -> None:
    whole = write_sound(tmp_path / "whole.flac", voice(10.0).samples).read_bytes()
    (tmp_path / "cut.flac").write_bytes(whole[: len(whole) // 2])
    cut = recognizer.analyze(tmp_path / "cut.flac")
    assert any("truncated" in warning for warning in cut.warnings)
    (tmp_path / "bad.wav").write_bytes(b"no sound at all")
    asked = recognizer.analyze(audio=tmp_path / "bad.wav", modalities=["text"])
    assert (asked.answered, asked.warnings) == (False, ())
    with_text = recognizer.analyze(audio=tmp_path / "bad.wav", text="so sad", modalities=["text"])
    assert (with_text.answered, with_text.warnings) == (True, ())
    with pytest.raises(ConfigError, match="no modality is asked for"):
        recognizer.analyze(text="so sad", modalities=[])


def test_another_face_detector_than_in_training_is_told(recognizer: RunRecognizer) -> None:
    found = RunRecognizer(recognizer.model, recognizer.features, name="run", faces_found_by="yunet (a file)")
    reader = SimpleNamespace(detector=SimpleNamespace(name="haar"))
    assert "found by haar, and were by yunet" in found._remarks_on(reader)[0]
    reader.detector.name = "yunet"
    assert found._remarks_on(reader) == []


def test_a_run_takes_spoiled_clips_and_answers_every_configuration(recognizer: RunRecognizer, tmp_path: Path) -> None:
    write_sound(tmp_path / "voice.wav", voice(3.0).samples)
    given = {"audio": tmp_path / "voice.wav", "text": "What a joy, what a joy!"}
    before = recognizer.analyze(**given)
    spoiled = recognizer.analyze(**given, conditions=["noise:audio=5"])
    assert spoiled.emotions != before.emotions
    assert spoiled.warnings[0] == "spoiled before anything looked at it: noise:audio=5"
    assert recognizer.analyze(**given).emotions == before.emotions  # nothing is left behind
    assert recognizer.analyze(**given, modalities=["text"], conditions=["noise:audio=5"]).emotions == (
        recognizer.analyze(**given, modalities=["text"]).emotions
    )
    found = recognizer.analyze_configurations(make_clip(**given))
    for name, analysis in found.items():
        alone = recognizer.analyze(**given, modalities=name.split("+"))
        assert analysis.emotions == alone.emotions, name
    assert {"text", "audio"} <= set(found)
