"""RAVDESS, CREMA-D, Emo-DB, IEMOCAP and MELD: names and tables of the corpora become utterances."""

import csv
import os
from collections import Counter
from pathlib import Path

import pytest
from pydantic import ValidationError

from emotiwave.datasets import cremad, emodb, iemocap, meld, ravdess
from emotiwave.datasets.roots import data_folder
from emotiwave.datasets.splits import check_leakage
from emotiwave.errors import DatasetError
from emotiwave.labels import SEVEN
from emotiwave.recordings import MediaRecordings
from emotiwave.types import Segment
from tests.made_corpora import touch, write_cremad, write_emodb, write_iemocap, write_meld, write_ravdess


def real(folder: str) -> Path:
    data = os.environ.get("EMOTIWAVE_DATA")
    if not data or not Path(data, folder).is_dir():
        pytest.skip(f"EMOTIWAVE_DATA names no folder that holds {folder}")
    return Path(data, folder)


def speakers(recordings: MediaRecordings, split: str) -> set[str | None]:
    return {utterance.speaker for utterance in recordings.utterances if utterance.split == split}


def by_id(recordings: MediaRecordings, name: str):
    return next(utterance for utterance in recordings.utterances if utterance.id == name)


def labels(recordings: MediaRecordings) -> Counter:
    return Counter(utterance.label for utterance in recordings.utterances)


LOADERS = {
    "ravdess": (write_ravdess, ravdess.RavdessSettings, ravdess.load),
    "cremad": (write_cremad, cremad.CremadSettings, cremad.load),
    "emodb": (write_emodb, emodb.EmodbSettings, emodb.load),
    "iemocap": (write_iemocap, iemocap.IemocapSettings, iemocap.load),
    "meld": (write_meld, meld.MeldSettings, meld.load),
}


@pytest.fixture(params=list(LOADERS))
def corpus(request, tmp_path):
    write, settings, load = LOADERS[request.param]
    write(tmp_path)
    return request.param, lambda **keys: load(settings(root=tmp_path, **keys))


class TestEveryCorpus:
    def test_splits_share_no_speaker_and_none_is_empty(self, corpus):
        name, load = corpus
        recordings = load()
        assert recordings.name == name
        check_leakage(recordings.utterances, corpus=name)
        assert {utterance.split for utterance in recordings.utterances} == {"train", "validation", "test"}

    def test_the_seven_classes_are_those_that_corpora_share(self, corpus):
        recordings = corpus[1](task="seven")
        assert recordings.label_set.names == SEVEN
        assert set(labels(recordings)) <= set(SEVEN)

    def test_every_label_is_in_the_label_set(self, corpus):
        recordings = corpus[1]()
        for utterance in recordings.utterances:
            recordings.label_set.encode(utterance.label)

    def test_language_and_licence_are_said(self, corpus):
        name, load = corpus
        recordings = load()
        assert {utterance.language for utterance in recordings.utterances} == {"de" if name == "emodb" else "en"}
        assert recordings.licence

    def test_no_class_is_told_by_the_words_of_acted_sentences(self, corpus):
        name, load = corpus
        texts = {sources.text for sources in load().sources.values()}
        assert (texts == {None}) == (name in ("ravdess", "cremad", "emodb"))

    def test_all_files_are_there(self, corpus):
        recordings = corpus[1]()
        assert "files not there" not in recordings.counts
        assert all(path.is_file() for sources in recordings.sources.values() for path in sources.files)

    def test_an_empty_folder_is_shown_what_was_expected(self, corpus, tmp_path):
        name = corpus[0]
        _, settings, load = LOADERS[name]
        empty = tmp_path / "empty"
        empty.mkdir()
        layout = {"ravdess": "Actor_01", "cremad": "AudioWAV", "emodb": "03a01Fa", "iemocap": "Session1"}
        with pytest.raises(DatasetError, match=layout.get(name, "train_sent_emo.csv")):
            load(settings(root=empty))
        with pytest.raises(DatasetError, match=layout.get(name, "train_sent_emo.csv")):
            load(settings(root=tmp_path / "nowhere"))

    def test_without_a_folder_the_error_says_where_to_put_it(self, corpus, monkeypatch):
        monkeypatch.delenv("EMOTIWAVE_DATA", raising=False)
        _, settings, load = LOADERS[corpus[0]]
        assert settings().root is None
        with pytest.raises(DatasetError, match="EMOTIWAVE_DATA"):
            load(settings())

    def test_random_shares_hold_out_whole_speakers(self, corpus):
        name, load = corpus
        if name == "meld":
            pytest.skip("has its official split only")
        first, again = load(fold="random"), load(fold="random")
        assert first.utterances == again.utterances
        held_out = {frozenset(speakers(load(fold="random", split_seed=seed), "test")) for seed in range(4)}
        assert len(held_out) > 1
        assert not speakers(first, "test") & speakers(first, "train")
        assert not speakers(first, "validation") & speakers(first, "train")


