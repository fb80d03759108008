"""The extractors of words against other ways to the same numbers, and against files that are not as they should be."""

import gzip
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.feature_extraction import FeatureHasher

from emotiwave.errors import DataWarning, FeatureError
from emotiwave.features.extractors import word_vectors
from emotiwave.features.extractors.glove import Glove, GloveSettings, contraction_parts, lookup_forms
from emotiwave.features.extractors.hashed import Hashed, HashedSettings
from emotiwave.features.extractors.tokens import MOST_IDS, Tokens, TokensSettings, hashed_id
from emotiwave.features.extractors.word_vectors import open_vectors
from tests.tiny_encoders import save_bert


def spans(n: int) -> np.ndarray:
    return np.stack([np.arange(n), np.arange(n) + 0.5], axis=1)


class TestHashed:
    def vectors(self, *words: str, **settings) -> np.ndarray:
        return Hashed(HashedSettings(**settings))(words, spans(len(words))).values

    def test_against_scikit_learn(self):
        grams = ["<su", "sun", "un>", "<sun", "sun>", "<sun>"]
        expected = FeatureHasher(32, input_type="string").transform([grams]).toarray()[0]
        found = self.vectors("Sun", size=32)
        np.testing.assert_allclose(found[0], expected / np.linalg.norm(expected), rtol=1e-6)

    def test_length_is_one(self):
        norms = np.linalg.norm(self.vectors("I", "extraordinary", "…", "日本語"), axis=1)
        np.testing.assert_allclose(norms, 1, rtol=1e-6)

    def test_misspelt_words_are_near(self):
        right, wrong, other = self.vectors("wonderful", "wonderfull", "terrible")
        assert right @ wrong > 0.6
        assert abs(right @ other) < 0.3

    def test_one_word_however_it_is_written(self):
        found = self.vectors("CAFÉ", "café", "cafe\u0301")
        np.testing.assert_array_equal(found[0], found[1])
        np.testing.assert_array_equal(found[0], found[2])

    def test_empty_words_are_unobserved(self):
        found = self.vectors("", "  ", "a")
        assert np.isnan(found[:2]).all()
        assert np.isfinite(found[2]).all()

    def test_strange_words(self):
        found = self.vectors("\ud800", "\x00", "a" * 1_000_000, "🙂")
        assert np.isfinite(found).all()

    def test_the_end_of_a_long_word_counts(self):
        long = "a" * 100
        one, other = self.vectors(long + "b", long + "c")
        assert one @ other > 0.9
        assert not np.array_equal(one, other)

    def test_other_processes_agree(self):
        code = (
            "from emotiwave.features.extractors.hashed import Hashed, HashedSettings; import numpy;"
            "print(*Hashed(HashedSettings(size=8))(['good'], numpy.zeros((1, 2))).values[0].tolist())"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONHASHSEED": "7"},
        )
        np.testing.assert_allclose(
            [float(number) for number in done.stdout.split()], self.vectors("good", size=8)[0], rtol=1e-6
        )

    def test_order_of_lengths(self):
        with pytest.raises(ValidationError, match="expected at most longest"):
            HashedSettings(shortest=5, longest=4)


class TestTokens:
    def test_hashed_ids(self):
        extractor = Tokens(TokensSettings(n_ids=100))
        sequence = extractor(["Good", "good", "bad", ""], spans(4))
        assert sequence.values.shape == (4, 1)
        assert sequence.values[0] == sequence.values[1] != sequence.values[2]
        assert np.isnan(sequence.values[3])

    def test_ids_are_spread_and_leave_zero_out(self):
        ids = [hashed_id(f"word{index}", 10) for index in range(1000)]
        counts = np.bincount(np.array(ids, int), minlength=10)
        assert counts[0] == 0
        assert counts[1:].min() > 70

    def test_ids_are_exact(self):
        with pytest.raises(ValidationError):
            TokensSettings(n_ids=MOST_IDS + 1)
        exact = np.arange(MOST_IDS - 1000, MOST_IDS)
        np.testing.assert_array_equal(exact.astype(np.float32).astype(int), exact)
        assert np.float32(MOST_IDS) == np.float32(MOST_IDS + 1)

    @pytest.mark.parametrize("settings", [{"revision": "main"}, {"tokenizer": "a/b", "n_ids": 5}])
    def test_settings_that_exclude_each_other(self, settings):
        with pytest.raises(ValidationError, match="leave"):
            TokensSettings(**settings)

    def test_pieces_of_a_tokenizer(self, tmp_path):
        folder = save_bert(tmp_path)
        extractor = Tokens(TokensSettings(tokenizer=str(folder)))
        sequence = extractor(["I", "am", "UNHAPPY", "zebra"], spans(4))
        vocabulary = extractor._preprocessing.tokenizer.get_vocab()  # pyright: ignore[reportOptionalMemberAccess]
        pieces = ["i", "am", "un", "##happy", "[UNK]"]
        assert sequence.values[:, 0].tolist() == [vocabulary[piece] for piece in pieces]
        np.testing.assert_array_equal(sequence.intervals, spans(4)[[0, 1, 2, 2, 3]])
        empty = extractor([], np.empty((0, 2)))
        assert empty.values.shape == (0, 1)
        assert empty.values.dtype == np.float32
        assert "sha256" in extractor.identity["ids"]
        assert str(tmp_path) not in str(extractor.identity)
        again = TokensSettings.model_validate_json(extractor.settings.model_dump_json(), strict=True)
        assert Tokens(again).identity == extractor.identity


