"""From media files to the frames of a store: what is extracted, left out, kept, and what survives."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from skimage.data import astronaut

from emotiwave.datasets import table
from emotiwave.errors import FeatureError, MissingExtraError
from emotiwave.features.extract_files import extract_files
from emotiwave.features.extraction import reader as reader_module
from emotiwave.features.extraction.reader import MediaReader, media_works, open_media
from emotiwave.features.extraction.settings import MediaFeatureSettings
from emotiwave.features.extractors.logmel import LogMel, LogMelSettings
from emotiwave.features.foretell import foretell
from emotiwave.features.prepare import prepare, read_report
from emotiwave.features.prepared import PreparedRecording
from emotiwave.features.store import open_store
from emotiwave.media.sound import read_sound
from emotiwave.recordings import MediaRecordings, Sources
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
    assert len(read.modalities["vision"].values) == 5


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
    from PIL import Image

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
