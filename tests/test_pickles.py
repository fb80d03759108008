import collections
import os
import pickle
import random
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emotiwave.datasets import pickle_opcodes, pickles
from emotiwave.datasets.pickles import read_pickle
from emotiwave.errors import DatasetError

VALUES = {
    "float32": np.arange(6, dtype=np.float32).reshape(2, 3),
    "float16": np.array([1.5, np.nan, -np.inf], dtype=np.float16),
    "int64": np.array([[-(2**40)], [7]]),
    "uint8": np.array([255], dtype=np.uint8),
    "bool": np.array([True, False, True]),
    "no dimension": np.array(3.0),
    "empty": np.zeros((0, 5)),
    "by column": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "axes in another order": np.arange(24.0).reshape(2, 3, 4).transpose(2, 0, 1),
    "big-endian": np.arange(3, dtype=">i4"),
    "read-only": np.frombuffer(b"\1\0\0\0\2\0\0\0", dtype="<i4"),
    "unicode": np.array(["a", "ü😀"]),
    "bytes": np.array([b"x", b"yy"]),
    "objects": np.array(["a", 1, None, b"c"], dtype=object),
    "scalars": [np.float32(1.5), np.int64(-4), np.str_("hé"), np.bool_(True)],
    "containers": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), {"a": [], "b": {}}, {1, 2}, frozenset("ab")],
    "strings": ["", "ü😀", "a'b\n\\", "x" * 300, b"", b"\xff\x00", b"y" * 300, bytearray(b"abc")],
    "numbers": [0, -1, 255, 256, 65536, -(2**31), 2**40, -(2**70), 1e-3, float("inf"), True, False, None],
}


def write(folder: Path, content: bytes) -> Path:
    path = folder / "made.pkl"
    path.write_bytes(content)
    return path


def assert_same(got, expected):
    if isinstance(expected, np.ndarray):
        assert type(got) is np.ndarray
        assert got.dtype == expected.dtype.newbyteorder("=")
        np.testing.assert_array_equal(got, expected)
    elif isinstance(expected, list):
        assert len(got) == len(expected)
        for one, other in zip(got, expected, strict=True):
            assert_same(one, other)
    else:
        assert type(got) is type(expected)
        assert got == expected


# What may be read


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", VALUES)
def test_what_pickle_writes_is_read_equal(name, protocol, tmp_path):
    read = read_pickle(write(tmp_path, pickle.dumps(VALUES[name], protocol)))
    assert_same(read, VALUES[name])


@pytest.mark.parametrize("protocol", range(6))
def test_one_object_met_twice_is_read_as_one(protocol, tmp_path):
    array, shared = np.arange(3.0), ["x"]
    first, second, *lists = read_pickle(write(tmp_path, pickle.dumps([array, array, shared, shared], protocol)))
    assert first is second
    assert lists[0] is lists[1]


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_that_are_pandas_columns_are_read_and_an_ordered_dict_is_a_dict(protocol, tmp_path):
    table = pd.DataFrame({"label": [0.5, -1.0], "id": ["a", "b"]})
    columns = collections.OrderedDict((name, table[name].to_numpy()) for name in table)
    read = read_pickle(write(tmp_path, pickle.dumps(columns, protocol)))
    assert list(read) == ["label", "id"]
    assert read["label"].tolist() == [0.5, -1.0]
    assert list(read["id"]) == ["a", "b"]


def test_names_of_numpy_1_are_known_too(tmp_path):
    content = pickle.dumps(np.arange(3.0), 3)
    assert b"numpy._core.multiarray" in content
    content = content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert read_pickle(write(tmp_path, content)).tolist() == [0.0, 1.0, 2.0]


PYTHON_2 = (
    b"cnumpy.core.multiarray\n_reconstruct\np0\n(cnumpy\nndarray\np1\n(I0\ntp2\nS'b'\np3\ntp4\nRp5\n"
    b"(I1\n(I2\ntp6\ncnumpy\ndtype\np7\n(S'f4'\np8\nI0\nI1\ntp9\nRp10\n(I3\nS'<'\np11\nNNNI-1\nI-1\nI0\ntp12\nb"
    b"I00\nS'\\x00\\x00\\xc0\\x3f\\x00\\x00\\x20\\xc0'\np13\ntp14\nb."
)


def test_a_text_pickle_of_python_2_is_read(tmp_path):
    # 0x3fc00000 is 1.5 and 0xc0200000 is -2.5 in IEEE 754
    assert read_pickle(write(tmp_path, PYTHON_2)).tolist() == [1.5, -2.5]
    assert read_pickle(write(tmp_path, b"(dp0\nS'caf\\xe9'\np1\n(lp2\nL5L\naI01\nas.")) == {"café": [5, True]}
    assert read_pickle(write(tmp_path, b"\x80\x02U\x02\xe9!q\x00.")) == "é!"


