"""Checkpoints: what comes back is bit for bit what was kept, whatever the strategy keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import WorkError
from common.strategies import STRATEGIES
from server.aggregation import ServerState, initial_state
from server.checkpoint import load_checkpoint, save_checkpoint
from server.fleet.rounds import CHECKPOINT, reports
from tests.server.fakes import plan
from tests.server.fleet.fakes import plan_of, rounds, same


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_two_and_two_rounds_are_four_rounds(tmp_path: Path, strategy: str) -> None:
    whole = rounds(tmp_path / "whole", plan_of(strategy, rounds=4)).run()
    rounds(tmp_path / "parts", plan_of(strategy, rounds=2)).run()
    parts = rounds(tmp_path / "parts", plan_of(strategy, rounds=4))
    assert same(parts.run().head, whole.head)
    assert [request.round for request in parts.fleet.requests] == [3, 4]  # type: ignore[attr-defined]
    assert [report["round"] for report in reports(tmp_path / "parts")] == [0, 1, 2, 3, 4]


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    wanted = plan_of("fedavgm", rounds=1)
    rounds(tmp_path, wanted).run()
    content = bytearray((tmp_path / CHECKPOINT).read_bytes())
    for broken in (content[:-1], content[:20], b"", b"\0" * 64):
        (tmp_path / CHECKPOINT).write_bytes(broken)
        with pytest.raises(WorkError, match="not a readable checkpoint"):
            load_checkpoint(tmp_path / CHECKPOINT, wanted)


def test_a_checkpoint_of_another_plan_is_refused(tmp_path: Path) -> None:
    rounds(tmp_path, plan_of("fedavg", rounds=1)).run()
    with pytest.raises(WorkError, match="a federation with another plan"):
        load_checkpoint(tmp_path / CHECKPOINT, plan_of("fedavg", rounds=1, seed=2))


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / CHECKPOINT, plan()) is None


def test_what_no_file_can_hold_is_refused(tmp_path: Path) -> None:
    state = initial_state(rounds(tmp_path, plan_of("fedavg", rounds=1)).run().head)
    odd = ServerState(state.head, 1, {"population": object(), "user": None})
    with pytest.raises(WorkError, match="can't be kept on disk"):
        save_checkpoint(tmp_path / "odd", odd, plan())
