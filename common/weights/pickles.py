"""What a pickle says, without doing what it says.

A pickle is a program for a stack machine.  Python's own machine imports and calls whatever the
program names; this one knows only how to put together plain values, calls nothing but the few
functions that its caller hands it, and takes each class for an inert record of attributes.  The
operations are read by `pickletools`, which describes them and runs none (PEP 307, PEP 574).
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final

_OPERATIONS: Final = 2_000_000
_SHOWN: Final = 80
_BYTES: Final = 16 << 20
"""A pickled EfficientNet-B2 has 50 000 operations in 160 kB."""


class Refused(Exception):
    """The file holds something else than weights, or is damaged; says what."""


@dataclass(frozen=True)
class StandIn:
    """In place of a class: nothing but its name."""

    name: str


@dataclass(eq=False)
class Record:
    """In place of an object: what class it had and what attributes."""

    kind: StandIn
    state: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Function:
    """In place of a function: one of Mien's own, which checks its arguments itself."""

    name: str
    run: Callable[[tuple[object, ...]], object]


class _Stream:
    """A file of which a pickle may take so many bytes, whatever lengths it declares."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = _BYTES

    def read(self, size: int) -> bytes:
        return self._took(self._file.read(min(size, self._left)))

    def readline(self) -> bytes:
        return self._took(self._file.readline(self._left))

    def _took(self, content: bytes) -> bytes:
        self._left -= len(content)
        return content


class PickleReader:
    """The stack machine; one instance reads one pickle."""

    def __init__(
        self,
        resolve: Callable[[str, str], object],
        persistent: Callable[[object], object] | None = None,
    ) -> None:
        """`resolve` gives what stands for a module's name or raises `Refused`; `persistent` what
        stands for an id of something outside the pickle."""
        self._resolve = resolve
        self._persistent = persistent
        self._stack: list[Any] = []
        self._outer: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self._left = _OPERATIONS

    def read(self, file: BinaryIO) -> Any:
        """The value of the pickle at the file's position, which is then behind it.

        Plain values are Python's, ordered dictionaries are dictionaries, objects are `Record`.

        Raises:
            Refused: it is damaged or too long, or needs what is not allowed.
        """
        try:
            # typeshed wants a whole file where `read` and `readline` will do.
            operations = pickletools.genops(_Stream(file))  # type: ignore[arg-type]
            for operation, argument, _ in operations:
                self._spend(1)
                if operation.name == "STOP":
                    return self._stack.pop()
                self._step(operation.name, argument)
        except (ValueError, IndexError, KeyError, OverflowError) as error:
            raise Refused(f"its pickle is damaged ({error})") from error
        raise Refused("its pickle has no end")

    def _step(self, name: str, argument: Any) -> None:
        if name in _VALUES:
            self._stack.append(argument)
        elif name in _FRESH:
            self._stack.append(_FRESH[name]())
        elif name in _STEPS:
            _STEPS[name](self, argument)
        else:
            raise Refused(f"its pickle has the operation {name}, which no weights file needs")

    def _spend(self, count: int) -> None:
        """Count what is done: one operation may go over a long list again and again."""
        self._left -= count
        if self._left < 0:
            raise Refused(f"its pickle takes more than {_OPERATIONS} steps")

    def _mark(self, _: object) -> None:
        self._outer.append(self._stack)
        self._stack = []

    def _marked(self) -> list[Any]:
        items = self._stack
        self._stack = self._outer.pop()
        return items

    def _pop(self, _: object) -> None:
        self._stack.pop()

    def _put(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    def _memoize(self, _: object) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _get(self, index: int) -> None:
        self._stack.append(self._memo[index])

    def _tuple(self, count: int) -> None:
        items = [self._stack.pop() for _ in range(count)]
        self._stack.append(tuple(reversed(items)))

    def _marked_tuple(self, _: object) -> None:
        items = tuple(self._marked())
        self._stack.append(items)

    def _extend(self, items: list[Any]) -> None:
        if not isinstance(self._stack[-1], list):
            raise Refused("its pickle appends to what is no list")
        self._stack[-1].extend(items)

    def _set_items(self, items: list[Any]) -> None:
        if not isinstance(self._stack[-1], dict) or len(items) % 2:
            raise Refused("its pickle sets items of what is no dictionary")
        for key, value in zip(items[::2], items[1::2], strict=True):
            self._stack[-1][_text(key)] = value

    def _add_items(self, _: object) -> None:
        items = self._marked()
        if not isinstance(self._stack[-1], set):
            raise Refused("its pickle adds to what is no set")
        self._stack[-1].update(_text(item) for item in items)

    def _global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self._stack.append(self._resolve(module, name))

    def _stack_global(self, _: object) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise Refused("its pickle names a global by something else than text")
        self._stack.append(self._resolve(module, name))

    def _call(self, _: object) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        if not isinstance(function, Function) or not isinstance(arguments, tuple):
            raise Refused(f"its pickle calls {_told(function)}, which no weights file needs")
        self._spend(sum(len(item) for item in arguments if isinstance(item, list | tuple | dict)))
        self._stack.append(function.run(arguments))

    def _new_object(self, _: object) -> None:
        arguments, kind = self._stack.pop(), self._stack.pop()
        if not isinstance(kind, StandIn) or arguments != ():
            raise Refused(f"its pickle makes an object of {_told(kind)} in an unknown way")
        self._stack.append(Record(kind))

    def _build(self, _: object) -> None:
        state, target = self._stack.pop(), self._stack[-1]
        if isinstance(target, Record) and isinstance(state, dict):
            self._spend(len(state))
            target.state.update(state)
        elif not isinstance(target, dict):  # attributes of an ordered dictionary are no weights
            raise Refused(f"its pickle sets the state of {_told(target)}")

    def _outside(self, _: object) -> None:
        if self._persistent is None:
            raise Refused("its pickle refers to content outside of it")
        self._stack.append(self._persistent(self._stack.pop()))


def shortened(text: str) -> str:
    """A name out of a file, for a sentence."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _text(value: object) -> str:
    """Only text is a key: hashes of tuples and of large numbers can be made to take for ever."""
    if not isinstance(value, str):
        raise Refused(f"its pickle has a key or name that is {_told(value)}")
    return value


