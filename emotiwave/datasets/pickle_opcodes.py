"""The instructions of a pickle that build data, on a stack machine of our own; nothing is imported."""

# Why not pickle.Unpickler with find_class: its memo is an array indexed by the file (LONG_BINPUT 2**32 - 1 allocates
# tens of GB), BYTEARRAY8 and frames allocate what they announce, and BUILD writes to whatever object it finds.
# Here the memo is a dict, and nothing is allocated for bytes that the file does not have.

import pickletools
import struct
from collections.abc import Callable
from io import BufferedReader
from typing import Any

from emotiwave.datasets.pickled_arrays import AnyDtype, Global, UnfinishedArray, decode_escapes, find_global, hashable
from emotiwave.errors import DatasetError

MAX_OPCODES = 3_000_000
"""More instructions are refused: one costs up to 300 bytes of memory. The official files have some 200,000."""


class Machine:
    """A stack, a memo, and a file with so many bytes ``left``."""

    def __init__(self, file: BufferedReader, size: int) -> None:
        self.file = file
        self.size = self.left = size
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []  # the stacks below each mark
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        """Follow the instructions up to the one that says stop.

        Raises:
            DatasetError: If one is refused.
            Exception: LookupError, TypeError, ValueError, OverflowError or struct.error if the stream is damaged.
        """
        for _ in range(MAX_OPCODES):
            opcode = self.take(1)
            if opcode == b".":
                return self.stack.pop()
            if opcode in READERS:
                value = READERS[opcode](self)  # may change which stack is the current one
                self.stack.append(value)
            elif opcode in ACTIONS:
                ACTIONS[opcode](self)
            else:
                _refuse(opcode)
        raise DatasetError(
            f"more than {MAX_OPCODES:,} pickle instructions; store features as numpy arrays, not as lists of numbers"
        )

    def take(self, count: int) -> bytes:
        """Read so many bytes; the file has them, or nothing is allocated."""
        self.announce(count)
        self.left -= count
        data = self.file.read(count)
        if len(data) != count:
            raise ValueError("the file ends here")
        return data

    def announce(self, count: int) -> None:
        """Refuse a number of bytes that the file does not have."""
        if not 0 <= count <= self.left:
            raise ValueError(f"{count:,} bytes announced, {self.left:,} left")

    def number(self, layout: str) -> int:
        """Read a number as `struct` lays it out."""
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def line(self) -> bytes:
        """Read to the end of the line."""
        data = self.file.readline()
        if not data.endswith(b"\n"):
            raise ValueError("the file ends within a line")
        self.left -= len(data)
        return data[:-1]

    def pop_mark(self) -> list[Any]:
        """Take everything above the last mark from the stack."""
        items, self.stack = self.stack, self.marked.pop()
        return items

    def pop(self, count: int) -> list[Any]:
        """Take the last values from the stack, in the order they were pushed."""
        if count > len(self.stack):
            raise ValueError("the stack is empty")
        items = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return items


def _refuse(opcode: bytes) -> None:
    known = next((code.name for code in pickletools.opcodes if code.code == opcode.decode("latin-1")), None)
    if known is None:
        raise ValueError(f"{opcode!r} is no pickle instruction")
    raise DatasetError(
        f"refused the pickle instruction {known}, which data does not need and attacks do; "
        "save it again as dicts, lists and numpy arrays"
    )


# Instructions that push one value


def _text(layout: str, encoding: str, errors: str = "strict") -> Callable[[Machine], str]:
    return lambda machine: machine.take(machine.number(layout)).decode(encoding, errors)


def _bytes(layout: str) -> Callable[[Machine], bytes]:
    return lambda machine: machine.take(machine.number(layout))


def _decimal(machine: Machine) -> int | bool:
    line = machine.line()
    if line in (b"00", b"01"):  # how protocol 0 writes booleans
        return line == b"01"
    return _long(line)


def _long(line: bytes) -> int:
    if len(line) > 64:
        raise DatasetError(f"refused an integer of {len(line):,} digits")
    return int(line.rstrip(b"L"))


def _binary_long(layout: str) -> Callable[[Machine], int]:
    def read(machine: Machine) -> int:
        count = machine.number(layout)
        if count > 32:
            raise DatasetError(f"refused an integer of {count:,} bytes")
        return int.from_bytes(machine.take(count), "little", signed=True)

    return read


def _bytearray(machine: Machine) -> bytearray:
    count = machine.number("<Q")
    machine.announce(count)
    machine.left -= count
    data = bytearray(count)  # filled in place: one copy instead of two
    if machine.file.readinto(data) != count:
        raise ValueError("the file ends here")
    return data


def _get(index: Callable[[Machine], int]) -> Callable[[Machine], Any]:
    def read(machine: Machine) -> Any:
        value = machine.memo[index(machine)]
        return value.array if isinstance(value, UnfinishedArray) and value.array is not None else value

    return read


def _global(machine: Machine) -> Global:
    return find_global(machine.line().decode(), machine.line().decode())


def _stack_global(machine: Machine) -> Global:
    module, name = machine.pop(2)
    if type(module) is not str or type(name) is not str:
        raise ValueError("the name of a global is no string")
    return find_global(module, name)


