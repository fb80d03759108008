"""Damaged and hostile files are findings; nothing of them runs, memory stays bounded, and the others are inspected."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from emotiwave.datasets.csd.writer import write_csd
from emotiwave.doctor.inspection import Inspection, inspect
from tests.made_csd import made_files


class RunsCode:
    def __init__(self, touched: Path) -> None:
        self.touched = touched

    def __reduce__(self):
        return os.system, (f"touch {self.touched}",)


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "files").mkdir()
    return made_files().write(tmp_path / "files")


def only(inspection: Inspection, kind: str):
    (finding,) = inspection.findings
    assert finding.kind == kind
    return finding


def raw_csd(path: Path) -> tuple[h5py.File, h5py.Group]:
    file = h5py.File(path, "w")
    group = file.create_group(path.stem)
    group.create_group("metadata")
    return file, group.create_group("data")


def add_video(data: h5py.Group, name: str, n: int = 4) -> None:
    video = data.create_group(name)
    times = np.stack([np.arange(n), np.arange(n) + 1], axis=1) / 10
    video.create_dataset("features", data=np.random.default_rng(1).normal(size=(n, 3)).astype(np.float32))
    video.create_dataset("intervals", data=times)


def truncated(folder: Path) -> Path:
    path = folder / "x.csd"
    path.write_bytes((folder / "COVAREP.csd").read_bytes()[:5000])
    return path


def empty(folder: Path) -> Path:
    path = folder / "x.csd"
    path.touch()
    return path


def text(folder: Path) -> Path:
    path = folder / "x.csd"
    path.write_text("no HDF5")
    return path


def directory(folder: Path) -> Path:
    path = folder / "x.csd"
    path.mkdir()
    return path


def two_roots(folder: Path) -> Path:
    path = folder / "x.csd"
    with h5py.File(path, "w") as file:
        file.create_group("a"), file.create_group("b")
    return path


def linked_root(folder: Path) -> Path:
    path = folder / "x.csd"
    with h5py.File(path, "w") as file:
        file["x"] = h5py.ExternalLink(str(folder / "COVAREP.csd"), "/COVAREP")
    return path


def no_videos(folder: Path) -> Path:
    return write_csd(folder / "x.csd", root="x", entries=[], metadata={})


def objects(folder: Path) -> Path:
    path = folder / "x.npz"
    np.savez(path, features=np.array([RunsCode(folder / "touched")], dtype=object))
    return path


def code(folder: Path) -> Path:
    path = folder / "x.pkl"
    path.write_bytes(pickle.dumps({"train": RunsCode(folder / "touched")}))
    return path


def memo_bomb(folder: Path) -> Path:
    path = folder / "x.pkl"
    path.write_bytes(b"\x80\x02N" + b"r" + b"\xff\xff\xff\x7f" + b".")  # LONG_BINPUT far out
    return path


def giant(folder: Path) -> Path:
    path = folder / "x.pkl"
    path.write_bytes(b"\x80\x04\x8e" + (2**40).to_bytes(8, "little") + b"x.")  # BINBYTES8 of a terabyte
    return path


def no_store(folder: Path) -> Path:
    path = folder / "store"
    path.mkdir()
    (path / "corpus.json").write_text("{}")
    return path


def unknown(folder: Path) -> Path:
    path = folder / "x.docx"
    path.write_bytes(b"PK")
    return path


def missing(folder: Path) -> Path:
    return folder / "nothing.csd"


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "x.csd")
    return folder / "x.csd"


BAD = [truncated, empty, text, directory, two_roots, linked_root, no_videos, objects, code, memo_bomb, giant, no_store]
BAD += [unknown, missing, pipe]


@pytest.mark.parametrize("make", BAD, ids=[make.__name__ for make in BAD])
def test_a_bad_file_is_a_finding_and_the_others_are_inspected(tmp_path, folder, make):
    bad = make(tmp_path) if make not in (truncated, linked_root) else make(folder)
    good = folder / "glove.csd"
    inspection = inspect([bad, good])
    finding = only(inspection, "unreadable")
    assert (finding.file, finding.count, finding.severity) == (str(bad), 1, "decision")
    assert bad.name in finding.detail
    assert inspection.needs_decision
    assert [facts.name for facts in inspection.facts] == ["glove.csd"]
    assert not (tmp_path / "touched").exists()


def test_a_file_without_permission(tmp_path, folder):
    path = folder / "glove.csd"
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    assert "permission" in only(inspect([path]), "unreadable").detail


def test_a_folder_without_permission(folder):
    folder.chmod(0)
    try:
        if os.access(folder, os.R_OK):
            pytest.skip("this user may read everything")
        assert "ermission" in only(inspect([folder]), "unreadable").detail
    finally:
        folder.chmod(0o755)


def test_a_folder_without_permission_among_others(folder):
    (folder / "secret").mkdir()
    (folder / "secret").chmod(0)
    if os.access(folder / "secret", os.X_OK):
        pytest.skip("this user may read everything")
    assert only(inspect([folder]), "unreadable").file == str(folder / "secret")


def test_links_to_other_files_are_damaged_entries(tmp_path, folder):
    file, data = raw_csd(tmp_path / "x.csd")
    with file:
        add_video(data, "good")
        data["external"] = h5py.ExternalLink(str(folder / "COVAREP.csd"), "/COVAREP/data/videoa")
        data["soft"] = h5py.SoftLink("/x/data/good")
    assert only(inspect([tmp_path / "x.csd"]), "damaged_entries").count == 2


def test_entries_that_declare_more_than_they_store_are_not_read(tmp_path):
    file, data = raw_csd(tmp_path / "x.csd")
    with file:
        add_video(data, "good")
        for name, shape in {"long": (10**9, 3), "wide": (4, 10**9), "never_written": (1000, 3)}.items():
            video = data.create_group(name)
            video.create_dataset("features", shape=shape, dtype="f4", chunks=(1, 3))
            video.create_dataset("intervals", shape=(shape[0], 2), dtype="f8", chunks=(1, 2))
    finding = only(inspect([tmp_path / "x.csd"]), "damaged_entries")
    assert finding.count == 3
    assert "declares 12,000,000,000 bytes but stores 0" in finding.detail


def test_a_chunk_that_is_damaged_is_found(tmp_path):
    path = tmp_path / "x.csd"
    file, data = raw_csd(path)
    with file:
        add_video(data, "good")
        video = data.create_group("bad")
        noise = np.random.default_rng(0).normal(size=(400, 3)).astype(np.float32)
        dataset = video.create_dataset("features", data=noise, compression="gzip", fletcher32=True, chunks=(400, 3))
        video.create_dataset("intervals", data=np.zeros((400, 2)))
        place = dataset.id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[place + 50] ^= 0xFF
    path.write_bytes(content)
    assert only(inspect([path]), "damaged_entries").count == 1


def test_ids_may_be_anything(tmp_path):
    names = ["<script>alert(1)", "[bold]x", "ünï", "x" * 5000, "new\nline", "\x1b[31mred"]
    path = tmp_path / "x.csd"
    rows = np.array([[np.nan, 1.0, 2.0]], np.float32)
    write_csd(path, root="x", entries=((name, rows, np.array([[0.0, 1.0]])) for name in names), metadata={})
    inspection = inspect([path])
    assert only(inspection, "non_finite").count == 6
    assert len(inspection.findings[0].detail) < 400
    assert "\x1b" not in inspection.findings[0].detail


def test_many_ids_need_little_memory(tmp_path):
    path = tmp_path / "x.csd"
    n = 1500
    file, data = raw_csd(path)
    with file:
        add_video(data, "0")
        for index in range(1, n):
            data[str(index)] = data["0"]  # a hard link each: many ids, little file
    command = (
        "import resource, sys, pathlib; from emotiwave.doctor.inspection import inspect;"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "found = inspect([pathlib.Path(sys.argv[1])]);"
        "print(found.facts[0].n_videos, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run([sys.executable, "-c", command, str(path)], capture_output=True, text=True, check=True)
    n_videos, kilobytes = map(int, done.stdout.split())
    assert n_videos == n
    assert kilobytes < 60_000


def test_numbers_may_be_anything(tmp_path, folder):
    extremes = np.array([np.nan, np.inf, -np.inf, 1e308, -1e308, 5e-324, 0.0])
    times = np.array([(start, end) for start in extremes for end in extremes])
    rows = np.tile(extremes, (len(times), 1))
    write_csd(tmp_path / "Labels.csd", root="Labels", entries=[("a", rows, times)], metadata={})
    write_csd(tmp_path / "x.csd", root="x", entries=[("a", rows, times), ("b", rows[:, ::-1], times)], metadata={})
    found = {(Path(one.file).stem, one.kind): one.count for one in inspect([tmp_path]).findings}
    assert found["Labels", "labels_non_finite"] == len(times)
    lasting = sum(bool(end > max(start, 0.0)) for start, end in times if start == start)
    assert found["Labels", "empty_segments"] == len(times) - lasting
    assert found["x", "non_finite"] == 2 * len(times)
