"""A device's folder: round trips, privacy of its files, and what damaged files say."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.personalisation.heads import PersonalHead
from client.store import DeviceFolder, DeviceSettings, Part, StoredPersonalHead
from common.errors import WorkError
from common.heads.standardise import UserStatistics
from tests.client.fakes import any_head, device, made_up_clips, part_of, request, specification

HOSTILE = [
    "../../x",
    "/etc/passwd",
    "..",
    ".",
    "",
    "a/b\\c",
    "nul\0byte",
    "line\nbreak",
    "🙂 émoi 你好",
    "x" * 10_000,
    "'; rm -rf ~ #",
]


def stored(user: str = "Ada", seed: int = 0) -> StoredPersonalHead:
    """A head whose weight is a view with gaps, as `fit_personal` returns it."""
    chooser = np.random.default_rng(seed)
    whole = chooser.normal(size=(8, 6))
    head = PersonalHead(whole[:, :-1], whole[:, -1], 0.75)
    statistics = UserStatistics(chooser.normal(size=10)[::2], chooser.uniform(1, 2, size=5), 0.6)
    return StoredPersonalHead(user, head, statistics, 3, 30, 12345)


def assert_same(one: StoredPersonalHead | None, other: StoredPersonalHead) -> None:
    assert one is not None
    for name in ("user", "run", "round", "specification"):
        assert getattr(one, name) == getattr(other, name)
    assert (one.head.scale, one.statistics.trust) == (other.head.scale, other.statistics.trust)
    np.testing.assert_array_equal(one.head.weight, other.head.weight)
    np.testing.assert_array_equal(one.head.bias, other.head.bias)
    np.testing.assert_array_equal(one.statistics.mean, other.statistics.mean)
    np.testing.assert_array_equal(one.statistics.spread, other.statistics.spread)


def ready(tmp_path: Path) -> DeviceFolder:
    clips = made_up_clips(["Ada", "Ben"])
    return device(
        tmp_path,
        clips,
        specification("self-attention"),
        held_out_of=("fold-1", "fold-2"),
        parts=(part_of(clips, "Ada"), part_of(clips, "Ben", evidence=(0.5, -1.0))),
        own_clips=(1, 2),
        draws=3,
    )


def test_settings_come_back_as_they_were(tmp_path: Path) -> None:
    clips = made_up_clips(["Ada", "Ben"])
    given_settings = DeviceSettings(
        specification=specification("single-attention"),
        seed=9,
        held_out_of=("fold-1",),
        parts=(part_of(clips, "🙂"), Part(federation="f", user="Ben", adaptation=(), test=(3,))),
        own_clips=(1, 2, 4),
        draws=2,
        peers=("fine-tune",),
    )
    folder = DeviceFolder(tmp_path / "device")
    folder.create(given_settings, clips)
    assert folder.settings() == given_settings
    assert DeviceFolder(tmp_path / "device").settings() == given_settings


def test_clips_come_back_as_they_were(tmp_path: Path) -> None:
    clips = made_up_clips(["Ada", "🙂/.."])
    folder = device(tmp_path, clips, specification())
    found = folder.clips()
    assert (found.names, found.users) == (clips.names, clips.users)
    for name in ("labels", "frames", "lengths"):
        np.testing.assert_array_equal(getattr(found, name), getattr(clips, name))


def test_a_new_set_up_is_seen_at_once(tmp_path: Path) -> None:
    """Though reads are cached, and the second file may be as long and as old as the first."""
    folder = DeviceFolder(tmp_path / "device")
    for seed in range(1, 9):
        clips = made_up_clips(seed=seed)
        folder.create(DeviceSettings(specification=specification(), seed=seed), clips)
        os.utime(folder.path / "device.json", ns=(10**18, 10**18))
        os.utime(folder.path / "clips.safetensors", ns=(10**18, 10**18))
        assert folder.settings().seed == seed
        assert folder.clips().frames[0, 0] == made_up_clips(seed=seed).frames[0, 0]


def test_a_personal_head_comes_back_as_it_was(tmp_path: Path) -> None:
    folder = ready(tmp_path)
    assert folder.load_personal("Ada") is None
    folder.save_personal(stored())
    assert_same(folder.load_personal("Ada"), stored())


def test_a_personal_head_is_replaced(tmp_path: Path) -> None:
    folder = ready(tmp_path)
    for seed in (1, 2):
        folder.save_personal(stored(seed=seed))
    assert_same(folder.load_personal("Ada"), stored(seed=2))
    assert len(list((folder.path / "personal").iterdir())) == 1


@pytest.mark.parametrize("user", HOSTILE, ids=lambda user: repr(user[:12]))
def test_hostile_user_names_stay_in_the_folder(tmp_path: Path, user: str) -> None:
    folder = ready(tmp_path)
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    folder.save_personal(stored(user))
    (new,) = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert new.parent == folder.path / "personal"
    assert new.name.isascii()
    assert_same(folder.load_personal(user), stored(user))


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(users=st.lists(st.text(st.characters(exclude_categories=["Cs"])), unique=True, max_size=4))
def test_every_user_has_a_file_of_their_own(tmp_path: Path, users: list[str]) -> None:
    folder = DeviceFolder(tmp_path)
    for seed, user in enumerate(users):
        folder.save_personal(stored(user, seed))
    for seed, user in enumerate(users):
        assert_same(folder.load_personal(user), stored(user, seed))


def test_a_head_under_another_user_s_name_is_refused(tmp_path: Path) -> None:
    folder = ready(tmp_path)
    folder.save_personal(stored("Ada"))
    (ada,) = (folder.path / "personal").iterdir()
    folder.save_personal(stored("Ben"))
    (ben,) = set((folder.path / "personal").iterdir()) - {ada}
    ben.write_bytes(ada.read_bytes())
    with pytest.raises(WorkError, match="personal head"):
        folder.load_personal("Ben")


def test_evaluations_come_back_and_none_is_an_empty_list(tmp_path: Path) -> None:
    folder = ready(tmp_path)
    assert folder.load_evaluation("fold-1") == []
    folder.save_evaluation("fold-1", [{"user": "🙂", "labels": [1, 2]}])
    assert folder.load_evaluation("fold-1") == [{"user": "🙂", "labels": [1, 2]}]
    assert folder.load_evaluation("fold-2") == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"{}",
        b'{"specification": 3}',
        b'{"specification": "{}", "parts": [], "held_out_of": [], "own_clips": [], "seed": 1}',
    ],
)
def test_a_damaged_device_json_is_named(tmp_path: Path, content: bytes) -> None:
    folder = ready(tmp_path)
    (folder.path / "device.json").write_bytes(content)
    with pytest.raises(WorkError, match=r"device\.json"):
        folder.settings()


def test_an_unknown_key_in_device_json_is_an_error(tmp_path: Path) -> None:
    folder = ready(tmp_path)
    path = folder.path / "device.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "sede": 1}))
    with pytest.raises(WorkError, match="sede"):
        folder.settings()


@pytest.mark.parametrize("name", ["device.json", "clips.safetensors"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    folder = ready(tmp_path)
    (folder.path / name).unlink()
    with pytest.raises(WorkError, match="missing"):
        (folder.settings if name == "device.json" else folder.clips)()


def shorten(content: bytes) -> bytes:
    return content[:-7]


def empty(_: bytes) -> bytes:
    return b""


def noise(_: bytes) -> bytes:
    return bytes(range(256)) * 4


def huge_header(content: bytes) -> bytes:
    return (2**62).to_bytes(8, "little") + content[8:]


def other_metadata(content: bytes) -> bytes:
    return content.replace(b"__metadata__", b"__metadatb__")


@pytest.mark.parametrize("damage", [shorten, empty, noise, huge_header, other_metadata])
def test_damaged_tensors_are_named(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    folder = ready(tmp_path)
    folder.save_personal(stored())
    clips = folder.path / "clips.safetensors"
    (head,) = (folder.path / "personal").iterdir()
    for path, load in ((clips, folder.clips), (head, lambda: folder.load_personal("Ada"))):
        path.write_bytes(damage(path.read_bytes()))
        with pytest.raises(WorkError, match=path.name):
            load()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\xfd", b'{"user": 1}', b"[1]"])
def test_a_damaged_evaluation_is_named(tmp_path: Path, content: bytes) -> None:
    folder = ready(tmp_path)
    folder.save_evaluation("fold-1", [])
    (folder.path / "evaluation" / "fold-1.json").write_bytes(content)
    with pytest.raises(WorkError, match=r"fold-1\.json"):
        folder.load_evaluation("fold-1")


def test_everything_in_the_folder_is_private(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        folder = ready(tmp_path)
        folder.save_personal(stored())
        folder.save_evaluation("fold-1", [])
        folder.log_error("an error")
        folder.ledger.append({"round": 1})
    finally:
        os.umask(before)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in folder.path.rglob("*")}
    modes[folder.path] = stat.S_IMODE(folder.path.stat().st_mode)
    assert len(modes) == 9
    wrong = {
        str(path): oct(mode)
        for path, mode in modes.items()
        if mode != (0o700 if path.is_dir() else 0o600)
    }
    assert wrong == {}


def test_errors_are_appended(tmp_path: Path) -> None:
    folder = ready(tmp_path)
    folder.log_error("first\n")
    folder.log_error("second 🙂")
    assert (folder.path / "errors.log").read_text(encoding="utf-8") == "first\nsecond 🙂\n"


def test_a_write_that_fails_leaves_the_old_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = ready(tmp_path)
    folder.save_personal(stored(seed=1))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("common.files.os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            folder.save_personal(stored(seed=2))
    assert_same(folder.load_personal("Ada"), stored(seed=1))
    assert len(list((folder.path / "personal").iterdir())) == 1


def test_a_device_keeps_what_it_fitted(tmp_path: Path) -> None:
    """From `evaluate` to the stored file and back: the same predictions."""
    from client.evaluation import evaluate_part, view
    from client.rounds import answer

    clips = made_up_clips(["Ada"])
    part = part_of(clips, "Ada")
    folder = device(tmp_path, clips, specification(), parts=(part,), own_clips=(1,), draws=1)
    head = any_head(specification())
    answer(folder, request(specification(), "evaluate", head=head, round=5), run=8)
    found = folder.load_personal("Ada")
    assert found is not None
    assert (found.run, found.round, found.specification) == (8, 5, specification().number)
    _, fitted, statistics = evaluate_part(head, clips, part, folder.settings())
    seen = view(head, clips, statistics)
    np.testing.assert_array_equal(
        found.head.logits(seen.universal, seen.descriptors),
        fitted.logits(seen.universal, seen.descriptors),
    )


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def left_by_ada(tmp_path: Path) -> DeviceFolder:
    """A device that knows two users well."""
    folder = ready(tmp_path)
    for user in ("Ada", "Ben"):
        folder.save_personal(stored(user, seed=ord(user[0])))
    records = [{"user": user, "labels": [1, 2]} for user in ("Ada", "Ben")]
    folder.save_evaluation("fold-1", records)
    folder.log_error("a clip of Ada could not be read")
    return folder


def test_no_byte_of_a_user_who_leaves_stays(tmp_path: Path) -> None:
    folder = left_by_ada(tmp_path)
    own = folder.clips().of_user("Ada")
    head = folder.load_personal("Ada")
    assert head is not None
    traces = [b"Ada", own.frames[0].tobytes(), head.head.weight[0].tobytes()]
    assert all(trace in bytes_of(tmp_path) for trace in traces)
    folder.forget_user("Ada")
    assert not any(trace in bytes_of(tmp_path) for trace in traces)
    assert not any(frame.tobytes() in bytes_of(tmp_path) for frame in own.frames)
    assert folder.load_personal("Ada") is None


def test_the_old_files_are_overwritten_not_only_unlinked(tmp_path: Path) -> None:
    folder = left_by_ada(tmp_path)
    old = {path: path.open("rb") for path in tmp_path.rglob("*") if path.is_file()}
    folder.forget_user("Ada")
    for file in old.values():
        with file:
            assert b"Ada" not in file.read()
    names = {path.name for path in old}
    assert {"clips.safetensors", "device.json", "fold-1.json", "errors.log"} <= names


def test_who_stays_keeps_everything(tmp_path: Path) -> None:
    folder = left_by_ada(tmp_path)
    before, part = folder.clips().of_user("Ben"), folder.settings().parts[1]
    names = [folder.clips().names[index] for index in (*part.adaptation, *part.test)]
    folder.forget_user("Ada")
    after = folder.clips()
    assert (after.names, after.users) == (before.names, before.users)
    np.testing.assert_array_equal(after.frames, before.frames)
    (kept,) = folder.settings().parts
    assert (kept.user, kept.evidence) == ("Ben", part.evidence)
    assert [after.names[index] for index in (*kept.adaptation, *kept.test)] == names
    assert_same(folder.load_personal("Ben"), stored("Ben", seed=ord("B")))
    assert folder.load_evaluation("fold-1") == [{"user": "Ben", "labels": [1, 2]}]


def test_forgetting_a_stranger_or_the_last_user(tmp_path: Path) -> None:
    folder = ready(tmp_path)
    before = folder.clips()
    folder.forget_user("Zoe")
    assert folder.clips().names == before.names
    for user in ("Ada", "Ben"):
        folder.forget_user(user)
    assert (len(folder.clips()), folder.settings().parts) == (0, ())
    assert folder.clips().dimension == before.dimension


def test_a_failure_while_forgetting_loses_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = left_by_ada(tmp_path)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("common.files.os.fsync", full)
        with pytest.raises(WorkError, match="can't be erased"):
            folder.forget_user("Ada")
    assert set(folder.clips().users) == {"Ada", "Ben"}
    folder.forget_user("Ada")
    assert set(folder.clips().users) == {"Ben"}