def _reduce(machine: Machine) -> Any:
    function, arguments = machine.pop(2)
    if not isinstance(function, Global) or type(arguments) is not tuple:
        raise DatasetError(f"refused to call a {type(function).__name__}")
    return function.call(*arguments)


def _dict(machine: Machine) -> dict[Any, Any]:
    items = machine.pop_mark()
    return {hashable(key): value for key, value in zip(items[::2], items[1::2], strict=True)}


READERS: dict[bytes, Callable[[Machine], Any]] = {
    b"N": lambda machine: None,
    b"\x88": lambda machine: True,
    b"\x89": lambda machine: False,
    b"I": _decimal,
    b"L": lambda machine: _long(machine.line()),
    b"K": lambda machine: machine.number("<B"),
    b"M": lambda machine: machine.number("<H"),
    b"J": lambda machine: machine.number("<i"),
    b"\x8a": _binary_long("<B"),
    b"\x8b": _binary_long("<i"),
    b"F": lambda machine: float(machine.line()),
    b"G": lambda machine: struct.unpack(">d", machine.take(8))[0],
    b"S": lambda machine: decode_escapes(machine.line()),
    b"T": _text("<i", "latin-1"),
    b"U": _text("<B", "latin-1"),
    b"V": lambda machine: machine.line().decode("raw_unicode_escape"),
    b"X": _text("<I", "utf-8", "surrogatepass"),
    b"\x8c": _text("<B", "utf-8", "surrogatepass"),
    b"\x8d": _text("<Q", "utf-8", "surrogatepass"),
    b"C": _bytes("<B"),
    b"B": _bytes("<I"),
    b"\x8e": _bytes("<Q"),
    b"\x96": _bytearray,
    b"]": lambda machine: [],
    b"}": lambda machine: {},
    b")": lambda machine: (),
    b"\x8f": lambda machine: set(),
    b"\x85": lambda machine: tuple(machine.pop(1)),
    b"\x86": lambda machine: tuple(machine.pop(2)),
    b"\x87": lambda machine: tuple(machine.pop(3)),
    b"t": lambda machine: tuple(machine.pop_mark()),
    b"l": lambda machine: machine.pop_mark(),
    b"d": _dict,
    b"\x91": lambda machine: frozenset(hashable(item) for item in machine.pop_mark()),
    b"2": lambda machine: machine.stack[-1],
    b"g": _get(lambda machine: int(machine.line()[:20])),
    b"h": _get(lambda machine: machine.number("<B")),
    b"j": _get(lambda machine: machine.number("<I")),
    b"c": _global,
    b"\x93": _stack_global,
    b"R": _reduce,
}


# Instructions that change what stands on the stack


def _put(index: Callable[[Machine], int]) -> Callable[[Machine], None]:
    def act(machine: Machine) -> None:
        machine.memo[index(machine)] = machine.stack[-1]

    return act


def _mark(machine: Machine) -> None:
    machine.marked.append(machine.stack)
    machine.stack = []


def _pop(machine: Machine) -> None:
    machine.pop(1)


def _pop_mark(machine: Machine) -> None:
    machine.pop_mark()


def _protocol(machine: Machine) -> None:
    if (protocol := machine.number("<B")) > 5:
        raise DatasetError(f"pickle protocol {protocol}; 0 to 5 are read")


def _frame(machine: Machine) -> None:
    # contents follow all the same; frames only tell how much to buffer
    machine.announce(machine.number("<Q"))


def _onto(machine: Machine, kind: type) -> Any:
    target = machine.stack[-1]
    if type(target) is not kind:
        raise ValueError(f"expected a {kind.__name__} on the stack; got a {type(target).__name__}")
    return target


def _extend(machine: Machine, items: list[Any]) -> None:
    _onto(machine, list).extend(items)


def _update(machine: Machine, items: list[Any]) -> None:
    target = _onto(machine, dict)
    for key, value in zip(items[::2], items[1::2], strict=True):
        target[hashable(key)] = value


def _add(machine: Machine) -> None:
    items = machine.pop_mark()
    _onto(machine, set).update(hashable(item) for item in items)


def _build(machine: Machine) -> None:
    (state,) = machine.pop(1)
    target = machine.stack[-1]
    if isinstance(target, UnfinishedArray):
        machine.stack[-1] = target.finish(state)
    elif isinstance(target, AnyDtype):
        target.set_state(state)
    else:
        raise DatasetError(f"refused to change the state of a {type(target).__name__}")


ACTIONS: dict[bytes, Callable[[Machine], None]] = {
    b"(": _mark,
    b"0": _pop,
    b"1": _pop_mark,
    b"p": _put(lambda machine: int(machine.line()[:20])),
    b"q": _put(lambda machine: machine.number("<B")),
    b"r": _put(lambda machine: machine.number("<I")),
    b"\x94": _put(lambda machine: len(machine.memo)),
    b"a": lambda machine: _extend(machine, machine.pop(1)),
    b"e": lambda machine: _extend(machine, machine.pop_mark()),
    b"s": lambda machine: _update(machine, machine.pop(2)),
    b"u": lambda machine: _update(machine, machine.pop_mark()),
    b"\x90": _add,
    b"b": _build,
    b"\x80": _protocol,
    b"\x95": _frame,
}
