"""Modalities that come as features already, beside extracted ones: in the store, in its counts, and after a kill."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emotiwave.datasets.manifest import write_manifest
from emotiwave.errors import ConfigError, DatasetError
from emotiwave.features.extraction.settings import MediaFeatureSettings
from emotiwave.features.foretell import foretell
from emotiwave.features.partial import PartialStore
from emotiwave.features.prepare import prepare
from emotiwave.features.store import open_store
from emotiwave.recordings import MediaRecordings, Sources
from emotiwave.sequences import ComputationalSequence, FeatureSequence
from emotiwave.types import Corpus, LabelSet, Utterance

NAN = float("nan")


def sequence_of(**rows: list[list[float]]) -> ComputationalSequence:
    """Frames by utterance, each a second long."""
    sequences = {}
    for name, values in rows.items():
        starts = np.arange(len(values), dtype=np.float64)
        sequences[name] = FeatureSequence(np.array(values, np.float32), np.stack([starts, starts + 1], axis=1))
    return ComputationalSequence.from_sequences(sequences, {"rate": 1.0})


FOUR = sequence_of(a=[[1, 2], [3, 4], [5, 6], [9, 8]], b=[[7, 7]], d=[[-1, 1]])
TEXTS = {"a": "so good", "b": "", "c": "so bad", "d": None}


def recordings_of(**given: ComputationalSequence) -> MediaRecordings:
    """Utterance b has no words and d no text at all; c has nothing that is given."""
    labels = ("joy", "anger")
    return MediaRecordings(
        name="made",
        task="corpus",
        licence="made",
        label_set=LabelSet("categorical", labels),
        utterances=tuple(
            Utterance(name, "test" if name == "d" else "train", labels[k % 2], transcript=text)
            for k, (name, text) in enumerate(TEXTS.items())
        ),
        sources={name: Sources(text=text) for name, text in TEXTS.items()},
        given=given,
    )


def settings_of(**keys) -> MediaFeatureSettings:
    return MediaFeatureSettings.model_validate({"cache": False, **keys})


def stored(recordings: MediaRecordings, folder: Path, **keys) -> Corpus:
    return open_store(prepare(recordings, settings_of(**keys), folder / "store", tables={}).folder, verify=True)


# --- what is stored


def test_given_frames_are_in_the_store_as_they_are(tmp_path: Path):
    corpus = stored(recordings_of(audio=FOUR), tmp_path)
    assert corpus.modalities == ("text", "audio")
    assert corpus.sizes["audio"] == 2
    for name in "abd":
        assert corpus.sequences["audio"][name].values.tolist() == FOUR[name].values.tolist()
        assert corpus.sequences["audio"][name].intervals.tolist() == FOUR[name].intervals.tolist()
    assert corpus.sequences["audio"].metadata == {"rate": 1.0}


def test_an_utterance_may_lack_either_kind(tmp_path: Path):
    corpus = stored(recordings_of(audio=FOUR), tmp_path)
    assert [u.id for u in corpus.utterances] == ["a", "b", "c", "d"]
    assert corpus.sequences["text"].ids == ("a", "c")
    assert corpus.sequences["audio"].ids == ("a", "b", "d")
    assert [u.transcript for u in corpus.utterances] == ["so good", "", "so bad", None]


def test_what_is_there_and_what_is_missing_is_counted(tmp_path: Path):
    counts = stored(recordings_of(audio=FOUR), tmp_path, frames={"audio": 3}).counts
    assert counts["utterances with audio as features already"] == 3
    assert counts["utterances without audio"] == 1
    assert counts["utterances without text"] == 2
    assert counts["audio frames"] == 5  # a: 3, b: 1, d: 1
    assert counts["utterances of more audio frames than 3"] == 1
    assert "audio frames unobserved" not in counts


def test_frames_beyond_the_budget_are_pooled_or_cut(tmp_path: Path):
    pooled = stored(recordings_of(audio=FOUR), tmp_path / "pooled", frames={"audio": 2})
    assert pooled.sequences["audio"]["a"].values.tolist() == [[2, 3], [7, 7]]
    assert pooled.sequences["audio"]["a"].intervals.tolist() == [[0, 2], [2, 4]]
    assert pooled.sequences["text"]["a"].values.shape[0] == 2
    cut = stored(recordings_of(audio=FOUR), tmp_path / "cut", frames={"audio": 2}, beyond="cut")
    assert cut.sequences["audio"]["a"].values.tolist() == [[1, 2], [3, 4]]
    greatest = stored(recordings_of(audio=FOUR), tmp_path / "max", frames={"audio": 1}, collapse="max")
    assert greatest.sequences["audio"]["a"].values.tolist() == [[9, 8]]


def test_frames_without_times_are_pooled_by_number(tmp_path: Path):
    timeless = replace(FOUR, intervals=np.full((6, 2), NAN))
    corpus = stored(recordings_of(audio=timeless), tmp_path, frames={"audio": 2})
    assert corpus.sequences["audio"]["a"].values.tolist() == [[2, 3], [7, 7]]


def test_frames_that_hold_nothing_are_unobserved(tmp_path: Path):
    broken = sequence_of(a=[[0, 0], [1, 2], [NAN, 3]], b=[[NAN, 1]], d=[[0, 0]])
    corpus = stored(recordings_of(audio=broken), tmp_path / "masked")
    values = corpus.sequences["audio"]["a"].values
    assert np.isfinite(values).all(axis=1).tolist() == [False, True, False]
    assert corpus.sequences["audio"].ids == ("a",)
    assert [u.id for u in corpus.utterances] == ["a", "c"]  # b and d have no words either
    assert corpus.counts["audio frames unobserved"] == 4
    zeros = stored(recordings_of(audio=broken), tmp_path / "zeros", unobserved="zero", pad=True, frames={"audio": 4})
    assert zeros.sequences["audio"]["a"].values.tolist() == [[0, 0], [1, 2], [0, 0], [0, 0]]
    assert zeros.sequences["audio"]["b"].values.tolist() == [[0, 0]] * 4


def test_two_modalities_can_be_given_and_nothing_extracted(tmp_path: Path):
    recordings = recordings_of(audio=FOUR, vision=sequence_of(c=[[5.0]]))
    bare = replace(recordings, sources=dict.fromkeys(TEXTS, Sources()))
    corpus = stored(bare, tmp_path)
    assert corpus.modalities == ("audio", "vision")
    assert len(corpus.utterances) == 4


# --- the same by any way


def test_processes_change_nothing(tmp_path: Path):
    many = many_recordings()
    here = prepare(many, settings_of(), tmp_path / "here", tables={})
    there = prepare(many, settings_of(), tmp_path / "there", tables={}, processes=2)
    assert open_store(here.folder, verify=True).digest == open_store(there.folder, verify=True).digest
    assert here.counts == there.counts


def test_what_is_given_survives_a_process_that_dies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def dies(open_reader, todo, processes, failed):
        return (failed(work, "the process died") for work in todo)

    monkeypatch.setattr("emotiwave.features.prepare.read_in_processes", dies)
    done = prepare(many_recordings(), settings_of(), tmp_path / "store", tables={}, processes=2)
    corpus = open_store(done.folder)
    assert len(done.errors) == 2
    assert corpus.sequences["audio"].ids == tuple(f"u{k}" for k in range(0, 100, 2))
    assert corpus.utterances[3].transcript == "word 6"
    assert not len(corpus.sequences["text"].ids)


def many_recordings() -> MediaRecordings:
    """More texts than are read at once; every other has sound."""
    names = [f"u{k}" for k in range(100)]
    utterances = tuple(
        Utterance(name, "train" if k < 60 else "test", ("joy", "anger")[k % 2], transcript=f"word {k}")
        for k, name in enumerate(names)
    )
    given = {"audio": sequence_of(**{name: [[k, 1.0]] * 3 for k, name in enumerate(names) if k % 2 == 0})}
    sources = {utterance.id: Sources(text=utterance.transcript) for utterance in utterances}
    labels = LabelSet("categorical", ("joy", "anger"))
    return MediaRecordings("made", "corpus", "made", labels, utterances, sources, given=given)


def test_a_stopped_preparation_goes_on_unless_other_features_are_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    many, settings = many_recordings(), settings_of()
    whole = open_store(prepare(many, settings, tmp_path / "whole", tables={}).folder)
    for place in ("same", "other"):
        with monkeypatch.context() as patched:
            patched.setattr(PartialStore, "append", append_once(PartialStore.append))
            with pytest.raises(KeyboardInterrupt):
                prepare(many, settings, tmp_path / place, tables={})

    same = prepare(many, settings, tmp_path / "same", tables={})
    assert same.n_resumed == 1
    assert open_store(same.folder, verify=True).digest == whole.digest

    louder = replace(many.given["audio"], values=many.given["audio"].values * 2)
    other = prepare(replace(many, given={"audio": louder}), settings, tmp_path / "other", tables={})
    assert other.n_resumed == 0
    assert open_store(other.folder).sequences["audio"]["u2"].values[0, 0] == 4.0


def append_once(append):
    seen = []

    def append_or_stop(self, features):
        if seen:
            raise KeyboardInterrupt
        seen.append(append(self, features))

    return append_or_stop


# --- what is refused


def test_an_extractor_for_what_is_given_is_refused(tmp_path: Path):
    clash = recordings_of(text=FOUR)
    with pytest.raises(ConfigError, match=r"text is to be extracted, but made gives text as features already"):
        stored(clash, tmp_path)
    assert stored(clash, tmp_path, extractors={"words": "hashed"}).modalities == ("words", "text")
    assert not list(tmp_path.glob(".*.partial"))


def test_given_features_are_not_aligned_to_words(tmp_path: Path):
    with pytest.raises(ConfigError, match=r'align = "words": made gives audio as features'):
        stored(recordings_of(audio=FOUR), tmp_path, align="words")


def test_frames_of_an_unknown_modality_name_the_given_ones(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"unknown modality 'audi'.*audio"):
        stored(recordings_of(audio=FOUR), tmp_path, frames={"audi": 2})


def test_features_of_strangers_and_utterances_of_nothing_are_refused():
    with pytest.raises(DatasetError, match=r"made: audio features for 'x', which is no utterance"):
        recordings_of(audio=sequence_of(a=[[1]], d=[[1]], x=[[1]]))
    with pytest.raises(DatasetError, match=r"utterance 'd' has no file and no text"):
        recordings_of(audio=sequence_of(a=[[1]]))


def test_a_manifest_cannot_hold_given_features(tmp_path: Path):
    with pytest.raises(DatasetError, match="made: gives audio as features, and a manifest names media files"):
        write_manifest(recordings_of(audio=FOUR), tmp_path / "m.csv")
    assert not (tmp_path / "m.csv").exists()


def test_what_is_given_is_foretold(tmp_path: Path):
    alone = recordings_of(audio=FOUR)
    without = replace(alone, given={}, sources=dict(alone.sources) | {"d": Sources(text="well")})
    for keys, n_frames in (({}, 6), ({"frames": {"audio": 2}}, 4), ({"unobserved": "zero", "pad": True}, 3 * 64)):
        settings = settings_of(**keys)
        more, less = foretell(alone, settings, tmp_path), foretell(without, settings_of(**keys), tmp_path)
        assert more is not None
        assert less is not None
        assert more.store_bytes - less.store_bytes == n_frames * (2 * 4 + 2 * 8)
