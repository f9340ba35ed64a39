"""The two containers of `torch.save`: a zip archive (since torch 1.6), and a row of pickles.

Both hold one pickle, which refers by key to storages of raw little-endian numbers.
"""

from __future__ import annotations

import struct
import zipfile
from io import BytesIO
from typing import Any, BinaryIO, Final, Protocol

from common.weights.pickles import PickleReader, Refused, shortened

ZIP_MAGIC: Final = b"PK\x03\x04"
PICKLE_MAGIC: Final = b"\x80"
_LEGACY_MAGIC: Final = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL: Final = 1001


class Archive(Protocol):
    """A container, opened."""

    def pickle(self) -> BinaryIO:
        """File at the pickle of the saved object."""
        ...

    def storage(self, key: str, size: int) -> bytearray:
        """Content of a storage of `size` bytes, complete once `finish` was called."""
        ...

    def finish(self) -> None:
        """Read what comes behind the pickle."""
        ...


class ZipArchive:
    """NAME/data.pkl and NAME/data/KEY, uncompressed."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        """`size` is the file's, in bytes.

        Raises:
            Refused: not such an archive, damaged, or one that holds more than it has bytes.
        """
        try:
            self._zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, struct.error, ValueError, NotImplementedError) as error:
            raise Refused(f"it is a damaged zip archive ({error})") from error
        entries = self._zip.infolist()
        # torch compresses nothing; entries of a zip bomb are compressed or overlap.
        if any(entry.compress_type or entry.flag_bits & 1 for entry in entries):
            raise Refused("it has compressed or encrypted entries, which torch does not write")
        if sum(entry.file_size for entry in entries) > size:
            raise Refused(f"its entries declare more than the file's {size} bytes")
        found = [entry.filename for entry in entries if entry.filename.endswith("/data.pkl")]
        if len(found) != 1:
            raise Refused(f"it has {len(found)} entries called data.pkl, expected one")
        self._folder = found[0].removesuffix("data.pkl")
        self._check_byte_order()

    def pickle(self) -> BinaryIO:
        """File at the pickle of the saved object."""
        return BytesIO(self._entry("data.pkl"))

    def storage(self, key: str, size: int) -> bytearray:
        """Content of a storage of `size` bytes."""
        content = bytearray(self._entry(f"data/{key}"))
        if len(content) != size:
            raise Refused(f"its storage {shortened(key)} has {len(content)} bytes, expected {size}")
        return content

    def finish(self) -> None:
        """Nothing comes behind the pickle."""

    def _check_byte_order(self) -> None:
        name = "byteorder"
        if self._folder + name in self._zip.namelist() and self._entry(name) != b"little":
            raise Refused("its numbers are not little-endian")

    def _entry(self, name: str) -> bytes:
        try:
            return self._zip.read(self._folder + name)
        except KeyError:
            raise Refused(f"its entry {shortened(name)} is missing") from None
        except (
            *(zipfile.BadZipFile, struct.error, ValueError),
            *(NotImplementedError, RuntimeError, EOFError, OSError),
        ) as error:
            raise Refused(f"its entry {shortened(name)} is damaged ({error})") from error


class LegacyArchive:
    """Pickles of a magic number, a version, the machine, the object, the keys; then storages."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        """`size` is the file's, in bytes.

        Raises:
            Refused: not such a file, or not of a little-endian machine.
        """
        self._file = file
        self._left = size
        self._buffers: dict[str, bytearray] = {}
        if self._read_plain() != _LEGACY_MAGIC or self._read_plain() != _LEGACY_PROTOCOL:
            raise Refused("its pickle is not one of torch.save")
        machine = self._read_plain()
        if not isinstance(machine, dict) or machine.get("little_endian") is not True:
            raise Refused("its numbers are not little-endian")

    def pickle(self) -> BinaryIO:
        """File at the pickle of the saved object."""
        return self._file

    def storage(self, key: str, size: int) -> bytearray:
        """Place for a storage of `size` bytes, filled by `finish`."""
        self._left -= size
        if self._left < 0:
            raise Refused("its storages declare more bytes than the file has")
        return self._buffers.setdefault(key, bytearray(size))

    def finish(self) -> None:
        """Fill all storages that were asked for.

        Raises:
            Refused: they are not those that the file has, or it ends early.
        """
        keys = self._read_plain()
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise Refused("its storages have no names")
        if sorted(keys) != sorted(self._buffers):
            raise Refused("its storages are not those that its pickle refers to")
        for key in keys:
            self._fill(self._buffers[key])

    def _fill(self, buffer: bytearray) -> None:
        # The count of elements comes first; what their number is, the pickle has said already.
        if len(self._file.read(8)) != 8 or self._file.readinto(buffer) != len(buffer):  # type: ignore[attr-defined]
            raise Refused("it ends in the middle of a storage")

    def _read_plain(self) -> Any:
        return PickleReader(_nothing).read(self._file)


def _nothing(module: str, name: str) -> object:
    raise Refused(f"its pickle asks for {shortened(f'{module}.{name}')}, expected none")