def test_the_folder_is_found_by_the_names_it_goes_by(tmp_path, monkeypatch):
    monkeypatch.setenv("EMOTIWAVE_DATA", str(tmp_path))
    assert data_folder("cremad", "CREMA-D") == tmp_path / "cremad"
    (tmp_path / "CREMA-D").mkdir()
    assert data_folder("cremad", "CREMA-D") == tmp_path / "CREMA-D"
    assert cremad.CremadSettings().root == tmp_path / "CREMA-D"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EMOTIWAVE_DATA", ".")
    assert data_folder("none") == tmp_path / "none"


def test_where_no_folder_of_a_corpus_is_there_the_error_names_the_first(corpus, monkeypatch):
    monkeypatch.setenv("EMOTIWAVE_DATA", "/nowhere")
    _, settings, load = LOADERS[corpus[0]]
    with pytest.raises(DatasetError, match=rf"{corpus[0]}: /nowhere/\S+ is no folder; expected one that holds"):
        load(settings())


class TestRavdess:
    def test_a_name_is_decoded(self, tmp_path):
        touch(tmp_path / "Actor_12" / "03-01-06-01-02-01-12.wav")
        recordings = ravdess.load(ravdess.RavdessSettings(root=tmp_path))
        (utterance,) = recordings.utterances
        assert (utterance.id, utterance.label, utterance.speaker) == ("01-06-01-02-01-12", "fear", "Actor_12")
        assert utterance.transcript == "Dogs are sitting by the door"
        assert recordings.counts["of 1440 published clips, not there"] == 1439

    def test_sound_and_film_of_a_clip_are_one_utterance_and_songs_are_none(self, tmp_path):
        sound = touch(tmp_path / "Audio_Speech_Actors_01-24" / "Actor_01" / "03-01-06-01-02-01-01.wav")
        film = touch(tmp_path / "Video_Speech_Actor_01" / "Actor_01" / "01-01-06-01-02-01-01.mp4")
        touch(tmp_path / "Video_Speech_Actor_01" / "Actor_01" / "02-01-06-01-02-01-01.mp4")  # the same without sound
        touch(tmp_path / "Audio_Song_Actors_01-24" / "Actor_01" / "03-02-06-01-02-01-01.wav")
        touch(tmp_path / "Actor_01" / "03-01-06-01-02-01-01.wav")  # a second copy, as some archives have
        touch(tmp_path / "Actor_01" / "03-01-09-01-02-01-01.wav")  # no such emotion
        touch(tmp_path / "Actor_01" / "._03-01-06-01-02-01-01.wav")
        recordings = ravdess.load(ravdess.RavdessSettings(root=tmp_path))
        (utterance,) = recordings.utterances
        sources = recordings.sources[utterance.id]
        assert sources.video == film
        assert sources.audio in (sound, tmp_path / "Actor_01" / sound.name)
        assert recordings.counts["clips of song, left out"] == 1
        assert recordings.counts["further files of a clip, passed over"] == 2
        assert recordings.counts["media files of other names, passed over"] == 1

    def test_a_fold_is_tested_on_and_the_next_one_is_validation(self, tmp_path):
        write_ravdess(tmp_path)
        recordings = ravdess.load(ravdess.RavdessSettings(root=tmp_path, fold=6))
        assert speakers(recordings, "test") == {"Actor_06", "Actor_13", "Actor_17", "Actor_22"}
        assert speakers(recordings, "validation") == {"Actor_01", "Actor_11", "Actor_20", "Actor_21"}

    def test_the_folds_are_all_actors_once(self):
        assert sorted(actor for actors in ravdess.FOLDS.values() for actor in actors) == list(range(1, 25))

    def test_calm_counts_as_neutral_among_the_seven(self, tmp_path):
        write_ravdess(tmp_path)
        found = labels(ravdess.load(ravdess.RavdessSettings(root=tmp_path, task="seven")))
        assert found == {"neutral": 24 * 3} | dict.fromkeys(set(SEVEN) - {"neutral"}, 24 * 2)

    def test_another_fold_is_refused(self, tmp_path):
        with pytest.raises(ValidationError):
            ravdess.RavdessSettings.model_validate({"root": tmp_path, "fold": 7})

    def test_the_real_corpus_is_as_its_index_says(self):
        root = real("ravdess_speech_16k")
        index = list(csv.DictReader((root / "index.csv").read_text(encoding="utf-8").splitlines()))
        names = {"happy": "happiness", "sad": "sadness", "angry": "anger", "fearful": "fear", "surprised": "surprise"}
        corpora = {n: ravdess.load(ravdess.RavdessSettings(root=root, fold=n)) for n in (1, 2, 3, 4, 5, 6)}  # pyright: ignore[reportArgumentType]
        assert all(len(recordings.utterances) == 1440 for recordings in corpora.values())
        split = {n: {u.id: u.split for u in recordings.utterances} for n, recordings in corpora.items()}
        found = {utterance.id: utterance for utterance in corpora[1].utterances}
        assert len(index) == len(found) == 1440
        for row in index:
            utterance = found[Path(row["file"]).stem[3:]]
            assert corpora[1].sources[utterance.id].audio == root / row["file"]
            assert utterance.label == names.get(row["emotion"], row["emotion"])
            assert utterance.transcript == row["text"]
            assert utterance.speaker == f"Actor_{int(row['actor']):02d}"
            assert [n for n in split if split[n][utterance.id] == "test"] == [int(row["emobox_test_fold"])]


