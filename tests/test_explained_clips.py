"""Why and when, of clips: what is left out is left out of the question, and numbers are those of the answer."""

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import emotiwave
from emotiwave.analysis import Analysis
from emotiwave.experts import Answer, distribution, load_experts
from emotiwave.labels import SEVEN
from emotiwave.recognizer import ExpertRecognizer, clip_reading
from emotiwave.recognizer.expert_attribution import MOST_AGAIN, explain_readings
from emotiwave.recognizer.fusion import Fusion
from emotiwave.recognizer.reading import Reading, kept_shares
from emotiwave.recognizer.run_recognizer import RunRecognizer
from emotiwave.signals import Usability, Waveform, Word
from tests.made_faces import SquareDetector
from tests.made_weights import away_from_home, made_folder
from tests.test_cli import run
from tests.test_experts import voice
from tests.test_recognizer import film, speech
from tests.test_run_recognizer import CATEGORICAL, WORDS, _train
from tests.tiny_encoders import one_thread

one_thread = pytest.fixture(scope="module", autouse=True)(one_thread)
folder = pytest.fixture(scope="module")(made_folder)
away_from_home = pytest.fixture(autouse=True)(away_from_home)
SCHEMA = json.loads((Path(emotiwave.__file__).parent / "analysis" / "schema.json").read_text())


@pytest.fixture
def recognizer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> ExpertRecognizer:
    monkeypatch.setattr(clip_reading, "load_detector", SquareDetector)
    return ExpertRecognizer(load_experts(folder))


def check(analysis: Analysis) -> None:
    """What every explanation promises."""
    jsonschema.validate(analysis.to_dict(), SCHEMA)
    explained, shared = analysis.explanation, analysis.contributions
    if explained.probability is not None:
        for name, probability in analysis.emotions.items():
            assert explained.probability.total(name) == pytest.approx(probability, abs=1e-9)
    used = [name for name, use in analysis.modalities.items() if use.used]
    assert len(explained.interactions) == len(used) * (len(used) - 1) // 2
    assert set(shared.modalities) == set(used)
    assert {one.modality for one in explained.attributions} <= set(used)
    for one in explained.attributions:
        assert all(np.isfinite(span.value) for span in one.spans)


def test_words_are_worth_what_is_lost_without_them(recognizer: ExpertRecognizer) -> None:
    words = ["i", "am", "so", "happy", "today"]
    analysis = recognizer.analyze(text=" ".join(words), explain=True)
    check(analysis)
    (attribution,) = analysis.explanation.attributions
    assert (attribution.method, attribution.target) == ("occlusion", analysis.decision)
    assert [span.text for span in attribution.spans] == words
    full = analysis.contributions.total(analysis.decision)
    for index, span in enumerate(attribution.spans):
        rest = recognizer.analyze(text=" ".join([*words[:index], *words[index + 1 :]]))
        assert span.value == pytest.approx(full - rest.contributions.total(analysis.decision), abs=1e-6)
        assert span.start is None
    assert analysis.explanation.interactions == {}
    assert recognizer.analyze(text=" ".join(words)).explanation is None


def test_a_clip_is_explained_over_all_of_its_time(recognizer: ExpertRecognizer, tmp_path: Path) -> None:
    clip = film(tmp_path / "a.mp4", sound=speech(4.0))
    (tmp_path / "a.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\ni am happy\n")
    analysis = recognizer.analyze(clip, transcript=tmp_path / "a.srt", explain=True)
    check(analysis)
    by_modality = {one.modality: one.spans for one in analysis.explanation.attributions}
    assert {one.modality: one.method for one in analysis.explanation.attributions} == {
        "text": "occlusion",
        "audio": "occlusion",
        "vision": "integrated_gradients",
    }
    assert [span.text for span in by_modality["text"]] == ["i", "am", "happy"]
    assert all(1 <= span.start < span.end <= 2 for span in by_modality["text"])
    for name in ("audio", "vision"):
        spans = by_modality[name]
        assert spans[0].start == pytest.approx(0, abs=0.3)
        assert spans[-1].end == pytest.approx(4, abs=0.3)
        assert all(span.end - span.start <= 0.6 for span in spans)
    flip = analysis.explanation.flip
    if flip is not None:
        left = [name for name in by_modality if name not in flip]
        other = recognizer.analyze(clip, transcript=tmp_path / "a.srt", modalities=left) if left else None
        assert other is None or other.decision != analysis.decision


