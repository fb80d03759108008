import hashlib
import random
from pathlib import Path

import pytest

from emotiwave.errors import MediaError
from emotiwave.faces import model_file
from emotiwave.faces.model_file import FILE_NAME, MOST_BYTES, NoYunetError, find_yunet

CONTENT = b"stands in for weights"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """A cache of its own, and weights that are known."""
    for name in ("EMOTIWAVE_YUNET", "EMOTIWAVE_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda _: str(tmp_path / "cache"))
    monkeypatch.setattr(model_file, "SHA256", DIGEST)
    monkeypatch.setattr(model_file, "KNOWN", {DIGEST: "yunet made"})
    serve(monkeypatch, OSError("no network in tests"))
    return tmp_path / "cache" / FILE_NAME


def serve(monkeypatch, answer):
    """Let downloads give bytes, or raise; the list grows by what is asked for."""
    asked = []

    def download(url, output_file, pooch, check_only=False):
        asked.append(url)
        if isinstance(answer, Exception):
            raise answer
        Path(output_file).write_bytes(answer)

    def downloader(timeout):
        assert timeout <= 30
        return download

    monkeypatch.setattr("pooch.HTTPDownloader", downloader)
    return asked


def find(model=None, sha256=None, *, may_download=True):
    return find_yunet(model, sha256, may_download=may_download)


def test_it_is_fetched_once(cache, monkeypatch):
    asked = serve(monkeypatch, CONTENT)
    for _ in range(2):
        found = find()
        assert (found.name, found.sha256, found.content) == ("yunet made", DIGEST, CONTENT)
    assert len(asked) == 1
    assert asked[0].startswith("https://")
    assert cache.read_bytes() == CONTENT


def test_a_wrong_checksum_is_refused_and_nothing_stays(cache, monkeypatch):
    serve(monkeypatch, b"something else")
    with pytest.raises(NoYunetError, match="SHA-256 differs"):
        find()
    assert not cache.exists()


@pytest.mark.parametrize("error", [OSError("unreachable"), TimeoutError("slow"), ConnectionError("reset")])
def test_no_network(cache, monkeypatch, error):
    serve(monkeypatch, error)
    with pytest.raises(NoYunetError, match=rf"could not be downloaded \({type(error).__name__}\).*EMOTIWAVE_YUNET"):
        find()


@pytest.mark.parametrize("name", ["EMOTIWAVE_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_nothing_is_asked_for(cache, monkeypatch, name):
    asked = serve(monkeypatch, CONTENT)
    monkeypatch.setenv(name, "1")
    with pytest.raises(NoYunetError, match=name):
        find()
    with pytest.raises(NoYunetError, match="not in the cache"):
        find(may_download=False)
    assert asked == []
    monkeypatch.setenv(name, "0")
    assert find().content == CONTENT


def test_a_damaged_cache_is_fetched_anew(cache, monkeypatch):
    cache.parent.mkdir()
    cache.write_bytes(b"half")
    with pytest.raises(NoYunetError):
        find(may_download=False)
    serve(monkeypatch, CONTENT)
    assert find().content == CONTENT
    assert cache.read_bytes() == CONTENT


def test_a_named_file_comes_before_the_environment_and_both_before_the_cache(cache, monkeypatch, tmp_path):
    names = {}
    for place in ("named", "environment", "cached"):
        content = place.encode()
        path = cache if place == "cached" else tmp_path / f"{place} ünï.onnx"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        names[place] = path, hashlib.sha256(content).hexdigest()
    monkeypatch.setattr(model_file, "KNOWN", {digest: place for place, (_, digest) in names.items()})
    assert find(may_download=False).name == "cached"
    monkeypatch.setenv("EMOTIWAVE_YUNET", str(names["environment"][0]))
    assert find().name == "environment"
    assert find(names["named"][0]).name == "named"


def test_a_file_of_ones_own_is_taken_by_its_hash(cache, tmp_path):
    path = tmp_path / "mine.onnx"
    path.write_bytes(b"my own")
    digest = hashlib.sha256(b"my own").hexdigest()
    with pytest.raises(MediaError, match=digest):
        find(path)
    assert find(path, digest.upper()).name == f"yunet {digest[:8]}"


def test_named_files_that_cannot_be_read(cache, tmp_path, monkeypatch):
    large = tmp_path / "large.onnx"
    with large.open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    for path, said in ((tmp_path / "none.onnx", "No such file"), (tmp_path, "cannot be read"), (large, "more than 8")):
        with pytest.raises(MediaError, match=said) as caught:
            find(path)
        assert not isinstance(caught.value, NoYunetError)
        assert str(path) in str(caught.value)
    with pytest.raises(MediaError, match=r"bad\\x00name: .* cannot be read"):
        find(Path("bad\0name"))
    monkeypatch.setenv("EMOTIWAVE_YUNET", str(tmp_path))
    with pytest.raises(MediaError, match="cannot be read"):
        find()


def test_no_damaged_file_reaches_the_reader_of_networks(cache, tmp_path):
    rng = random.Random(0)
    path = tmp_path / "damaged.onnx"
    for _ in range(200):
        content = bytearray(CONTENT)
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        path.write_bytes(content[: rng.randrange(len(content) + 1)] * rng.choice([1, 2]))
        with pytest.raises(MediaError, match="no YuNet file that is known"):
            find(path)


def test_the_address_is_pinned():
    assert model_file.COMMIT in model_file.URL
    assert len(model_file.COMMIT) == 40
    assert model_file.SHA256 in model_file.KNOWN
