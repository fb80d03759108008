"""The feature store of a recipe: its content, and that neither kills nor full disks nor other processes change it."""

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from emotiwave import api
from emotiwave.batch import collate
from emotiwave.config import Recipe
from emotiwave.errors import ConfigError, DatasetError, EmotiwaveError, FeatureError
from emotiwave.features.partial import PartialStore
from emotiwave.features.prepare import VERSION, is_up_to_date, prepare, read_report
from emotiwave.features.store import open_store
from emotiwave.types import all_configurations
from tests.made_mosei_files import FILES, SEGMENTS, SIZES, VIDEOS, Arrays, made_arrays, made_recipe, write_arrays

N_VIDEOS = len(VIDEOS)
EXCHANGED = ["sentiment", "happiness", "sadness", "anger", "surprise", "fear", "disgust"]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that no test changes."""
    return write_arrays(made_arrays(), tmp_path_factory.mktemp("mosei"))


@pytest.fixture(scope="module")
def digest(files: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of a store that was prepared without interruption."""
    store = tmp_path_factory.mktemp("stores") / "whole"
    return open_store(prepared(made_recipe(files), store).folder, verify=True).digest


def prepared(recipe: Recipe, store: Path, **options: Any):
    tables = recipe.prepared_tables()
    assert recipe.features is not None
    return prepare(recipe.load_recordings(), recipe.features, store, tables=tables, **options)


def spoilt(folder: Path, change: Any) -> Path:
    arrays = made_arrays()
    change(arrays)
    return write_arrays(arrays, folder)


# --- content


def test_a_store_holds_every_frame_label_and_word_of_every_segment(files: Path) -> None:
    arrays = made_arrays()
    ready = api.prepare(made_recipe(files, "features.frames=1000"))
    corpus = open_store(ready.folder, verify=True)
    assert [u.id for u in corpus.utterances] == [f"{video}[{row}]" for video in VIDEOS for row in range(3)]
    assert corpus.sizes == SIZES
    names = ("happiness", "sadness", "anger", "surprise", "disgust", "fear")
    for utterance in corpus.utterances:
        video, row = utterance.id[:3], int(utterance.id[4])
        start, end = SEGMENTS[row]
        values = arrays["labels"][video][0][row]
        assert utterance.label == tuple(name for name, value in zip(names, values[1:], strict=True) if value > 0)
        assert utterance.split == ("train" if video < "v12" else "validation" if video < "v16" else "test")
        words = [("hello", "sp", "big", "world")[second % 4] for second in range(int(start), int(end))]
        assert utterance.transcript == " ".join(word for word in words if word != "sp")
        for name in SIZES:
            raw, times = arrays[name][video]
            inside = [i for i, (a, b) in enumerate(times) if start <= (a + b) / 2 < end]
            sequence = corpus.sequences[name][utterance.id]
            np.testing.assert_array_equal(sequence.values, raw[inside])
            np.testing.assert_allclose(sequence.intervals, times[inside] - start, atol=1e-12)


def test_counts_tell_what_is_there(files: Path) -> None:
    counts = api.prepare(made_recipe(files)).counts
    assert {name: counts[name] for name in ("train utterances", "validation utterances", "test utterances")} == {
        "train utterances": 36,
        "validation utterances": 12,
        "test utterances": 12,
    }
    assert counts["audio frames"] == N_VIDEOS * 20 * (4 + 4 + 5)
    assert counts["utterances of more audio frames than 64"] == 60
    assert not any("vision" in name and "more" in name for name in counts)  # 50 frames at most
    assert not any("left out" in name or "error" in name for name in counts)
    assert json.loads((made_recipe(files).store / "corpus.json").read_text())["counts"] == dict(counts)


def test_a_missing_modality_is_kept_as_a_mask(tmp_path: Path) -> None:
    def change(arrays: Arrays) -> None:
        del arrays["audio"]["v03"]

    folder = spoilt(tmp_path / "data", change)
    ready = api.prepare(made_recipe(folder))
    corpus = open_store(ready.folder)
    rows = [row for row, u in enumerate(corpus.utterances) if u.id in ("v02[0]", "v03[1]")]
    batch = collate(corpus, rows)
    assert {name: present.tolist() for name, present in batch.present.items()} == {
        "text": [True, True],
        "audio": [True, False],
        "vision": [True, True],
    }
    assert (ready.counts["videos without audio"], ready.counts["utterances without audio"]) == (1, 3)
    assert ready.errors == ()


