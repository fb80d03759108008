"""Recipes of media as they are shipped: each is read, and one goes the whole way on made files."""

from pathlib import Path

import numpy as np
import pytest

from emotiwave import api
from emotiwave.config import read_recipe
from emotiwave.features.extraction.settings import MediaFeatureSettings
from tests.made_corpora import write_csv
from tests.made_media import write_sound

RATE = 16_000
MANIFEST = "id,text,label,split\na,so good,joy,train\nb,so bad,anger,train\nc,good,joy,validation\nd,bad,anger,test\n"


@pytest.mark.parametrize(
    ("name", "signals", "chosen"),
    [
        ("manifest", ("text", "audio"), {"text": "hashed", "audio": "prosody"}),
        ("ravdess", ("audio",), {"audio": "prosody_statistics"}),
        ("goemotions", ("text",), {"text": "hashed"}),
        ("fer2013", ("vision",), {"vision": "face"}),
    ],
)
def test_a_shipped_recipe_is_read(name, signals, chosen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "manifest.csv").write_text(MANIFEST)
    (tmp_path / "corpus").mkdir()
    recipe = read_recipe(name, [] if name == "manifest" else ["dataset.root=corpus"])
    assert recipe.dataset_name == name
    assert isinstance(recipe.features, MediaFeatureSettings)
    assert {modality: choice.name for modality, choice in recipe.features.choices(signals).items()} == chosen
    assert name in api.list_names("recipes")


def test_the_manifest_in_the_working_folder_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "manifest.csv").write_text(MANIFEST)
    recordings = read_recipe("manifest", []).load_recordings()
    assert [u.id for u in recordings.utterances] == ["a", "b", "c", "d"]
    assert recordings.signals == ("text",)


def test_anyones_media_are_trained_on_and_evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    rows = []
    for k in range(18):
        low = k % 2 == 0
        times = np.arange(round(0.3 * RATE)) / RATE
        sound = 0.3 * np.sin(2 * np.pi * ((150 if low else 900) + 10 * rng.random()) * times)
        write_sound(tmp_path / f"c{k}.wav", sound.astype(np.float32))
        split = "train" if k < 10 else "validation" if k < 14 else "test"
        row = {"id": f"c{k}", "audio": f"c{k}.wav", "text": f"so {'low' if low else 'high'} {k}"}
        rows.append({**row, "label": "sadness" if low else "joy", "speaker": f"s{k}", "split": split})
    write_csv(tmp_path / "manifest.csv", rows)
    overrides = [
        "features.extractors={text='hashed', audio='logmel'}",
        "features.cache_folder=cache",
        "features.frames=8",
        "training.epochs=2",
        "training.patience=0",
        "model.name=late",
    ]
    run = api.train("manifest", out=tmp_path / "run", overrides=overrides)
    assert run.summary.n_epochs == 2
    scores = api.evaluate([run.folder])
    configurations = {row.available for row in scores if row.condition == "configuration"}
    assert configurations == {("text",), ("audio",), ("text", "audio")}
    assert {row.n for row in scores} == {4}
    assert {row.dataset for row in scores} == {"manifest"}
    for path in tmp_path.glob("*.wav"):
        path.unlink()  # the store is enough
    assert api.evaluate([run.folder]) == scores