LINES = ["the 1 2 3", "Did 0.5 -1 2e-1", "n't 1.5 1 0.8", "at name@domain.com 7 8 9", ". . . 4 5 6", "the 9 9 9"]


def write(folder: Path, lines: list[str], name: str = "vectors.txt") -> Path:
    path = folder / name
    text = "\n".join(lines) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """Where binary forms go without a setting."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    return tmp_path / "user" / "emotiwave" / "word_vectors"


def glove(path: Path, *words: str) -> np.ndarray:
    return Glove(GloveSettings(file=path))(words, spans(len(words))).values


class TestGlove:
    def test_lookup(self, tmp_path, cache):
        path = write(tmp_path, LINES[:-1])
        found = glove(path, "the", "The,", "zebra", "Did", ". . .", "at name@domain.com", "", "did")
        nan = [np.nan] * 3
        expected = [[1, 2, 3], [1, 2, 3], nan, [0.5, -1, 0.2], [4, 5, 6], [7, 8, 9], nan, nan]
        np.testing.assert_allclose(found, expected)
        assert found.dtype == np.float32

    def test_contractions_are_means(self, tmp_path, cache):
        path = write(tmp_path, ["did 0.5 -1 0.2", "n't 1.5 1 0.8"])
        np.testing.assert_allclose(
            glove(path, "didn't", "Didn\N{RIGHT SINGLE QUOTATION MARK}t!", "don't"),
            [[1, 0, 0.5], [1, 0, 0.5], [np.nan] * 3],
        )

    def test_the_whole_contraction_comes_first(self, tmp_path, cache):
        path = write(tmp_path, ["did 1 1", "n't 3 3", "didn't 7 7"])
        np.testing.assert_allclose(glove(path, "didn't"), [[7, 7]])

    def test_forms(self):
        assert lookup_forms("--Well--") == ["--Well--", "--well--", "Well", "well"]
        assert lookup_forms("...") == ["..."]
        assert lookup_forms(" ") == []
        assert contraction_parts("I'm") == ["i", "'m"]
        assert contraction_parts("n't") == contraction_parts("well") == []

    def test_words_that_occur_twice(self, tmp_path, cache):
        path = write(tmp_path, LINES)
        with pytest.warns(DataWarning, match="1 words occur more than once"):
            found = glove(path, "the")
        np.testing.assert_allclose(found, [[1, 2, 3]])

    @pytest.mark.parametrize("name", ["plain.txt", "packed.txt.gz"])
    @pytest.mark.parametrize("first", [[], ["2 3"]], ids=["glove", "word2vec"])
    def test_forms_of_files(self, tmp_path, cache, name, first):
        path = write(tmp_path, [*first, "a 1 2 3 ", "b 4 5 6\r"], name)
        np.testing.assert_allclose(glove(path, "a", "b", "2"), [[1, 2, 3], [4, 5, 6], [np.nan] * 3])

    def test_identity_is_of_the_content(self, tmp_path, cache):
        plain = Glove(GloveSettings(file=write(tmp_path, LINES[:2], "one.txt")))
        packed = Glove(GloveSettings(file=write(tmp_path, LINES[:2], "two.txt.gz")))
        assert plain.identity == packed.identity

    def test_file_is_read_once(self, tmp_path, cache, monkeypatch):
        path = write(tmp_path, LINES[:2])
        glove(path, "the")
        assert [folder.name[:12] for folder in cache.iterdir()] == ["vectors.txt-"]
        monkeypatch.setattr(word_vectors, "_convert", None)
        np.testing.assert_allclose(glove(path, "the"), [[1, 2, 3]])

    def test_changed_file_is_read_again(self, tmp_path, cache):
        path = write(tmp_path, LINES[:2])
        glove(path, "the")
        write(tmp_path, ["the 5 5 5", *LINES[1:2]])
        os.utime(path, (1, 1))
        np.testing.assert_allclose(glove(path, "the"), [[5, 5, 5]])

    @pytest.mark.parametrize("name", ["values.npy", "hashes.npy", "order.npy", "source.json"])
    @pytest.mark.parametrize("damage", ["gone", "cut", "empty"])
    def test_damaged_cache_is_made_anew(self, tmp_path, cache, name, damage):
        path = write(tmp_path, LINES[:2])
        glove(path, "the")
        (folder,) = cache.iterdir()
        if damage == "gone":
            (folder / name).unlink()
        else:
            content = (folder / name).read_bytes()
            (folder / name).write_bytes(content[: len(content) - 5] if damage == "cut" else b"")
        np.testing.assert_allclose(glove(path, "the"), [[1, 2, 3]])

    def test_cache_with_rows_that_are_not_there(self, tmp_path, cache):
        path = write(tmp_path, LINES[:2])
        glove(path, "the")
        (folder,) = cache.iterdir()
        np.save(folder / "order.npy", np.array([0, 2]))
        np.testing.assert_allclose(glove(path, "the", "Did"), [[1, 2, 3], [0.5, -1, 0.2]])

    @pytest.mark.parametrize(
        ("lines", "message"),
        [
            (["a 1 2", "b 1"], r"line 2: expected a word and 2 numbers, as in the first line; got 2 parts, 'b 1'"),
            (["a 1 2", "b 1 2 3"], "line 2: expected a word and 2 numbers"),
            (["a 1 2", "b 1 nan"], "line 2"),
            (["a 1 2", "b 1 1e99"], "line 2"),
            (["a 1 2", "b 1 x"], "line 2"),
            (["a 1 2", "", "1 2"], "line 3"),
            (["a"], "line 1: 0 numbers"),
            (["a " + "1 " * 5000], "line 1: 5,000 numbers"),
            (["9 3"], "holds no word"),
            ([""], "holds no word"),
            (["a\t1\t2"], "spaces between"),
            (["a 1 2", "x" * 300_000], "line 2: longer than"),
        ],
    )
    def test_bad_files(self, tmp_path, cache, lines, message):
        with pytest.raises(FeatureError, match=message):
            glove(write(tmp_path, lines))
        assert not list(cache.iterdir())

    def test_missing_file(self, tmp_path, cache):
        with pytest.raises(FeatureError, match=r"nowhere\.txt: cannot be read"):
            glove(tmp_path / "nowhere.txt")
        with pytest.raises(FeatureError, match="cannot be read"):
            glove(tmp_path)

    def test_damaged_gzip(self, tmp_path, cache):
        path = write(tmp_path, [f"word{index} {index} {index * 0.1234}" for index in range(500)], "packed.gz")
        content = path.read_bytes()
        rng = np.random.default_rng(0)
        for _ in range(60):
            damaged = bytearray(content[: rng.integers(1, len(content))] if rng.random() < 0.5 else content)
            damaged[rng.integers(0, len(damaged))] ^= 1 << rng.integers(0, 8)
            path.write_bytes(damaged)
            with suppress(FeatureError):
                open_vectors(path, tmp_path / "cache")

    def test_cache_that_cannot_be_written(self, tmp_path, cache):
        (tmp_path / "taken").write_text("no folder")
        with pytest.raises(FeatureError, match="name one as `cache`"):
            open_vectors(write(tmp_path, LINES[:2]), tmp_path / "taken")

    def test_many_words(self, tmp_path, cache):
        rng = np.random.default_rng(0)
        vectors = rng.standard_normal((3000, 5)).round(4)
        words = [f"w{index}" for index in range(3000)]
        lines = [" ".join([word, *map(str, row)]) for word, row in zip(words, vectors.tolist(), strict=True)]
        shuffled = rng.permutation(3000)
        found = glove(write(tmp_path, lines), *(words[index] for index in shuffled), "w3000", "w-1")
        np.testing.assert_allclose(found[:-2], vectors[shuffled], rtol=1e-6)
        assert np.isnan(found[-2:]).all()