class TestCremad:
    def test_a_name_is_decoded(self, tmp_path):
        write_cremad(tmp_path)
        recordings = cremad.load(cremad.CremadSettings(root=tmp_path))
        utterance = by_id(recordings, "1003_DFA_HAP_XX")
        assert (utterance.label, utterance.speaker) == ("happiness", "1003")
        assert utterance.transcript == "Don't forget a jacket"
        assert recordings.sources[utterance.id].audio == tmp_path / "AudioWAV" / "1003_DFA_HAP_XX.wav"
        assert recordings.sources[utterance.id].video == tmp_path / "VideoFlash" / "1003_DFA_HAP_XX.flv"

    def test_folds_are_every_fifth_actor(self, tmp_path):
        write_cremad(tmp_path)
        recordings = cremad.load(cremad.CremadSettings(root=tmp_path, fold=4))
        assert speakers(recordings, "test") == {"1005", "1010"}
        assert speakers(recordings, "validation") == {"1001", "1006"}

    @pytest.mark.parametrize("name", ["1000_DFA_ANG_XX", "1092_DFA_ANG_XX", "1001_ABC_ANG_XX", "1001_DFA_SUR_XX"])
    def test_other_names_are_passed_over(self, name):
        assert cremad.clip_of(name) is None

    def test_the_one_name_that_is_cut_short_is_known(self):
        assert cremad.clip_of("1040_ITH_SAD_X")

    def test_a_form_without_loss_is_preferred(self, tmp_path):
        touch(tmp_path / "AudioMP3" / "1001_DFA_ANG_XX.mp3")
        wav = touch(tmp_path / "AudioWAV" / "1001_DFA_ANG_XX.wav")
        recordings = cremad.load(cremad.CremadSettings(root=tmp_path))
        assert recordings.sources["1001_DFA_ANG_XX"].audio == wav

    def test_names_folds_and_sentences_are_those_of_the_published_table(self):
        root = real("cremad_votes")
        names = {"happy": "happiness", "sad": "sadness"}
        for row in csv.DictReader((root / "votes_wide.csv").read_text(encoding="utf-8").splitlines()):
            actor, sentence, emotion, _ = row["clip"].split("_")
            assert cremad.clip_of(row["clip"]) == row["clip"]
            assert cremad.SENTENCES[sentence] == row["text"]
            assert cremad.EMOTIONS[emotion] == names.get(row["intended"], row["intended"])
            assert (int(actor) - cremad.FIRST_ACTOR) % cremad.N_FOLDS == int(row["actor_fold"])


