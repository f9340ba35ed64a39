"""Rounds that survive: nothing is counted twice, nothing is lost, too few updates do not count."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from common.errors import WorkError
from common.messages import Request
from server.federation import Replies
from server.fleet.rounds import CHECKPOINT, reports
from server.strategies.mean import WeightedMean
from tests.server.fakes import FakeFleet, declines, fails, sends
from tests.server.fleet.fakes import plan_of, rounds, same


def test_a_round_that_was_not_checkpointed_is_asked_again(tmp_path: Path) -> None:
    """Killed between report and checkpoint: the same round again, and the same head at the end."""
    wanted = plan_of("fedavg", rounds=3)
    whole = rounds(tmp_path / "whole", wanted).run()
    rounds(tmp_path / "killed", replace(wanted, rounds=1)).run()
    before = (tmp_path / "killed" / CHECKPOINT).read_bytes()
    rounds(tmp_path / "killed", replace(wanted, rounds=2)).run()
    (tmp_path / "killed" / CHECKPOINT).write_bytes(before)
    assert same(rounds(tmp_path / "killed", wanted).run().head, whole.head)
    assert len(reports(tmp_path / "killed")) == 4


def test_a_round_without_quorum_is_tried_again_and_then_given_up(tmp_path: Path) -> None:
    lonely = rounds(tmp_path, plan_of("fedavg"), sends(1.0), fails, declines)
    with pytest.raises(WorkError, match=r"round 0 of fold-1 got 1 update\(s\) that count, 2 are"):
        lonely.run()
    assert len(lonely.fleet.requests) == 2  # type: ignore[attr-defined]
    assert not (tmp_path / CHECKPOINT).exists()


def test_every_state_is_published_and_the_newest_again_after_a_restart(tmp_path: Path) -> None:
    told: list[int] = []
    first = rounds(tmp_path, plan_of("fedavg", rounds=2))
    first.publish = lambda state: told.append(state.round)
    first.run()
    again = rounds(tmp_path, plan_of("fedavg", rounds=2))
    again.publish = first.publish
    again.run()
    assert told == [1, 2, 3, 3]


def test_nobody_is_asked_while_paused(tmp_path: Path) -> None:
    answers = iter([True, True, False, False])
    asked_while_paused: list[int] = []
    waiting = rounds(tmp_path, plan_of("fedavg", rounds=1))

    def paused() -> bool:
        answer = next(answers)
        if answer:
            asked_while_paused.append(len(waiting.fleet.requests))  # type: ignore[attr-defined]
        return answer

    waiting.paused = paused
    waiting.run()
    assert asked_while_paused == [0, 0]


def test_a_sum_that_was_revealed_counts_below_the_quorum(tmp_path: Path) -> None:
    """It can't be asked for again: who revealed it refuses another one over the same head."""

    class Sums:
        def ask(self, request: Request) -> Replies:
            (made,) = FakeFleet(sends(1.0)).ask(request).updates
            mean = WeightedMean(
                specification=made.specification,
                stage=made.stage,
                round=made.round,
                devices=1,
                clips=1,
                arrays={name: array.astype(np.float64) for name, array in made.arrays.items()},
            )
            return Replies((), 100, 0, (), mean=mean)

    asked = rounds(tmp_path, plan_of("fedavg", rounds=1))
    asked.fleet = Sums()
    assert asked.rules.quorum == 2
    assert asked.run().round == 2
    assert [each["tries"] for each in reports(tmp_path)] == [1, 1]
