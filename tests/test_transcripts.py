import json
import math
import random
import warnings
from pathlib import Path

import av
import pytest

from emotiwave.errors import DataWarning, MediaError
from emotiwave.media.cues import Phrase, parse_cues
from emotiwave.media.subtitles import has_subtitles, read_subtitles
from emotiwave.media.transcripts import TRANSCRIPT_SUFFIXES, read_transcript, split_words, words_between
from emotiwave.signals import Word
from tests.made_media import write_video

SRT = """1
00:00:01,000 --> 00:00:02,000
<i>Hello</i> {\\an8}you

2
00:00:03,500 --> 00:00:04,500 X1:10 X2:20
- Tom &amp; I
said so
"""
VTT = """WEBVTT - a title
X-TIMESTAMP-MAP=LOCAL:00:00:00.000

STYLE
::cue { color: red }

NOTE a --
remark

greeting
00:01.000 --> 00:03.000 align:start position:0%
<v Ann Lee>Hi <00:00:01.500><c.loud>there</c> <00:00:02.000>all

NOTE at the end
"""


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def texts(words: tuple[Word, ...]) -> list[str]:
    return [word.text for word in words]


def times(words: tuple[Word, ...]) -> list[float]:
    return [time for word in words for time in (word.start, word.end)]


def test_words_split_at_any_white_space_and_keep_their_punctuation():
    assert split_words(" “Well”,\u00a0that's\tgreat!\n") == ("“Well”,", "that's", "great!")
    assert split_words("สวัสดี\u200bครับ") == ("สวัสดี", "ครับ")
    assert split_words("「好。」我走了!再见。") == (
        "「好。」我走了!再见。",
    )  # a closing bracket stays with the mark before it
    assert split_words("我走了。再见。") == ("我走了。", "再见。")
    assert split_words(" \n") == ()


def test_srt_shares_a_cue_among_its_words_by_length(tmp_path):
    words = read_transcript(write(tmp_path, "a.srt", SRT))
    assert texts(words) == ["Hello", "you", "-", "Tom", "&", "I", "said", "so"]
    # 5 of 8 letters of one second; then 12 letters share a second
    assert times(words)[:4] == pytest.approx([1.0, 1.625, 1.625, 2.0])
    assert words[2].start == 3.5
    assert words[3].end == pytest.approx(3.5 + 4 / 12)
    assert words[-1].end == 4.5


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_encodings_and_line_ends(tmp_path, encoding):
    content = SRT.replace("you", "Zoë").replace("\n", "\r\n").encode(encoding)
    assert texts(read_transcript(write(tmp_path, "a.SRT", content)))[:2] == ["Hello", "Zoë"]


def test_windows_1252_is_read_with_a_warning(tmp_path):
    with pytest.warns(DataWarning, match=r"a\.txt.*Windows-1252"):
        words = read_transcript(write(tmp_path, "a.txt", "café … “oui”".encode("cp1252")))
    assert texts(words) == ["café", "…", "“oui”"]
    assert all(math.isnan(time) for time in times(words))


def test_mojibake_is_repaired_with_a_warning(tmp_path):
    spoilt = "café “oui”".encode().decode("cp1252", errors="replace").replace("\ufffd", "\x9d")
    with pytest.warns(DataWarning, match="repaired"):
        assert texts(read_transcript(write(tmp_path, "a.txt", spoilt))) == ["café", "“oui”"]


def test_srt_as_found_in_the_wild(tmp_path):
    content = "1\n0:00:03.5 --> 0:00:04\nlater\n2\n00:01 --> 00:00:02,250\nfirst<br>line\n\nafter a gap\n\n\n"
    words = read_transcript(write(tmp_path, "a.srt", content))
    assert texts(words) == ["first", "line", "after", "a", "gap", "later"]
    assert (words[0].start, words[4].end, words[5].start, words[5].end) == (1.0, 2.25, 3.5, 4.0)


@pytest.mark.parametrize("number", ["", "2\n"])
@pytest.mark.parametrize("is_vtt", [False, True])
def test_the_only_line_of_a_cue_is_its_text_though_no_blank_line_follows(number, is_vtt):
    content = f"00:00:01,000 --> 00:00:02,000\nhello\n{number}00:00:03,000 --> 00:00:04,000\nworld\n"
    assert parse_cues(content, is_vtt=is_vtt) == [Phrase("hello", 1.0, 2.0), Phrase("world", 3.0, 4.0)]


