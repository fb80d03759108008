"""From media files to the frames of a store: what is extracted, left out, kept, and what survives."""

import json
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

from emotiwave.datasets import table
from emotiwave.errors import DataWarning, FeatureError, MissingExtraError
from emotiwave.faces.crops import fit_face
from emotiwave.faces.detectors import FaceSettings, HaarDetector
from emotiwave.faces.face import Face
from emotiwave.features import extract_files as extract_files_module
from emotiwave.features.extract_files import extract_files, write_npz
from emotiwave.features.extraction import collapsing
from emotiwave.features.extraction import reader as reader_module
from emotiwave.features.extraction import sound as sound_module
from emotiwave.features.extraction.cache import FeatureCache
from emotiwave.features.extraction.frames import Frames, covered_frames, merge_spans
from emotiwave.features.extraction.pictures import PictureExtraction
from emotiwave.features.extraction.reader import MediaReader, media_works, open_media
from emotiwave.features.extraction.settings import MediaFeatureSettings
from emotiwave.features.extraction.sound import extract_sound
from emotiwave.features.extractor import VisionExtractor
from emotiwave.features.extractors.hashed import Hashed
from emotiwave.features.extractors.logmel import LogMel, LogMelSettings
from emotiwave.features.foretell import Foretold, foretell
from emotiwave.features.prepare import prepare, read_report
from emotiwave.features.prepared import PreparedRecording
from emotiwave.features.store import open_store
from emotiwave.features.workers import Work
from emotiwave.media.sound import read_sound
from emotiwave.media.usability import UsabilitySettings
from emotiwave.recordings import MediaRecordings, Sources
from emotiwave.sequences import FeatureSequence
from emotiwave.signals import Frame, Span, Waveform, Word
from emotiwave.types import LabelSet, Segment, Utterance
from tests.made_media import write_sound, write_video

RATE = 16_000
LABELS = LabelSet("categorical", ("anger", "neutral"))
PORTRAIT = np.ascontiguousarray(astronaut()[:240, 100:420])


