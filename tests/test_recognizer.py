"""Clips on made weights: what is read of each signal, what is left out and why, and how it is summed up."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from PIL import Image
from scipy.special import log_softmax

import emotiwave
from emotiwave.analysis import Analysis, json_schema
from emotiwave.errors import CheckpointError, ConfigError, MediaError
from emotiwave.experts import Answer, VoiceExpert, load_experts
from emotiwave.experts.text import TextExpert
from emotiwave.faces.face import Face
from emotiwave.labels import SEVEN
from emotiwave.media.sound import read_sound
from emotiwave.recognizer import Clip, ExpertRecognizer, Failed, RecognizerSettings, clip_reading, make_clip
from emotiwave.recognizer.face_reading import FaceReader, in_the_middle
from emotiwave.recognizer.fusion import PRIOR
from emotiwave.recognizer.reading import Reading
from emotiwave.recognizer.text_reading import cut_sentences
from emotiwave.recognizer.voice_reading import blocks_of, windows
from emotiwave.recordings import Sources
from emotiwave.signals import Frame, Usability, Waveform, Word
from tests.made_faces import SquareDetector, scene
from tests.made_media import write_sound, write_video
from tests.made_weights import away_from_home, made_folder
from tests.test_experts import face, voice
from tests.tiny_encoders import one_thread

one_thread = pytest.fixture(scope="module", autouse=True)(one_thread)
folder = pytest.fixture(scope="module")(made_folder)
away_from_home = pytest.fixture(autouse=True)(away_from_home)
RATE = 16_000
SCHEMA = json.loads((Path(emotiwave.__file__).parent / "analysis" / "schema.json").read_text())
SIZE = (160, 120)


@pytest.fixture(autouse=True)
def _squares_are_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_reading, "load_detector", SquareDetector)


@pytest.fixture
def recognizer(folder: Path) -> ExpertRecognizer:
    return ExpertRecognizer(load_experts(folder))


def speech(seconds: float, muted: tuple[float, float] | None = None) -> np.ndarray:
    samples = voice(seconds).samples.copy()
    if muted is not None:
        samples[round(muted[0] * RATE) : round(muted[1] * RATE)] = 0
    return samples


def film(
    path: Path,
    seconds: float = 4.0,
    faces: Callable[[float], list[tuple[int, int, int]]] = lambda time: [(40, 30, 50)],
    **more: Any,
) -> Path:
    """A video whose faces are where a function of the time says."""
    return write_video(
        path,
        n_frames=round(seconds * 10),
        fps=10.0,
        size=SIZE,
        pictures=lambda index: scene(*faces(index / 10), seed=index),
        **more,
    )


def check(analysis: Analysis) -> dict[str, Any]:
    """Every answer is as the schema says, and its parts agree with each other."""
    described = analysis.to_dict()
    jsonschema.validate(described, SCHEMA)
    if analysis.emotions is None:
        assert (analysis.decision, analysis.confidence, analysis.contributions) == (None, None, None)
        assert analysis.reason is not None
        assert analysis.reason.startswith("nothing to judge")
        return described
    assert sum(analysis.emotions.values()) == pytest.approx(1)
    assert analysis.decision == max(analysis.emotions, key=lambda name: analysis.emotions[name])
    assert analysis.confidence == pytest.approx(max(analysis.emotions.values()))
    assert analysis.contributions is not None
    for name, probability in analysis.emotions.items():
        assert analysis.contributions.total(name) == pytest.approx(np.log(probability / (1 - probability)), abs=1e-6)
    used = {name for name, use in analysis.modalities.items() if use.used}
    assert set(analysis.contributions.modalities) == used
    for before, after in pairwise(analysis.timeline):
        assert before.end == after.start
    return described


def test_the_schema_that_ships_is_that_of_the_answer() -> None:
    assert json_schema() == SCHEMA
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_a_sentence_is_what_the_expert_says_under_the_common_prior(recognizer: ExpertRecognizer) -> None:
    analysis = recognizer.analyze(text="i am happy")
    check(analysis)
    answer = recognizer.text(["i am happy"])
    prior = np.array([PRIOR[name] for name in SEVEN])
    expected = log_softmax(answer.log_posterior[0] - np.log(answer.prior) + np.log(prior))
    np.testing.assert_allclose(list(analysis.emotions.values()), np.exp(expected), rtol=1e-6)
    assert analysis.modalities["text"].observed == 1.0
    assert analysis.timeline == ()


def test_words_of_a_recording_are_worth_what_was_measured(recognizer: ExpertRecognizer, tmp_path: Path) -> None:
    (tmp_path / "said.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\ni am happy\n")
    said = recognizer.analyze(transcript=tmp_path / "said.srt")
    check(said)
    written = recognizer.analyze(text="i am happy")
    evidence = {"text": written.contributions.total, "said": said.contributions.total}
    first, second = SEVEN[:2]
    of_text = evidence["text"]
    scores = {
        name: np.log([analysis.emotions[label] / recognizer.fusion.prior[k] for k, label in enumerate(SEVEN)])
        for name, analysis in (("written", written), ("said", said))
    }
    written_gap = scores["written"][0] - scores["written"][1]
    assert of_text(first) != of_text(second)
    assert scores["said"][0] - scores["said"][1] == pytest.approx(0.44 * written_gap, rel=1e-5)
    assert [moment.modalities for moment in said.timeline] == [("text",)]


def test_all_three_of_a_video(recognizer: ExpertRecognizer, tmp_path: Path) -> None:
    clip = film(tmp_path / "a.mp4", sound=speech(4.0))
    analysis = recognizer.analyze(clip, text="so very happy")
    check(analysis)
    assert {name: use.used for name, use in analysis.modalities.items()} == {
        "text": True,
        "audio": True,
        "vision": True,
    }
    assert analysis.timeline[-1].end == pytest.approx(4.0, abs=0.1)
    assert {moment.modalities for moment in analysis.timeline} == {("audio", "vision")}
    assert any("no times" in warning for warning in analysis.warnings)
    assert analysis.model.endswith("faces found by squares")
    assert "squares" not in recognizer.analyze(text="so").model


def test_a_missing_modality_adds_exactly_nothing(recognizer: ExpertRecognizer, tmp_path: Path) -> None:
    with_dark = write_video(
        tmp_path / "dark.mp4", 40, 10.0, SIZE, lambda index: np.zeros((120, 160, 3), np.uint8), speech(4.0)
    )
    write_sound(tmp_path / "alone.wav", speech(4.0))
    dark = recognizer.analyze(with_dark)
    assert check(dark)["modalities"]["vision"] == {"used": False, "observed": 0.0, "reason": "dark 100 %"}
    asked = recognizer.analyze(with_dark, modalities=["audio"])
    assert asked.emotions == dark.emotions
    assert asked.contributions == dark.contributions
    alone = recognizer.analyze(tmp_path / "alone.wav")  # the same sound, and not as AAC brings it
    np.testing.assert_allclose(list(alone.emotions.values()), list(dark.emotions.values()), atol=0.05)


def test_words_that_the_experts_cannot_take(recognizer: ExpertRecognizer, tmp_path: Path) -> None:
    half = recognizer.analyze(text="caf\udce9 i am happy")
    assert half.emotions == recognizer.analyze(text="caf\ufffd i am happy").emotions
    with pytest.raises(ConfigError, match=r"words of a \.csd file are for runs"):
        recognizer.analyze(Clip("a", Sources(words=tmp_path / "a.csd", words_id="a")))
    photo = Image.fromarray(scene((40, 30, 50)))
    assert not any("no times" in told for told in recognizer.analyze(photo, text="i am happy").warnings)


def test_a_muted_stretch_and_a_hidden_face_are_left_out_there(recognizer: ExpertRecognizer, tmp_path: Path) -> None:
    clip = film(
        tmp_path / "a.mp4",
        8.0,
        lambda time: [] if 2.0 <= time < 4.0 else [(40, 30, 50)],
        sound=speech(8.0, (4.0, 8.0)),
    )
    analysis = recognizer.analyze(clip)
    check(analysis)
    vision, audio = analysis.modalities["vision"], analysis.modalities["audio"]
    assert vision.reason == "no face 25 %"
    assert vision.observed == pytest.approx(0.75, abs=0.01)
    assert audio.observed == pytest.approx(0.5, abs=0.05)
    assert audio.reason is not None
    assert audio.reason.startswith("silent")
    by_time = {moment.start: moment.modalities for moment in analysis.timeline}
    assert by_time[1.0] == ("audio", "vision")
    assert by_time[2.0] == ("audio",)
    assert by_time[5.0] == ("vision",)
    assert len([subject for subject in analysis.subjects if subject.judged]) == 1
    assert len(analysis.subjects) == 1  # the face that comes back at its place is the same


def test_nothing_is_seen_or_heard_where_both_are_gone(recognizer: ExpertRecognizer, tmp_path: Path) -> None:
    clip = film(
        tmp_path / "a.mp4", 8.0, lambda time: [(40, 30, 50)] if time < 4.0 else [], sound=speech(8.0, (4.0, 8.0))
    )
    analysis = recognizer.analyze(clip)
    check(analysis)
    assert analysis.timeline[6].emotions is None
    assert analysis.timeline[6].modalities == ()
    assert analysis.timeline[1].emotions is not None


def test_the_most_persistent_of_two_faces_is_judged(recognizer: ExpertRecognizer, tmp_path: Path) -> None:
    clip = film(tmp_path / "a.mp4", 4.0, lambda time: [(10, 30, 40), (70, 20, 85)] if time < 1.5 else [(10, 30, 40)])
    analysis = recognizer.analyze(clip)
    check(analysis)
    judged, other = analysis.subjects
    assert judged.judged
    assert not other.judged
    assert judged.seconds == pytest.approx(4.0, abs=0.2)
    assert other.seconds == pytest.approx(1.5, abs=0.3)
    assert other.end == pytest.approx(1.6, abs=0.3)
    alone = recognizer.analyze(film(tmp_path / "one.mp4", 4.0, lambda time: [(10, 30, 40)]))
    assert alone.decision == analysis.decision
    assert any("1 other face" in warning for warning in analysis.warnings)


def test_of_faces_in_a_photo_the_largest_is_judged(recognizer: ExpertRecognizer) -> None:
    analysis = recognizer.analyze(scene((10, 30, 40), (80, 30, 60)))
    check(analysis)
    assert [(subject.id, subject.judged) for subject in analysis.subjects] == [("face-2", True), ("face-1", False)]
    assert analysis.timeline == ()
    cut = recognizer.analyze(scene((0, 0, 10), (80, 30, 60)))  # what is so small is not found
    assert cut.emotions == analysis.emotions


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"text": ""}, "empty"),
        ({"text": "... --"}, "garbage"),
        ({"media": np.zeros((50, 50), np.uint8)}, "dark"),
        ({"media": scene()}, "no face"),
        ({"media": scene((10, 10, 20))}, "tiny face"),
        ({"audio": (np.zeros(RATE, np.float32), RATE)}, "silent"),
        ({"audio": (speech(0.1), RATE)}, "too short"),
    ],
)
def test_nothing_to_judge_is_said_and_nothing_invented(
    recognizer: ExpertRecognizer, given: dict[str, Any], why: str
) -> None:
    analysis = recognizer.analyze(**given)
    check(analysis)
    assert not analysis.answered
    assert why in str(analysis.reason)


def test_a_face_that_was_cut_out_needs_no_detector(recognizer: ExpertRecognizer) -> None:
    picture = face(60)
    analysis = recognizer.analyze(picture, is_face=True)
    check(analysis)
    answer = recognizer.vision([np.asarray(Image.fromarray(picture).convert("RGB"))])
    evidence = answer.log_posterior[0] - np.log(answer.prior)
    expected = np.exp(log_softmax(evidence + np.log(recognizer.fusion.prior)))
    np.testing.assert_allclose(list(analysis.emotions.values()), expected, atol=0.03)
    assert not recognizer.analyze(picture).answered  # and with one, none is found


def test_arrays_images_and_files_are_read_alike(recognizer: ExpertRecognizer, tmp_path: Path) -> None:
    picture, samples = scene((40, 30, 50)), speech(2.0)
    Image.fromarray(picture).save(tmp_path / "a.png")
    of_files = [recognizer.analyze(tmp_path / "a.png"), recognizer.analyze(picture)]
    of_files += [recognizer.analyze(image=Image.fromarray(picture)), recognizer.analyze(Image.fromarray(picture))]
    assert {json.dumps(one.emotions) for one in of_files} == {json.dumps(of_files[0].emotions)}
    write_sound(tmp_path / "a.wav", samples)
    heard = recognizer.analyze(tmp_path / "a.wav").emotions
    given = recognizer.analyze(Waveform(samples, RATE)).emotions
    both = recognizer.analyze(audio=(np.stack([samples, samples], axis=1), RATE)).emotions
    np.testing.assert_allclose(list(given.values()), list(heard.values()), atol=2e-3)  # 16 bits
    np.testing.assert_allclose(list(both.values()), list(given.values()), atol=1e-6)


def test_sound_of_another_rate_is_resampled(recognizer: ExpertRecognizer) -> None:
    times = np.arange(2 * 48_000) / 48_000
    tone = (0.2 * np.sin(2 * np.pi * 150 * times) * (1 + np.sin(2 * np.pi * 3 * times))).astype(np.float32)
    clip = make_clip(audio=(tone, 48_000))
    assert clip.sound is not None
    assert (clip.sound.rate, len(clip.sound.samples)) == (RATE, 2 * RATE)
    np.testing.assert_allclose(clip.sound.samples[4000:-4000], tone[::3][4000:-4000], atol=1e-3)
    assert recognizer.analyze(clip).answered


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "nothing to analyse"),
        ({"media": "I am happy"}, "does not exist; a sentence is given as text"),
        ({"media": "a.wav", "audio": "b.wav"}, "audio is given twice"),
        ({"text": b"bytes"}, "text must be a string"),
        ({"text": "a", "transcript": "b.srt"}, "text and transcript are both given"),
        ({"media": "Mr. Smith is sad"}, "does not exist; a sentence is given as text"),
        ({"audio": (np.zeros((2, 48000)), 48000)}, r"sound of shape \(2, 48000\)"),
        ({"audio": Waveform(np.zeros((2, 9), np.float32), 16000)}, r"shape \(2, 9\)"),
        ({"audio": "a.wav", "start": 2.0, "end": 1.0}, "start 2 and end 1"),
        ({"media": np.zeros((4, 4, 2), np.uint8)}, r"a picture of shape \(4, 4, 2\)"),
        ({"media": np.zeros((4, 4, 3))}, "float64"),
        ({"audio": (np.zeros(9, np.int16), 16000)}, "int16"),
        ({"audio": (np.full(99, np.nan), 16000)}, "not finite"),
        ({"audio": 3}, "int is no sound"),
    ],
)
def test_what_cannot_be_meant_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises((ConfigError, MediaError), match=message):
        make_clip(**given)


def test_modalities_and_settings_that_are_not_known_are_refused(recognizer: ExpertRecognizer, folder: Path) -> None:
    with pytest.raises(ConfigError, match="unknown modality 'face'"):
        recognizer.analyze(text="i", modalities=["face"])
    with pytest.raises(ConfigError, match="list of names"):
        recognizer.analyze(text="i", modalities="text")
    with pytest.raises(ConfigError, match=r"reliability: unknown modality 'sound'"):
        ExpertRecognizer(recognizer.experts, RecognizerSettings(reliability={"sound": 1.0}))
    with pytest.raises(ConfigError, match="frame_rat"):
        emotiwave.load(folder, settings=["frame_rat=3"])
    changed = emotiwave.load(folder, settings=["frame_rate=3", "faces.longest=200", "reliability.text=0.5"])
    assert isinstance(changed, ExpertRecognizer)
    assert (changed.settings.frame_rate, changed.settings.faces.longest) == (3.0, 200)
    assert changed.settings.faces.lost_after == 10.0
    assert changed.settings.reliability == {"text": 0.5, "audio": 0.44, "vision": 0.44}


def test_one_bad_signal_does_not_spoil_the_others(recognizer: ExpertRecognizer, tmp_path: Path) -> None:
    silent_film = film(tmp_path / "a.mp4")
    analysis = recognizer.analyze(silent_film)
    check(analysis)
    assert analysis.modalities["audio"].reason == "has no sound; expected a file with a track of sound"
    (tmp_path / "bad.wav").write_bytes(b"RIFF" + bytes(200))
    other = recognizer.analyze(video=silent_film, audio=tmp_path / "bad.wav")
    check(other)
    assert other.emotions == analysis.emotions
    assert not other.modalities["audio"].used
    with pytest.raises(MediaError, match=r"bad\.wav"):
        recognizer.analyze(tmp_path / "bad.wav")
    with pytest.raises(MediaError, match="does not exist"):
        recognizer.analyze(tmp_path / "gone.mp4")


def test_many_are_answered_as_each_alone(recognizer: ExpertRecognizer, tmp_path: Path) -> None:
    texts = ["i am happy", "so very sad today", "", "you are not happy ! i am so so sad today"]
    clips = [make_clip(text=text, name=str(k)) for k, text in enumerate(texts)]
    clips.insert(2, Clip("gone", Sources.of_file(tmp_path / "gone.wav")))
    found = list(recognizer.analyze_each(clips))
    assert [one.input for one in found] == ["0", "1", "gone", "2", "3"]
    assert isinstance(found[2], Failed)
    assert "does not exist" in found[2].error
    for clip, one in zip(clips, found, strict=True):
        if isinstance(one, Analysis):
            alone = recognizer.analyze(clip)
            assert (one.decision, one.reason) == (alone.decision, alone.reason)
            if one.emotions is not None:
                np.testing.assert_allclose(list(one.emotions.values()), list(alone.emotions.values()), atol=1e-5)


def test_times_count_from_the_start_that_is_asked_for(recognizer: ExpertRecognizer, tmp_path: Path) -> None:
    clip = film(tmp_path / "a.mp4", 6.0, sound=speech(6.0), subtitles=[(0.0, 1.0, "sad"), (3.5, 4.5, "so happy")])
    analysis = recognizer.analyze(clip, start=3.0, end=5.0)
    check(analysis)
    assert analysis.timeline[0].start == 0.0
    assert analysis.timeline[-1].end == pytest.approx(2.0, abs=0.01)
    assert analysis.modalities["text"].used
    words = recognizer.analyze(clip, start=3.0, end=5.0, modalities=["text"])
    assert (words.timeline[0].start, words.timeline[-1].end) == (0.0, pytest.approx(1.5))


def test_words_are_cut_at_sentences_windows_and_forty() -> None:
    plain = [Word(f"w{k}" + ("." if k % 5 == 4 else "")) for k in range(100)]
    parts = cut_sentences(plain, 4.0)
    assert [word for part in parts for word in part] == plain
    assert [len(part) for part in parts] == [40, 40, 20]
    endless = [Word("w") for _ in range(95)]
    assert [len(part) for part in cut_sentences(endless, 4.0)] == [40, 40, 15]
    timed = [Word("yes.", 0.0, 0.5), Word("no.", 3.0, 3.9), Word("so", 4.0, 4.2), Word("it", 6.0, 6.2)]
    assert [[word.text for word in part] for part in cut_sentences(timed, 4.0)] == [["yes.", "no."], ["so", "it"]]
    assert cut_sentences([], 4.0) == []


def test_windows_tile_the_sound() -> None:
    assert windows(0.0, 4.04, 4.0) == [(0.0, 4.04)]
    assert windows(8.0, 8.5, 4.0) == [(8.0, 8.5)]
    for seconds in (0.3, 5.9, 6.1, 31.0, 32.0):
        edges = windows(2.0, 2.0 + seconds, 4.0)
        assert edges[0][0] == 2.0
        assert edges[-1][1] == pytest.approx(2.0 + seconds)
        assert all(first[1] == second[0] for first, second in pairwise(edges))


def test_sound_of_an_array_is_cut_as_that_of_a_file(tmp_path: Path) -> None:
    samples = voice(70.0).samples
    write_sound(tmp_path / "a.wav", samples)
    of_array = list(blocks_of(Waveform(samples, RATE), None, None, 4.0))
    of_file = list(blocks_of(tmp_path / "a.wav", None, None, 4.0))
    np.testing.assert_allclose([block.core for block in of_array], [block.core for block in of_file])
    assert sum(end - start for start, end in (block.core for block in of_array)) == pytest.approx(70.0)


def test_faces_are_followed_and_searched_for_every_two_seconds(recognizer: ExpertRecognizer) -> None:
    detector = SquareDetector()
    reader = FaceReader(
        recognizer.vision, recognizer.vision.crop, detector, RecognizerSettings().faces, RecognizerSettings().usability
    )
    frames = [Frame(scene((40 + k, 30, 50), seed=k), k / 5, (k + 1) / 5) for k in range(50)]
    seen = reader.take(frames)
    assert len(seen.reading.evidence) == 50
    assert detector.n_detected == 5  # the first picture, and one every two seconds
    assert detector.n_detected + detector.n_followed == 26  # every other picture, and the last one
    np.testing.assert_allclose(seen.reading.intervals[:, 0], [frame.start for frame in frames])


def test_a_face_that_is_hidden_in_every_other_picture_is_not_seen_there(recognizer: ExpertRecognizer) -> None:
    detector, settings = SquareDetector(), RecognizerSettings()
    reader = FaceReader(recognizer.vision, recognizer.vision.crop, detector, settings.faces, settings.usability)
    frames = [Frame(scene(*[(40, 30, 50)] * (k % 2 == 0), seed=k), k / 5, (k + 1) / 5) for k in range(40)]
    seen = reader.take(frames)
    assert seen.reading.usability.observed == pytest.approx(0.5)
    assert seen.reading.usability.reasons == {"no face": pytest.approx(0.5)}


def test_words_after_the_end_of_a_recording_are_told_of_and_make_no_timeline(
    recognizer: ExpertRecognizer, tmp_path: Path
) -> None:
    write_sound(tmp_path / "a.wav", speech(2.0))
    (tmp_path / "far.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nso\n\n2\n99:00:00,000 --> 99:00:01,000\nsad\n")
    analysis = recognizer.analyze(audio=tmp_path / "a.wav", transcript=tmp_path / "far.srt")
    check(analysis)
    assert analysis.timeline[-1].end == pytest.approx(2.0)
    assert any("words up to 356401 s, and a recording of 2 s" in warning for warning in analysis.warnings)
    alone = recognizer.analyze(transcript=tmp_path / "far.srt")
    assert len(alone.timeline) < 11_000


def test_sound_that_begins_late_is_not_heard_before(recognizer: ExpertRecognizer, tmp_path: Path) -> None:
    samples = speech(6.0, (0.0, 2.5))
    analysis = recognizer.analyze(film(tmp_path / "a.mp4", 6.0, sound=samples))
    by_time = {moment.start: moment.modalities for moment in analysis.timeline}
    assert by_time[1.0] == ("vision",)
    assert by_time[3.0] == ("audio", "vision")


def test_a_stretch_of_an_array_is_that_of_its_file(recognizer: ExpertRecognizer, tmp_path: Path) -> None:
    samples = speech(4.0)
    write_sound(tmp_path / "a.wav", samples)
    of_array = recognizer.analyze((samples, RATE), start=1.0, end=3.0)
    of_file = recognizer.analyze(tmp_path / "a.wav", start=1.0, end=3.0)
    np.testing.assert_allclose(list(of_array.emotions.values()), list(of_file.emotions.values()), atol=2e-3)
    assert [m.end for m in of_array.timeline] == [m.end for m in of_file.timeline] == [1.0, 2.0]
    assert recognizer.analyze(tmp_path / "a.wav", end=1.0).timeline[-1].end == 1.0
    assert recognizer.analyze(tmp_path / "a.wav", start=3.0).timeline[-1].end == pytest.approx(1.0, abs=1e-3)


def test_a_clip_is_taken_as_it_is_and_stretches_nest() -> None:
    clip = make_clip("a.wav", start=10.0, end=30.0)
    inner = make_clip(clip, start=5.0)
    assert inner.segment is not None
    assert (inner.segment.start, inner.segment.end) == (15.0, 30.0)
    with pytest.raises(ConfigError, match="taken as it is"):
        make_clip(clip, text="so")


def test_a_cue_that_goes_on_after_the_recording_harms_nothing(recognizer: ExpertRecognizer, tmp_path: Path) -> None:
    write_sound(tmp_path / "a.wav", speech(2.0))
    (tmp_path / "a.srt").write_text("1\n00:00:00,500 --> 00:00:03,500\nso sad\n")
    analysis = recognizer.analyze(audio=tmp_path / "a.wav", transcript=tmp_path / "a.srt")
    check(analysis)
    assert [moment.modalities for moment in analysis.timeline] == [("text", "audio")] * 2


def test_little_of_a_modality_counts_for_less() -> None:
    def reading(observed: float) -> Reading:
        return Reading(
            "vision",
            np.ones((1, 7)),
            np.array([[0.0, 1.0]]),
            np.ones(1),
            Usability("vision", observed, {}, ignored=False),
            1.0,
            0.4,
        )

    assert [reading(share).worth for share in (1.0, 0.5, 0.25)] == pytest.approx([0.4, 0.4, 0.2])


def test_images_that_are_open_are_read_as_their_files(recognizer: ExpertRecognizer, tmp_path: Path) -> None:
    turned = Image.fromarray(np.rot90(scene((40, 30, 50))))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    turned.save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as opened:
        assert recognizer.analyze(opened).emotions == recognizer.analyze(tmp_path / "a.png").emotions
    large = Image.fromarray(scene((40, 30, 50))).resize((1600, 1200))
    large.save(tmp_path / "large.png")
    with Image.open(tmp_path / "large.png") as opened:
        of_file = recognizer.analyze(tmp_path / "large.png")
        assert (recognizer.analyze(opened).emotions, of_file.answered) == (of_file.emotions, True)
        assert recognizer.analyze(np.array(opened)).emotions == of_file.emotions
    small = Image.new("RGB", (2400, 1800))
    small.paste(Image.fromarray(scene((40, 30, 50))))
    small.save(tmp_path / "small.png")
    with Image.open(tmp_path / "small.png") as opened:  # a face of 50 pixels, and of 13 as it is looked at
        of_file = recognizer.analyze(tmp_path / "small.png")
        assert recognizer.analyze(opened).modalities == of_file.modalities
    deep = Image.fromarray((scene((40, 30, 50)).mean(axis=2) * 256).astype(np.uint16))
    assert recognizer.analyze(deep).answered


def test_the_thread_that_hears_stops_when_its_clip_does(
    recognizer: ExpertRecognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[float] = []

    def hear(expert: VoiceExpert, clips: list[Waveform]) -> Answer:
        """Note what is heard; the user stops after the first block."""
        heard.extend(clip.start for clip in clips)
        uniform = np.full(len(SEVEN), 1 / len(SEVEN))
        n = len(clips)
        return Answer(np.tile(np.log(uniform), (n, 1)), uniform, np.ones(n, bool), (None,) * n, {})

    class Stopped:
        def result(self) -> None:
            raise KeyboardInterrupt

    real = clip_reading.ThreadPoolExecutor.submit

    def submit(pool: Any, *words: Any) -> Stopped:
        real(pool, *words)
        return Stopped()

    monkeypatch.setattr(VoiceExpert, "__call__", hear)
    monkeypatch.setattr(clip_reading.ThreadPoolExecutor, "submit", submit)
    with pytest.raises(KeyboardInterrupt):
        recognizer.analyze(Waveform(np.tile(speech(5.0), 400), RATE))
    assert max(heard, default=0.0) < 1900


def test_between_two_pictures_faces_are_half_way() -> None:
    eyes = np.array([[10.0, 10.0], [20.0, 10.0]])
    one = Face(0, 0, 40, 40, 0.9, eyes)
    other = Face(4, 2, 44, 40, 0.7, eyes + 4)
    (found,) = in_the_middle([one], [other]) or []
    assert (found.x, found.y, found.width, found.score) == (2, 1, 42, 0.8)
    np.testing.assert_allclose(found.landmarks, eyes + 2)
    assert in_the_middle([one], [Face(100, 0, 40, 40, 0.9)]) is None
    assert in_the_middle([one], []) is None
    assert in_the_middle([], []) is None


def test_a_long_clip_has_a_timeline_that_stays_short(
    recognizer: ExpertRecognizer, monkeypatch: pytest.MonkeyPatch
) -> None:

    def hear(clips: list[Waveform]) -> Answer:
        """Be as quick as no expert is."""
        uniform = np.full(len(SEVEN), 1 / len(SEVEN))
        return Answer(
            np.tile(np.log(uniform), (len(clips), 1)), uniform, np.ones(len(clips), bool), (None,) * len(clips), {}
        )

    monkeypatch.setattr(VoiceExpert, "__call__", lambda expert, clips: hear(clips))
    analysis = recognizer.analyze(Waveform(np.tile(speech(5.0), 120), RATE))
    check(analysis)
    assert len(analysis.timeline) == 200
    assert analysis.timeline[0].end == 3.0
    assert analysis.timeline[-1].end == 600.0


def test_a_speaker_of_the_voice_is_heard_differently(
    recognizer: ExpertRecognizer, folder: Path, tmp_path: Path
) -> None:
    write_sound(tmp_path / "a.wav", speech(2.0))
    write_sound(tmp_path / "b.wav", voice(2.0, 220.0).samples)
    speaker = emotiwave.calibrate(
        [tmp_path / "a.wav", tmp_path / "b.wav"], out=tmp_path / "anna.safetensors", folder=folder
    )
    plain = recognizer.analyze(tmp_path / "a.wav").emotions
    known = emotiwave.load(folder, speaker=speaker.path)
    clips = emotiwave.load(folder, speaker=[tmp_path / "a.wav", tmp_path / "b.wav"])
    assert known.analyze(tmp_path / "a.wav").emotions != plain
    of_clips = clips.analyze(tmp_path / "a.wav").emotions
    np.testing.assert_allclose(
        list(of_clips.values()), list(known.analyze(tmp_path / "a.wav").emotions.values()), atol=1e-6
    )
    with pytest.raises(CheckpointError, match="no file of a speaker"):
        emotiwave.load(folder, speaker=folder / "voice" / "all.safetensors")


def test_a_notebook_shows_what_is_there_and_runs_nothing(recognizer: ExpertRecognizer) -> None:
    shown = recognizer.analyze(text="i am <b>happy</b>", name="<script>alert(1)</script>")._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    assert all(name in shown for name in SEVEN)
    assert "nothing to judge" in recognizer.analyze(text="")._repr_html_()


def test_the_text_expert_is_the_one_that_transformers_builds(folder: Path) -> None:
    from emotiwave.models.checkpoint import load_model

    lean, whole = load_experts(folder).text, load_model(folder / "text")
    assert isinstance(lean, TextExpert)
    texts = [["i", "am", "happy"], ["unhappyly", "so", "\u00e9motion", "!"], ["you"] * 60]
    of_lean, seen = lean.logits(texts)
    expected, also = TextExpert(whole, lean.facts).logits(texts)
    assert type(lean.model.encoder("text")).__name__ == "LeanTextTransformer"
    assert type(whole.encoder("text")).__name__ == "TextTransformer"
    np.testing.assert_allclose(of_lean, expected, atol=1e-5)
    assert seen.tolist() == also.tolist()


def test_a_clip_is_spoiled_before_anything_looks_at_it(recognizer: ExpertRecognizer, tmp_path: Path) -> None:
    sound = speech(40)  # more than one block
    path = tmp_path / "voice.wav"
    write_sound(path, sound)
    before = recognizer.analyze(audio=path, text="All is lost.")
    spoiled = recognizer.analyze(audio=path, text="All is lost.", conditions=["clipping:audio=0.3"])
    # by hand: of all of the sound at once, and of no block by itself
    whole = read_sound(path).samples
    limit = np.quantile(np.abs(whole[whole != 0]), 0.7)
    by_hand = np.clip(whole, -limit, limit) / limit * np.abs(whole).max()
    expected = recognizer.analyze(audio=(by_hand.astype(np.float32), 16_000), text="All is lost.")
    assert spoiled.emotions == pytest.approx(expected.emotions, abs=2e-3)
    assert spoiled.emotions != before.emotions
    assert spoiled.warnings[0] == "spoiled before anything looked at it: clipping:audio=0.3"
    cut = recognizer.analyze(text="All is lost and nobody knows", conditions=["truncation:text=0.5"])
    assert cut.emotions == recognizer.analyze(text="All is lost").emotions
    gone = recognizer.analyze(text="All is lost", conditions=["truncation:text=1"])
    assert gone.reason == "nothing to judge (text: empty 100 %)"
    dark = recognizer.analyze(image=np.full((64, 64, 3), 120, np.uint8), conditions=["darkness:vision=1"])
    assert "dark 100 %" in str(dark.reason)
    for wrong, told in (
        ("noise:text=1", "spoils audio; write noise:audio"),
        ("noise:audio=1,2", "takes one severity for a clip"),
        ("babble:audio=1", "is not of a clip"),
        ("frame_drop=0.5", "is not of a clip"),
    ):
        with pytest.raises(ConfigError, match=told):
            recognizer.analyze(text="All is lost", conditions=[wrong])
    with pytest.raises(ConfigError, match="must be a list"):
        recognizer.analyze(text="All is lost", conditions="noise:audio=1")


def test_a_stretch_of_a_spoiled_clip_keeps_its_times(recognizer: ExpertRecognizer, tmp_path: Path) -> None:
    path = tmp_path / "voice.wav"
    write_sound(path, speech(12))
    found = recognizer.analyze(audio=path, start=4.0, end=10.0, conditions=["narrow_band:audio=0.001"])
    expected = recognizer.analyze(audio=path, start=4.0, end=10.0)
    assert [(m.start, m.end) for m in found.timeline] == [(m.start, m.end) for m in expected.timeline]
    assert found.emotions == pytest.approx(expected.emotions, abs=0.02)


def test_every_configuration_is_what_is_said_of_it_alone(recognizer: ExpertRecognizer, tmp_path: Path) -> None:
    write_sound(tmp_path / "voice.wav", speech(5))
    clip = make_clip(audio=tmp_path / "voice.wav", text="All is lost.", image=np.full((64, 64, 3), 120, np.uint8))
    found = recognizer.analyze_configurations(clip)
    assert "text+audio+vision" in found
    for name, analysis in found.items():
        alone = recognizer.analyze(clip, modalities=name.split("+"))
        assert analysis.emotions == pytest.approx(alone.emotions), name
        assert analysis.to_dict() == alone.to_dict(), name


def test_it_tells_how_far_it_is_and_stops_when_told(recognizer: ExpertRecognizer, tmp_path: Path) -> None:
    path = tmp_path / "voice.wav"
    write_sound(path, speech(40))
    told: list[tuple[str, float]] = []
    recognizer.watch = lambda modality, seconds: told.append((modality, seconds))
    recognizer.analyze(audio=path)
    assert [seconds for _, seconds in told] == [0.0, 32.0]

    class EnoughError(BaseException):
        pass

    def stop(modality: str, seconds: float) -> None:
        if seconds > 30:
            raise EnoughError

    recognizer.watch = stop
    with pytest.raises(EnoughError):
        recognizer.analyze(audio=path)


def test_missing_sound_stays_missing_in_noise(recognizer: ExpertRecognizer) -> None:
    sound = Waveform(speech(12), 16_000, gaps=((3.0, 8.0),))
    before = recognizer.analyze(sound).modalities["audio"]
    noisy = recognizer.analyze(sound, conditions=["noise:audio=0.1"]).modalities["audio"]
    assert "no sound" in str(before.reason)
    assert "no sound" in str(noisy.reason)
    assert noisy.observed == pytest.approx(before.observed, abs=0.02)


def test_only_what_was_there_is_said_to_be_spoiled(recognizer: ExpertRecognizer, tmp_path: Path) -> None:
    found = recognizer.analyze(text="All is lost", conditions=["noise:audio=1", "truncation:text=0.4"])
    assert [told for told in found.warnings if "spoiled" in told] == [
        "spoiled before anything looked at it: truncation:text=0.4"
    ]
    answers = []
    for name in ("a.wav", "b.wav"):
        write_sound(tmp_path / name, speech(3))
        answers.append(recognizer.analyze(tmp_path / name, conditions=["noise:audio=1"]).emotions)
    assert answers[0] == answers[1]  # wherever the file lies
