"""A run that `mien simulate --record` wrote, read back; damaged and foreign folders."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cli.simulate import run
from common.clips import ClipSet, make_clip_set, save_clips
from common.errors import UsageError, WorkError
from common.wire import Expected
from server.audit.flower_transcript import load_transcript, read_replies
from server.audit.recorded import load_subject
from server.audit.run import audit
from server.audit.transcript import truth_folder
from server.audit.truth import Candidates, load_truth, save_truth, women
from server.run import load_head
from simulations.settings import SimulationSettings
from tests.simulations.tables import FEATURES, USERS, write_table

ROUNDS = 3


def recorded(folder: Path, **changes: object) -> SimulationSettings:
    values = {
        "features": str(write_table(folder / "table.csv")),
        "rounds": ROUNDS,
        "l2": 0.01,
        "user_folds": 2,
        "draws": 1,
        "record": str(folder / "run"),
        "state_root": str(folder / "state"),
        **changes,
    }
    chosen = SimulationSettings.model_validate(values)
    run(chosen, engine="grid", workers=1)
    return chosen


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("audit")
    recorded(folder)
    return folder


def test_heads_that_were_sent_are_found_again(folder: Path) -> None:
    for federation in ("fold-1", "fold-2"):
        transcript = load_transcript(folder / "run", federation)
        ended = load_head(folder / "state" / "server" / f"{federation}.safetensors")
        assert len(transcript.head_rounds) == ROUNDS
        for name, array in ended.arrays.items():
            assert transcript.final.arrays[name].tobytes() == array.tobytes()


@pytest.mark.parametrize(
    "changes",
    [
        {"strategy": "fedadam"},
        {"strategy": "fedmedian", "clients_per_round": 2.0},
        {"head": "single-attention"},
    ],
)
def test_heads_are_found_again_whatever_the_strategy(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    recorded(tmp_path, **changes)
    transcript = load_transcript(tmp_path / "run", "fold-1")
    ended = load_head(tmp_path / "state" / "server" / "fold-1.safetensors")
    for name, array in ended.arrays.items():
        assert transcript.final.arrays[name].tobytes() == array.tobytes()


def test_pseudonyms_are_the_devices_folders(folder: Path) -> None:
    subject = load_subject(folder / "run", federation="fold-2")
    for index, user in enumerate(USERS):
        own = subject.known.owner_of == f"{index:05d}"
        assert {subject.known.clips.users[i] for i in np.flatnonzero(own)} == {user}
    out = {subject.known.clips.users[i] for i in subject.public}
    assert len(out) == 3, "the other three users train the head of fold 2"
    assert len(subject.members) == 3
    assert subject.trainer is not None


def test_a_devices_own_update_is_what_it_would_compute(folder: Path) -> None:
    """The shadow trainer on a member's own clips gives that member's update."""
    subject = load_subject(folder / "run", federation="fold-1")
    for name in subject.members:
        for step in subject.steps[name]:
            sent, own = subject.sent[step.round], subject.own(name)
            weight, bias = subject.trainer(
                sent.weight,
                sent.bias,
                subject.inputs[own],
                subject.labels[own],
                np.random.default_rng(0),
            )
            assert weight == pytest.approx(step.weight, abs=1e-6)
            assert bias == pytest.approx(step.bias, abs=1e-6)


def test_the_researchers_side_lies_beside_the_record(folder: Path) -> None:
    assert {path.suffix for path in (folder / "run").iterdir()} == {".bin"}
    truth = truth_folder(folder / "run")
    assert truth.name == "run-truth"
    assert truth.stat().st_mode & 0o777 == 0o700
    for reply in (folder / "run").iterdir():
        assert not any(user.encode() in reply.read_bytes() for user in USERS)


def test_a_second_run_into_the_same_folder_is_refused(folder: Path) -> None:
    again = SimulationSettings(
        features=str(folder / "table.csv"), record=str(folder / "run"), rounds=1, l2=0.01
    )
    with pytest.raises(UsageError, match="holds a recorded run already"):
        run(again, engine="grid", workers=1)


def test_another_folder_is_no_record(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no folder"):
        load_subject(tmp_path / "missing")
    with pytest.raises(UsageError, match=r"no recorded run with its plan\.json"):
        load_subject(tmp_path)


def test_an_unknown_federation_is_named(folder: Path) -> None:
    with pytest.raises(UsageError, match="'fold-9', the run has fold-1, fold-2"):
        load_subject(folder / "run", federation="fold-9")


@pytest.mark.parametrize("content", [b"", b"\xff\xff\xff", b"not a reply"])
def test_a_damaged_reply_is_named(folder: Path, tmp_path: Path, content: bytes) -> None:
    for name in ("run", "run-truth"):
        shutil.copytree(folder / name, tmp_path / name)
    (tmp_path / "run" / "fold-1-head-2-0.bin").write_bytes(content)
    with pytest.raises(WorkError, match=r"fold-1-head-2-0\.bin"):
        load_subject(tmp_path / "run")


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_whatever_lies_in_a_reply_is_read_or_named(
    folder: Path, tmp_path: Path, data: st.DataObject
) -> None:
    whole = max((folder / "run").glob("fold-1-head-2-*.bin"), key=lambda p: p.stat().st_size)
    content = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    broken = tmp_path / "fold-1-head-2-0.bin"
    broken.write_bytes(bytes(content[: data.draw(st.integers(1, len(content)))]))
    specification = load_transcript(folder / "run").final.specification
    expected = Expected(specification=specification, stage="head", round=2)
    try:
        replies = list(read_replies([broken], expected))
    except WorkError as error:
        assert broken.name in str(error)  # noqa: PT017 - both ends are right
        return
    assert len(replies) <= 1


def test_an_update_that_is_not_finite_is_left_out(folder: Path) -> None:
    whole = load_subject(folder / "run", federation="fold-1")
    rounds = list(whole.transcript.rounds)
    first, *others = rounds[2].received
    spoilt = {name: np.full(a.shape, np.nan) for name, a in first.arrays.items()}
    rounds[2] = replace(rounds[2], received=(replace(first, arrays=spoilt), *others))
    subject = replace(whole, transcript=replace(whole.transcript, rounds=tuple(rounds)))
    assert [step.round for step in subject.steps[first.pseudonym]] == [1, 3]
    assert all(np.isfinite(step.weight).all() for step in subject.sums)
    assert audit(subject)


def test_two_replies_of_one_node_are_refused(folder: Path, tmp_path: Path) -> None:
    for name in ("run", "run-truth"):
        shutil.copytree(folder / name, tmp_path / name)
    replies = sorted(
        (tmp_path / "run").glob("fold-1-head-2-*.bin"), key=lambda p: -p.stat().st_size
    )
    shutil.copy(replies[0], replies[1])
    with pytest.raises(UsageError, match="answered twice"):
        load_subject(tmp_path / "run")


def small_clips(users: str, dimension: int = FEATURES, mark: str = "") -> ClipSet:
    names = [f"{user}{mark}-{i}" for user in users for i in range(2)]
    owners = [user for user in users for _ in range(2)]
    return make_clip_set(names, owners, [0, 1] * len(users), [np.ones(dimension)] * len(names))


def test_clips_that_were_held_back_belong_to_a_person_but_no_training(tmp_path: Path) -> None:
    save_truth(tmp_path / "run", small_clips("ab"), ["a", "b"], small_clips("a", mark="+"))
    more = tmp_path / "more.safetensors"
    save_clips(more, small_clips("bc", mark="*"))
    known = load_truth(tmp_path / "run", more)
    assert known is not None
    assert known.owners == ("00000",) * 2 + ("00001",) * 2 + ("00000",) * 2 + ("00001",) * 2 + (
        "",
        "",
    )
    assert known.trained.tolist() == [True] * 4 + [False] * 6


@pytest.mark.parametrize(
    ("more", "reason"),
    [(small_clips("a"), "another clip of the run"), (small_clips("a", 9, "+"), "dimension")],
)
def test_candidates_that_do_not_fit_are_named(tmp_path: Path, more: ClipSet, reason: str) -> None:
    save_truth(tmp_path / "run", small_clips("ab"), ["a", "b"])
    save_clips(tmp_path / "more.safetensors", more)
    with pytest.raises(UsageError, match=reason):
        load_truth(tmp_path / "run", tmp_path / "more.safetensors")


def test_no_truth_is_no_candidates(tmp_path: Path) -> None:
    assert load_truth(tmp_path / "run") is None


@pytest.mark.parametrize("content", [b"{", b"3", b'[["a"], 4]'])
def test_damaged_truth_is_named(tmp_path: Path, content: bytes) -> None:
    save_truth(tmp_path / "run", small_clips("ab"), ["a", "b"])
    (tmp_path / "run-truth" / "devices.json").write_bytes(content)
    with pytest.raises(WorkError, match=r"devices\.json"):
        load_truth(tmp_path / "run")


def test_candidates_agree_in_number() -> None:
    with pytest.raises(ValueError, match="differ in number"):
        Candidates(small_clips("ab"), ("a",), np.ones(4, dtype=np.bool_))


def test_women_are_even_actors() -> None:
    names = ["01-01-03-02-01-01-12", "01-01-03-02-01-01-07"]
    assert women(names, ["00000", "00001"]) == {"00000": True, "00001": False}
    assert women(["Ada-1"], ["00000"]) == {}