def test_all_modalities_may_be_required(tmp_path: Path) -> None:
    def change(arrays: Arrays) -> None:
        del arrays["audio"]["v03"]
        arrays["vision"]["v05"][0][:40] = np.nan  # seconds 0 to 4: the second segment

    folder = spoilt(tmp_path / "data", change)
    ready = api.prepare(made_recipe(folder, "dataset.require=all"))
    kept = {u.id for u in open_store(ready.folder).utterances}
    everyone = {f"{video}[{row}]" for video in VIDEOS for row in range(3)}
    assert everyone - kept == {"v03[0]", "v03[1]", "v03[2]", "v05[1]"}
    assert ready.counts["utterances without an observed frame in all modality, left out"] == 1
    anyone = open_store(api.prepare(made_recipe(folder)).folder)
    assert {u.id for u in anyone.utterances} == everyone
    assert "v05[1]" not in anyone.sequences["vision"]


def test_posteriors_follow_the_utterances_that_are_kept(tmp_path: Path) -> None:
    def change(arrays: Arrays) -> None:
        for name in SIZES:
            del arrays[name]["v01"]

    folder = spoilt(tmp_path / "data", change)
    ids = [f"{video}[{row}]" for video in VIDEOS for row in range(3)]
    names = [str(configuration) for configuration in all_configurations(SIZES)]
    truth = {name: np.random.default_rng(k).random((len(ids), 6)) for k, name in enumerate(names)}
    np.savez(folder / "made_truth.npz", **{"ids": np.array(ids), **truth})
    corpus = open_store(api.prepare(made_recipe(folder)).folder)
    kept = [ids.index(u.id) for u in corpus.utterances]
    assert len(kept) == len(ids) - 3
    assert corpus.posteriors is not None
    assert set(corpus.posteriors) == set(names)
    for name in names:
        np.testing.assert_array_equal(corpus.posteriors[name], truth[name][kept])


def test_a_damaged_video_is_an_error_row_and_nothing_else_is_lost(files: Path, digest: str, tmp_path: Path) -> None:
    folder = shutil.copytree(files, tmp_path / "data")
    with h5py.File(folder / FILES["mosei"]["vision"], "r+") as file:
        group = file["vision/data/v07"]
        assert isinstance(group, h5py.Group)
        del group["intervals"]
    ready = api.prepare(made_recipe(folder))
    assert [(row["recording"], row["modality"]) for row in ready.errors] == [("v07", "vision")]
    assert "v07" in ready.errors[0]["error"]
    assert ready.counts["errors (a recording lacks what could not be read)"] == 1
    damaged, whole = open_store(ready.folder), open_store(prepared(made_recipe(files), tmp_path / "whole").folder)
    assert [u.id for u in damaged.utterances] == [u.id for u in whole.utterances]
    assert damaged.sequences["audio"].digest == whole.sequences["audio"].digest
    lost = set(whole.sequences["vision"].ids) - set(damaged.sequences["vision"].ids)
    assert lost == {"v07[0]", "v07[1]", "v07[2]"}
    for name in damaged.sequences["vision"].ids:
        np.testing.assert_array_equal(damaged.sequences["vision"][name].values, whole.sequences["vision"][name].values)
    again = api.prepare(made_recipe(folder))
    assert (again.was_ready, again.errors) == (True, ready.errors)


def test_a_modality_without_any_frame_is_there_and_empty(tmp_path: Path) -> None:
    def change(arrays: Arrays) -> None:
        for values, _ in arrays["vision"].values():
            values[:] = np.nan

    corpus = open_store(api.prepare(made_recipe(spoilt(tmp_path / "data", change))).folder, verify=True)
    assert (corpus.sequences["vision"].ids, corpus.sequences["vision"].values.shape) == ((), (0, SIZES["vision"]))
    assert len(corpus.utterances) == 60


def test_where_nothing_is_left_it_is_said_why(tmp_path: Path) -> None:
    def change(arrays: Arrays) -> None:
        for name in SIZES:
            arrays[name] = {"elsewhere": arrays[name]["v00"]}

    with pytest.raises(FeatureError, match="no utterance has features; do labels and features name the same videos"):
        api.prepare(made_recipe(spoilt(tmp_path / "data", change)))