def answer(evidence: list[float]) -> Answer:
    """Of as many clips, evidence for anger alone; NaN of one that cannot be read."""
    values = np.zeros((len(evidence), len(SEVEN)))
    values[:, 0] = np.nan_to_num(evidence)
    seen = np.isfinite(evidence)
    return Answer(values, np.ones(len(SEVEN)), seen, tuple(None if of else "no" for of in seen), {})


def score(pooled: dict[str, tuple[np.ndarray, float]]) -> float:
    """Anger less a class for which there is never evidence, summed over modalities."""
    return float(sum(values[0] - values[6] for values, _ in pooled.values()))


def reading(modality: str, content: list, evidence: list[float], seconds: float = 1.0) -> Reading:
    n = len(content)
    values = np.zeros((n, len(SEVEN)))
    values[:, 0] = evidence
    intervals = np.array([[k * seconds, (k + 1) * seconds] for k in range(n)])
    usability = Usability(modality, 1.0, {}, ignored=False)
    return Reading(modality, values, intervals, np.ones(n), usability, n * seconds, content=tuple(content))


def test_sound_is_cut_out_by_half_seconds() -> None:
    loud = Waveform(np.repeat(np.float32([1, 5, 2, 0]), 8000), 16_000)  # half a second of each
    heard = reading("audio", [loud], [2.0], 2.0)

    def expert(clips: list[Waveform]) -> Answer:
        return answer([float(clip.samples.mean()) for clip in clips])

    (found,) = explain_readings({"audio": heard}, {"audio": expert}, score, "anger")
    rest = [(5 + 2 + 0) / 3, (1 + 2 + 0) / 3, (1 + 5 + 0) / 3, (1 + 5 + 2) / 3]
    np.testing.assert_allclose([span.value for span in found.spans], [2.0 - one for one in rest], atol=1e-6)
    assert [(span.start, span.end) for span in found.spans] == [(0.0, 0.5), (0.5, 1.0), (1.0, 1.5), (1.5, 2.0)]


def test_what_cannot_be_read_any_more_is_left_out_whole() -> None:
    said = reading("text", [[Word("ah", 0.0, 1.0)], [Word("oh", 1.0, 2.0), Word("no", 1.0, 2.0)]], [4.0, 2.0])

    def expert(texts: list[str]) -> Answer:
        return answer([len(text) * 1.0 if text else np.nan for text in texts])

    (found,) = explain_readings({"text": said}, {"text": expert}, score, "anger")
    # without "ah" only the second piece is left; without "oh" or "no" it is 2 as before, and weighs half as much: a
    # third of all, of which a fifth of all is trimmed, as of the other two thirds
    third = (2 * (1 / 3 - 0.2) + 4 * (2 / 3 - 0.2)) / 0.6
    expected = [3.0 - 2.0, 3.0 - third, 3.0 - third]
    np.testing.assert_allclose([span.value for span in found.spans], expected)
    alone = reading("text", [[Word("ah", 0.0, 1.0)]], [4.0])
    (found,) = explain_readings({"text": alone}, {"text": expert}, lambda left: score(left) if left else -1.0, "anger")
    assert found.spans[0].value == 5.0