class TestEmodb:
    def test_a_name_is_decoded(self, tmp_path):
        touch(tmp_path / "wav" / "03a01Fa.wav")
        recordings = emodb.load(emodb.EmodbSettings(root=tmp_path))
        (utterance,) = recordings.utterances
        assert (utterance.label, utterance.speaker, utterance.split) == ("happiness", "03", "test")
        assert utterance.transcript == "Der Lappen liegt auf dem Eisschrank."

    def test_each_actor_is_a_fold(self, tmp_path):
        write_emodb(tmp_path)
        recordings = emodb.load(emodb.EmodbSettings(root=tmp_path, fold=16))
        assert speakers(recordings, "test") == {"16"}
        assert speakers(recordings, "validation") == {"03"}

    def test_boredom_is_none_of_the_seven_and_is_counted(self, tmp_path):
        write_emodb(tmp_path)
        recordings = emodb.load(emodb.EmodbSettings(root=tmp_path, task="seven"))
        assert len(recordings.utterances) == 60
        assert recordings.counts["utterances of classes outside the seven, left out"] == 10


class TestIemocap:
    def test_a_turn_has_label_ratings_speaker_and_words(self, tmp_path):
        write_iemocap(tmp_path)
        recordings = iemocap.load(iemocap.IemocapSettings(root=tmp_path))
        utterance = by_id(recordings, "Ses03F_impro01_M001")
        assert (utterance.label, utterance.speaker, utterance.dialogue) == ("anger", "Ses03M", "Ses03F_impro01")
        assert utterance.ratings == {"valence": 1.5, "activation": 4.0, "dominance": 4.5}
        assert recordings.sources[utterance.id].text == utterance.transcript == "Let me see them."
        assert recordings.sources[utterance.id].audio == (
            tmp_path / "Session3/sentences/wav/Ses03F_impro01/Ses03F_impro01_M001.wav"
        )
        assert utterance.segment is None

    def test_the_four_classes_merge_excitement_into_happiness(self, tmp_path):
        write_iemocap(tmp_path)
        recordings = iemocap.load(iemocap.IemocapSettings(root=tmp_path))
        assert recordings.label_set.names == ("anger", "happiness", "neutral", "sadness")
        assert labels(recordings) == {"anger": 10, "happiness": 20, "neutral": 10, "sadness": 10}
        assert recordings.counts["turns without a majority of raters, left out"] == 10
        assert recordings.counts["turns of classes outside the four, left out"] == 20

    def test_its_own_classes_keep_excitement_and_frustration_apart(self, tmp_path):
        write_iemocap(tmp_path)
        found = labels(iemocap.load(iemocap.IemocapSettings(root=tmp_path, task="corpus")))
        names = ("neutral", "excitement", "happiness", "anger", "frustration", "sadness", "other")
        assert found == dict.fromkeys(names, 10)

    def test_frustration_and_other_are_none_of_the_seven(self, tmp_path):
        write_iemocap(tmp_path)
        recordings = iemocap.load(iemocap.IemocapSettings(root=tmp_path, task="seven"))
        assert labels(recordings) == {"neutral": 10, "happiness": 20, "anger": 10, "sadness": 10}
        assert recordings.counts["utterances of classes outside the seven, left out"] == 20

    def test_turns_are_segments_of_the_film_of_their_dialogue(self, tmp_path):
        write_iemocap(tmp_path)
        recordings = iemocap.load(iemocap.IemocapSettings(root=tmp_path, media="dialogues"))
        utterance = by_id(recordings, "Ses01M_script01_1b_F001")
        assert utterance.segment == Segment("Session1/dialog/avi/DivX/Ses01M_script01_1b.avi", 5.5, 7.5)
        assert recordings.sources[utterance.id].video == tmp_path / utterance.segment.file
        assert recordings.sources[utterance.id].audio == tmp_path / "Session1/dialog/wav/Ses01M_script01_1b.wav"

    def test_transcripts_alone_will_do(self, tmp_path):
        write_iemocap(tmp_path)
        recordings = iemocap.load(iemocap.IemocapSettings(root=tmp_path, media="none"))
        assert recordings.signals == ("text",)

    def test_a_session_is_a_fold(self, tmp_path):
        write_iemocap(tmp_path)
        recordings = iemocap.load(iemocap.IemocapSettings(root=tmp_path, fold=5))
        assert speakers(recordings, "test") == {"Ses05F", "Ses05M"}
        assert speakers(recordings, "validation") == {"Ses01F", "Ses01M"}

    def test_some_missing_files_are_counted_and_none_at_all_is_an_error(self, tmp_path):
        write_iemocap(tmp_path)
        for path in tmp_path.glob("Session2/sentences/wav/*/*F000.wav"):
            path.unlink()
        recordings = iemocap.load(iemocap.IemocapSettings(root=tmp_path))
        assert recordings.counts["files not there"] == 2
        assert by_id(recordings, "Ses02F_impro01_F000")
        for path in tmp_path.glob("Session*/sentences/wav/*/*.wav"):
            path.unlink()
        with pytest.raises(DatasetError, match=r"none of the 50 media files.*Session1/sentences/wav"):
            iemocap.load(iemocap.IemocapSettings(root=tmp_path))

    @pytest.mark.parametrize(
        "line",
        [
            "[6.2 - 8.2]\tSes01F_impro01_F000\tmad\t[2.5, 2.5, 2.5]",
            "[8.2 - 6.2]\tSes01F_impro01_F000\tneu\t[2.5, 2.5, 2.5]",
            "[6.2 - 8.2]\tSes01F_impro01_F000\tneu\t[2.5, 2.5]",
            "[6.2]\tSes01F_impro01_F000\tneu\t[2.5, 2.5, 2.5]",
        ],
    )
    def test_a_damaged_turn_is_named(self, tmp_path, line):
        write_iemocap(tmp_path, [1])
        path = tmp_path / "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"
        path.write_text(path.read_text() + "\n" + line)
        with pytest.raises(DatasetError, match=r"Ses01F_impro01.txt, line \d+: .*expected \[start - end\]"):
            iemocap.load(iemocap.IemocapSettings(root=tmp_path))

    def test_a_turn_that_is_rated_twice_is_named(self, tmp_path):
        write_iemocap(tmp_path, [1, 2])
        path = tmp_path / "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"
        path.write_text(path.read_text() + path.read_text())
        with pytest.raises(DatasetError, match="duplicate utterance 'Ses01F_impro01_F000'"):
            iemocap.load(iemocap.IemocapSettings(root=tmp_path))

    def test_a_missing_transcript_is_named(self, tmp_path):
        write_iemocap(tmp_path, [1])
        (tmp_path / "Session1/dialog/transcriptions/Ses01F_impro01.txt").unlink()
        with pytest.raises(DatasetError, match=r"transcriptions/Ses01F_impro01\.txt cannot be read \(No such file"):
            iemocap.load(iemocap.IemocapSettings(root=tmp_path))