def test_frames_of_a_modality_that_is_none_are_refused(files: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"features\.frames: unknown modality 'voice'.*Known: audio, text, vision"):
        api.prepare(made_recipe(files, "features.frames={voice = 3}"))
    assert not list(tmp_path.rglob("*.npy"))


# --- processes


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files whose first video takes far longer than the others."""

    def change(arrays: Arrays) -> None:
        rng = np.random.default_rng(0)
        n = 400_000
        arrays["audio"]["v00"] = (
            rng.standard_normal((n, 4)).astype(np.float32),
            np.sort(rng.random((n, 2)) * 12, axis=0)[rng.permutation(n)],
        )

    return spoilt(tmp_path_factory.mktemp("uneven"), change)


def test_processes_make_the_same_store_as_one(uneven: Path, tmp_path: Path) -> None:
    recipe = made_recipe(uneven)
    seen: list[tuple[int, int]] = []
    one = prepared(recipe, tmp_path / "one")
    two = prepared(recipe, tmp_path / "two", processes=2, progress=lambda *counts: seen.append(counts))
    assert open_store(one.folder, verify=True).digest == open_store(two.folder, verify=True).digest
    for name in SIZES:
        values = [(store.folder / "sequences" / name / "values.npy").read_bytes() for store in (one, two)]
        assert values[0] == values[1]
    assert (one.counts, one.errors) == (two.counts, two.errors)
    assert seen == [(done, N_VIDEOS) for done in range(1, N_VIDEOS + 1)]


def test_a_process_that_dies_is_an_error_that_says_how_to_go_on(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from concurrent.futures.process import BrokenProcessPool

    from emotiwave.features import prepare as module

    def dying(*_: object) -> Iterator[Any]:
        raise BrokenProcessPool("planted")
        yield

    monkeypatch.setattr(module, "read_in_processes", dying)
    with pytest.raises(
        FeatureError, match=r"died, perhaps for want of memory: use fewer --processes; .*same command goes on"
    ):
        prepared(made_recipe(files), tmp_path / "store", processes=2)


# --- stopped and gone on with


class Stop(BaseException):
    pass


def stopped(recipe: Recipe, store: Path, after: int) -> Path:
    """Stop a preparation after some videos; the folder of the partial store."""

    def stop(done: int, _: int) -> None:
        if done == after:
            raise Stop

    with pytest.raises(Stop):
        prepared(recipe, store, progress=stop)
    assert not store.exists()
    return store.with_name(f".{store.name}.partial")


def gone_on(recipe: Recipe, store: Path) -> tuple[int, str]:
    """Videos that were there already, and the digest."""
    ready = prepared(recipe, store)
    assert sorted(path.name for path in store.parent.iterdir() if "partial" in path.name) == []
    assert sorted(path.name for path in store.iterdir()) == [
        "corpus.json",
        "preparation.json",
        "sequences",
        "utterances.parquet",
    ]
    return ready.n_resumed, open_store(store, verify=True).digest


@pytest.mark.parametrize("after", [1, 7, N_VIDEOS])
def test_a_stopped_preparation_goes_on_to_the_same_store(files: Path, digest: str, tmp_path: Path, after: int) -> None:
    recipe = made_recipe(files)
    stopped(recipe, tmp_path / "s" / "store", after)
    assert gone_on(recipe, tmp_path / "s" / "store") == (after, digest)


PREPARE = """
import json, os, re, signal, sys
from pathlib import Path
from emotiwave.datasets import mosei
from emotiwave.features import partial, prepare as module
from emotiwave.features.settings import FeatureSettings

def prepare(root, store, tables):  # without a recipe, whose models would take seconds to import
    recordings = mosei.load(mosei.MoseiSettings(root=root))
    module.prepare(recordings, FeatureSettings(), Path(store), tables=json.loads(tables))
"""
KILLED = """
point, after = sys.argv[4], int(sys.argv[5])
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
if point == "after frames":
    dumps = partial.json.dumps
    partial.json.dumps = lambda line, **options: (
        die() if isinstance(line, dict) and line.get("recording") == f"v{after:02d}" else dumps(line, **options)
    )
elif point == "while describing":
    module.write_description = die
