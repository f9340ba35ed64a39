"""Archives as they are downloaded, and those that mean harm."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulations.data import archives
from simulations.data.archives import (
    ARCHIVE_BOMB,
    ARCHIVE_DAMAGED,
    ARCHIVE_ENCRYPTED,
    ARCHIVE_TOO_DEEP,
    open_archive,
)
from simulations.data.origins import (
    LINKED_FOLDER,
    Origin,
    Scratch,
    Unlisted,
    list_files,
    printable,
)
from simulations.data.unusable import Unusable

CLIP = os.urandom(5000)


def packed(members: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return target.getvalue()


def listed(root: Path) -> list[str]:
    return [found.below(root) for found in list_files(root) if isinstance(found, Origin)]


def unlisted(root: Path) -> dict[str, str]:
    return {
        found.origin.below(root): found.reason
        for found in list_files(root)
        if isinstance(found, Unlisted)
    }


def content(root: Path, origin: Origin) -> bytes:
    with Scratch(root / "scratch").file_of(origin) as path:
        return path.read_bytes()


def fault(root: Path, origin: Origin) -> str:
    with pytest.raises(Unusable) as caught:
        content(root, origin)
    assert len(caught.value.detail) > 20
    return caught.value.reason


def content_or_reason(root: Path, origin: Origin) -> bytes | str:
    try:
        return content(root, origin)
    except Unusable as problem:
        return problem.reason


@pytest.mark.parametrize("inner", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("outer", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_archives_inside_one_another(tmp_path: Path, inner: int, outer: int) -> None:
    actor = packed({"Actor_01/a.mp4": CLIP, "Actor_01/b.mp4": b"b"}, inner)
    whole = tmp_path / "data" / "1188976.zip"
    whole.parent.mkdir()
    whole.write_bytes(packed({"Video_Speech_Actor_01.zip": actor, "read me.txt": b"x"}, outer))
    (whole.parent / "c.mp4").write_bytes(b"c")
    assert listed(whole.parent) == [
        "1188976.zip/Video_Speech_Actor_01.zip/Actor_01/a.mp4",
        "1188976.zip/Video_Speech_Actor_01.zip/Actor_01/b.mp4",
        "1188976.zip/read me.txt",
        "c.mp4",
    ]
    first, *_, last = (each for each in list_files(whole.parent) if isinstance(each, Origin))
    assert content(tmp_path, first) == CLIP
    assert content(tmp_path, last) == b"c"
    assert listed(whole)[0] == "1188976.zip/Video_Speech_Actor_01.zip/Actor_01/a.mp4"


def test_what_is_taken_out_is_private_and_does_not_stay(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(packed({"a.mp4": CLIP}))
    scratch = tmp_path / "scratch"
    with Scratch(scratch).file_of(Origin(tmp_path / "x.zip", ("a.mp4",))) as path:
        assert path.suffix == ".mp4"
        assert path.stat().st_mode & 0o777 == 0o600
        assert scratch.stat().st_mode & 0o777 == 0o700
        assert list(scratch.iterdir()) == [path]
    assert list(scratch.iterdir()) == []


def test_what_killed_processes_left_is_removed(tmp_path: Path) -> None:
    own, dead = tmp_path / f"{os.getpid()}-0.mp4", tmp_path / f"{2**22 + 5}-0.mp4"
    for path in (own, dead, tmp_path / "else"):
        path.touch()
    Scratch(tmp_path).sweep()
    assert sorted(tmp_path.iterdir()) == sorted((own, tmp_path / "else"))


def test_an_archive_inside_an_archive_is_unpacked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpacked: list[str] = []
    unpack = archives.unpack

    def counted(archive: zipfile.ZipFile, name: str, target: IO[bytes], largest: int) -> None:
        unpacked.append(name)
        unpack(archive, name, target, largest)

    monkeypatch.setattr(archives, "unpack", counted)
    inner = {name: packed({f"{i}.mp4": CLIP + name.encode() for i in range(3)}) for name in "ab"}
    outer = {f"{name}.zip": content for name, content in inner.items()}
    whole = tmp_path / "x.zip"
    whole.write_bytes(packed(outer, zipfile.ZIP_DEFLATED))
    scratch = Scratch(tmp_path / "scratch")

    def read(name: str, index: int) -> bytes:
        origin = Origin(whole, (f"{name}.zip", f"{index}.mp4"))
        with scratch.file_of(origin) as path:
            return path.read_bytes()

    assert [read(*each) for each in (("a", 0), ("a", 1), ("b", 0), ("b", 2))] == [
        CLIP + name for name in (b"a", b"a", b"b", b"b")
    ]
    assert unpacked == ["a.zip", "b.zip"]
    whole.write_bytes(packed({"b.zip": packed({"2.mp4": b"other"})}, zipfile.ZIP_DEFLATED))
    assert read("b", 2) == b"other"
    scratch.close()
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.parametrize("name", ["../../up.mp4", "/etc/up.mp4", "a/../../up.mp4", "C:\\up.mp4"])
def test_names_lead_nowhere(tmp_path: Path, name: str) -> None:
    home = tmp_path / "a" / "b" / "c"
    home.mkdir(parents=True)
    (home / "x.zip").write_bytes(packed({name: CLIP}))
    (origin,) = list_files(home)
    assert isinstance(origin, Origin)
    before = set(tmp_path.rglob("*"))
    with Scratch(home / "scratch").file_of(origin) as path:
        assert path.parent == home / "scratch"
        assert path.read_bytes() == CLIP
    assert set(tmp_path.rglob("*")) - before == {home / "scratch"}


def test_an_encrypted_member(tmp_path: Path) -> None:
    data = bytearray(packed({"a.mp4": CLIP}))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + flags] |= 1
    (tmp_path / "x.zip").write_bytes(data)
    assert listed(tmp_path) == ["x.zip/a.mp4"]
    assert fault(tmp_path, Origin(tmp_path / "x.zip", ("a.mp4",))) == ARCHIVE_ENCRYPTED


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(packed({"a.mp4": bytes(20_000_000)}, zipfile.ZIP_DEFLATED))
    assert fault(tmp_path, Origin(tmp_path / "x.zip", ("a.mp4",))) == ARCHIVE_BOMB
    inner = packed({"big.zip": bytes(20_000_000)}, zipfile.ZIP_DEFLATED)
    (tmp_path / "x.zip").write_bytes(inner)
    assert unlisted(tmp_path) == {"x.zip/big.zip": ARCHIVE_BOMB}


def test_a_bomb_that_lies_about_its_size_stops_there(tmp_path: Path) -> None:
    data = bytearray(packed({"a.mp4": bytes(20_000_000)}, zipfile.ZIP_DEFLATED))
    for signature, size in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", data, data.index(signature) + size, 1000)
    (tmp_path / "x.zip").write_bytes(data)
    assert fault(tmp_path, Origin(tmp_path / "x.zip", ("a.mp4",))) == ARCHIVE_DAMAGED


def test_too_many_members_and_too_large_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.zip").write_bytes(packed({f"{i}.mp4": b"" for i in range(5)}))
    monkeypatch.setattr(archives, "MOST_MEMBERS", 4)
    assert unlisted(tmp_path) == {"x.zip": ARCHIVE_BOMB}
    monkeypatch.setattr(archives, "MOST_MEMBERS", 5)
    assert unlisted(tmp_path) == {}
    monkeypatch.setattr(archives, "_LARGEST_DIRECTORY", 100)
    assert unlisted(tmp_path) == {"x.zip": ARCHIVE_BOMB}


def test_too_deep(tmp_path: Path) -> None:
    data = packed({"a.mp4": CLIP})
    for name in ("c.zip", "b.zip"):
        data = packed({name: data})
    (tmp_path / "x.zip").write_bytes(data)
    assert unlisted(tmp_path) == {"x.zip/b.zip/c.zip": ARCHIVE_TOO_DEEP}


def test_a_member_that_is_damaged(tmp_path: Path) -> None:
    data = bytearray(packed({"a.mp4": CLIP, "b.mp4": b"b" * 100}))
    data[data.index(CLIP) + 7] ^= 1
    (tmp_path / "x.zip").write_bytes(data)
    assert fault(tmp_path, Origin(tmp_path / "x.zip", ("a.mp4",))) == ARCHIVE_DAMAGED
    assert content(tmp_path, Origin(tmp_path / "x.zip", ("b.mp4",))) == b"b" * 100
    assert fault(tmp_path, Origin(tmp_path / "x.zip", ("gone.mp4",))) == ARCHIVE_DAMAGED


@pytest.mark.parametrize("end", [0, 1, 30, 5000, -1, -30])
def test_an_archive_that_is_cut_short(tmp_path: Path, end: int) -> None:
    (tmp_path / "x.zip").write_bytes(packed({"a.mp4": CLIP})[:end])
    assert unlisted(tmp_path) == {"x.zip": ARCHIVE_DAMAGED}


@given(
    place=st.integers(0, 10_000),
    change=st.integers(1, 255),
    method=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_changed_byte_ends_in_the_content_or_a_reason(
    tmp_path: Path, place: int, change: int, method: int
) -> None:
    """Nested, so that both ways of opening an archive inside an archive are met."""
    data = bytearray(packed({"i.zip": packed({"a.mp4": b"some video" * 20}, method)}, method))
    data[place % len(data)] ^= change
    (tmp_path / "x.zip").write_bytes(data)
    for found in list_files(tmp_path / "x.zip"):
        if isinstance(found, Origin):
            got = content_or_reason(tmp_path, found)
            nested = len(found.members) == 2
            assert isinstance(got, str) or not nested or got in (b"some video" * 20, b"")
        else:
            assert found.reason.startswith("archive_")


def test_folders_and_links(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "sub" / "loop").symlink_to(root, target_is_directory=True)
    (root / "sub" / "a.mp4").write_bytes(b"a")
    (root / "b.mp4").symlink_to(root / "sub" / "a.mp4")
    (root / "dir.zip").mkdir()
    (root / "._x.zip").write_bytes(b"hidden twin")
    os.mkfifo(root / "pipe.zip")
    assert listed(root) == ["._x.zip", "b.mp4", "pipe.zip", "sub/a.mp4"]
    assert unlisted(root) == {"sub/loop": LINKED_FOLDER}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "shut").mkdir(mode=0)
    assert unlisted(tmp_path) == {"shut": "unreadable_folder"}


def test_names_are_printable(tmp_path: Path) -> None:
    assert printable("a\x1b[31m\nb\udcff é") == "a?[31m?b? é"
    (tmp_path / os.fsdecode(b"\xff.mp4")).write_bytes(b"")
    assert listed(tmp_path) == ["?.mp4"]


def test_open_archive_closes_what_it_opened(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(packed({"i.zip": packed({"a.mp4": CLIP})}))
    with open_archive(tmp_path / "x.zip", ("i.zip",), tmp_path) as archive:
        assert archive.namelist() == ["a.mp4"]
        with archive.open("a.mp4") as member:
            assert member.read() == CLIP
    assert archive.fp is None