def test_vtt_times_inside_a_cue_time_its_words(tmp_path):
    words = read_transcript(write(tmp_path, "a.vtt", VTT))
    assert words == (Word("Hi", 1.0, 1.5), Word("there", 1.5, 2.0), Word("all", 2.0, 3.0))


def test_rolling_captions_are_read_once(tmp_path):
    content = """WEBVTT

00:00.000 --> 00:02.000
 \nso<00:00:01.000><c> we</c>

00:02.000 --> 00:02.010
so we

00:02.010 --> 00:04.000
so we
go<00:00:03.000><c> we</c>
"""
    assert texts(read_transcript(write(tmp_path, "a.vtt", content))) == ["so", "we", "go", "we"]


def test_a_line_said_twice_is_read_twice(tmp_path):
    content = "WEBVTT\n\n00:00.000 --> 00:02.000\nno\n\n00:02.000 --> 00:03.000\nno\n"
    assert texts(read_transcript(write(tmp_path, "a.vtt", content))) == ["no", "no"]


def test_json_of_speech_recognisers(tmp_path):
    def read(tree: object) -> tuple[Word, ...]:
        return read_transcript(write(tmp_path, "a.json", json.dumps(tree)))

    segment = {"start": 1.0, "end": 2.0, "text": " Hi you"}
    assert read({"text": " Hi you", "segments": [segment]}) == (Word("Hi", 1.0, 1.4), Word("you", 1.4, 2.0))
    timed = {"words": [{"word": " Hi", "start": 1.0, "end": 1.2}, {"word": "you", "start": 1.5, "end": 1.9}]}
    assert read({"segments": [segment | timed]}) == (Word("Hi", 1.0, 1.2), Word("you", 1.5, 1.9))
    assert read(timed) == read(timed["words"]) == (Word("Hi", 1.0, 1.2), Word("you", 1.5, 1.9))
    vosk = {"result": [{"conf": 1.0, **word} for word in timed["words"]], "text": "Hi you"}
    assert read(vosk) == read([vosk]) == read(timed)
    chunks = {
        "text": "Hi you",
        "chunks": [{"text": "Hi", "timestamp": [0, 1]}, {"text": "you", "timestamp": [2, None]}],
    }
    assert read(chunks) == (Word("Hi", 0.0, 1.0), Word("you", 2.0, 2.0))
    for untimed in ("Hi you", ["Hi", "you"], {"text": "Hi you"}, [{"text": "Hi you"}]):
        words = read(untimed)
        assert texts(words) == ["Hi", "you"]
        assert all(math.isnan(time) for time in times(words))
    assert read([]) == read({"segments": []}) == read({"text": ""}) == read({"text": None}) == ()


def test_milliseconds_are_not_taken_for_seconds(tmp_path):
    def read(end: float) -> tuple[Word, ...]:
        tree = {
            "text": "a b",
            "words": [{"text": "a", "start": 250, "end": 640}, {"text": "b", "start": 700, "end": end}],
        }
        return read_transcript(write(tmp_path, "a.json", json.dumps(tree)))

    with pytest.raises(MediaError, match=r"a\.json: times are whole numbers up to 86,401, .*expected times in seconds"):
        read(86_401)
    assert read(86_400)[-1].end == 86_400
    assert read(86_401.5)[-1].end == 86_401.5


def test_words_that_an_aligner_left_out_share_the_time_between_their_neighbours(tmp_path):
    timed = [{"word": "May", "start": 2.0, "end": 2.5}, {"word": "of", "start": 2.75, "end": 3.0}]
    words = [{"word": "in"}, timed[0], {"word": "the"}, timed[1], {"word": "19"}, {"word": "84"}]
    tree = {"segments": [{"start": 1.0, "end": 5.0, "text": "in May the of 19 84", "words": words}]}
    assert read_transcript(write(tmp_path, "a.json", json.dumps(tree))) == (
        Word("in", 1.0, 2.0),
        Word("May", 2.0, 2.5),
        Word("the", 2.5, 2.75),
        Word("of", 2.75, 3.0),
        Word("19", 3.0, 4.0),
        Word("84", 4.0, 5.0),
    )