elif point == "before the journal goes":
    unlink = Path.unlink
    Path.unlink = lambda path, **options: die() if path.name == "journal.jsonl" else unlink(path, **options)
prepare(*sys.argv[1:4])
"""


def in_a_process(code: str, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, env=environment)


@pytest.mark.parametrize(
    ("point", "after", "resumed"),
    [
        ("after frames", 9, 9),
        ("while describing", 0, N_VIDEOS),
        ("before the journal goes", 0, 0),  # the store is in its place already
    ],
)
def test_a_killed_preparation_goes_on_to_the_same_store(
    files: Path, digest: str, tmp_path: Path, point: str, after: int, resumed: int
) -> None:
    store = tmp_path / "s" / "store"
    tables = json.dumps(made_recipe(files).prepared_tables())
    killed = in_a_process(PREPARE + KILLED, str(files), str(store), tables, point, str(after))
    assert killed.returncode == -9, killed.stderr
    if point == "before the journal goes":
        assert is_up_to_date(store, made_recipe(files).prepared_tables())
        assert open_store(store, verify=True).digest == digest
    assert gone_on(made_recipe(files), store) == (resumed, digest)


def test_gone_on_with_by_several_processes(files: Path, digest: str, tmp_path: Path) -> None:
    recipe = made_recipe(files)
    stopped(recipe, tmp_path / "store", 18)
    ready = prepared(recipe, tmp_path / "store", processes=2)
    assert (ready.n_resumed, open_store(ready.folder).digest) == (18, digest)


@pytest.mark.parametrize("changed", ["input", "settings", "swapped files"])
def test_what_another_preparation_left_is_not_gone_on_with(tmp_path: Path, changed: str) -> None:
    folder = write_arrays(made_arrays(), tmp_path / "data")
    store = tmp_path / "s" / "store"
    modalities = {"text": "one.csd", "audio": "two.csd"}
    for file in modalities.values():
        shutil.copy2(folder / FILES["mosei"]["vision"], folder / file)
    overrides = [f"dataset.modalities={{{', '.join(f'{k} = {v!r}' for k, v in modalities.items())}}}"]
    stopped(made_recipe(folder, *overrides), store, 5)
    if changed == "input":
        os.utime(folder / "one.csd", ns=(1, 1))
    elif changed == "settings":
        overrides.append("features.frames=3")
    else:
        overrides = ["dataset.modalities={text = 'two.csd', audio = 'one.csd'}"]
    n_resumed, _ = gone_on(made_recipe(folder, *overrides), store)
    assert n_resumed == 0


def test_nothing_of_another_preparation_is_left_in_the_store(files: Path, tmp_path: Path) -> None:
    stopped(made_recipe(files), tmp_path / "store", 5)
    only = f"dataset.modalities={{text = '{FILES['mosei']['text']}'}}"
    ready = prepared(made_recipe(files, only), tmp_path / "store")
    assert [path.name for path in (ready.folder / "sequences").iterdir()] == ["text"]


def test_two_processes_do_not_prepare_one_store(files: Path, digest: str, tmp_path: Path) -> None:
    recipe = made_recipe(files)
    with (
        PartialStore(tmp_path / ".store.partial", SIZES, "of another"),
        pytest.raises(FeatureError, match="another process is preparing this store; wait"),
    ):
        prepared(recipe, tmp_path / "store")
    assert gone_on(recipe, tmp_path / "store") == (0, digest)


# --- disks, folders


@contextmanager
def files_no_larger_than(n_bytes: int) -> Iterator[None]:
    """The kernel refuses to write more, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("n_bytes", [100, 20_000, 40_000])