def tone(seconds: float, pitch: float = 220.0, level: float = 0.3) -> np.ndarray:
    return (level * np.sin(2 * np.pi * pitch * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def of(sources: Mapping[str, Sources], segments: Mapping[str, Segment] | None = None, **more) -> MediaRecordings:
    names = list(sources)
    utterances = tuple(
        Utterance(
            name,
            "test" if number % 3 == 2 else "train",
            LABELS.names[number % 2],
            segment=(segments or {}).get(name),
        )
        for number, name in enumerate(names)
    )
    return MediaRecordings("made", "corpus", "made", LABELS, utterances, sources, **more)


def settings_of(tmp_path: Path, **keys) -> MediaFeatureSettings:
    keys = {"cache_folder": tmp_path / "cache", "faces": {"detector": "haar"}, **keys}
    return MediaFeatureSettings.model_validate(keys)


def read_all(recordings: MediaRecordings, settings: MediaFeatureSettings) -> dict[str, PreparedRecording]:
    with open_media(recordings, settings)() as reader:
        return {work.recording: reader.read(work.recording, work.wanted) for work in media_works(recordings)}


def read_one(recordings: MediaRecordings, settings: MediaFeatureSettings) -> PreparedRecording:
    (read,) = read_all(recordings, settings).values()
    return read


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds: a face, then from 2 s on nothing but noise; a tone, silent from 1 to 3 s; subtitles."""
    noise = np.random.default_rng(0).integers(0, 255, (40, *PORTRAIT.shape), dtype=np.uint8)
    sound = np.concatenate([tone(1), np.zeros(2 * RATE, np.float32), tone(1, 330)])
    return write_video(
        tmp_path_factory.mktemp("clip") / "a clip.mkv",
        n_frames=40,
        fps=10,
        size=(320, 240),
        pictures=lambda index: np.roll(PORTRAIT, 3 * (index % 4), axis=1) if index < 20 else noise[index],
        sound=sound,
        subtitles=[(0.5, 1.5, "so good"), (3.0, 3.6, "well")],
    )


def test_all_signals_of_a_video_are_extracted_with_their_times(clip: Path, tmp_path: Path):
    settings = settings_of(tmp_path, extractors={"text": "hashed", "audio": "logmel", "vision": "face"}, frames=1000)
    read = read_one(of({"a": Sources(video=clip)}), settings)
    assert read.errors == ()
    assert read.kept == (True,)
    assert read.transcripts == ("so good well",)
    text, audio, vision = (read.modalities[name] for name in ("text", "audio", "vision"))
    assert text.intervals[:, 0].tolist() == pytest.approx([0.5, 0.83, 3.0], abs=0.06)
    assert audio.lengths[0] == pytest.approx(400, abs=6)
    assert np.diff(audio.intervals[:, 0]) == pytest.approx(0.01)
    assert vision.intervals[:, 0] == pytest.approx(np.arange(20) / 5, abs=0.01)
    middle = audio.intervals.mean(axis=1)
    silent = np.isnan(audio.values).all(axis=1)
    assert silent[(middle > 1.15) & (middle < 2.85)].all()  # 0.1 s around sound stays
    assert not silent[(middle < 1.0) | (middle > 3.02)].any()
    seen = np.isfinite(vision.values).all(axis=1)
    assert seen[:9].all()
    assert not seen[11:].any()


def test_why_something_is_left_out_is_told(clip: Path, tmp_path: Path):
    read = read_one(of({"a": Sources(video=clip)}), settings_of(tmp_path))
    rows = {row["modality"]: row for row in read.usability}
    assert rows["audio"]["reason"].startswith("audio silent 4")
    assert rows["audio"]["used"]
    assert rows["vision"]["reason"].startswith("vision no face 5")
    assert rows["vision"]["detector"] == "haar"
    silence = write_sound(tmp_path / "nothing.wav", np.zeros(RATE, np.float32))
    read = read_one(of({"b": Sources(audio=silence)}), settings_of(tmp_path))
    assert read.kept == (False,)
    assert [row["reason"] for row in read.usability] == ["audio silent 100 %, ignored"]
    assert read.modalities["audio"].values.shape[0] == 0
    assert read.counts["audio ignored: silent"] == 1


def test_a_segment_is_what_a_cut_file_gives(clip: Path, tmp_path: Path):
    settings = settings_of(tmp_path, extractors={"text": "hashed", "audio": "logmel", "vision": "face"}, frames=1000)
    recordings = of({"a": Sources(video=clip)}, {"a": Segment("clip", 0.25, 1.25)})
    read = read_one(recordings, settings)
    waveform = read_sound(clip, 0.25, 1.25)
    alone = LogMel(LogMelSettings())(waveform.samples, RATE)
    np.testing.assert_allclose(read.modalities["audio"].intervals, alone.intervals, atol=1e-9)
    observed = np.isfinite(read.modalities["audio"].values).all(axis=1)
    assert observed.sum() > 80
    np.testing.assert_allclose(read.modalities["audio"].values[observed], alone.values[observed], rtol=1e-5)
    assert read.transcripts == ("so good",)  # whose middles are inside
    assert read.modalities["text"].intervals[0, 0] == pytest.approx(0.25, abs=0.05)
    np.testing.assert_allclose(read.modalities["vision"].intervals[:, 0], np.arange(5) / 5, atol=0.11)


def test_frames_are_collapsed_to_words(clip: Path, tmp_path: Path):
    transcript = tmp_path / "words.json"
    transcript.write_text(
        json.dumps([{"word": "a", "start": 0.1, "end": 0.4}, {"word": "b", "start": 3.2, "end": 3.5}])
    )
    settings = settings_of(tmp_path, extractors={"text": "hashed", "audio": "logmel"}, align="words")
    read = read_one(of({"a": Sources(video=clip, transcript=transcript)}), settings)
    audio = read.modalities["audio"]
    assert audio.intervals.tolist() == [[0.1, 0.4], [3.2, 3.5]]
    whole = LogMel(LogMelSettings())(read_sound(clip).samples, RATE)
    middle = whole.intervals.mean(axis=1)
    for row, (start, end) in enumerate(audio.intervals):
        inside = whole.values[(middle >= start) & (middle < end)]
        np.testing.assert_allclose(audio.values[row], inside.mean(axis=0), rtol=1e-4)
    assert read.modalities["text"].intervals.tolist() == audio.intervals.tolist()


def test_pictures_are_chosen_and_never_averaged(clip: Path, tmp_path: Path):
    all_of_it = settings_of(tmp_path, extractors={"vision": "face"}, frames=1000)
    few = settings_of(tmp_path, extractors={"vision": "face"}, frames=4)
    whole, chosen = (read_one(of({"a": Sources(video=clip)}), s).modalities["vision"] for s in (all_of_it, few))
    assert len(chosen.values) == 4
    rows = {row.tobytes() for row in whole.values}
    assert all(row.tobytes() in rows for row in chosen.values[np.isfinite(chosen.values).all(axis=1)])


def test_what_cannot_be_read_is_a_row_and_the_others_stay(clip: Path, tmp_path: Path):
    (tmp_path / "text.mp4").write_text("this is no video, and long enough to be one" * 30)
    (tmp_path / "empty.wav").write_bytes(b"")
    mute = write_video(tmp_path / "mute.mp4", n_frames=5, size=(320, 240), pictures=lambda _: PORTRAIT)
    sources = {
        "good": Sources(video=clip),
        "text": Sources(video=tmp_path / "text.mp4"),
        "empty": Sources(audio=tmp_path / "empty.wav"),
        "gone": Sources(audio=tmp_path / "gone.wav"),
        "mute": Sources(video=mute),
    }
    store = tmp_path / "store"
    done = prepare(of(sources), settings_of(tmp_path), store, tables={}, processes=1)
    assert {u.id for u in open_store(store, verify=True).utterances} == {"good", "mute"}
    by_id = {(row["utterance"], row["modality"]): row["error"] for row in done.errors}
    assert by_id.keys() == {
        ("text", "audio"),
        ("text", "vision"),
        ("empty", "audio"),
        ("gone", "audio"),
        ("mute", "audio"),
    }
    assert "text.mp4" in by_id["text", "vision"]
    assert "no such file" in by_id["gone", "audio"].lower()
    assert "no sound" in by_id["mute", "audio"]
    report = read_report(store)
    assert report is not None
    assert len(report["errors"]) == 5
    judged = [json.loads(line) for line in (store / "usability.jsonl").read_text().splitlines()]
    assert {(row["utterance"], row["modality"]) for row in judged} == {
        ("good", "audio"), ("good", "vision"), ("mute", "vision")
    }  # fmt: skip
    assert done.counts["faces found by"] == "haar"


def test_a_corpus_of_which_nothing_is_left_says_why(tmp_path: Path):
    recordings = of({"a": Sources(audio=tmp_path / "gone.wav"), "b": Sources(audio=tmp_path / "gone too.wav")})
    with pytest.raises(FeatureError, match=r"no utterance has features; the first error of 2: .*gone.wav"):
        prepare(recordings, settings_of(tmp_path), tmp_path / "store", tables={})


def test_what_is_in_the_cache_is_not_decoded_again(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    recordings, settings = of({"a": Sources(video=clip)}), settings_of(tmp_path)
    first = read_one(recordings, settings)

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(reader_module, "extract_sound", fail)
    monkeypatch.setattr(reader_module, "read_frames", fail)
    moved = tmp_path / "the same elsewhere.mkv"
    moved.write_bytes(clip.read_bytes())
    again = read_one(of({"b": Sources(video=moved)}), settings)
    for name in ("audio", "vision"):
        assert again.modalities[name].values.tobytes() == first.modalities[name].values.tobytes()
    assert [row["reason"] for row in again.usability] == [row["reason"] for row in first.usability]
    fewer = read_one(recordings, settings.model_copy(update={"frames": 7}))  # brought to fewer frames, not decoded
    assert fewer.modalities["audio"].lengths == (7,)
    for change in (
        {"frame_rate": 4.0},
        {"extractors": {"vision": {"name": "face", "side": 40}}},
        {"usability": settings.usability.model_copy(update={"dark_level": 31.0})},
        {"faces": settings.faces.model_copy(update={"margin": 0.2})},
    ):
        read = read_one(recordings, settings.model_copy(update=change))
        assert any("decoded again" in row["error"] for row in read.errors), change
    moved.write_bytes(clip.read_bytes()[:-1] + b"x")
    assert len(read_one(of({"b": Sources(video=moved)}), settings).errors) == 2


def test_without_a_cache_nothing_is_kept(clip: Path, tmp_path: Path):
    read_one(of({"a": Sources(video=clip)}), settings_of(tmp_path, cache=False))
    assert not (tmp_path / "cache").exists()


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> MediaRecordings:
    folder = tmp_path_factory.mktemp("many")
    sources = {f"u{k}": Sources(audio=write_sound(folder / f"u{k}.wav", tone(0.5, 100 + 20 * k))) for k in range(9)}
    sources["u4"] = Sources(audio=folder / "gone.wav")
    return of(sources)


SOUND_ONLY = {"extractors": {"audio": "logmel"}, "frames": 20}


@pytest.fixture(scope="module")
def digest(many: MediaRecordings, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("digest")
    prepare(many, settings_of(folder, **SOUND_ONLY), folder / "store", tables={})
    return open_store(folder / "store", verify=True).digest


def test_processes_change_nothing(many: MediaRecordings, digest: str, tmp_path: Path):
    done = prepare(many, settings_of(tmp_path, **SOUND_ONLY), tmp_path / "store", tables={}, processes=2)
    assert open_store(tmp_path / "store", verify=True).digest == digest
    assert [row["utterance"] for row in done.errors] == ["u4"]


def test_ray_changes_nothing(many: MediaRecordings, digest: str, tmp_path: Path):
    pytest.importorskip("ray", reason="needs the extra [ray]")
    code = """
import pickle, sys
from pathlib import Path
from emotiwave.features.prepare import prepare
recordings, settings = pickle.loads(Path(sys.argv[1]).read_bytes())
prepare(recordings, settings, Path(sys.argv[2]), tables={}, processes=2, engine="ray")
"""
    (tmp_path / "asked").write_bytes(pickle_of(many, settings_of(tmp_path, **SOUND_ONLY)))
    ran = subprocess.run([sys.executable, "-c", code, str(tmp_path / "asked"), str(tmp_path / "store")], timeout=300)
    assert ran.returncode == 0
    assert open_store(tmp_path / "store", verify=True).digest == digest


def test_ray_that_is_not_installed_is_named(many: MediaRecordings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'emotiwave\[ray\]'"):
        prepare(many, settings_of(tmp_path, **SOUND_ONLY), tmp_path / "store", tables={}, engine="ray")


def pickle_of(*things: object) -> bytes:
    import pickle

    return pickle.dumps(things)


@pytest.mark.parametrize("after", [0, 5])
def test_a_killed_preparation_goes_on_to_the_same_store(many: MediaRecordings, digest: str, tmp_path: Path, after: int):
    code = f"""
import os, pickle, signal, sys
from pathlib import Path
from emotiwave.features import partial
from emotiwave.features.prepare import prepare
recordings, settings = pickle.loads(Path(sys.argv[1]).read_bytes())
append, seen = partial.PartialStore.append, []
def die(self, features):
    if len(seen) == {after}:
        os.kill(os.getpid(), signal.SIGKILL)
    seen.append(append(self, features))
partial.PartialStore.append = die
prepare(recordings, settings, Path(sys.argv[2]), tables={{}})
"""
    settings = settings_of(tmp_path, **SOUND_ONLY)
    (tmp_path / "asked").write_bytes(pickle_of(many, settings))
    ran = subprocess.run([sys.executable, "-c", code, str(tmp_path / "asked"), str(tmp_path / "store")], timeout=120)
    assert ran.returncode == -signal.SIGKILL
    assert not (tmp_path / "store").exists()
    done = prepare(many, settings, tmp_path / "store", tables={})
    assert done.n_resumed == after
    assert open_store(tmp_path / "store", verify=True).digest == digest


def test_texts_and_photos_are_read_by_many(tmp_path: Path):
    Image.fromarray(PORTRAIT).save(tmp_path / "photo.png")
    Image.fromarray(PORTRAIT[:48, :48, 0]).save(tmp_path / "face.png")
    sources = {f"t{k}": Sources(text=f"sentence number {k}") for k in range(70)}
    sources |= {"p": Sources(image=tmp_path / "photo.png"), "f": Sources(image=tmp_path / "face.png", is_face=True)}
    sources |= {"e": Sources(text="  "), "g": Sources(text="... --")}
    settings = settings_of(tmp_path, extractors={"text": "hashed", "vision": "face"})
    read = read_all(of(sources), settings)
    assert [len(one.ids) for one in read.values()] == [64, 10]
    last = read["texts and photos 1"]
    found = {name: (t, v) for name, t, v in zip(
        last.ids, last.modalities["text"].lengths, last.modalities["vision"].lengths, strict=True
    )}  # fmt: skip
    assert (found["t69"], found["p"], found["f"]) == ((3, 0), (0, 1), (0, 1))
    assert found["e"] == found["g"] == (0, 0)
    assert {row["utterance"]: row["reason"] for row in last.usability if not row.get("used", True)} == {
        "e": "text empty 100 %, ignored",
        "g": "text garbage 100 %, ignored",
    }
    np.testing.assert_array_equal(
        last.modalities["vision"].values[-1].reshape(48, 48), PORTRAIT[:48, :48, 0].astype(np.float32) / 255
    )


def test_what_a_preparation_writes_is_foretold(many: MediaRecordings, tmp_path: Path):
    settings = settings_of(tmp_path, **SOUND_ONLY)
    told = foretell(many, settings, tmp_path / "a" / "store")
    assert told is not None
    assert told.store_bytes == 9 * 20 * (64 * 4 + 16)
    assert told.cache_bytes == pytest.approx(9 * 0.5 * 100 * (64 * 4 + 16), rel=0.05)
    assert not told.exceeds_disk
    assert str(told).startswith("9 utterances: the store takes at most 49 KB, the cache about")
    prepare(many, settings, tmp_path / "store", tables={})
    kept = sum(path.stat().st_size for path in (tmp_path / "cache").rglob("*.frames"))
    assert kept == pytest.approx(told.cache_bytes * 8 / 9, rel=0.2)


def test_extracted_files_can_be_trained_on(clip: Path, tmp_path: Path):
    recordings = of({"a/1": Sources(video=clip), "b": Sources(video=tmp_path / "gone.mp4")})
    settings = settings_of(tmp_path, extractors={"audio": "logmel", "vision": "face"})
    done = extract_files(recordings, open_media(recordings, settings), tmp_path / "out")
    assert done.n_files == 2
    assert len(done.errors) == 2
    assert [row["id"] for row in done.rows] == ["a/1", "b"]
    rows = (tmp_path / "out" / "features.csv").read_text().splitlines()
    labelled = [rows[0] + ",label,split", rows[1] + ",anger,train"]
    labelled.append(labelled[1].replace("a/1", "c").replace("anger,train", "neutral,train"))
    (tmp_path / "out" / "labelled.csv").write_text("\n".join(labelled))
    corpus = table.load(
        table.TableSettings.model_validate({
            "file": tmp_path / "out" / "labelled.csv",
            "modalities": {"audio": "audio", "vision": "vision"},
            "labels": ["anger", "neutral"],
        })
    )  # fmt: skip
    whole = read_one(of({"a": Sources(video=clip)}), settings.model_copy(update={"frames": 1000}))
    for name in ("audio", "vision"):
        seen = np.isfinite(whole.modalities[name].values).all(axis=1)
        np.testing.assert_array_equal(corpus.sequences[name]["a/1"].values, whole.modalities[name].values[seen])
        np.testing.assert_allclose(corpus.sequences[name]["a/1"].intervals, whole.modalities[name].intervals[seen])


def test_an_extra_that_is_missing_ends_the_work_and_is_no_row(clip: Path, tmp_path: Path):
    if "faster_whisper" in sys.modules:
        pytest.skip("faster-whisper is installed")
    recordings = of({"a": Sources(audio=write_sound(tmp_path / "a.wav", tone(1)))})
    with pytest.raises(MissingExtraError, match=r"emotiwave\[asr\]"):
        read_one(recordings, settings_of(tmp_path, asr="base"))


def test_an_unexpected_error_of_a_decoder_is_a_row(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(reader_module, "extract_sound", fail)
    read = read_one(of({"a": Sources(video=clip)}), settings_of(tmp_path))
    assert [(row["modality"], row["error"]) for row in read.errors] == [("audio", "ZeroDivisionError: planted")]
    assert read.modalities["vision"].lengths[0] > 0


def test_the_reader_can_be_opened_in_another_process(tmp_path: Path):
    import pickle

    recordings = of({"a": Sources(text="hello")})
    opener = pickle.loads(pickle.dumps(open_media(recordings, settings_of(tmp_path))))
    with opener() as reader:
        assert isinstance(reader, MediaReader)
        assert reader.sizes == {"text": 256}


def test_real_clips_keep_their_speech_and_their_face(tmp_path: Path):
    if "EMOTIWAVE_DATA" not in os.environ:
        pytest.skip("EMOTIWAVE_DATA is not set: no real clips")
    folder = Path(os.environ["EMOTIWAVE_DATA"]) / "av_clips"
    sources = {
        "r": Sources(video=next(folder.glob("ravdess/*.mp4"))),
        "n": Sources(video=folder / "pyfeat/no_face.mp4"),
    }
    settings = settings_of(tmp_path, extractors={"audio": "prosody", "vision": "face"}, frames=1000)
    read = {one.ids[0]: one for one in read_all(of(sources), settings).values()}
    seen = np.isfinite(read["r"].modalities["vision"].values).all(axis=1)
    assert len(seen) == 20
    assert seen.mean() >= 0.9
    heard = np.isfinite(read["r"].modalities["audio"].values).all(axis=1)
    assert 0.5 < heard.mean() < 0.9  # about a second of silence lies around the sentence
    assert [row["reason"] for row in read["n"].usability if row["modality"] == "vision"] == [
        "vision no face 100 %, ignored"
    ]


# --- the key of what is kept


def test_frames_are_kept_by_all_that_they_depend_on(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """One thing changed at a time; what is asked of the cache must be something else, of that signal alone."""
    asked: list[str] = []
    monkeypatch.setattr(FeatureCache, "find", lambda _, key: asked.append(key))
    monkeypatch.setattr(reader_module, "SpeechDetector", lambda: None)
    photo = tmp_path / "photo.png"
    Image.fromarray(PORTRAIT).save(photo)

    def keys(sources: Sources, segment: Segment | None = None, **settings) -> tuple[str, ...]:
        asked.clear()
        settings = {"extractors": {"audio": "logmel", "vision": "face"}, **settings}
        with open_media(of({"a": sources}), settings_of(tmp_path, **settings))() as reader:
            reader.read("r", [(Utterance("a", "train", "anger", segment=segment), sources)])
        return tuple(asked)

    monkeypatch.setattr(reader_module, "extract_sound", lambda *_: 1 / 0)
    monkeypatch.setattr(reader_module, "read_frames", lambda *_, **__: 1 / 0)
    monkeypatch.setattr(reader_module, "read_photo", lambda *_, **__: 1 / 0)
    audio, vision = keys(Sources(video=clip))
    assert keys(Sources(video=clip)) == (audio, vision)
    for segment in (Segment("clip", 0.0, 1.0), Segment("clip", 0.5, 1.0)):
        assert not {audio, vision} & set(keys(Sources(video=clip), segment))
    assert keys(Sources(video=clip), Segment("clip", 0.0, 1.0)) != keys(Sources(video=clip), Segment("clip", 0.5, 1.0))
    for change in ({"speech_only": True}, {"usability": {"silence_level": -71.0}}, {"usability": {"dark_level": 31.0}}):
        assert keys(Sources(video=clip), **change)[0] != audio
    for change in (
        {"frame_rate": 4.0},
        {"usability": {"dark_level": 31.0}},
        {"faces": {"detector": "haar", "margin": 0.2}},
        {"extractors": {"audio": "logmel", "vision": "face", "large": {"name": "face", "side": 224}}},
        {"extractors": {"audio": "logmel", "vision": {"name": "face", "is_grey": False}}},
    ):
        assert keys(Sources(video=clip), **change)[:2] != (audio, vision)
        assert vision not in keys(Sources(video=clip), **change)
    assert keys(Sources(image=photo)) != keys(Sources(image=photo, is_face=True))
    monkeypatch.setattr(reader_module, "BLOCK_SECONDS", 10.0)
    assert keys(Sources(video=clip))[0] != audio
    monkeypatch.setattr(HaarDetector, "identity", property(lambda _: {"name": "another"}))
    assert keys(Sources(video=clip))[1] != vision


def test_segments_of_one_file_are_not_taken_for_each_other(clip: Path, tmp_path: Path):
    segments = {"a": Segment("clip", 0.0, 0.9), "b": Segment("clip", 3.1, 3.9), "c": Segment("clip", 0.2, 0.9)}
    recordings = of(dict.fromkeys(segments, Sources(video=clip)), segments)
    kept, not_kept = (read_one(recordings, settings_of(tmp_path, cache=cache)) for cache in (True, False))
    for modality in ("audio", "vision"):
        one, other = kept.modalities[modality], not_kept.modalities[modality]
        assert one.lengths == other.lengths
        np.testing.assert_array_equal(one.values, other.values)
        np.testing.assert_array_equal(one.intervals, other.intervals)


def test_a_second_extractor_joins_one_that_is_kept(clip: Path, tmp_path: Path):
    read_one(of({"a": Sources(video=clip)}), settings_of(tmp_path, extractors={"second": "logmel"}))
    both = settings_of(tmp_path, extractors={"first": {"name": "logmel", "bands": 40}, "second": "logmel"}, frames=1000)
    read = read_one(of({"a": Sources(video=clip)}), both)
    fresh = read_one(of({"a": Sources(video=clip)}), both.model_copy(update={"cache": False}))
    assert list(read.modalities) == ["first", "second"]
    assert [row["modality"] for row in read.usability] == ["first", "second"]
    assert [row["reason"] for row in read.usability] == [row["reason"] for row in fresh.usability]
    for name in read.modalities:
        np.testing.assert_array_equal(read.modalities[name].values, fresh.modalities[name].values)


def test_a_file_that_changes_and_keeps_its_size_is_read_again(tmp_path: Path):
    sound = write_sound(tmp_path / "a.wav", tone(0.5, 200))
    settings = settings_of(tmp_path, **SOUND_ONLY)
    before = read_one(of({"a": Sources(audio=sound)}), settings).modalities["audio"].values
    write_sound(sound, tone(0.5, 2000))
    os.utime(sound, ns=(1, 1))
    assert not np.array_equal(read_one(of({"a": Sources(audio=sound)}), settings).modalities["audio"].values, before)


# --- which source counts


def test_sound_of_its_own_and_photos_come_before_those_of_a_video(clip: Path, tmp_path: Path):
    sound = write_sound(tmp_path / "other.wav", tone(0.7))
    Image.fromarray(PORTRAIT).save(tmp_path / "photo.png")
    sources = Sources(video=clip, audio=sound, image=tmp_path / "photo.png")
    segment = Segment("clip", 0.1, 0.6)
    read = read_one(of({"a": sources}, {"a": segment}), settings_of(tmp_path, frames=1000))
    assert read.modalities["audio"].intervals[-1, 1] == pytest.approx(0.5, abs=0.05)
    assert np.isfinite(read.modalities["audio"].values).all()
    assert read.modalities["vision"].lengths == (1,)
    assert np.isnan(read.modalities["vision"].intervals).all()
    whole = read_one(of({"a": Sources(video=clip, audio=sound)}), settings_of(tmp_path, frames=1000))
    assert whole.modalities["audio"].intervals[-1, 1] == pytest.approx(0.7, abs=0.05)


def test_words_come_from_the_first_that_has_them(clip: Path, tmp_path: Path):
    transcript = tmp_path / "said.srt"
    transcript.write_text("1\n00:00:00,500 --> 00:00:01,000\nearly\n\n2\n00:00:03,000 --> 00:00:03,500\nlate\n")
    settings = settings_of(tmp_path, extractors={"text": "hashed"})

    def said(segment: Segment | None = None, settings=settings, **more) -> str | None:
        read = read_one(of({"a": Sources(video=clip, **more)}, segment and {"a": segment}), settings)
        assert [row["from"] for row in read.usability if "from" in row] == [next(iter(more), "subtitles")]
        return read.transcripts[0]

    assert said(text="as given", transcript=transcript) == "as given"
    assert said(transcript=transcript) == "early late"
    assert said(Segment("clip", 2.5, 4.0), transcript=transcript) == "late"
    assert said() == "so good well"
    assert said(Segment("clip", 2.5, 4.0)) == "well"
    without = read_one(of({"a": Sources(video=clip)}), settings.model_copy(update={"subtitles": False}))
    assert (without.transcripts, without.kept) == ((None,), (False,))


def test_a_transcript_of_the_corpus_stays_where_nothing_else_is_said(tmp_path: Path):
    sound = write_sound(tmp_path / "a.wav", tone(0.5))
    recordings = of({"a": Sources(audio=sound), "b": Sources(audio=sound, text="said")})
    recordings = replace(recordings, utterances=tuple(replace(u, transcript="noted") for u in recordings.utterances))
    read = read_one(recordings, settings_of(tmp_path, extractors={"text": "hashed", "audio": "logmel"}))
    assert read.transcripts == ("noted", "said")


def test_words_are_heard_where_nothing_gives_any(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    heard = []

    class Recogniser:
        def __init__(self, model: str, language: str | None) -> None:
            heard.append((model, language))

        def transcribe(self, sound: Waveform) -> tuple[Word, ...]:
            heard.append((sound.start, sound.duration))
            return (Word("heard", sound.start + 0.1, sound.start + 0.2),)

    monkeypatch.setattr(reader_module, "SpeechRecogniser", Recogniser)
    other = write_sound(tmp_path / "other.wav", tone(1.5))
    settings = settings_of(tmp_path, asr="tiny", language="en")
    sources = {"v": Sources(video=clip), "b": Sources(video=clip, audio=other), "s": Sources(audio=other)}
    read = read_all(of(sources, {"s": Segment("other", 0.5, 1.25)}), settings)
    assert [one.transcripts for one in read.values()] == [("so good well", "so good well"), ("heard",)]
    assert heard == [("tiny", "en"), (0.5, 0.75)]
    (last,) = (one for one in read.values() if one.ids == ("s",))
    assert last.modalities["text"].intervals.tolist() == [pytest.approx([0.1, 0.2])]
    heard.clear()
    read_one(of({"b": sources["b"]}), settings.model_copy(update={"subtitles": False}))
    assert heard == [("tiny", "en"), (0.0, 1.5)]


# --- what is brought to the store


def test_a_plan_carried_out_in_blocks_gives_the_same(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    settings = settings_of(tmp_path, frames=7)
    transcript = tmp_path / "words.json"
    words = [("a", 0.0, 0.9), ("b", 0.2, 0.4), ("c", 0.5, 0.6), ("d", 3.1, 3.9)]  # some lie in others
    transcript.write_text(json.dumps([dict(zip(("word", "start", "end"), word, strict=True)) for word in words]))
    aligned = settings.model_copy(update={"align": "words", "frames": 64})
    for one in (settings, aligned):
        recordings = of({"a": Sources(video=clip, transcript=transcript)}, {"a": Segment("clip", 0.1, 3.8)})
        whole = read_one(recordings, one)
        assert len(whole.modalities["audio"].values) == (7 if one is settings else 4)
        assert np.isfinite(whole.modalities["audio"].values).any()
        if one is aligned:
            expected = [[start - 0.1, end - 0.1] for _, start, end in words if start + end > 0.2]
            np.testing.assert_allclose(whole.modalities["audio"].intervals, expected)
            assert np.isfinite(whole.modalities["audio"].values).all()
        for most in (1, 6000, 20_000):
            with monkeypatch.context() as patch:
                patch.setattr(collapsing, "ROWS_AT_ONCE", most)
                parts = read_one(recordings, one)
            for name, modality in whole.modalities.items():
                np.testing.assert_allclose(parts.modalities[name].values, modality.values, rtol=1e-5)
                np.testing.assert_array_equal(parts.modalities[name].intervals, modality.intervals)


def test_what_was_counted_is_what_there_is(clip: Path, tmp_path: Path):
    silence = write_sound(tmp_path / "nothing.wav", np.zeros(RATE, np.float32))
    sources = {"a": Sources(video=clip), "b": Sources(audio=silence), "c": Sources(text="only text")}
    read = read_all(of(sources), settings_of(tmp_path, extractors={"audio": "logmel", "vision": "face"}))
    first, second, third = read.values()
    unobserved = {name: int(np.isnan(m.values).any(axis=1).sum()) for name, m in first.modalities.items()}
    assert min(unobserved.values()) > 0
    assert {name: n for name, n in first.counts.items() if n} == {
        "audio frames": 64,
        "audio frames unobserved": unobserved["audio"],
        "utterances of more audio frames than 64": 1,
        "vision frames": 20,
        "vision frames unobserved": unobserved["vision"],
    }
    assert {name: n for name, n in second.counts.items() if n} == {
        "audio ignored: silent": 1,
        "utterances without audio": 1,
        "utterances without vision": 1,
    }
    assert {name: n for name, n in third.counts.items() if n} == {
        "utterances without audio": 1,
        "utterances without vision": 1,
    }
    assert (first.kept, second.kept, third.kept) == ((True,), (False,), (False,))
    assert second.modalities["audio"].observed == (False,)


def test_zeros_are_written_only_where_they_were_asked_for(clip: Path, tmp_path: Path):
    settings = settings_of(tmp_path, extractors={"audio": "logmel"}, frames=40)
    masked = read_one(of({"a": Sources(video=clip)}), settings).modalities["audio"].values
    asked = settings.model_copy(update={"unobserved": "zero", "pad": True, "frames": 500})
    zeros = read_one(of({"a": Sources(video=clip)}), asked).modalities["audio"].values
    assert np.isnan(masked).any()
    assert zeros.shape == (500, masked.shape[1])
    assert np.isfinite(zeros).all()
    assert (zeros[-50:] == 0).all()


def test_what_has_no_frame_of_use_is_missing(clip: Path, tmp_path: Path):
    """Words that lie in the silence: the sound is of use, but none of it at these words."""
    transcript = tmp_path / "words.json"
    transcript.write_text(json.dumps([{"word": "quiet", "start": 1.5, "end": 2.5}]))
    settings = settings_of(tmp_path, extractors={"text": "hashed", "audio": "logmel"}, align="words")
    read = read_one(of({"a": Sources(video=clip, transcript=transcript)}), settings)
    assert read.modalities["audio"].observed == (False,)
    assert read.modalities["text"].observed == (True,)
    assert read.kept == (True,)
    assert read.counts["utterances without audio"] == 1


def test_what_was_warned_of_is_told(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def warned(*words, **keys):
        for _ in range(2):
            warnings.warn(DataWarning("planted"), stacklevel=2)
        return extract_sound(*words, **keys)

    monkeypatch.setattr(reader_module, "extract_sound", warned)
    read = read_one(of({"a": Sources(video=clip)}), settings_of(tmp_path, extractors={"audio": "logmel"}))
    assert [row["reason"] for row in read.usability][1:] == ["warning: planted"]
    assert read.usability[1]["modality"] == "audio"


def test_an_error_of_a_text_extractor_is_a_row_for_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object) -> None:
        raise FeatureError("planted")

    monkeypatch.setattr(Hashed, "many", fail)
    read = read_one(of({"a": Sources(text="one"), "b": Sources(text="two")}), settings_of(tmp_path))
    assert [(row["utterance"], row["modality"], row["error"]) for row in read.errors] == [
        ("a", "text", "planted"), ("b", "text", "planted")
    ]  # fmt: skip
    assert read.kept == (False, False)


# --- sound in blocks


def steps() -> np.ndarray:
    """Four seconds of tones, silent from 1.2 to 2.6 s: over the edge of blocks of 0.9 s."""
    return np.concatenate([tone(1.2), np.zeros(round(1.4 * RATE), np.float32), tone(1.4, 500)])


@pytest.mark.parametrize("segment", [(None, None), (0.5, 3.5)])
def test_sound_in_blocks_gives_what_it_gives_in_one(segment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write_sound(tmp_path / "a.wav", steps())
    extractors = {"audio": LogMel(LogMelSettings())}
    whole, spans, seconds = extract_sound(path, *segment, extractors, UsabilitySettings(silence_range=0))
    monkeypatch.setattr(sound_module, "BLOCK_SECONDS", 0.9)
    parts, cut, seconds_of_parts = extract_sound(path, *segment, extractors, UsabilitySettings(silence_range=0))
    origin = segment[0] or 0.0
    assert seconds == seconds_of_parts == pytest.approx(4.0 if segment[0] is None else 3.0)
    one, other = whole["audio"], parts["audio"]
    assert (one.intervals[0, 0], one.intervals[-1, 1]) == pytest.approx((0.0, seconds), abs=0.03)
    np.testing.assert_allclose(other.intervals, one.intervals, atol=1e-9)
    np.testing.assert_allclose(other.rows(0, len(other)), one.rows(0, len(one)), rtol=1e-3, atol=1e-3)
    assert merge_spans(spans) == [pytest.approx((1.3 - origin, 2.5 - origin), abs=0.04)]
    assert merge_spans(cut) == [pytest.approx(merge_spans(spans)[0], abs=0.04)]
    assert sum(span.end - span.start for span in cut) == pytest.approx(1.2, abs=0.06)  # nothing twice
    assert one.spans == spans


def test_blocks_overlap_by_what_an_extractor_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    class Wide(LogMel):
        seen: ClassVar[list[float]] = []

        def __call__(self, signal: np.ndarray, timing: int) -> FeatureSequence:
            self.seen.append(len(signal) / timing)
            return super().__call__(signal, timing)

    monkeypatch.setattr(sound_module, "BLOCK_SECONDS", 0.9)
    path = write_sound(tmp_path / "a.wav", tone(3.6))
    extractor = Wide(LogMelSettings())
    extractor.context = 0.8
    extract_sound(path, None, None, {"a": extractor}, UsabilitySettings())
    assert pytest.approx([1.7, 2.5, 2.5, 1.7], abs=0.01) == Wide.seen


def test_what_another_finds_of_no_use_in_sound_is_left_out_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    class Detector:
        def non_speech_spans(self, waveform: Waveform) -> tuple[Span, ...]:
            return (Span(waveform.start + 0.25, waveform.start + 0.5, "no speech"),)

    monkeypatch.setattr(reader_module, "SpeechDetector", Detector)
    path = write_sound(tmp_path / "a.wav", tone(1.0))
    settings = settings_of(tmp_path, extractors={"audio": "logmel"}, speech_only=True, frames=1000)
    read = read_one(of({"a": Sources(audio=path)}), settings)
    audio = read.modalities["audio"]
    middle = audio.intervals.mean(axis=1)
    left_out = np.isnan(audio.values).all(axis=1)
    assert (left_out == ((middle > 0.25) & (middle < 0.5)))[abs(middle - 0.25) > 0.02][:20].all()
    assert left_out.sum() == pytest.approx(25, abs=3)
    assert [row["reason"] for row in read.usability] == ["audio no speech 25 %"]


# --- pictures, with a detector that is told what to find


class Told:
    """A detector that finds what it is told, picture by picture."""

    name, why_not_yunet = "told", None
    identity: Mapping[str, str] = {"name": "told"}

    def __init__(self, *faces: list[Face]) -> None:
        self.faces = iter(faces)

    def detect(self, image: np.ndarray) -> list[Face]:
        return next(self.faces)


class Means(VisionExtractor):
    """The mean of each picture."""

    size, identity = 1, {}

    def __init__(self, side: int = 16, pictures: str = "faces", is_grey: bool = True) -> None:
        self.side, self.pictures, self.is_grey = side, pictures, is_grey

    def __call__(self, signal: np.ndarray, timing: np.ndarray) -> FeatureSequence:
        return FeatureSequence(signal.reshape(len(signal), -1).mean(axis=1, keepdims=True).astype(np.float32), timing)


SMALL, LARGE = Face(10, 10, 40, 40, 0.9), Face(100, 40, 80, 80, 0.9)


def scene(number: int) -> np.ndarray:
    """Noise that never freezes; around 60 in the left third, around 180 in the rest."""
    picture = np.random.default_rng(number).integers(0, 40, (160, 240, 3), dtype=np.uint8)
    picture[:, :80] += 40
    picture[:, 80:] += 160
    return picture


def frames_of(pictures: Sequence[np.ndarray], origin: float = 0.0, scale: float = 1.0) -> list[Frame]:
    return [Frame(p, origin + k / 5, origin + (k + 1) / 5, scale) for k, p in enumerate(pictures)]


def seen_by(extractors: Mapping[str, VisionExtractor], told: Told | None, **keys) -> PictureExtraction:
    return PictureExtraction(extractors, FaceSettings(align=False), UsabilitySettings(), told, **keys)


def test_one_face_is_described_throughout_the_one_that_is_seen_most():
    told = Told([SMALL], [SMALL, LARGE], [LARGE, SMALL], [LARGE], [])
    found = seen_by({"v": Means()}, told, origin=2.0).take(frames_of([scene(k) for k in range(5)], origin=2.0))["v"]
    assert found.rows(0, 5)[:, 0] == pytest.approx([np.nan, 180, 180, 180, np.nan], abs=8, nan_ok=True)
    assert found.intervals == pytest.approx(np.array([[k / 5, (k + 1) / 5] for k in range(5)]))
    assert [(round(s.start, 6), round(s.end, 6), s.reason) for s in found.spans] == [
        (0.0, 0.2, "no face"), (0.8, 1.0, "no face")
    ]  # fmt: skip
    assert found.facts == {"pictures": 5, "detector": "told", "faces": 2, "main face": 1}


def test_a_face_is_tiny_in_pixels_of_the_file():
    tiny = Face(10, 10, 20, 60, 0.9)
    for scale, reasons in ((1.0, ["tiny face"]), (2.0, [])):
        extraction = seen_by({"v": Means()}, Told([tiny]))
        found = extraction.take(frames_of([scene(0)], scale=scale))["v"]
        assert [span.reason for span in found.spans] == reasons
        assert np.isnan(found.rows(0, 1)).all() == bool(reasons)


def test_whole_pictures_are_described_beside_faces():
    extraction = seen_by({"face": Means(), "whole": Means(40, "frames", is_grey=False)}, Told([SMALL], [], []))
    dark = np.zeros_like(scene(0))
    found = extraction.take(frames_of([scene(0), scene(1), dark]))
    assert found["face"].rows(0, 3)[:, 0] == pytest.approx([60, np.nan, np.nan], abs=8, nan_ok=True)
    middle = (40 * 60 + 120 * 180) / 160  # the square in the middle
    assert found["whole"].rows(0, 3)[:, 0] == pytest.approx([middle, middle, np.nan], abs=3, nan_ok=True)
    assert [span.reason for span in found["face"].spans] == ["no face", "dark"]
    assert [span.reason for span in found["whole"].spans] == ["dark"]


def test_frozen_pictures_are_of_no_use_on_the_clock_of_the_utterance():
    pictures = [scene(min(max(k - 4, 0), 1) if k < 24 else k) for k in range(30)]
    pictures[:4] = [scene(100 + k) for k in range(4)]
    found = seen_by({"v": Means(16, "frames")}, None, origin=7.0).take(frames_of(pictures, origin=7.0))["v"]
    (frozen,) = found.spans
    assert frozen.reason == "frozen"
    assert (frozen.start, frozen.end) == pytest.approx((1.0, 4.8), abs=0.25)
    assert found.facts == {"pictures": 30}


def test_faces_that_were_cut_out_are_not_looked_for(tmp_path: Path):
    wide = np.concatenate([np.full((40, 40, 3), 60, np.uint8), scene(0)[:40, 80:160]], axis=1)
    extraction = seen_by({"v": Means(40)}, Told(), is_face=True)
    found = extraction.take([Frame(wide, np.nan, np.nan)])["v"]
    assert found.rows(0, 1)[0, 0] == pytest.approx(fit_face(wide, 40, True).mean(), abs=1e-3)
    assert found.facts == {"pictures": 1}


# --- files of features, and what is foretold


def test_files_hold_what_the_table_says(clip: Path, tmp_path: Path):
    silence = write_sound(tmp_path / "nothing.wav", np.zeros(RATE, np.float32))
    sources = {"a:b": Sources(video=clip), "a_b": Sources(video=clip, text="given"), "q": Sources(audio=silence)}
    recordings = of(sources, {"a_b": Segment("clip", 0.2, 1.0)})
    recordings = replace(recordings, utterances=tuple(replace(u, transcript="noted") for u in recordings.utterances))
    settings = settings_of(tmp_path, extractors={"audio": "logmel"})
    told = []
    done = extract_files(
        recordings, open_media(recordings, settings), tmp_path / "out", progress=lambda *n: told.append(n)
    )
    assert told == [(1, 2), (2, 2)]
    assert [row["audio"] != "" for row in done.rows] == [True, True, False]
    assert done.n_files == len(list((tmp_path / "out" / "features").iterdir())) == 2
    assert [(row.get("start"), row.get("end")) for row in done.rows] == [(None, None), (0.2, 1.0), (None, None)]
    assert [row["said"] for row in done.rows] == ["noted", "noted", "noted"]
    assert [row["recording"] for row in done.rows] == [str(clip), str(clip), str(silence)]
    with np.load(tmp_path / "out" / done.rows[0]["audio"]) as found:
        whole = read_one(of({"a": Sources(video=clip)}), settings.model_copy(update={"frames": 1000}))
        np.testing.assert_array_equal(found["values"], whole.modalities["audio"].values)
        np.testing.assert_array_equal(found["intervals"], whole.modalities["audio"].intervals)


def test_large_files_are_written_in_blocks(tmp_path: Path):
    frames = Frames(2**18, spans=(Span(5.0, 6.0, "silent"),))  # four rows at a time
    values = np.arange(7, dtype=np.float32)[:, None] * np.ones((1, 2**18), np.float32)
    frames.append(values, np.array([[k, k + 1] for k in range(7)], dtype=np.float64))
    write_npz(frames, covered_frames(frames.intervals, frames.spans), tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as found:
        assert found["values"][:, 0] == pytest.approx([0, 1, 2, 3, 4, np.nan, 6], nan_ok=True)
        assert found["values"].shape == (7, 2**18)


def test_a_recording_that_kills_its_process_keeps_its_rows():
    failed = extract_files_module._failed(Work("file", ("a", "b"), ()), "died")
    assert failed.rows == [{"id": "a"}, {"id": "b"}]
    assert failed.errors == [{"recording": "file", "modality": "all", "error": "died"}]


def test_what_is_foretold_follows_segments_rates_and_the_cache(clip: Path, tmp_path: Path):
    segments = {"a": Segment("clip", 0.0, 1.0), "b": Segment("clip", 1.0, 4.0)}
    recordings = of({"a": Sources(video=clip), "b": Sources(video=clip), "c": Sources(text="x")}, segments)

    def told(**keys) -> int:
        settings = settings_of(tmp_path, **keys)
        said = foretell(recordings, settings, tmp_path / "store")
        assert said is not None
        return said.cache_bytes

    assert told(extractors={"audio": "logmel"}) == pytest.approx(4 * 100 * (64 * 4 + 16), rel=0.02)
    assert told(extractors={"vision": "face"}, frame_rate=2.0) == pytest.approx(4 * 2 * (48 * 48 * 4 + 16), rel=0.5)
    assert told(extractors={"text": "hashed"}) == 0
    assert told(extractors={"audio": "logmel"}, cache=False) == 0
    assert told(extractors={"audio": "prosody_statistics"}) < 0.2 * told(extractors={"audio": "logmel"})


def test_a_preparation_that_will_not_fit_is_foretold():
    fits, does_not = Foretold(1, 500, 400, 900), Foretold(1, 500, 401, 900)
    assert not fits.exceeds_disk
    assert does_not.exceeds_disk
    assert str(does_not) == "1 utterances: the store takes at most 500 B, the cache about 401 B; only 900 B are free"


def test_a_row_of_a_whole_utterance_survives_its_silences(tmp_path: Path):
    sound = np.concatenate([tone(0.8), np.zeros(3 * RATE, np.float32)])
    sources = {"a": Sources(audio=write_sound(tmp_path / "a.wav", sound))}
    settings = settings_of(tmp_path, extractors={"audio": "prosody_statistics"})
    read = read_one(of(sources), settings)
    (row,) = read.usability
    assert row["used"]
    assert row["observed"] < 0.5
    assert read.modalities["audio"].lengths == (1,)
    assert np.isfinite(read.modalities["audio"].values).all()
    done = extract_files(of(sources), open_media(of(sources), settings), tmp_path / "out")
    with np.load(tmp_path / "out" / str(done.rows[0]["audio"])) as written:
        assert np.isfinite(written["values"]).all()
    mute = {"b": Sources(audio=write_sound(tmp_path / "b.wav", np.zeros(RATE, np.float32)))}
    assert read_one(of(mute), settings).kept == (False,)
