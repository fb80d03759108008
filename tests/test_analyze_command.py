"""`emotiwave analyze` on the command line: forms of output, exit codes, what is kept when it is stopped."""

import csv
import io
import json
from pathlib import Path

import jsonschema
import pytest

import emotiwave
from emotiwave import api
from emotiwave.cli import screen
from emotiwave.experts import distribution
from emotiwave.labels import SEVEN
from emotiwave.recognizer import clip_reading
from emotiwave.recognizer.clip_reading import ClipReader
from tests.made_faces import SquareDetector
from tests.made_media import write_sound
from tests.made_weights import away_from_home, made_folder
from tests.test_cli import run
from tests.test_experts import voice
from tests.tiny_encoders import one_thread

one_thread = pytest.fixture(scope="module", autouse=True)(one_thread)
folder = pytest.fixture(scope="module")(made_folder)
away_from_home = pytest.fixture(autouse=True)(away_from_home)
SCHEMA = json.loads((Path(emotiwave.__file__).parent / "analysis" / "schema.json").read_text())


@pytest.fixture(autouse=True)
def _made_weights_are_installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distribution, "_installed", lambda: folder)
    monkeypatch.setattr(clip_reading, "load_detector", SquareDetector)


def test_a_sentence_on_the_screen(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "analyze", "--text", "i am happy", "--explain")
    assert code == 0
    assert "confidence" in out
    assert "log-odds" in out
    assert all(name in out for name in SEVEN)
    assert "100 %" in out


def test_json_is_one_object_or_a_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "analyze", "--text", "i am happy", "--json")
    assert code == 0
    one = json.loads(out)
    jsonschema.validate(one, SCHEMA)
    write_sound(tmp_path / "a.wav", voice(1.0).samples)
    code, out, err = run(capsys, "analyze", str(tmp_path / "a.wav"), str(tmp_path / "gone.wav"), "--json")
    assert code == 1
    first, second = json.loads(out)
    jsonschema.validate(first, SCHEMA)
    assert second["input"].endswith("gone.wav")
    assert "does not exist" in second["error"]
    assert "gone.wav" in err


def test_it_says_not_sure_rather_than_be_wrong_more_often(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "analyze", "--text", "i am happy", "--json")
    plain = json.loads(out)
    wrong = 1 - plain["confidence"]
    for risk, held_back in ((wrong + 0.01, False), (wrong - 0.01, True)):
        code, out, _ = run(capsys, "analyze", "--text", "i am happy", "--json", "--abstain-above", f"{risk:.4f}")
        found = json.loads(out)
        jsonschema.validate(found, SCHEMA)
        assert code == 0
        assert found["emotions"] == plain["emotions"]
        assert found["decision"] == (None if held_back else plain["decision"])
        assert found["reason"] == (
            f"not sure: such answers are wrong in {100 * wrong:.0f} %, more than {100 * round(risk, 4):g} %"
            if held_back
            else plain["reason"]
        )
    code, out, _ = run(capsys, "analyze", "--text", "i am happy", "--abstain-above", "0.001")
    assert (code, out.splitlines()[1].strip().startswith("not sure: such answers are wrong in")) == (0, True)
    _, out, _ = run(capsys, "analyze", "--text", "i am happy", "--csv", "--abstain-above", "0.001")
    (row,) = csv.DictReader(io.StringIO(out))
    assert row["decision"] == ""
    assert row["reason"].startswith("not sure")
    nothing = api.load().analyze(text="...")
    assert nothing.abstaining(0.2) is nothing
    code, _, told = run(capsys, "analyze", "--text", "i am happy", "--abstain-above", "1")
    assert (code, "expected a share of wrong answers between 0 and 1" in told.replace("\n", " ")) == (1, True)


def test_lines_of_a_file_as_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "lines.txt").write_text("i am happy\n\nyou are sad, today\n...\n")
    code, out, _ = run(capsys, "analyze", "--lines", str(tmp_path / "lines.txt"), "--csv")
    assert code == 3  # there was nothing to judge in the last line
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["input"].rsplit(":", 1)[1] for row in rows] == ["1", "3", "4"]
    assert rows[0]["decision"] in SEVEN
    assert float(rows[0]["confidence"]) == max(float(rows[0][name]) for name in SEVEN)
    assert (rows[2]["decision"], rows[2]["text_used"]) == ("", "0")
    assert "garbage" in rows[2]["reason"]


def test_a_timeline_as_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_sound(tmp_path / "a.wav", voice(6.5).samples)
    code, out, _ = run(capsys, "analyze", str(tmp_path / "a.wav"), "--csv", "--timeline")
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(out)))
    assert (rows[0]["start"], rows[-1]["end"]) == ("0.0", "6.5")
    assert {row["modalities"] for row in rows} == {"audio"}
    code, out, _ = run(capsys, "analyze", str(tmp_path / "a.wav"), "--timeline")
    assert "0 to 6 s" in out or "0 to 7 s" in out


