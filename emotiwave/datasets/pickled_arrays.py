"""What the names in a pickle may stand for: recipes for numpy arrays and builtin containers, every argument checked.

numpy's own ``__setstate__``, ``dtype`` and ``_reconstruct`` never meet what a file says. An array is a view of bytes
that were read, made only where the type is plain and shape times item size is the number of bytes.
"""

import codecs
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotiwave.errors import DatasetError

PLAIN_TYPES = re.compile(r"b1|[iu][1248]|f[248]|[SU][1-9]\d{0,8}|O[48]?")
MAX_EMPTY = 2**24
"""Rows and columns of an array without items."""
MAX_CODE_POINT = 0x10FFFF
ADVICE = "a pickle can run code, so only dicts, lists, strings, numbers and plain numpy arrays are read"


@dataclass(frozen=True)
class Global:
    """A name in a pickle, and the recipe that runs when it is called."""

    name: str
    call: Callable[..., Any]


class AnyDtype:
    """An item type as a pickle describes it: a code such as ``f4``, then a byte order."""

    def __init__(self, code: Any, *_: Any) -> None:
        if type(code) is not str or not PLAIN_TYPES.fullmatch(code.lstrip("<>|=")):
            raise DatasetError(
                f"refused an array of type {_shown(code)}; only booleans, integers, floats and strings are read"
            )
        self.code = code.lstrip("<>|=")
        self.order = code[0] if code[0] in "<>" else "="

    def set_state(self, state: Any) -> None:
        """Take the byte order of what ``numpy.dtype.__reduce__`` gave; fields and sub-arrays are refused."""
        if type(state) is not tuple or len(state) < 5 or state[1] not in ("<", ">", "|", "="):
            raise ValueError("the state of an array type is not as numpy writes it")
        if any(part is not None for part in state[2:5]):
            raise DatasetError("refused an array of structured items; save each field as an array of its own")
        self.order = state[1]

    @property
    def holds_objects(self) -> bool:
        """Whether items are Python objects."""
        return self.code.startswith("O")

    @property
    def stored(self) -> np.dtype[Any]:
        """The type of the bytes in the file; booleans as integers, since a byte there can be more than 0 or 1."""
        return np.dtype("u1" if self.code == "b1" else self.code).newbyteorder(self.order)  # pyright: ignore


class UnfinishedArray:
    """An array between its creation and its contents; references to it are to ``array``."""

    def __init__(self) -> None:
        self.array: NDArray[Any] | None = None

    def finish(self, state: Any) -> NDArray[Any]:
        """Build the array from (version, shape, type, is_fortran, contents)."""
        if self.array is not None or type(state) is not tuple or len(state) != 5:
            raise ValueError("the state of an array is not as numpy writes it")
        _, shape, dtype, is_fortran, contents = state
        self.array = build_array(contents, dtype, shape, "F" if is_fortran else "C")
        return self.array


def build_array(contents: Any, dtype: Any, shape: Any, order: Any = "C", axes: Any = None) -> NDArray[Any]:
    """View bytes, or arrange a list of objects, as an array.

    Raises:
        DatasetError: If the type is not plain, or the shape does not fit the contents.
    """
    dtype = AnyDtype(dtype) if type(dtype) is str else dtype
    shape = (shape,) if type(shape) is int else shape
    if not isinstance(dtype, AnyDtype) or order not in ("C", "F", "K") or not _is_shape(shape):
        raise ValueError("type, shape or order of an array are not as numpy writes them")
    count = math.prod(shape)
    if not count and math.prod(max(1, n) for n in shape) > MAX_EMPTY:
        raise DatasetError(f"refused an empty array of shape {shape}")
    flat = _objects(contents, count) if dtype.holds_objects else _items(contents, dtype, shape)
    if order == "K":  # axes in the order they lie in memory
        if type(axes) is not tuple or sorted(axes) != list(range(len(shape))):
            raise ValueError("the axes of an array are not as numpy writes them")
        return flat.reshape(shape).transpose(axes)
    return flat.reshape(shape, order=order)


def _is_shape(shape: Any) -> bool:
    return type(shape) is tuple and len(shape) <= 32 and all(type(n) is int and n >= 0 for n in shape)


def _objects(contents: Any, count: int) -> NDArray[Any]:
    if type(contents) is not list or len(contents) != count:
        raise ValueError(f"an array of {count:,} objects needs a list of as many")
    flat = np.empty(count, dtype=object)
    for index, item in enumerate(contents):  # assigning the list would spread out lists in it
        check_finished(item)
        if isinstance(item, np.ndarray) and item.dtype == object:  # freeing a long chain would exhaust the stack
            raise DatasetError("refused an array of objects within an array of objects; save lists")
        flat[index] = item
    return flat


def _items(contents: Any, dtype: AnyDtype, shape: tuple[int, ...]) -> NDArray[Any]:
    data = contents.encode("latin-1") if type(contents) is str else contents  # written by Python 2
    stored = dtype.stored
    expected = math.prod(shape) * stored.itemsize
    if type(data) not in (bytes, bytearray) or len(data) != expected:
        got = f"{len(data):,} bytes" if type(data) in (bytes, bytearray) else f"a {type(data).__name__}"
        raise DatasetError(f"an array of shape {shape} and type {stored} needs {expected:,} bytes; got {got}")
    flat: NDArray[Any] = np.frombuffer(data, stored) if data else np.empty(0, stored)
    if dtype.code == "b1":
        return flat != 0
    if stored.kind == "U" and (flat.view(np.dtype("u4").newbyteorder(stored.byteorder)) > MAX_CODE_POINT).any():
        raise ValueError("a string holds what is no character")
    return flat if stored.isnative else flat.astype(stored.newbyteorder("="))