def test_the_largest_memo_index_costs_nothing(tmp_path):
    path = write(tmp_path, b"\x80\x04]r\xff\xff\xff\xffK\x07a.")
    peak = peak_of(lambda: read_pickle(path))
    assert peak < 2**20
    assert read_pickle(path) == [7]


# What is refused


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def called(name: str, *arguments: bytes) -> bytes:
    """GLOBAL, arguments in a tuple, REDUCE, STOP."""
    module, _, function = name.rpartition(".")
    return b"c" + module.encode() + b"\n" + function.encode() + b"\n(" + b"".join(arguments) + b"tR."


def number(value: int) -> bytes:
    return b"L%dL\n" % value


NDARRAY = b"cnumpy\nndarray\n"
FLOAT64 = b"cnumpy\ndtype\n(" + text("f8") + b"tR"
FROMBUFFER = "numpy._core.numeric._frombuffer"
HUGE = b"(" + number(10**12) + b"t"  # as a shape
ONE_OBJECT = called(FROMBUFFER, b"(Nl", text("O"), b"(K\1t", text("C"))
TOUCH = text("touch SENTINEL")
OPEN = text("open('SENTINEL', 'w').close()")

RUNS_CODE = {  # proven to run with pickle.loads
    "os.system": (called("os.system", TOUCH), "os.system"),
    "posix.system": (called("posix.system", TOUCH), "posix.system"),
    "eval": (called("builtins.eval", OPEN), "builtins.eval"),
    "exec of Python 2": (called("__builtin__.exec", OPEN), "__builtin__.exec"),
    "subprocess": (called("subprocess.call", b"(" + text("touch") + text("SENTINEL") + b"l"), "subprocess.call"),
    "STACK_GLOBAL": (b"\x80\x04" + text("os") + text("system") + b"\x93(" + TOUCH + b"tR.", "os.system"),
    "a dotted name": (b"\x80\x04" + text("pickle") + text("sys.modules.get") + b"\x93(" + text("os") + b"tR0"
                      + text("os") + text("system") + b"\x93(" + TOUCH + b"tR.", "pickle.sys.modules.get"),
    "INST": (b"(" + TOUCH + b"ios\nsystem\n.", "INST"),
    "OBJ": (b"(cos\nsystem\n" + TOUCH + b"o.", "os.system"),
    "getattr": (called("builtins.getattr", b"cos\nPathLike\n", text("mro"))[:-1] + b"0"
                + called("os.system", TOUCH), "builtins.getattr"),
    "a numpy function": (called("numpy.testing._private.utils.runstring", OPEN, b"}"), "runstring"),
    "numpy opening a file": (called("numpy.memmap", text("SENTINEL"), text("u1"), text("w+"), b"K\0", b"K\1"),
                             "memmap"),
}  # fmt: skip