class TestMeld:
    def test_an_utterance_has_words_and_film(self, tmp_path):
        write_meld(tmp_path)
        recordings = meld.load(meld.MeldSettings(root=tmp_path))
        utterance = by_id(recordings, "dev_dia2_utt1")
        assert (utterance.split, utterance.label, utterance.dialogue) == ("validation", "neutral", "dev_dia2")
        assert utterance.speaker == "dev_dia2/Rachel"
        assert recordings.sources[utterance.id].text == utterance.transcript == "Hi, Joey."
        assert recordings.sources[utterance.id].video == tmp_path / "dev_splits_complete" / "dia2_utt1.mp4"
        assert "not speaker-independent" in str(recordings.counts["speakers"])

    def test_without_films_the_words_are_left(self, tmp_path):
        write_meld(tmp_path, films=False)
        recordings = meld.load(meld.MeldSettings(root=tmp_path))
        assert recordings.signals == ("text",)
        assert len(recordings.utterances) == 18
        counted = {name: n for name, n in recordings.counts.items() if "words only" in name}
        splits = ("train", "validation", "test")
        assert counted == {f"{split}: no folder of clips, words only": 6 for split in splits}

    def test_a_split_without_its_folder_of_clips_is_counted(self, tmp_path):
        write_meld(tmp_path)
        (tmp_path / "train_splits").rename(tmp_path / "elsewhere")
        recordings = meld.load(meld.MeldSettings(root=tmp_path))
        assert recordings.counts["train: no folder of clips, words only"] == 6
        assert "test: no folder of clips, words only" not in recordings.counts
        assert recordings.sources["train_dia0_utt0"].video is None

    def test_films_may_lie_in_a_folder_of_their_split(self, tmp_path):
        write_meld(tmp_path)
        for part, folder in meld.FILMS.items():
            (tmp_path / part).mkdir()
            (tmp_path / folder).rename(tmp_path / part / folder)
        recordings = meld.load(meld.MeldSettings(root=tmp_path))
        assert recordings.sources["dev_dia2_utt1"].video == tmp_path / "dev/dev_splits_complete/dia2_utt1.mp4"
        assert not any("words only" in name or name == "files not there" for name in recordings.counts)

    def test_films_that_are_not_there_are_counted(self, tmp_path):
        write_meld(tmp_path)
        (tmp_path / "dev_splits_complete" / "dia2_utt1.mp4").unlink()
        recordings = meld.load(meld.MeldSettings(root=tmp_path))
        assert recordings.counts["files not there"] == 1
        assert by_id(recordings, "dev_dia2_utt1")

    def test_joy_is_happiness_among_the_seven(self, tmp_path):
        write_meld(tmp_path)
        assert labels(meld.load(meld.MeldSettings(root=tmp_path, task="seven"))) == {"happiness": 9, "neutral": 9}

    def test_sentiment_is_a_task_too(self, tmp_path):
        write_meld(tmp_path)
        recordings = meld.load(meld.MeldSettings(root=tmp_path, task="sentiment"))
        assert recordings.label_set.names == ("negative", "neutral", "positive")
        assert labels(recordings) == {"positive": 9, "neutral": 9}

    @pytest.mark.parametrize(
        ("text", "meant"),
        [
            ("I\x92m \x93here\x94\x97now", "I\u2019m “here”—now"),
            ("I\u00e2\u20ac\u2122m", "I\u2019m"),
            ("\u00e2\u20ac\u0153Hi\u00e2\u20ac\x9d", "“Hi”"),
            ("caf\u00c3\u00a9", "café"),
            ("café… “naïve” Ångström 10 °C", "café… “naïve” Ångström 10 °C"),
            ("\x81", "\x81"),
        ],
    )
    def test_characters_that_were_read_wrongly_are_repaired(self, text, meant):
        assert meld.repair(text) == meant

    def test_repairs_are_counted(self, tmp_path):
        write_meld(tmp_path, texts=[("Joey", "joy", "positive", "I\x92m Joey."), ("Ross", "anger", "negative", "Hi.")])
        recordings = meld.load(meld.MeldSettings(root=tmp_path))
        assert recordings.counts["utterances with repaired characters"] == 9
        assert by_id(recordings, "test_dia0_utt0").transcript == "I\u2019m Joey."

    def test_a_table_in_cp1252_is_read_and_said(self, tmp_path):
        write_meld(tmp_path)
        path = tmp_path / "dev_sent_emo.csv"
        path.write_bytes(path.read_text(encoding="utf-8").encode("cp1252"))
        recordings = meld.load(meld.MeldSettings(root=tmp_path))
        assert by_id(recordings, "dev_dia0_utt0").transcript == "How you doin\u2019?"
        assert "read as cp1252: dev_sent_emo.csv" in recordings.counts

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("joy", "jo", "unknown emotion 'jo'; did you mean 'joy'"),
            (",Emotion,", ",Feeling,", "lacks column 'Emotion'"),
            ("positive,0,0", "positive,x,0", "expected whole numbers"),
            ("positive,1,0", "positive,0,0", "duplicate utterance 'train_dia0_utt0'"),
            ("Joey", "Joey,,,,", "row 1: expected 7 cells"),
            ("Joey", '"Joey', "cannot be read as a table"),
        ],
    )
    def test_a_damaged_table_is_named(self, tmp_path, old, new, message):
        write_meld(tmp_path)
        path = tmp_path / "train_sent_emo.csv"
        path.write_text(path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
        with pytest.raises(DatasetError, match=message):
            meld.load(meld.MeldSettings(root=tmp_path))

    def test_the_real_tables_have_the_published_sizes(self):
        recordings = meld.load(meld.MeldSettings(root=real("meld_text")))
        assert Counter(u.split for u in recordings.utterances) == {"train": 9989, "validation": 1109, "test": 2610}
        train = Counter(u.label for u in recordings.utterances if u.split == "train")
        assert train == {
            "neutral": 4710,
            "joy": 1743,
            "surprise": 1205,
            "anger": 1109,
            "sadness": 683,
            "disgust": 271,
            "fear": 268,
        }
        assert len({u.dialogue for u in recordings.utterances}) == 1038 + 114 + 280
