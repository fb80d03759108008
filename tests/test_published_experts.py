"""Published classifiers in the place of experts, and calibration on a small manifest: tiny networks of real kinds."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.special import log_softmax, softmax

import emotiwave
from emotiwave.errors import CheckpointError, ConfigError, DatasetError
from emotiwave.experts import Calibration, load_experts
from emotiwave.experts.calibrated import RIDGE, apply_calibration, fit_calibration
from emotiwave.experts.label_map import KNOWN, map_labels, to_seven_classes
from emotiwave.experts.published import load_published
from emotiwave.labels import SEVEN
from emotiwave.recognizer import ExpertRecognizer, clip_reading
from tests.made_faces import SquareDetector
from tests.made_media import write_sound
from tests.made_weights import away_from_home, made_folder
from tests.test_cli import run
from tests.test_experts import face, voice
from tests.tiny_encoders import one_thread, save_bert, save_speech, save_vit

one_thread = pytest.fixture(scope="module", autouse=True)(one_thread)
folder = pytest.fixture(scope="module")(made_folder)
away_from_home = pytest.fixture(autouse=True)(away_from_home)
LABELS = ("joy", "ANGRY", "sadness", "other")


def _with_head(folder: Path, kind: str, labels: tuple[str, ...] = LABELS, **settings: Any) -> Path:
    """Put a trained head on a tiny encoder: a published classifier."""
    import transformers

    torch.manual_seed(1)
    config = transformers.AutoConfig.from_pretrained(folder, id2label=dict(enumerate(labels)), **settings)
    head = {"text": "SequenceClassification", "audio": "AudioClassification", "vision": "ImageClassification"}[kind]
    model = getattr(transformers, f"AutoModelFor{head}").from_config(config)
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1 and "weight" in name:
            torch.nn.init.normal_(parameter, std=0.4)
    model.eval().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("published")
    return {
        "text": _with_head(save_bert(root / "bert"), "text"),
        "audio": _with_head(save_speech(root / "hubert"), "audio", classifier_proj_size=8),
        "vision": _with_head(save_vit(root / "vit"), "vision"),
    }


@pytest.fixture(autouse=True)
def _squares_are_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_reading, "load_detector", SquareDetector)


def test_a_text_classifier_says_what_transformers_says(published: dict[str, Path]) -> None:
    import transformers

    expert = load_published(str(published["text"]), "text")
    assert expert.labels == {"joy": "happiness", "ANGRY": "anger", "sadness": "sadness", "other": None}
    texts = ["i am happy", "", "you are sad today !"]
    answer = expert(texts)
    assert answer.observed.tolist() == [True, False, True]
    assert answer.reasons[1] == "no words"
    model = transformers.AutoModelForSequenceClassification.from_pretrained(published["text"])
    tokenizer = transformers.AutoTokenizer.from_pretrained(published["text"])
    for row in (0, 2):
        with torch.inference_mode():
            shares = softmax(model(**tokenizer(texts[row], return_tensors="pt")).logits[0].double().numpy())
        # a third of what is none of the seven for each of the three that it knows, of which there are 3 in 7
        expected = (shares[:3] + shares[3] / 3) * 3 / 7
        found = answer.probabilities[row]
        np.testing.assert_allclose(
            found[[SEVEN.index(n) for n in ("happiness", "anger", "sadness")]], expected, atol=1e-5
        )
        np.testing.assert_allclose(found[[SEVEN.index(n) for n in ("disgust", "fear", "surprise", "neutral")]], 1 / 7)


def test_classifiers_of_sound_and_pictures_say_the_same_alone_and_together(published: dict[str, Path]) -> None:
    sounds = [voice(0.5), voice(0.9, 250.0), voice(0.5, level=0.0), voice(0.5, level=1e6)]
    heard = load_published(str(published["audio"]), "audio")
    together = heard(sounds)
    assert together.observed.tolist() == [True, True, False, False]
    for row, sound in enumerate(sounds):
        np.testing.assert_allclose(heard([sound]).log_posterior[0], together.log_posterior[row], atol=1e-5)
    pictures = [face(40), face(32, seed=1), face(9, seed=2)]
    seen = load_published(str(published["vision"]), "vision")
    assert (seen.crop.side, seen.crop.is_grey) == (32, False)
    together = seen(pictures)
    assert together.observed.all()
    for row, picture in enumerate(pictures):
        np.testing.assert_allclose(seen([picture]).log_posterior[0], together.log_posterior[row], atol=1e-5)


def test_several_labels_may_hold(tmp_path: Path) -> None:
    folder = _with_head(save_bert(tmp_path / "bert"), "text", problem_type="multi_label_classification")
    expert = load_published(str(folder), "text")
    assert expert.classifier.several
    np.testing.assert_allclose(np.exp(expert.classifier([["i", "am"]])).sum(), 1.0)


@pytest.mark.parametrize(
    ("labels", "given", "message"),
    [
        (("LABEL_0", "joy"), None, r"it is not known what 'LABEL_0' means"),
        (("happy", "not happy", "angry"), None, "'not happy'"),
        (("joy", "happy"), None, "at least two of the seven"),
        (("joy", "anger"), {"angr": "anger"}, "did you mean 'anger'"),
        (("joy", "anger"), {"anger": "rage"}, "unknown class 'rage'"),
    ],
)
def test_labels_that_cannot_be_placed_are_named(
    labels: tuple[str, ...], given: dict[str, str | None] | None, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        map_labels(labels, given, source="someone/model")


def test_every_label_of_goemotions_has_its_place() -> None:
    from emotiwave.datasets.goemotions import ORIGINAL

    found = map_labels(ORIGINAL, None, source="someone/goemotions")
    assert set(found.values()) == set(SEVEN)
    assert found["love"] == "happiness"
    assert found["nervousness"] == "fear"
    assert map_labels(("LABEL_0", "hap"), {"LABEL_0": "anger"}, source="x") == {"LABEL_0": "anger", "hap": "happiness"}
    assert set(KNOWN.values()) == set(SEVEN)


def test_what_a_classifier_cannot_say_is_no_evidence() -> None:
    shares = np.log(np.array([[0.9, 0.1, 1e-12], [1e-12, 1e-12, 1.0]]))
    found = to_seven_classes(shares, {"joy": "happiness", "mad": "anger", "other": None})
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1)
    evidence = found + np.log(7)
    np.testing.assert_allclose(evidence[0, SEVEN.index("fear")], 0, atol=1e-9)
    np.testing.assert_allclose(np.exp(evidence[0, SEVEN.index("happiness")]), 1.8)
    np.testing.assert_allclose(evidence[1], 0, atol=1e-9)  # it says that it is none of them: nothing


def test_many_names_make_a_class_no_likelier() -> None:
    labels = {"joy": "happiness", "love": "happiness", "pride": "happiness", "mad": "anger"}
    uniform = np.log(np.full((1, 4), 0.25))
    np.testing.assert_allclose(np.exp(to_seven_classes(uniform, labels)), 1 / 7)


def test_heads_and_maps_that_would_fill_memory_or_hide_a_label_are_refused(tmp_path: Path) -> None:
    folder = _with_head(save_bert(tmp_path / "bert"), "text")
    config = json.loads((folder / "config.json").read_text())
    for changes in ({"num_labels": 10**9}, {"id2label": {"0": "joy", "1": "joy"}}, {"classifier_proj_size": 10**9}):
        (folder / "config.json").write_text(json.dumps(config | changes))
        with pytest.raises(CheckpointError):
            load_published(str(folder), "text")


def test_a_classifier_of_another_kind_or_without_a_head_is_refused(published: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected an encoder of kind 'text'"):
        load_published(str(published["vision"]), "text")
    with pytest.raises(CheckpointError, match=r"classifier\.(weight|bias)"):
        load_published(str(_headless(tmp_path)), "text", labels={"LABEL_0": "anger", "LABEL_1": "fear"})
    with pytest.raises(ConfigError, match="no expert of 'smell'"):
        load_published("x", "smell")


def _headless(root: Path) -> Path:
    return save_bert(root / "headless")


def test_they_take_the_place_of_experts(published: dict[str, Path], folder: Path) -> None:
    chosen = {name: str(path) for name, path in published.items()}
    experts = load_experts(folder / "nowhere", chosen=chosen)  # no weights are needed
    assert experts.weights is None
    recognizer = emotiwave.load(folder, experts={"text": chosen["text"]})
    assert isinstance(recognizer, ExpertRecognizer)
    analysis = recognizer.analyze(text="i am happy")
    assert any("not calibrated on your data" in warning for warning in analysis.warnings)
    assert f"text: {chosen['text']}" in analysis.model
    evidence = recognizer.text(["i am happy"]).log_posterior[0] + np.log(7)
    expected = np.exp(log_softmax(evidence + np.log(recognizer.fusion.prior)))
    np.testing.assert_allclose(list(analysis.emotions.values()), expected, rtol=1e-6)
    picture = Image.fromarray(face(60)).convert("RGB")
    assert emotiwave.load(folder, experts={"vision": chosen["vision"]}).analyze(picture, is_face=True).answered
    of_words = emotiwave.load(folder).analyze(text="i am happy")
    other_face = emotiwave.load(folder, experts={"vision": chosen["vision"]}).analyze(text="i am happy")
    assert (other_face.emotions, other_face.contributions) == (of_words.emotions, of_words.contributions)
    assert recognizer.remarks == (
        f"text: {chosen['text']}: joy: happiness, ANGRY: anger, sadness: sadness, other: none",
    )
    with pytest.raises(ConfigError, match="unknown modality 'voice'"):
        load_experts(folder, chosen={"voice": "x"})
    with pytest.raises(ConfigError, match="no classifier of it"):
        load_experts(folder, labels={"text": {}})


def test_a_calibration_is_where_the_loss_is_lowest() -> None:
    generator = np.random.default_rng(0)
    truth = generator.integers(7, size=400)
    scores = generator.normal(0, 1, (400, 7)) + 3 * np.eye(7)[truth] + np.linspace(-1, 1, 7)
    posterior = log_softmax(scores, axis=1)
    fitted = fit_calibration(posterior, truth, [str(k) for k in range(400)])

    def loss(log_temperature: float, shifts: np.ndarray) -> float:
        answers = apply_calibration(posterior, log_temperature, shifts)
        penalty = RIDGE * (log_temperature**2 + shifts @ shifts) / 2
        return float(-answers[np.arange(400), truth].sum() + penalty)

    best = loss(fitted.log_temperature, fitted.shifts)
    for _ in range(50):  # a minimum: no step near it is better
        step = 0.02 * generator.standard_normal(8)
        assert loss(fitted.log_temperature + step[0], fitted.shifts + step[1:]) >= best - 1e-6
    assert fitted.nll_before > fitted.nll_after


def test_an_overconfident_expert_is_found_out() -> None:
    generator = np.random.default_rng(1)
    truth = generator.integers(7, size=300)
    # of scores with unit variance and 1.5 more for the truth, Bayes' rule says softmax of 1.5 times the scores
    right = log_softmax(1.5 * (generator.normal(0, 1, (300, 7)) + 1.5 * np.eye(7)[truth]), axis=1)
    fitted = fit_calibration(log_softmax(4 * right, axis=1), truth, [str(k % 30) for k in range(300)])
    assert np.exp(fitted.log_temperature) == pytest.approx(4, rel=0.2)
    assert fitted.nll_after < fitted.nll_before
    np.testing.assert_allclose(fitted.prior, (np.bincount(truth, minlength=7) + 1) / 307)
    with pytest.raises(ConfigError, match="19 examples of"):
        fit_calibration(right[:19], truth[:19], ["a"] * 19)
    with pytest.raises(ConfigError, match="of 1 classes"):
        fit_calibration(right[:40], np.zeros(40, np.int64), ["a"] * 40)


def manifest(path: Path, rows: list[dict[str, Any]]) -> Path:
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_an_expert_is_calibrated_on_a_manifest(
    published: dict[str, Path], folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("i", "am", "so", "very", "happy", "sad", "today", "you", "are", "not")
    rows = [{"id": f"r{k}", "text": f"{words[k % 10]} {words[k // 3 % 10]}", "label": SEVEN[k % 3]} for k in range(30)]
    rows += [{"id": "kept back", "text": "i am", "label": "fear", "split": "test"}]
    rows += [{"id": "empty", "text": "...", "label": "joy"}, {"id": "unlabelled", "text": "i am", "label": ""}]
    table = manifest(tmp_path / "mine.csv", rows)
    done = emotiwave.calibrate_expert(
        table, "text", out=tmp_path / "text.json", expert=str(published["text"]), folder=folder
    )
    assert (done.calibration.n, list(done.remarks)) == (30, ["kept back", "empty"])
    calibrated = emotiwave.load(folder, experts={"text": tmp_path / "text.json"})
    assert isinstance(calibrated, ExpertRecognizer)
    plain, moved = load_published(str(published["text"]), "text")(["i am"]), calibrated.text(["i am"])
    shifts = np.array(done.calibration.shifts)
    expected = apply_calibration(plain.log_posterior, done.calibration.log_temperature, shifts)
    np.testing.assert_allclose(moved.log_posterior, expected, atol=1e-6)
    np.testing.assert_allclose(moved.prior, done.calibration.prior)
    assert not any("not calibrated" in warning for warning in calibrated.analyze(text="i am").warnings)
    with pytest.raises(ConfigError, match="was calibrated already"):
        emotiwave.calibrate_expert(
            table, "text", out=tmp_path / "c.json", expert=str(tmp_path / "text.json"), folder=folder
        )
    with pytest.raises(ConfigError, match="labels of its own"):
        emotiwave.load(folder, experts={"text": tmp_path / "text.json"}, labels={"text": {"joy": "anger"}})
    code, out, _ = run(
        capsys,
        "calibrate",
        "--manifest",
        str(table),
        "--expert",
        f"text={published['text']}",
        "--out",
        str(tmp_path / "b.json"),
    )
    assert code == 0
    assert "labels: joy: happiness, ANGRY: anger" in out
    assert json.loads((tmp_path / "b.json").read_text())["n"] == 30


def test_the_shipped_expert_is_calibrated_and_then_at_home(folder: Path, tmp_path: Path) -> None:
    rows = []
    for k in range(22):
        write_sound(tmp_path / f"{k}.wav", voice(0.6, 120.0 + 10 * k).samples)
        rows.append({"audio": f"{k}.wav", "label": SEVEN[k % 2], "speaker": f"s{k % 4}"})
    table = manifest(tmp_path / "mine.csv", rows)
    done = emotiwave.calibrate_expert(table, "audio", out=tmp_path / "voice.json", folder=folder)
    recognizer = emotiwave.load(folder, experts={"audio": tmp_path / "voice.json"})
    assert isinstance(recognizer, ExpertRecognizer)
    answer = recognizer.audio([voice(0.6)])
    found = recognizer.analyze(voice(0.6)).emotions  # alone, it says what it was calibrated to say
    np.testing.assert_allclose(list(found.values()), answer.probabilities[0], atol=1e-6)
    speaker = emotiwave.calibrate([tmp_path / "1.wav"], out=tmp_path / "anna.safetensors", folder=folder)
    assert (
        emotiwave.load(folder, experts={"audio": tmp_path / "voice.json"}, speaker=speaker.path)
        .analyze(voice(0.6))
        .answered
    )
    assert done.calibration.source == "shipped"
    with pytest.raises(CheckpointError, match="calibrated with other weights"):
        emotiwave.load(folder, experts={"audio": tmp_path / "voice.json"}, voice="prosody")
    other = done.calibration.model_copy(update={"identity": {"voice/all.safetensors": "0" * 64}})
    (tmp_path / "other.json").write_text(other.model_dump_json())
    with pytest.raises(CheckpointError, match="calibrated with other weights"):
        load_experts(folder, chosen={"audio": tmp_path / "other.json"})


def test_calibration_says_what_is_wrong(folder: Path, tmp_path: Path) -> None:
    few = manifest(tmp_path / "few.csv", [{"id": "a", "text": "i am", "label": "anger"}])
    with pytest.raises(ConfigError, match="1 examples of 1 classes"):
        emotiwave.calibrate_expert(few, "text", out=tmp_path / "a.json", folder=folder)
    mute = manifest(tmp_path / "mute.csv", [{"id": f"r{k}", "text": "i am", "label": SEVEN[k % 2]} for k in range(30)])
    with pytest.raises(ConfigError, match=r"0 of 30 rows.*r0: has no audio"):
        emotiwave.calibrate_expert(mute, "audio", out=tmp_path / "a.json", folder=folder)
    one = manifest(
        tmp_path / "one.csv",
        [{"id": f"r{k}", "text": "i am", "label": SEVEN[k % 2], "speaker": "me"} for k in range(30)],
    )
    assert emotiwave.calibrate_expert(one, "text", out=tmp_path / "one.json", folder=folder).calibration.nll_after > 0
    odd = manifest(tmp_path / "odd.csv", [{"id": "a", "text": "i am", "label": "hunger"}])
    with pytest.raises(DatasetError, match=r"odd\.csv.*'hunger'; expected one of anger"):
        emotiwave.calibrate_expert(odd, "text", out=tmp_path / "a.json", folder=folder)
    with pytest.raises(ConfigError, match=r"is called \.json"):
        emotiwave.calibrate_expert(few, "text", out=tmp_path / "a.safetensors", folder=folder)
    (tmp_path / "mine.json").write_text("{}")
    with pytest.raises(ConfigError, match="no expert's file"):
        emotiwave.calibrate_expert(few, "text", out=tmp_path / "mine.json", folder=folder)
    with pytest.raises(CheckpointError, match="no expert's file"):
        Calibration.read(tmp_path / "mine.json")