def _told(value: object) -> str:
    return value.name if isinstance(value, StandIn | Function) else f"a {type(value).__name__}"


_VALUES: Final = frozenset(
    (
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
    )
)
_FRESH: Final[Mapping[str, Callable[[], object]]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_SET": set,
    "EMPTY_TUPLE": tuple,
}
_STEPS: Final[Mapping[str, Callable[[PickleReader, Any], None]]] = {
    "PROTO": lambda reader, _: None,
    "FRAME": lambda reader, _: None,
    "MARK": PickleReader._mark,
    "POP": PickleReader._pop,
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), PickleReader._put),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), PickleReader._get),
    "MEMOIZE": PickleReader._memoize,
    "TUPLE": PickleReader._marked_tuple,
    "TUPLE1": lambda reader, _: reader._tuple(1),
    "TUPLE2": lambda reader, _: reader._tuple(2),
    "TUPLE3": lambda reader, _: reader._tuple(3),
    "APPEND": lambda reader, _: reader._extend([reader._stack.pop()]),
    "APPENDS": lambda reader, _: reader._extend(reader._marked()),
    "SETITEM": lambda reader, _: reader._set_items([reader._stack.pop(-2), reader._stack.pop()]),
    "SETITEMS": lambda reader, _: reader._set_items(reader._marked()),
    "ADDITEMS": PickleReader._add_items,
    "GLOBAL": PickleReader._global,
    "STACK_GLOBAL": PickleReader._stack_global,
    "REDUCE": PickleReader._call,
    "NEWOBJ": PickleReader._new_object,
    "BUILD": PickleReader._build,
    "BINPERSID": PickleReader._outside,
}