REFUSED = {
    "a global never called": (b"cos\nsystem\n.", "os.system"),
    "an allowed global as a value": (NDARRAY + b".", "numpy.ndarray"),
    "a dotted name on an allowed one": (b"\x80\x04" + text("numpy") + text("ndarray.tofile") + b"\x93.", "tofile"),
    "a module that numpy imports": (b"\x80\x04" + text("numpy") + text("os.system") + b"\x93.", "os.system"),
    "a global whose name is no string": (b"\x80\x04" + text("os") + b"K\x01\x93.", "no string"),
    "a call of a value": (text("os.system") + b"(" + TOUCH + b"tR.", "call a str"),
    "a persistent id": (b"Pabc\n.", "PERSID"),
    "a binary persistent id": (text("abc") + b"Q.", "BINPERSID"),
    "the extension registry": (b"\x80\x02\x82\x01.", "EXT1"),
    "the extension registry, 2 bytes": (b"\x80\x02\x83\x01\x00.", "EXT2"),
    "the extension registry, 4 bytes": (b"\x80\x02\x84\x01\x00\x00\x00.", "EXT4"),
    "NEWOBJ": (b"\x80\x02" + NDARRAY + b"(" + HUGE + b"t\x81.", "NEWOBJ"),
    "NEWOBJ_EX": (b"\x80\x04" + NDARRAY + b"(" + HUGE + b"t}\x92.", "NEWOBJ_EX"),
    "an out-of-band buffer": (b"\x80\x05\x97.", "NEXT_BUFFER"),
    "BUILD on a list": (b"](}tb.", "state of a list"),
    "BUILD on a recipe": (b"c_codecs\nencode\n}" + text("__defaults__") + b"Nsb.", "state of a Global"),
    "BUILD of a type's fields": (FLOAT64 + b"(K\x03" + text("<") + b"N(" + text("a") + b"t}K\0K\0K\0tb.", "structured"),
    "an array with a size and no contents": (called("numpy.ndarray", HUGE, text("b")), "before its contents"),
    "_reconstruct with a size": (called("numpy._core.multiarray._reconstruct", NDARRAY, HUGE, text("b")), "contents"),
    "a subclass of array": (called("numpy._core.multiarray._reconstruct", b"cnumpy\nmatrix\n", b"(K\0t", b"C\1b"),
                            "numpy.matrix"),
    "an array without contents": (called("numpy._core.multiarray._reconstruct", NDARRAY, b"(K\0t", b"C\1b"),
                                  "without contents"),
    "a shape larger than its bytes": (called(FROMBUFFER, b"C\x08abcdefgh", FLOAT64, HUGE,
                                             text("C")), "needs 8,000,000,000,000 bytes"),
    "a shape smaller than its bytes": (called(FROMBUFFER, b"C\x09abcdefghi", FLOAT64,
                                              b"(K\1t", text("C")), "needs 8 bytes"),
    "a shape below zero": (called(FROMBUFFER, b"C\0", FLOAT64, b"(J\xff\xff\xff\xfft", text("C")),
                           "not as numpy writes"),
    "an empty array with many rows": (called(FROMBUFFER, b"C\0", FLOAT64,
                                             b"(" + number(10**12) + b"K\0t", text("C")), "refused an empty array"),
    "items without a size": (called("numpy.dtype", text("S0")), "type 'S0'"),
    "an object as bytes": (called(FROMBUFFER, b"C\x08abcdefgh", text("O"), b"(K\1t", text("C")),
                           "needs a list"),
    "a structured type": (called("numpy.dtype", b"((" + text("a") + text("O") + b"tl"), "type a list"),
    "a void type": (called("numpy.dtype", text("V1000000")), "type 'V1000000'"),
    "an object scalar": (called("numpy._core.multiarray.scalar", called("numpy.dtype", text("O"))[:-1], b"C\0"),
                         "an object"),
    "a character beyond Unicode": (called("numpy._core.multiarray.scalar", called("numpy.dtype", text("U1"))[:-1],
                                          b"C\x04\xff\xff\xff\x7f"), "no character"),
    "a bytearray by size": (called("builtins.bytearray", number(10**12)), "no bytes"),
    "a codec that is not Latin-1": (called("_codecs.encode", text("a"), text("zip")), "'zip'"),
    "a set of a range": (called("builtins.set", called("builtins.range", number(10**12))[:-1]), "builtins.range"),
    "a class with a factory": (called("collections.defaultdict", b"cos\ngetcwd\n"), "collections.defaultdict"),
    "a long of 2 GB": (b"\x80\x02\x8b\xff\xff\xff\x7f.", "integer of 2,147,483,647 bytes"),
    "a long of negative size": (b"\x80\x02\x8b\xff\xff\xff\xff.", "truncated"),
    "a decimal of 20,000 digits": (b"L" + b"9" * 20_000 + b"L\n.", "20,001 digits"),
    "bytes that are not there": (b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"abc.", "1,099,511,627,776 bytes"),
    "text that is not there": (b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"abc.", "truncated"),
    "a bytearray that is not there": (b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"abc.", "1,099,511,627,776 bytes"),
    "a frame that is not there": (b"\x80\x04\x95" + struct.pack("<Q", 2**60) + b"N.", "1,152,921,504,606,846,976"),
    "lists in lists": (b"]" * 20_000 + b"a" * 19_999 + b".", "nest deeper"),
    "tuples in tuples": (b"\x80\x02)" + b"\x85" * 20_000 + b".", "nest deeper"),
    "marks in marks": (b"(" * 20_000 + b"t" * 20_000 + b".", "nest deeper"),
    "a deep tuple as a key": (b"\x80\x02})" + b"\x85" * 20_000 + b"Ns.", "tuple as the key"),
    "a deep tuple in a set": (b"\x80\x04\x8f()" + b"\x85" * 20_000 + b"\x90.", "tuple as the key"),
    "object arrays in object arrays": (called(FROMBUFFER, b"(" + ONE_OBJECT[:-1] + b"l", text("O"), b"(K\1t",
                                              text("C")), "within an array"),
    "a list that contains itself": (b"]q\0h\0a.", "contain themselves"),
    "references to references": (b"]q\0K\1a" + b"".join(b"](" + b"h%c" % i * 100 + b"eq%c" % (i + 1) for i in range(9))
                                 + b".", "unfold to more"),
    "references to an array": (b"](" + pickle.dumps(np.zeros(10_000))[2:-1] + b"q\0" + b"h\0" * 10_000 + b"e.",
                               "unfold to more"),
    "a later protocol": (b"\x80\x06N.", "protocol 6"),
    "an unknown instruction": (b"\xfeN.", "no pickle"),
    "nothing": (b"", "truncated"),
    "text": (b"hello, this is text\n", "no pickle"),
    "gzip": (b"\x1f\x8b\x08\x00abc", "gzip"),
    "a zip of torch": (b"PK\x03\x04abc", "zip"),
    "an odd number of items for a dict": (b"(K\1K\2K\3d.", "truncated"),
    "items for what is no dict": (b"](K\1K\2u.", "expected a dict"),
    "a mark without items": (b"t.", "truncated"),
    "an empty stack": (b".", "truncated"),
    "a memo that is empty": (b"h\x05.", "truncated"),
    "too few arguments": (called("numpy.dtype"), "truncated"),
}  # fmt: skip