def test_a_stretch_keeps_the_words_whose_middle_lies_in_it(tmp_path):
    path = write(tmp_path, "a.json", '[{"word": "a", "start": 0, "end": 2}, {"word": "b", "start": 2, "end": 4}]')
    assert texts(read_transcript(path, 1.0, 3.0)) == ["a"]  # a's middle is at 1, b's at 3
    assert texts(read_transcript(path, 1.1)) == ["b"]
    assert texts(read_transcript(path, end=4.0)) == ["a", "b"]
    assert words_between((), 0.0, 1.0) == ()


def test_a_stretch_of_a_text_without_times_is_refused(tmp_path):
    path = write(tmp_path, "a.txt", "one two")
    assert texts(read_transcript(path)) == ["one", "two"]
    with pytest.raises(MediaError, match=r"a\.txt: words from 1 to 2 s are wanted, but 'one' has no time"):
        read_transcript(path, 1.0, 2.0)


@pytest.mark.parametrize("suffix", TRANSCRIPT_SUFFIXES)
def test_empty_files_hold_no_words(tmp_path, suffix):
    assert read_transcript(write(tmp_path, f"a{suffix}", b"")) == ()
    assert read_transcript(write(tmp_path, f"b{suffix}", " \n")) == ()
    assert read_transcript(write(tmp_path, "c.vtt", "WEBVTT\n")) == ()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.txt", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "binary"),
        ("a.txt", bytes(range(128, 160)), "neither UTF-8"),
        ("a.txt", b"\xff\xfea\0b", "damaged"),
        ("a.txt", b"a" * (16 * 2**20 + 1), "larger than 16 MiB"),
        ("a.doc", b"a", r"expected \.txt, \.srt, \.vtt, \.json"),
        ("a.srt", b"hello", "line 1: got 'hello', and no cue"),
        ("a.srt", b"hello\n1\n00:01 --> 00:02\nhi", "line 1: got 'hello'; expected the number"),
        ("a.srt", b"1\n00:00:0x,000 --> 00:00:02,000\nhi", "line 2: time '00:00:0x,000'; expected hours"),
        ("a.srt", b"1\n00:00:61,000 --> 00:00:02,000\nhi", "line 2: .* up to 59"),
        ("a.srt", b"1\n-00:00:01,000 --> 00:00:02,000\nhi", "line 2: time '-00:00:01,000'"),
        ("a.srt", b"\n\n00:00:03,000 --> 00:00:02,000\nhi", "line 3: the cue ends at 2 s, before it starts at 3 s"),
        ("a.srt", b"00:00:03,000 -->", "line 1: time ''"),
        ("a.json", b'{"text": ', "line 1: is no JSON"),
        ("a.json", b"[" * 100_000, "is no JSON that can be read"),
        ("a.json", b"1" * 10_000, "is no JSON that can be read"),
        ("a.json", b"7", "holds a number; expected text"),
        ("a.json", b'{"language": "en"}', "keys 'language'; expected text"),
        ("a.json", b'{"text": 3}', "text: got 3; expected a text"),
        ("a.json", b'{"segments": {"a": 1}}', "segments: got an object; expected a list"),
        ("a.json", b'{"segments": [1]}', r"segments\[0\]: got 1"),
        ("a.json", b'{"segments": [{"start": 1}]}', r"segments\[0\]: has the keys 'start'; expected word or text"),
        ("a.json", b'[{"word": "a", "start": "1"}]', r"\[0\]\.start: got '1'; expected seconds"),
        ("a.json", b'[{"word": "a", "start": true}]', r"\[0\]\.start: got True"),
        ("a.json", b'[{"word": "a", "start": NaN}]', r"\[0\]\.start: got nan"),
        ("a.json", b'[{"word": "a", "start": -1}]', r"\[0\]\.start: got -1"),
        ("a.json", b'[{"word": "a", "start": 2, "end": 1}]', r"\[0\]: ends at 1 s, before it starts at 2 s"),
        ("a.json", b'[{"word": "a", "timestamp": [1]}]', r"\[0\]\.timestamp: got a list; expected \[start, end\]"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, name, content, says):
    with pytest.raises(MediaError, match=says) as caught:
        read_transcript(write(tmp_path, name, content))
    assert str(caught.value).startswith(str(tmp_path / name))


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(MediaError, match="does not exist"):
        read_transcript(tmp_path / "a.txt")
    (tmp_path / "b.txt").mkdir()
    with pytest.raises(MediaError, match="is no file"):
        read_transcript(tmp_path / "b.txt")
    with pytest.raises(MediaError, match=r"cannot be read|does not exist"):
        read_transcript("a\0.txt")


