"""Writers of tiny folders with the layout of each corpus of media: files without content, and the tables of labels."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

RAVDESS_CODES = [
    "01-01-01-01",  # neutral
    *(f"{emotion:02d}-{intensity:02d}-02-01" for emotion in range(2, 9) for intensity in (1, 2)),
]


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


def write_ravdess(root: Path, actors: Sequence[int] = range(1, 25)) -> Path:
    """Fifteen clips of speech per actor, as sound."""
    for actor in actors:
        for code in RAVDESS_CODES:
            touch(root / "Audio_Speech_Actors_01-24" / f"Actor_{actor:02d}" / f"03-01-{code}-{actor:02d}.wav")
    return root


def write_cremad(root: Path, actors: Sequence[int] = range(1001, 1011)) -> Path:
    """Six clips per actor, as sound and as film."""
    for actor in actors:
        for emotion in ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD"):
            touch(root / "AudioWAV" / f"{actor}_DFA_{emotion}_XX.wav")
            touch(root / "VideoFlash" / f"{actor}_DFA_{emotion}_XX.flv")
    return root


def write_emodb(root: Path) -> Path:
    """Seven clips for each of the ten actors."""
    for actor in (3, 8, 9, 10, 11, 12, 13, 14, 15, 16):
        for emotion in "WLEAFTN":
            touch(root / "wav" / f"{actor:02d}b09{emotion}a.wav")
    return root


IEMOCAP_TURNS = (
    ("F000", "neu", (2.5, 2.5, 2.5), "Excuse me."),
    ("M000", "exc", (4.0, 3.5, 3.0), "Do you have your forms?"),
    ("F001", "hap", (4.5, 3.0, 3.0), "Yeah."),
    ("M001", "ang", (1.5, 4.0, 4.5), "Let me see them."),
    ("F002", "fru", (2.0, 3.0, 3.0), "Is there a problem?"),
    ("M002", "xxx", (2.5, 2.5, 2.5), "Who told you?"),
    ("F003", "sad", (1.5, 2.0, 2.0), "You did."),
    ("M003", "oth", (3.0, 3.0, 3.0), "Okay."),
)


def write_iemocap(root: Path, sessions: Sequence[int] = (1, 2, 3, 4, 5)) -> Path:
    """Two dialogues of eight turns per session; a turn takes two seconds, after a pause of half a second."""
    for session in sessions:
        for dialogue in (f"Ses{session:02d}F_impro01", f"Ses{session:02d}M_script01_1b"):
            folder = root / f"Session{session}"
            rated, said = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""], []
            for k, (turn, emotion, ratings, text) in enumerate(IEMOCAP_TURNS):
                start, end, name = 2.5 * k + 0.5, 2.5 * k + 2.5, f"{dialogue}_{turn}"
                shown = ", ".join(f"{rating:.4f}" for rating in ratings)
                rated += [f"[{start:.4f} - {end:.4f}]\t{name}\t{emotion}\t[{shown}]", "C-E2:\tNeutral;\t()", ""]
                said.append(f"{name} [{start:08.4f}-{end:08.4f}]: {text}")
                touch(folder / "sentences" / "wav" / dialogue / f"{name}.wav")
            touch(folder / "dialog" / "avi" / "DivX" / f"{dialogue}.avi")
            touch(folder / "dialog" / "wav" / f"{dialogue}.wav")
            touch(folder / "dialog" / "EmoEvaluation" / f"{dialogue}.txt").write_text("\n".join(rated))
            touch(folder / "dialog" / "EmoEvaluation" / f"._{dialogue}.txt").write_bytes(b"\0\5\x16\7")
            said.insert(1, "M: [BREATHING]")
            touch(folder / "dialog" / "transcriptions" / f"{dialogue}.txt").write_text("\n".join(said))
    return root


MELD_TEXTS = (("Joey", "joy", "positive", "How you doin\u2019?"), ("Rachel", "neutral", "neutral", "Hi, Joey."))


def write_meld(root: Path, *, films: bool = True, texts: Sequence[tuple[str, str, str, str]] = MELD_TEXTS) -> Path:
    """Three dialogues per split, each of the same utterances."""
    folders = {"train": "train_splits", "dev": "dev_splits_complete", "test": "output_repeated_splits_test"}
    for part, folder in folders.items():
        rows = []
        for dialogue in range(3):
            for k, (speaker, emotion, sentiment, text) in enumerate(texts):
                rows.append(
                    {
                        "Sr No.": len(rows) + 1,
                        "Utterance": text,
                        "Speaker": speaker,
                        "Emotion": emotion,
                        "Sentiment": sentiment,
                        "Dialogue_ID": dialogue,
                        "Utterance_ID": k,
                    }
                )
                if films:
                    touch(root / folder / f"dia{dialogue}_utt{k}.mp4")
        write_csv(root / f"{part}_sent_emo.csv", rows)
    return root


def write_csv(
    path: Path, rows: Sequence[Mapping[str, object]], *, delimiter: str = ",", encoding: str = "utf-8"
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_media_manifest(root: Path) -> Path:
    """Four speakers with three clips each, one class after the other, without splits."""
    rows = []
    for k in range(12):
        touch(root / "clips" / f"clip {k}.wav")
        label = ("happiness", "sadness", "neutral")[k % 3]
        rows.append({"audio": f"clips/clip {k}.wav", "text": f"Text {k}", "label": label, "speaker": f"s{k // 3}"})
    return write_csv(root / "manifest.csv", rows)
