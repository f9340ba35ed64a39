"""Who is asked in an over-sampled round, and when it has heard enough."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import UsageError
from common.heads.specification import HEAD_STAGE, REFERENCE_STAGE
from common.heads.universal import initial_head
from common.messages import Request
from server.fleet.oversampling import OverSampling, Tries
from tests.server.fleet.devices import PLAN, SPECIFICATION

HEAD = initial_head(SPECIFICATION, seed=0)


def request(round: int = 1, stage: str = HEAD_STAGE, seed: int = 0) -> Request:
    return Request(replace(PLAN, seed=seed), stage, round, HEAD)


@given(st.integers(1, 50), st.integers(1, 200), st.floats(1, 10), st.integers(1, 9))
def test_as_many_are_asked_as_the_factor_says(
    quorum: int, devices: int, factor: float, round: int
) -> None:
    over = OverSampling(factor, quorum)
    asked = over.asked(range(devices), request(round))
    assert asked == sorted(set(asked))
    assert set(asked) <= set(range(devices))
    assert min(devices, quorum) <= len(asked) <= min(devices, factor * quorum + 1)
    assert asked == over.asked(range(devices), request(round))


def test_every_device_has_its_turn() -> None:
    over = OverSampling(1.5, 4)
    turns = Counter(n for round in range(1, 201) for n in over.asked(range(20), request(round)))
    assert len(turns) == 20
    assert all(35 <= count <= 90 for count in turns.values()), turns


def test_a_round_ends_with_the_last_answer_that_it_needs() -> None:
    over = OverSampling(1.3, 10)
    assert not over.enough(9, request())
    assert over.enough(10, request())
    assert over.asked([3, 5, 8], request()) == [3, 5, 8]


def test_the_reference_and_rounds_without_it_ask_all_and_wait_for_all() -> None:
    assert OverSampling(2, 1).asked(range(9), request(0, REFERENCE_STAGE)) == list(range(9))
    assert not OverSampling(2, 1).enough(9, request(0, REFERENCE_STAGE))
    assert OverSampling(0, 1).asked(range(9), request()) == list(range(9))
    assert not OverSampling(0, 1).enough(9, request())


@pytest.mark.parametrize("factor", [0.5, -1.0, 11.0, float("nan"), float("inf")])
def test_a_factor_out_of_range_is_refused(factor: float) -> None:
    with pytest.raises(UsageError, match="over-sample is"):
        OverSampling(factor, 3)


NODES = [10 + number for number in range(20)]


def test_the_first_try_of_each_round_draws_and_the_next_ones_ask_all() -> None:
    tries, over = Tries(OverSampling(1.3, 3)), OverSampling(1.3, 3)
    for round in (1, 2):
        assert tries.asked(range(20), NODES, request(round)) == over.asked(
            range(20), request(round)
        )
        for _ in range(2):
            assert tries.asked(range(20), NODES, request(round)) == list(range(20))


def test_who_was_refused_in_a_round_is_left_out_of_its_other_tries() -> None:
    tries = Tries(OverSampling(1.3, 3))
    tries.asked(range(20), NODES, request(1))
    tries.refused({"12"})
    assert tries.asked(range(20), NODES, request(1)) == [n for n in range(20) if n != 2]
    tries.asked(range(20), NODES, request(2))
    assert tries.asked(range(20), NODES, request(2)) == list(range(20))


def test_who_was_refused_is_asked_again_where_too_few_others_are_there() -> None:
    tries = Tries(OverSampling(1.3, 3))
    tries.asked(range(3), NODES, request(1))
    tries.refused({"12"})
    assert tries.asked(range(3), NODES, request(1)) == [0, 1, 2]


def test_without_over_sampling_every_try_asks_all() -> None:
    tries = Tries(OverSampling(0, 3))
    for _ in range(2):
        assert tries.asked(range(9), NODES, request(1)) == list(range(9))
        tries.refused({"12"})
