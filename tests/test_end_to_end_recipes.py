"""The recipes of published encoders go the whole way, with tiny checkpoints: prepared, trained, evaluated."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skimage.data import astronaut

from emotiwave import api
from emotiwave.features.extractors.words import decode_words
from emotiwave.features.store import open_store
from tests.made_corpora import write_csv
from tests.made_media import write_video
from tests.tiny_csd import write_tiny_mosei
from tests.tiny_encoders import WIDTH, one_thread, save_bert, save_resnet, save_speech

RATE = 16_000
LABELS = {  # by video: start, end, sentiment and six emotions, each of which is there in training and validation
    "-a": [(0.0, 2.0, (1.0, 2, 0, 1, 0, 1, 0)), (2.0, 4.0, (-1.0, 0, 2, 0, 1, 0, 1))],
    "b": [(0.0, 3.0, (0.0, 1, 1, 0, 0, 0, 0))],
    "-a_1": [(0.0, 2.0, (1.0, 1, 0, 1, 0, 1, 0)), (1.0, 4.0, (-1.0, 0, 1, 0, 1, 0, 1))],
    "c": [(0.0, 4.0, (0.5, 0, 0, 1, 0, 0, 0))],
    "b_2": [(1.0, 3.0, (-3.0, 0, 0, 0, 0, 1, 0))],
}
ONCE = ("training.epochs=1", "training.patience=0", "features.cache_folder=cache")

one_thread = pytest.fixture(scope="module", autouse=True)(one_thread)


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Modality -> a checkpoint of the architecture that the recipes name."""
    folder = tmp_path_factory.mktemp("encoders")
    return {
        "vision": save_resnet(folder / "resnet"),
        "audio": save_speech(folder / "hubert", num_hidden_layers=4, conv_stride=(5, 8, 8)),
        "text": save_bert(folder / "bert"),
    }


def portrait() -> dict[str, Any]:
    """A face that moves a little, so that the video is not frozen."""
    face = np.ascontiguousarray(astronaut()[:240, 100:420])
    return {"size": (320, 240), "pictures": lambda index: np.roll(face, 3 * (index % 4), axis=1)}


def tone(seconds: float, pitch: float = 220.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * pitch * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def test_clips_end_to_end(encoders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = []
    for k in range(6):
        is_low = k % 2 == 0
        sound = tone(17.0 if k == 0 else 1.5, 150 if is_low else 600)
        write_video(tmp_path / f"c{k}.mp4", n_frames=4, fps=2, sound=sound, **portrait())
        row = {"id": f"c{k}", "video": f"c{k}.mp4", "text": f"i am so {'sad' if is_low else 'happy'}"}
        split = "train" if k < 4 else "test"
        rows.append({**row, "label": "sadness" if is_low else "joy", "speaker": f"s{k}", "split": split})
    write_csv(tmp_path / "clips.csv", rows)
    overrides = [*ONCE, *(f"model.encoders.{name}.pretrained={path}" for name, path in encoders.items())]
    prepared = api.prepare("clips_end_to_end", overrides=overrides)
    assert prepared.errors == ()
    cut = "utterances whose audio is cut after 750 frames (15 s)"
    assert prepared.counts[cut] == 1
    store = open_store(prepared.folder).sequences
    assert {name: sequence["c0"].values.shape[1] for name, sequence in store.items()} == {
        "vision": 112 * 112 * 3,
        "audio": 320,
        "text": 32,
    }
    assert len(store["audio"]["c0"].values) == 750
    assert decode_words(store["text"]["c1"].values) == ["i", "am", "so", "happy"]
    run = api.train("clips_end_to_end", out=tmp_path / "run", overrides=overrides)
    scores = [row for row in api.evaluate([run.folder]) if row.condition == "configuration"]
    assert len({row.available for row in scores}) == 7
    assert {row.n for row in scores} == {2}
    assert all(np.isfinite(row.value) for row in scores)
    assert "In 1 of 6 utterances, audio is cut after 750 frames (15 s)" in api.write_report(run.folder).read_text()


def test_mosei_cross_modal(encoders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "mosei"
    (root / "Raw").mkdir(parents=True)
    write_tiny_mosei(root, LABELS)
    write_video(root / "Raw" / "-a.mp4", n_frames=8, fps=2, sound=tone(4.0), **portrait())
    for name in ("-a_1", "b", "c"):
        (root / "Raw" / f"{name}.mp4").write_bytes((root / "Raw" / "-a.mp4").read_bytes())
    overrides = [*ONCE, f"dataset.root={root}"]
    overrides += [f"features.extractors.{name}.model={path}" for name, path in encoders.items()]
    prepared = api.prepare("mosei_cross_modal", overrides=overrides)
    assert prepared.errors == ()
    store = open_store(prepared.folder).sequences
    assert {name: sequence["-a[0]"].values.shape[1] for name, sequence in store.items()} == dict.fromkeys(
        ("text", "audio", "vision"), WIDTH
    )
    assert len(store["audio"]["-a[0]"].values) == 50
    run = api.train("mosei_cross_modal", out=tmp_path / "run", overrides=overrides)
    scores = [row for row in api.evaluate([run.folder]) if row.condition == "configuration"]
    assert len({row.available for row in scores}) == 7
    assert {row.n for row in scores if row.available == ("text",)} == {2}  # of b_2 there are only words
    assert (run.folder / "thresholds.json").exists()  # tuned on the validation fold