def peak_of(action) -> int:
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def refuse(path: Path, message: str) -> None:
    with pytest.raises(DatasetError, match=message) as raised:
        read_pickle(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("name", RUNS_CODE)
def test_a_pickle_that_runs_code_is_refused_and_runs_nothing(name, tmp_path, monkeypatch):
    content, message = RUNS_CODE[name]
    monkeypatch.chdir(tmp_path)
    refuse(write(tmp_path, content), message)
    assert not Path("SENTINEL").exists()
    pickle.loads(content)  # the same bytes, read as others do
    assert Path("SENTINEL").exists()


@pytest.mark.parametrize("name", REFUSED)
def test_whatever_else_is_no_data_is_refused_in_little_memory(name, tmp_path):
    content, message = REFUSED[name]
    path = write(tmp_path, content)
    assert peak_of(lambda: refuse(path, message)) < 20 * 2**20


def test_a_refusal_leaves_the_next_reading_as_it_was(tmp_path):
    refuse(write(tmp_path, REFUSED["BUILD on a recipe"][0]), "refused")
    assert_same(read_pickle(write(tmp_path, pickle.dumps(VALUES["strings"], 2))), VALUES["strings"])


def test_endless_instructions_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(pickle_opcodes, "MAX_OPCODES", 1000)
    refuse(write(tmp_path, pickle.dumps(list(range(300)), 2)[:-1] + b"N0" * 1000 + b"."), "more than 1,000")


def test_pandas_objects_are_refused_by_name(tmp_path):
    refuse(write(tmp_path, pickle.dumps({"label": pd.Series([1.0])}, 4)), r"refused pandas\.")


def test_pickles_as_long_as_the_limit_are_read_and_longer_ones_not(tmp_path):
    path = write(tmp_path, pickle.dumps([1, 2]))
    size = path.stat().st_size
    assert read_pickle(path, max_bytes=size) == [1, 2]
    with pytest.raises(DatasetError, match=rf"holds {size} bytes; at most {size - 1}"):
        read_pickle(path, max_bytes=size - 1)


def test_containers_nest_as_deep_as_the_limit_and_not_deeper(tmp_path):
    def nested(depth: int) -> bytes:
        return b"]" * depth + b"a" * (depth - 1) + b"."

    assert read_pickle(write(tmp_path, nested(pickles.MAX_DEPTH))) is not None
    refuse(write(tmp_path, nested(pickles.MAX_DEPTH + 1)), "nest deeper")
    inner = b"](" + b"]" * 30 + b"a" * 29 + b"q\x07e"  # first met where it is not too deep
    refuse(write(tmp_path, b"](" + inner + b"]" * 30 + b"h\x07" + b"a" * 30 + b"e."), "nest deeper")


@pytest.mark.parametrize("protocol", range(6))
def test_every_shortened_pickle_is_refused(protocol, tmp_path):
    content = pickle.dumps({"id": ["a", "b"], "values": np.arange(4.0), "n": 300}, protocol)
    for end in range(len(content)):
        refuse(write(tmp_path, content[:end]), "truncated, damaged or no pickle")


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of escapes that protocol 0 does not write
def test_a_damaged_pickle_gives_data_or_one_kind_of_error(protocol, tmp_path):
    content = pickle.dumps({"id": ["a", "b"], "values": np.arange(4.0), "names": np.array(["x", "y"])}, protocol)
    generator = random.Random(protocol)
    refused = 0
    for _ in range(150):
        damaged = bytearray(content)
        for _ in range(generator.randint(1, 4)):
            damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        try:
            read_pickle(write(tmp_path, bytes(damaged)))
        except DatasetError:
            refused += 1
    assert 30 < refused < 150


def test_what_is_no_file_is_said(tmp_path):
    refuse(tmp_path / "absent.pkl", "does not exist")
    refuse(tmp_path, "is no file")
    os.mkfifo(tmp_path / "pipe")
    refuse(tmp_path / "pipe", "is no file")


def test_a_file_that_may_not_be_opened_is_said(tmp_path, monkeypatch):
    path = write(tmp_path, b"N.")

    def deny(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", deny)  # a mode would not stop root
    refuse(path, "Permission denied")