def test_long_clips_are_explained_by_their_windows_and_nobody_is_asked() -> None:
    pieces = [[Word(f"w{k}-{j}", 0.0, 1.0) for j in range(40)] for k in range(MOST_AGAIN // 40 + 1)]
    said = reading("text", pieces, [float(k) for k in range(len(pieces))])

    def nobody(texts: list[str]) -> Answer:
        raise AssertionError(texts)

    assert len(pieces) == 4
    (found,) = explain_readings({"text": said}, {"text": nobody}, score, "anger")
    assert found.method == "integrated_gradients"
    # of the mean of 0, 1, 2 and 3 a fifth is cut off at either end: 0 and 3 keep a twentieth, 1 and 2 a fourth of 0.6
    np.testing.assert_allclose([span.value for span in found.spans], np.array([0, 0.25, 0.5, 0.15]) / 0.6, atol=1e-9)
    assert [span.text.split()[0] for span in found.spans] == ["w0-0", "w1-0", "w2-0", "w3-0"]


def pictures(evidence: list[list[float]]) -> Reading:
    """Four of them a second."""
    n = len(evidence)
    intervals = np.stack([np.arange(n), np.arange(n) + 1.0], axis=1) / 4
    return Reading("vision", np.array(evidence), intervals, np.ones(n), Usability("vision", 1.0, {}, ignored=False))


def test_pictures_share_what_the_face_adds() -> None:
    happy, angry, nothing = ([2.0 * (k == of) for k in range(7)] for of in (3, 0, 9))
    seen = pictures([nothing, nothing, happy, happy, happy, happy, angry, nothing])
    prior = np.log([0.1, 0.1, 0.1, 0.2, 0.1, 0.1, 0.3])

    def score(pooled: dict[str, tuple[np.ndarray, float]]) -> float:
        """The log-odds of happiness, by the rule of softmax."""
        logits = prior + sum(worth * values for values, worth in pooled.values())
        return float(logits[3] - np.log(np.exp(np.delete(logits, 3)).sum()))

    (found,) = explain_readings({"vision": seen}, {}, score, "happiness")
    values = [span.value for span in found.spans]
    assert [(span.start, span.end) for span in found.spans] == [(0.0, 0.5), (0.5, 1.0), (1.0, 1.5), (1.5, 2.0)]
    assert sum(values) == pytest.approx(score({"vision": (seen.pool(), 1.0)}) - score({}), abs=1e-4)
    assert values[1] == pytest.approx(values[2], abs=1e-9)  # the same twice
    assert values[1] > 5 * abs(values[0])
    # what happy ones add is shared, though the robust mean would not miss any two of them
    alike = pictures([happy] * 8)
    (found,) = explain_readings({"vision": alike}, {}, score, "happiness")
    total = score({"vision": (alike.pool(), 1.0)}) - score({})
    np.testing.assert_allclose([span.value for span in found.spans], np.full(4, total / 4), atol=1e-4)
    left = pictures([happy] * 6)
    assert score({"vision": (left.pool(), 1.0)}) == pytest.approx(score({"vision": (alike.pool(), 1.0)}), abs=1e-12)


def test_shares_beside_another_modality_are_those_of_evidence_and_not_of_weight() -> None:
    fusion = Fusion(("audio", "vision"), np.full(7, 1 / 7), overlap=0.5)
    happy, angry = ([2.0 * (k == of) for k in range(7)] for of in (3, 0))
    heard, seen = reading("audio", [None] * 2, [1.0, 1.0]), pictures([happy, happy, angry, happy])
    heard = replace(heard, content=())

    def score(pooled: dict[str, tuple[np.ndarray, float]]) -> float:
        evidence, worth = ({name: pair[k] for name, pair in pooled.items()} for k in (0, 1))
        logits = fusion.log_posterior(evidence, worth)
        return float(logits[3] - np.log(np.exp(np.delete(logits, 3)).sum()))

    found = {one.modality: one for one in explain_readings({"audio": heard, "vision": seen}, {}, score, "happiness")}
    whole = {"audio": (heard.pool(), 1.0), "vision": (seen.pool(), 1.0)}
    silent = whole | {"vision": (np.zeros(7), 1.0)}
    values = [span.value for span in found["vision"].spans]
    assert sum(values) == pytest.approx(score(whole) - score(silent), abs=1e-4)
    assert abs(score(silent) - score({"audio": whole["audio"]})) > 0.05  # that the voice weighs less is not in them


def test_equal_values_count_alike_in_a_trimmed_mean() -> None:
    values = np.array([[1.0, 0.0], [1.0, 5.0], [1.0, 5.0], [1.0, 9.0]])
    weights = np.array([1.0, 1.0, 1.0, 2.0])
    shares = kept_shares(values, weights, 0.2)
    np.testing.assert_allclose(shares[:, 0], [0.2, 0.2, 0.2, 0.4])
    np.testing.assert_allclose(shares[:, 1], [0, 1 / 3, 1 / 3, 1 / 3])  # .2 | .4 | .4, cut at .2 and .8


def test_only_a_short_sound_is_kept(recognizer: ExpertRecognizer) -> None:
    kept = recognizer._reader.read([emotiwave.recognizer.make_clip(Waveform(speech(5.0), 16_000))], ["audio"])
    assert kept[0].readings["audio"].content == ()
    clip = emotiwave.recognizer.make_clip(Waveform(speech(5.0), 16_000))
    (heard,) = recognizer._reader.read([clip], ["audio"], to_explain=True)
    content = heard.readings["audio"].content
    assert len(content) == len(heard.readings["audio"].evidence) > 0
    long = emotiwave.recognizer.make_clip(Waveform(np.tile(speech(5.0), 13), 16_000))
    (heard,) = recognizer._reader.read([long], ["audio"], to_explain=True)
    assert heard.readings["audio"].content == ()


def test_a_run_is_explained_too(tmp_path: Path) -> None:
    trained = _train(tmp_path, CATEGORICAL)
    recognizer = emotiwave.load(trained)
    assert isinstance(recognizer, RunRecognizer)
    sound = np.tile(voice(1.0).samples, 20)
    analysis = recognizer.analyze(audio=(sound, 16_000), text=WORDS["anger"], explain=True)
    check(analysis)
    by_modality = {one.modality: one for one in analysis.explanation.attributions}
    assert set(by_modality) == {"audio", "text"}
    spans = by_modality["audio"].spans
    assert spans[0].start == pytest.approx(0, abs=0.1)
    assert spans[-1].end == pytest.approx(20, abs=0.3)
    assert [span.start for span in spans] == sorted(span.start for span in spans)
    assert by_modality["audio"].method == "integrated_gradients"
    silent = recognizer.analyze(audio=(np.zeros(32_000, np.float32), 16_000), explain=True)
    assert (silent.answered, silent.explanation) == (False, None)
    long = recognizer.analyze((np.tile(sound, 5), 16_000), explain=True)
    assert long.explanation.attributions == ()


def test_a_run_of_letters_tells_which_word(tmp_path: Path) -> None:
    settings = ["features.extractors.text=words", "model.encoders.text=gru", "features.frames=16"]
    recognizer = emotiwave.load(_train(tmp_path, CATEGORICAL, *settings))
    analysis = recognizer.analyze(text="i hate this", modalities=["text"], explain=True)
    (found,) = analysis.explanation.attributions
    assert found.method == "occlusion"  # letters have no gradient
    assert [span.text for span in found.spans] == ["i", "hate", "this"]
    check(analysis)


def test_on_the_command_line(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(distribution, "_installed", lambda: folder)
    code, out, _ = run(capsys, "analyze", "--text", "i am happy", "--explain")
    assert code == 0
    assert "text: i am happy" in out
    code, out, _ = run(capsys, "analyze", "--text", "i am happy", "--explain", "--json")
    jsonschema.validate(json.loads(out), SCHEMA)
    assert [span["text"] for span in json.loads(out)["explanation"]["attributions"][0]["spans"]] == ["i", "am", "happy"]
    code, out, _ = run(capsys, "analyze", "--text", "i am happy", "--json")
    assert json.loads(out)["explanation"] is None


def test_a_clip_gives_a_page(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(distribution, "_installed", lambda: folder)
    monkeypatch.setattr(clip_reading, "load_detector", SquareDetector)
    clip = film(tmp_path / "<b>a.mp4", sound=speech(4.0))
    code, out, _ = run(capsys, "explain", str(clip), "--out", str(tmp_path / "new" / "page.html"))
    assert code == 0
    assert "why: log-odds" in out
    page = (tmp_path / "new" / "page.html").read_text()
    assert "&lt;b&gt;a.mp4" in page
    assert "<b>a.mp4" not in page
    assert "<script" not in page
    assert page.count("data:image/png;base64") == 7  # at 0.1, 0.7, 1.3 ... s: five a second, half a second apart
    assert '<polygon class="wave"' in page
    points = page.split('points="')[1].split('"')[0].split()
    assert float(points[0].split(",")[0]) == 0
    assert max(abs(float(point.split(",")[1])) for point in points) == 1
    code, out, _ = run(capsys, "explain", str(clip), "--out", str(tmp_path / "page.html"), "--json")
    jsonschema.validate(json.loads(out), SCHEMA)
    assert (tmp_path / "page.html").read_text() == page
    dark = film(tmp_path / "dark.mp4", 2.0, lambda time: [])
    code, _, _ = run(capsys, "explain", str(dark), "--out", str(tmp_path / "dark.html"))
    assert code == 3
    assert "nothing to judge" in (tmp_path / "dark.html").read_text()
    for words, message in (
        ((str(clip), "--check"), "is a clip"),
        ((str(clip), "--out", str(clip / "x.html")), "cannot be written"),
    ):
        code, _, told = run(capsys, "explain", *words)
        assert (code, message in told) == (1, True)