def test_a_full_disk_is_told_and_space_lets_it_go_on(files: Path, digest: str, tmp_path: Path, n_bytes: int) -> None:
    """Values of audio take 61,568 bytes; 100 are not enough for the first line of the journal."""
    recipe, store = made_recipe(files), tmp_path / "s" / "store"
    with pytest.raises(FeatureError) as error, files_no_larger_than(n_bytes):
        prepared(recipe, store)
    assert "cannot be written" in str(error.value)
    assert "the same command goes on there" in str(error.value)
    n_resumed, found = gone_on(recipe, store)
    assert found == digest
    assert n_resumed == pytest.approx((n_bytes - 128) // (4 * 4 * (64 * 3)) if n_bytes > 128 else 0, abs=0)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_told(files: Path, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    with pytest.raises(FeatureError, match="cannot be written"):
        prepared(made_recipe(files), closed / "store")


def test_a_place_where_nothing_can_be_made_is_told(files: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FeatureError, match="cannot be written"):
        prepared(made_recipe(files), tmp_path / "file" / "store")


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_place_that_is_taken_is_left_as_it_is(files: Path, tmp_path: Path, kind: str) -> None:
    mine = tmp_path / "mine"
    if kind == "folder":
        mine.mkdir()
        (mine / "thesis.txt").write_text("years")
    else:
        mine.write_text("years")
    before = {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(FeatureError, match="mine exists and is no feature store; choose another folder"):
        api.prepare(made_recipe(files), out=mine)
    assert {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_modality_cannot_be_named_out_of_the_store(files: Path, tmp_path: Path) -> None:
    with pytest.raises(FeatureError, match=r"modality '\.\./up' cannot name a folder"):
        api.prepare(made_recipe(files, f'dataset.modalities={{"../up" = "{FILES["mosei"]["text"]}"}}'))
    assert not list(tmp_path.rglob("up"))


# --- once is enough


def times_of(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_store_that_is_up_to_date_is_left_alone(files: Path) -> None:
    recipe = made_recipe(files)
    first = api.prepare(recipe)
    before = times_of(first.folder)
    again = api.prepare(recipe)
    assert (first.was_ready, again.was_ready) == (False, True)
    assert times_of(first.folder) == before
    assert (again.folder, again.counts, again.errors) == (first.folder, first.counts, first.errors)


def test_a_changed_input_is_prepared_anew(tmp_path: Path) -> None:
    folder = write_arrays(made_arrays(), tmp_path / "data")
    recipe = made_recipe(folder)
    first = recipe_digest(recipe)
    os.utime(folder / FILES["mosei"]["audio"], ns=(5, 5))
    assert not is_up_to_date(recipe.store, recipe.prepared_tables())
    assert recipe.load_corpus().digest == first  # as it was prepared: evaluate judges it by its content
    assert recipe_digest(recipe) == first  # the same content with another time
    write_arrays(made_arrays(seed=1), folder)
    assert recipe.load_corpus().digest == first
    assert recipe_digest(recipe) != first


def test_no_store_is_told_with_how_to_make_it(tmp_path: Path) -> None:
    recipe = made_recipe(write_arrays(made_arrays(), tmp_path / "data"))
    with pytest.raises(DatasetError, match="no feature store of this recipe; make it with `emotiwave data prepare"):
        recipe.load_corpus()


def test_a_store_that_another_version_prepared_is_outdated(files: Path, digest: str) -> None:
    recipe = made_recipe(files)
    report = api.prepare(recipe).folder / "preparation.json"
    said = json.loads(report.read_text())
    assert said["version"] == VERSION
    for version in (VERSION - 1, VERSION + 1, None):
        report.write_text(json.dumps({**said, "version": version}))
        assert recipe_digest(recipe) == digest
        assert json.loads(report.read_text())["version"] == VERSION


def test_words_that_appear_are_read(tmp_path: Path) -> None:
    folder = write_arrays(made_arrays(), tmp_path / "data")
    words = folder / FILES["mosei"]["words"]
    kept = words.rename(tmp_path / "words")
    recipe = made_recipe(folder)
    ready = api.prepare(recipe)
    assert json.loads((ready.folder / "preparation.json").read_text())["inputs"][str(words)] is None
    assert {u.transcript for u in open_store(ready.folder).utterances} == {None}
    assert api.prepare(recipe).was_ready
    kept.rename(words)
    assert not api.prepare(recipe).was_ready
    assert open_store(ready.folder).utterances[1].transcript == "hello big world"  # seconds 0 to 4
    assert api.prepare(recipe).was_ready
    words.unlink()  # what is gone changes nothing
    assert api.prepare(recipe).was_ready


def test_alignment_to_words_needs_them(tmp_path: Path) -> None:
    folder = write_arrays(made_arrays(), tmp_path / "data")
    (folder / FILES["mosei"]["words"]).unlink()
    with pytest.raises(FeatureError, match=r"needs the timed words: no file .*TimestampedWords\.csd$"):
        api.prepare(made_recipe(folder, "features.align=words"))


def test_folds_that_appear_beside_the_files_take_the_place_of_published_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_arrays(made_arrays(), tmp_path / "CMU_MOSEI")
    beside, published = folder / "standard_folds.json", tmp_path / "mosei_meta/standard_folds.json"
    published.parent.mkdir()
    beside.rename(published)
    monkeypatch.setenv("EMOTIWAVE_DATA", str(tmp_path))
    recipe = made_recipe(folder)
    assert not api.prepare(recipe).was_ready
    assert api.prepare(recipe).was_ready
    beside.write_text(json.dumps({"train": VIDEOS[:2], "valid": VIDEOS[2:3], "test": VIDEOS[3:4]}))
    ready = api.prepare(recipe)
    assert not ready.was_ready
    assert (ready.counts["train utterances"], ready.counts["test utterances"]) == (6, 3)
    assert ready.counts["split"] == f"official ({beside})"


def test_a_truth_that_appears_is_attached(tmp_path: Path) -> None:
    folder = write_arrays(made_arrays(), tmp_path / "data")
    recipes = [made_recipe(folder), made_recipe(folder, f"dataset.columns={EXCHANGED}")]
    for recipe in recipes:
        api.prepare(recipe)
        assert recipe.load_corpus().posteriors is None
    ids = np.array([f"{video}[{row}]" for video in VIDEOS for row in range(3)])
    names = [str(configuration) for configuration in all_configurations(SIZES)]
    np.savez(folder / "made_truth.npz", ids=ids, **{name: np.full((60, 6), 0.25) for name in names})
    assert [api.prepare(recipe).was_ready for recipe in recipes] == [False, True]
    found, exchanged = (recipe.load_corpus().posteriors for recipe in recipes)
    assert found is not None
    assert set(found) == set(names)
    assert exchanged is None, "the answers are of other columns"


def recipe_digest(recipe: Recipe) -> str:
    assert not api.prepare(recipe).was_ready
    return recipe.load_corpus().digest


def test_an_input_that_changes_meanwhile_makes_the_store_outdated(tmp_path: Path) -> None:
    folder = write_arrays(made_arrays(), tmp_path / "data")
    recipe = made_recipe(folder)
    prepared(recipe, recipe.store, progress=lambda *_: os.utime(folder / FILES["mosei"]["audio"], ns=(5, 5)))
    assert not is_up_to_date(recipe.store, recipe.prepared_tables())


def test_other_settings_have_another_store(files: Path) -> None:
    overrides = ("features.frames=3", "features.align=words", "dataset.task=sentiment", "dataset.split_seed=1")
    recipes = [made_recipe(files), *(made_recipe(files, override) for override in overrides)]
    assert len({recipe.store for recipe in recipes}) == len(recipes)
    same = [made_recipe(files, "training.seed=3"), made_recipe(files, "model.name=late")]
    assert {recipe.store for recipe in same} == {recipes[0].store}


def test_a_store_needs_its_inputs_no_more(tmp_path: Path) -> None:
    folder = write_arrays(made_arrays(), tmp_path / "data")
    recipe = made_recipe(folder)
    ready = api.prepare(recipe)
    shutil.rmtree(folder)
    assert len(recipe.load_corpus().utterances) == 60
    assert api.prepare(recipe).was_ready
    assert ready.folder == recipe.store


@pytest.mark.parametrize("damage", ["values", "report", "description"])
def test_a_damaged_store_is_made_again(files: Path, digest: str, damage: str) -> None:
    recipe = made_recipe(files)
    store = api.prepare(recipe).folder
    if damage == "values":
        with (store / "sequences/audio/values.npy").open("r+b") as file:
            file.truncate(5000)
    elif damage == "report":
        (store / "preparation.json").write_text('{"tables": {}}')
        assert read_report(store) is None
    else:
        (store / "corpus.json").write_text("{")
    assert not api.prepare(recipe).was_ready
    assert recipe.load_corpus().digest == digest


def test_a_store_of_another_recipe_is_not_taken_for_this_one(files: Path, tmp_path: Path) -> None:
    store = f"features.store={tmp_path / 'store'}"
    api.prepare(made_recipe(files, store))
    other = made_recipe(files, store, "features.frames=3")
    with pytest.raises(DatasetError, match="store: no feature store of this recipe"):
        other.load_corpus()
    assert not api.prepare(other).was_ready
    assert np.diff(other.load_corpus().sequences["audio"].offsets).max() == 3


def test_a_corpus_that_needs_no_preparation_says_so(files: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="synthetic needs no preparation"):
        api.prepare("synthetic", overrides=["dataset.n_train=3"])
    (tmp_path / "r.toml").write_text(f'dataset.store = "{api.prepare(made_recipe(files)).folder}"')
    with pytest.raises(ConfigError, match="a feature store needs no preparation"):
        api.prepare(tmp_path / "r.toml")


# --- memory

BOUNDED = """
def memory(kind):
    return int(re.search(kind + r":\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024
before = memory("VmRSS")
prepare(*sys.argv[1:4])
print(memory("VmHWM") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_memory_is_bounded_whatever_the_size_of_the_files(tmp_path: Path) -> None:
    """160 MB in 20 videos: one is held at a time."""

    def change(arrays: Arrays) -> None:
        n = 2_800
        values = np.random.default_rng(0).standard_normal((n, 713)).astype(np.float32)
        times = np.stack([np.arange(n), np.arange(1, n + 1)], axis=1) * (12 / n)
        for video in VIDEOS:
            arrays["vision"][video] = values, times

    folder = spoilt(tmp_path / "data", change)
    assert (folder / FILES["mosei"]["vision"]).stat().st_size > 150e6
    done = in_a_process(PREPARE + BOUNDED, str(folder), str(tmp_path / "store"), "{}")
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 80  # MiB


# --- the whole way


def corpus_of(run: Path) -> dict[str, Any]:
    return json.loads((run / "environment.json").read_text())


def test_train_prepares_by_itself_and_evaluate_finds_the_store_from_anywhere(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ("training.epochs=1", "training.accelerator=cpu", "model.name=late", "evaluation.bootstrap=20")
    run = api.train(made_recipe(files, *settings), out=tmp_path / "run")
    described = corpus_of(run.folder)
    assert described["corpus"]["counts"]["train utterances"] == 36
    assert described["corpus"]["counts"]["audio frames"] == N_VIDEOS * 20 * 13
    assert described["cautions"] == []
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    scores = api.evaluate(run.folder)
    assert {row.n for row in scores} == {12}
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_run_is_evaluated_on_the_data_it_was_trained_on_and_no_other(tmp_path: Path) -> None:
    folder = write_arrays(made_arrays(), tmp_path / "data")
    settings = ("training.epochs=1", "training.accelerator=cpu", "model.name=late", "evaluation.bootstrap=0")
    recipe = made_recipe(folder, *settings)
    run = api.train(recipe, out=tmp_path / "run")
    write_arrays(made_arrays(seed=1), folder)
    assert {row.n for row in api.evaluate(run.folder)} == {12}  # the store is still that of the run
    assert not api.prepare(recipe).was_ready
    with pytest.raises(EmotiwaveError, match="the data changed since training"):
        api.evaluate(run.folder)


@pytest.mark.parametrize(
    ("name", "corpus"),
    [
        ("mosei_bottleneck", "mosei"),
        ("mosei_lstm_concat", "mosei"),
        ("mosei_notebook", "mosei"),
        ("mosei_sentiment", "mosei"),
        ("mosi_csd", "mosi_csd"),
    ],
)
def test_every_recipe_of_recordings_trains_an_epoch(tmp_path: Path, name: str, corpus: str) -> None:
    folder = write_arrays(made_arrays(corpus), tmp_path / "data", corpus)
    if name == "mosei_notebook":
        (folder / "standard_folds.json").unlink()
    overrides = ["training.epochs=1", "training.accelerator=cpu", "model.size=small", "features.frames=8"]
    run = api.train(made_recipe(folder, *overrides, name=name), out=tmp_path / "run")
    described = corpus_of(run.folder)
    assert run.summary.n_epochs == 1
    assert bool(described["cautions"]) == (name == "mosei_notebook")
    splits = {split: of["utterances"] for split, of in described["corpus"]["splits"].items()}
    official = {"train": 36, "validation": 12, "test": 12}
    assert splits == ({"train": 16, "validation": 2, "test": 2} if name == "mosei_notebook" else official)
