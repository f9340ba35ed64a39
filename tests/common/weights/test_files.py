"""Records of weight files and their checksums."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import UsageError, WorkError
from common.weights import files
from common.weights.files import WeightsFile, digests_of
from tests.common.weights.records import SOURCE, recorded

# As `git hash-object` says.
GIT_IDS = {
    b"": "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
    b"hello\n": "ce013625030ba8dba906f756967f9e9ca394464a",
}


@pytest.mark.parametrize("content", list(GIT_IDS))
def test_git_ids_are_gits(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    found = digests_of(path)
    assert found == (len(content), GIT_IDS[content], hashlib.sha256(content).hexdigest())


@given(content=st.binary(max_size=50))
def test_pieces_do_not_change_the_digests(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("digests") / "file"
    path.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "CHUNK", 7)
        found = digests_of(path)
    assert found.sha256 == hashlib.sha256(content).hexdigest()
    assert found.git_blob_sha1 == hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def test_the_right_file_passes(tmp_path: Path) -> None:
    path = tmp_path / "other name"
    path.write_bytes(b"weights")
    sha256 = hashlib.sha256(b"weights").hexdigest()
    recorded(b"weights").check(path)
    recorded(b"weights", sha256=sha256, size=7).check(path)
    recorded(b"weights", sha256=sha256, git_blob_sha1=None).check(path)


def test_a_wrong_file_is_told_with_both_checksums(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"hello\n")
    file = recorded(b"weights")
    with pytest.raises(WorkError) as told:
        file.check(path)
    for part in (str(path), "b0.onnx", GIT_IDS[b"hello\n"], file.git_blob_sha1, "6 bytes"):
        assert str(part) in str(told.value)


@pytest.mark.parametrize("wrong", [{"size": 8}, {"sha256": "0" * 64}, {"git_blob_sha1": "0" * 40}])
def test_all_that_is_recorded_must_agree(tmp_path: Path, wrong: dict[str, object]) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"weights")
    sha256 = hashlib.sha256(b"weights").hexdigest()
    right: dict[str, object] = {"sha256": sha256, "size": 7}
    recorded(b"weights", **right).check(path)
    with pytest.raises(WorkError, match=re.escape("is not b0.onnx")):
        recorded(b"weights", **(right | wrong)).check(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "../b0.onnx"},
        {"name": ".hidden"},
        {"name": "a/b"},
        {"name": ""},
        {"git_blob_sha1": None},
        {"git_blob_sha1": "0" * 39},
        {"sha256": "A" * 64},
        {"sha256": "0" * 40},
    ],
)
def test_unusable_records_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        recorded(b"", **changes)


def test_a_record_without_checksum_is_refused() -> None:
    with pytest.raises(UsageError, match="checksum"):
        WeightsFile(name="b0.onnx", source=SOURCE, licence="MIT")


def test_only_regular_files_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(b"12345")
    monkeypatch.setattr(files, "LARGEST", 4)
    for name in ("pipe", "large", "."):
        with pytest.raises(WorkError, match="regular file"):
            digests_of(tmp_path / name)
    with pytest.raises(WorkError, match="missing: can't be read"):
        digests_of(tmp_path / "missing")