def test_a_manifest_is_analysed_row_by_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_sound(tmp_path / "a.wav", voice(3.0).samples)
    table = "id,audio,text,start,end\none,a.wav,i am happy,0.5,1.5\ntwo,a.wav,,,\nthree,gone.wav,,,\n"
    (tmp_path / "clips.csv").write_text(table)
    code, out, _ = run(capsys, "analyze", str(tmp_path / "clips.csv"), "--json")
    assert code == 1
    one, two, three = json.loads(out)
    assert [row["input"] for row in (one, two, three)] == ["one", "two", "three"]
    assert one["timeline"][-1]["end"] == pytest.approx(1.0)
    assert set(one["modalities"]) == {"text", "audio"}
    assert two["timeline"][-1]["end"] == pytest.approx(3.0)


def test_names_of_any_bytes_make_json_and_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad\udcff.wav"
    write_sound(tmp_path / "good.wav", voice(0.5).samples)
    path.write_bytes((tmp_path / "good.wav").read_bytes())
    _, out, _ = run(capsys, "analyze", str(path), str(tmp_path / "good.wav"), "--json")
    assert out.isascii()
    assert json.loads(out)[0]["input"] == str(path)
    _, out, _ = run(capsys, "analyze", str(path), "--csv")
    assert "\udcff" not in out


def test_one_that_cannot_be_read_is_json_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "analyze", str(tmp_path / "gone.wav"), "--json")
    assert code == 1
    assert set(json.loads(out)) == {"input", "error"}
    (tmp_path / "one.csv").write_text("id,text\na,i am\n")
    _, out, _ = run(capsys, "analyze", str(tmp_path / "one.csv"), "--json")
    assert len(json.loads(out)) == 1


def test_start_and_end_of_one_clip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_sound(tmp_path / "a.wav", voice(4.0).samples)
    for words, length in ((("--end", "1"), 1.0), (("--start", "1.5"), 2.5), (("--start", "1", "--end", "3"), 2.0)):
        _, out, _ = run(capsys, "analyze", str(tmp_path / "a.wav"), *words, "--json")
        assert json.loads(out)["timeline"][-1]["end"] == pytest.approx(length, abs=0.01)


def test_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "analyze", "--text", "...")[0] == 3
    assert run(capsys, "analyze", str(tmp_path / "gone.mp4"))[0] == 1
    assert run(capsys, "analyze", "--text", "i am", "--modalities", "audio")[0] == 3
    assert run(capsys, "analyze", "--nonsense")[0] == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "nothing to analyse"),
        (("--text", "i", "--json", "--csv"), "exclude each other"),
        (("--text", "i", "--modalities", "face"), "unknown modality 'face'"),
        (("--text", "i", "--modalities", ","), "no modality is asked for"),
        (("--text", "i", "--start", "1"), "none of them is given"),
        (("--text", "i", "--expert", "text"), "--expert takes MODALITY=VALUE"),
        (("--text", "i", "--labels", "text=gone.json"), "cannot be read as JSON"),
        (("--text", "i", "--expert", "text=./gone"), "no folder ./gone"),
        (("--text", "i", "--enroll", "gone.safetensors"), "no file of a speaker"),
        (("--text", "i", "--enroll", "gone.wav"), "does not exist"),
        (("--text", "i", "--model", "./gone"), "no folder ./gone"),
        (("--text", "i", "--set", "windw=3"), "did you mean 'window'"),
        (("a.wav", "b.wav", "--start", "1", "--end", "2"), "are of one clip"),
        (("a.wav", "--video", "b.mp4", "--end", "2"), "are of one clip"),
        (("a.wav", "b.wav", "--json", "--modalities", "foo"), "unknown modality 'foo'"),
    ],
)
def test_what_is_wrong_is_said(words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "analyze", *words)
    assert code == 1
    assert message in err.replace("\n", " ")
    assert out in ("", "[]\n")


def test_what_is_done_is_kept_when_it_is_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        write_sound(tmp_path / f"{name}.wav", voice(0.5).samples)
    whole = ClipReader._voice

    def stopped(self: ClipReader, clip: object, stop: object, kept: float) -> object:
        if "c.wav" in str(getattr(clip, "name", "")):
            raise KeyboardInterrupt
        return whole(self, clip, stop, kept)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(ClipReader, "_voice", stopped)
    code, out, err = run(capsys, "analyze", *(str(tmp_path / f"{name}.wav") for name in "abc"), "--json")
    assert code == screen.INTERRUPTED
    assert [Path(one["input"]).name for one in json.loads(out)] == ["a.wav", "b.wav"]
    assert "Stopped after 2 of 3" in err


def test_names_and_texts_cannot_drive_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a\x1b[2J.wav"
    write_sound(path, voice(0.5).samples)
    for words in ((str(path),), (str(tmp_path / "gone\x1b[2J.wav"),)):
        _, out, err = run(capsys, "analyze", *words)
        assert "\x1b" not in out + err


def test_the_sample_comes_along(capsys: pytest.CaptureFixture[str]) -> None:
    clip = api.sample_clip()
    assert all(path.is_file() for path in clip.sources.files)
    assert sum(path.stat().st_size for path in clip.sources.files) < 100_000
    code, out, _ = run(capsys, "analyze", "--sample", "--json")
    assert code == 0
    found = json.loads(out)
    jsonschema.validate(found, SCHEMA)
    assert found["input"] == "sample.mp4"
    assert [name for name, use in found["modalities"].items() if use["observed"] > 0.5][:2] == ["text", "audio"]
