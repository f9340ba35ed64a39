"""The store: only right files are in their place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from common.errors import WorkError
from common.weights import store as module
from common.weights.files import WeightsFile
from common.weights.store import State, WeightsStore, default_store
from tests.common.weights.records import listing, recorded

RIGHT = b"right weights"


@pytest.fixture
def file() -> WeightsFile:
    return recorded(RIGHT)


@pytest.fixture
def store(tmp_path: Path) -> WeightsStore:
    return WeightsStore(tmp_path / "weights")


def given_file(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_the_default_is_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_store().folder == tmp_path / "mien" / "weights"
    assert not default_store().folder.exists()


def test_a_variable_names_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_WEIGHTS", str(tmp_path / "weights"))
    assert default_store().folder == WeightsStore().folder == tmp_path / "weights"
    assert WeightsStore(tmp_path / "else").folder == tmp_path / "else"


def test_what_is_missing_is_told_with_what_to_do(store: WeightsStore, file: WeightsFile) -> None:
    with pytest.raises(WorkError) as told:
        store.find(file)
    told_of = ("mien weights fetch b0.onnx", "mien weights import", "MIEN_WEIGHTS")
    for part in ("b0.onnx", str(store.folder), *told_of):
        assert part in str(told.value)
    assert store.verify(file) == module.Verdict(State.MISSING, "", file.expected)


def test_an_imported_file_is_found(tmp_path: Path, store: WeightsStore, file: WeightsFile) -> None:
    source = given_file(tmp_path / "model (1).onnx", RIGHT)
    place = store.import_file(source, file)
    assert place == store.path(file) == store.find(file)
    assert place.read_bytes() == source.read_bytes() == RIGHT
    assert store.verify(file).state is State.RIGHT
    assert listing(store.folder) == ["b0.onnx"]


def test_a_damaged_file_never_replaces_a_right_one(
    tmp_path: Path, store: WeightsStore, file: WeightsFile
) -> None:
    store.import_file(given_file(tmp_path / "right", RIGHT), file)
    damaged = given_file(tmp_path / "damaged", RIGHT[:-1])
    with pytest.raises(WorkError, match=re.escape(str(damaged))):
        store.import_file(damaged, file)
    with pytest.raises(WorkError, match="missing"):
        store.import_file(tmp_path / "missing", file)
    assert store.find(file).read_bytes() == RIGHT
    assert listing(store.folder) == ["b0.onnx"]


def test_a_right_file_replaces_a_damaged_one(
    tmp_path: Path, store: WeightsStore, file: WeightsFile
) -> None:
    given_file(store.path(file), b"damaged")
    with pytest.raises(WorkError, match=r"mien weights fetch b0\.onnx"):
        store.find(file)
    assert store.verify(file).state is State.WRONG
    assert str(file.git_blob_sha1) in store.verify(file).expected
    store.import_file(given_file(tmp_path / "right", RIGHT), file)
    assert store.find(file).read_bytes() == RIGHT


def test_a_file_is_hashed_once_until_it_changes(
    tmp_path: Path, store: WeightsStore, file: WeightsFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.import_file(given_file(tmp_path / "right", RIGHT), file)
    read: list[Path] = []
    check = WeightsFile.check

    def counted(self: WeightsFile, path: Path) -> None:
        read.append(path)
        check(self, path)

    monkeypatch.setattr(WeightsFile, "check", counted)
    for again in (store, WeightsStore(store.folder), store):
        again.find(file)
    assert len(read) == 1
    given_file(store.path(file), b"another length")
    with pytest.raises(WorkError, match=r"is not b0\.onnx"):
        store.find(file)
    with pytest.raises(WorkError, match=r"is not b0\.onnx"):
        store.find(file)


def test_another_record_of_the_same_name_is_checked_anew(
    tmp_path: Path, store: WeightsStore, file: WeightsFile
) -> None:
    store.import_file(given_file(tmp_path / "right", RIGHT), file)
    store.find(file)
    with pytest.raises(WorkError, match=r"is not b0\.onnx"):
        store.find(recorded(b"other"))


def test_a_stop_before_the_rename_leaves_what_was_there(
    tmp_path: Path, store: WeightsStore, file: WeightsFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_file(store.path(file), b"old")

    def stopped(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", stopped)
    with pytest.raises(WorkError, match="No space left on device"):
        store.import_file(given_file(tmp_path / "right", RIGHT), file)
    assert store.path(file).read_bytes() == b"old"
    assert listing(store.folder) == ["b0.onnx"]


def test_a_folder_that_cannot_be_is_told(tmp_path: Path, file: WeightsFile) -> None:
    given_file(tmp_path / "file", b"")
    store = WeightsStore(tmp_path / "file" / "weights")
    with pytest.raises(WorkError, match="can't be made"):
        store.import_file(given_file(tmp_path / "right", RIGHT), file)
    with pytest.raises(WorkError, match="are not in"):
        store.find(file)
