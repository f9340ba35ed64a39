"""Files as torch.save writes them, around any pickle."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

FLOATS = bytes(range(64))
"""A storage of 16 float32."""

STORAGE = (b"storage", "FloatStorage", "0", "cpu", 16)


def zipped(path: Path, pickled: bytes, storages: dict[str, bytes] | None = None) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/byteorder", "little")
        for key, content in ({"0": FLOATS} if storages is None else storages).items():
            archive.writestr(f"archive/data/{key}", content)
    return path


def rezipped(source: Path, target: Path, renamed: dict[bytes, bytes]) -> Path:
    """The same archive with other names of modules in its pickle."""
    with zipfile.ZipFile(source) as before, zipfile.ZipFile(target, "w") as after:
        for entry in before.infolist():
            content = before.read(entry)
            if entry.filename.endswith("data.pkl"):
                for old, new in renamed.items():
                    assert old in content
                    content = content.replace(old, new)
            after.writestr(entry.filename, content)
    return target


def called(module: str, name: str, *arguments: object) -> bytes:
    """Pickle of a call of a global."""
    return b"\x80\x02" + named(module, name) + stated(arguments) + b"R."


def named(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def stated(value: object) -> bytes:
    """The operations that put a plain value on the stack."""
    return pickle.dumps(value, protocol=2)[2:-1]


def storage(count: object = 16, key: object = "0", kind: str = "FloatStorage") -> bytes:
    """The operations that put a storage on the stack."""
    kind_named = named("torch", kind)
    parts = stated("storage") + kind_named + stated(key) + stated("cpu") + stated(count)
    return b"(" + parts + b"tQ"


def tensor(
    *, offset: object, size: object, stride: object, of: bytes | None = None, version: str = "_v2"
) -> bytes:
    """The operations that put a tensor on the stack."""
    places = stated(offset) + stated(size) + stated(stride)
    hooks = named("collections", "OrderedDict") + b")R"
    arguments = b"(" + (of or storage()) + places + stated(False) + hooks + b"t"
    return named("torch._utils", f"_rebuild_tensor{version}") + arguments + b"R"


def state(**entries: bytes) -> bytes:
    """Pickle of a dictionary of what operations make."""
    items = b"".join(stated(name) + made for name, made in entries.items())
    return b"\x80\x02}(" + items + b"u."