def test_half_characters_become_replacement_characters(tmp_path):
    assert texts(read_transcript(write(tmp_path, "a.json", '"a\\ud800 b"'))) == ["a\ufffd", "b"]


def test_damaged_files_give_words_or_an_error_of_ours(tmp_path):
    draw = random.Random(0)
    whole = {".srt": SRT, ".vtt": VTT, ".txt": "Zoë “x” 你好。", ".json": '[{"word": "a", "start": 1, "end": 2}, "b"]'}
    scraps = [
        b"-->",
        b"<",
        b"{\\",
        b"\0",
        b"\xff\xfe",
        b"1e400",
        b"NaN",
        b"null",
        b"[",
        b"\n\n",
        b"00:00:01.000",
        b"\x85",
    ]
    n_read = 0
    for _ in range(400):
        suffix = draw.choice(TRANSCRIPT_SUFFIXES)
        content = bytearray(whole[suffix].encode(draw.choice(["utf-8", "utf-16"])))
        for _ in range(draw.randrange(4)):
            at = draw.randrange(len(content))
            content[at : at + draw.randrange(6)] = draw.choice([*scraps, draw.randbytes(1)])
        path = write(tmp_path, f"a{suffix}", bytes(content))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)
            try:
                words = read_transcript(path)
            except MediaError:
                continue
        n_read += 1
        assert all(word.text.strip() and not word.end < word.start for word in words)
    assert n_read > 50


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_subtitles_of_a_video(tmp_path, suffix):
    lines = [(0.2, 1.0, "Hello <i>you</i>"), (1.2, 1.8, "Tom &amp; I")]
    path = write_video(tmp_path / f"a b{suffix}", n_frames=50, subtitles=lines)
    assert has_subtitles(path)
    words = read_subtitles(path)
    assert texts(words) == ["Hello", "you", "Tom", "&", "I"]
    assert times(words) == pytest.approx([0.2, 0.7, 0.7, 1.0, 1.2, 1.56, 1.56, 1.68, 1.68, 1.8])
    assert texts(read_subtitles(path, 1.0, 1.6)) == ["Tom"]
    with pytest.raises(MediaError, match="no subtitle track 1; it has 1 of them"):
        read_subtitles(path, track=1)


def test_subtitles_are_dated_from_the_start_of_the_file(tmp_path):
    dates = [5.0 + index / 25 for index in range(50)]
    path = write_video(tmp_path / "a.mkv", n_frames=50, times=dates, subtitles=[(5.5, 6.0, "late")])
    (word,) = read_subtitles(path)
    assert (word.start, word.end) == pytest.approx((0.5, 1.0))


def test_subtitles_of_substation_alpha_lose_styles_comments_and_drawings(tmp_path):
    script = tmp_path / "a.ass"
    script.write_text(
        "[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name, Fontname\nStyle: Default,Arial\n\n[Events]\n"
        "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
        "Dialogue: 0,0:00:00.50,0:00:01.50,Default,Ann,0,0,0,,{\\i1}Hi, you{\\i0}\\Nall\\hof{note} us\n"
        "Dialogue: 0,0:00:01.50,0:00:01.90,Default,,0,0,0,,{\\p1}m 0 0 l 100 0{\\p0}\n"
    )
    path = tmp_path / "a.mkv"
    with av.open(str(script)) as source, av.open(str(path), "w") as container:
        track = container.add_stream_from_template(source.streams[0])
        for packet in source.demux():
            if packet.size:
                packet.stream = track
                container.mux(packet)
    words = read_subtitles(path)
    assert texts(words) == ["Hi,", "you", "all", "of", "us"]
    assert (words[0].start, words[-1].end) == (0.5, 1.5)


def test_subtitles_that_are_pictures_are_refused(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        packet = av.Packet(b"\x16\0\0")
        packet.stream = container.add_mux_stream("hdmv_pgs_subtitle")
        packet.pts = packet.dts = 0
        container.mux(packet)
    assert not has_subtitles(path)
    with pytest.raises(MediaError, match=r"holds pictures of text.*give a transcript"):
        read_subtitles(path)


def test_a_video_without_subtitles(tmp_path):
    path = write_video(tmp_path / "a.mp4", n_frames=2)
    assert not has_subtitles(path)
    with pytest.raises(MediaError, match="no subtitle track 0; it has 0"):
        read_subtitles(path)