def _scalar(dtype: Any, contents: Any = b"") -> Any:
    if isinstance(dtype, AnyDtype) and dtype.holds_objects:
        raise DatasetError("refused a numpy scalar that is an object")
    return build_array(contents, dtype, (1,))[0]


def _reconstruct(kind: Any, shape: Any, code: Any) -> UnfinishedArray:
    if not isinstance(kind, Global) or kind.call is not _ndarray or shape != (0,):
        raise DatasetError("refused an array that is no plain numpy.ndarray, or comes with a size before its contents")
    return UnfinishedArray()


def _ndarray(shape: Any, code: Any) -> UnfinishedArray:
    return _reconstruct(GLOBALS["numpy", "ndarray"], shape, code)  # how `emotiwave.features.mmsa_export` writes arrays


def _encode(text: Any, encoding: Any = None, *_: Any) -> bytes:
    if type(text) is not str or encoding not in ("latin1", "latin-1", "latin_1", "iso-8859-1"):
        raise DatasetError(f"refused _codecs.encode to {_shown(encoding)}; only latin1 is read")
    return text.encode("latin-1")


def _collection(kind: type) -> Callable[..., Any]:
    def make(items: Any = ()) -> Any:
        if type(items) not in (list, tuple):
            raise ValueError(f"the contents of a {kind.__name__} are no list")
        return kind(hashable(item) for item in items)

    return make


def _bytearray(data: Any = b"", encoding: Any = "latin-1") -> bytearray:
    contents = _encode(data, encoding) if type(data) is str else data
    if type(contents) is not bytes:  # a number would allocate as many bytes
        raise ValueError("the contents of a bytearray are no bytes")
    return bytearray(contents)


def _ordered_dict(pairs: Any = ()) -> dict[Any, Any]:
    if type(pairs) not in (list, tuple) or any(type(pair) not in (list, tuple) or len(pair) != 2 for pair in pairs):
        raise ValueError("the contents of an OrderedDict are no pairs")
    return {hashable(key): value for key, value in pairs}


def hashable(key: Any) -> Any:
    """Let strings, bytes, numbers and None be keys; hashing a deep tuple would crash the interpreter."""
    if key is None or type(key) in (str, bytes, int, float, bool) or isinstance(key, np.generic):
        return key
    raise DatasetError(
        f"refused a {type(key).__name__} as the key of a dict or member of a set; use strings or numbers"
    )


def decode_escapes(line: bytes) -> str:
    """Read a quoted string of protocol 0 as Latin-1."""
    if len(line) < 2 or line[:1] not in (b"'", b'"') or line[-1:] != line[:1]:
        raise ValueError("a string of protocol 0 is not quoted")
    return codecs.escape_decode(line[1:-1])[0].decode("latin-1")  # pyright: ignore


def check_finished(value: Any) -> None:
    """Refuse what is no value yet.

    Raises:
        DatasetError: If it is a name, an item type, or an array that never got contents.
    """
    if isinstance(value, Global | AnyDtype | UnfinishedArray):
        name = value.name if isinstance(value, Global) else "an array type or an array without contents"
        raise DatasetError(f"refused {name} as a value; {ADVICE}")


def find_global(module: str, name: str) -> Global:
    """Find what a name in a pickle stands for; nothing is imported.

    Raises:
        DatasetError: If it is not on the list; it is named.
    """
    try:
        return GLOBALS[module, name]
    except KeyError:
        raise DatasetError(
            f"refused {module[:100]}.{name[:100]}: {ADVICE}; if you trust where the file comes from, load it with the "
            "program that wrote it and save those instead"
        ) from None


def _shown(value: Any) -> str:
    return repr(value[:50]) if type(value) is str else f"a {type(value).__name__}"  # others may not end


MULTIARRAY = ("numpy._core.multiarray", "numpy.core.multiarray")  # numpy 2, numpy 1
NUMERIC = ("numpy._core.numeric", "numpy.core.numeric")
BUILTINS = ("builtins", "__builtin__")  # Python 3, Python 2
GLOBALS = {
    (module, name): Global(f"{module}.{name}", call)
    for modules, name, call in (
        (("numpy",), "ndarray", _ndarray),
        (("numpy",), "dtype", AnyDtype),
        (MULTIARRAY, "_reconstruct", _reconstruct),
        (MULTIARRAY, "scalar", _scalar),
        (NUMERIC, "_frombuffer", build_array),
        (("_codecs",), "encode", _encode),
        (("collections",), "OrderedDict", _ordered_dict),
        (BUILTINS, "set", _collection(set)),
        (BUILTINS, "frozenset", _collection(frozenset)),
        (BUILTINS, "bytearray", _bytearray),
        (BUILTINS, "bytes", lambda: b""),
    )
    for module in modules
}
