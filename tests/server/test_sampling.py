"""Who is asked and who is lost: seeded by round, never by call order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.heads.specification import HEAD_STAGE, REFERENCE_STAGE
from common.heads.universal import initial_head
from common.messages import EVALUATE, Request
from server.sampling import asked_devices, lost_devices, requests_of, round_size
from tests.server.fakes import SPECIFICATION, plan

HEAD = initial_head(SPECIFICATION, 1)


def request(stage: str = HEAD_STAGE, round: int = 1, **changes: object) -> Request:
    return Request(plan(**changes), stage, round, HEAD)


@pytest.mark.parametrize("stage", [REFERENCE_STAGE, EVALUATE])
def test_all_are_asked_for_the_reference_and_the_test(stage: str) -> None:
    assert asked_devices(request(stage, clients_per_round=3.0), 9).tolist() == list(range(9))


def test_by_default_all_are_asked_and_none_is_lost() -> None:
    assert asked_devices(request(), 5).tolist() == [0, 1, 2, 3, 4]
    assert not lost_devices(request(), 5).any()


@given(devices=st.integers(1, 60), wanted=st.floats(0, 70), round=st.integers(1, 9))
def test_as_many_as_wanted_are_asked_each_once(devices: int, wanted: float, round: int) -> None:
    clients = wanted if wanted < 1 else float(int(wanted))
    asked = asked_devices(request(round=round, clients_per_round=clients), devices).tolist()
    assert asked == sorted(set(asked))
    assert set(asked) <= set(range(devices))
    assert len(asked) == round_size(clients, devices) >= 1


def test_rounds_federations_and_seeds_draw_anew() -> None:
    changes: list[dict[str, object]] = [{}, {"seed": 2}, {"name": "fold-2"}]
    draws = [
        tuple(asked_devices(request(round=r, clients_per_round=8.0, **change), 100).tolist())
        for change in changes
        for r in (1, 2)
    ]
    assert len(set(draws)) == len(draws)
    again = asked_devices(request(round=1, clients_per_round=8.0), 100)
    assert tuple(again.tolist()) == draws[0]


def test_over_many_rounds_every_device_is_asked_alike() -> None:
    counts = np.zeros(10)
    for round in range(1, 501):
        counts[asked_devices(request(round=round, clients_per_round=0.3), 10)] += 1
    assert counts.sum() == 1500
    assert (abs(counts - 150) < 50).all()


def test_the_share_of_lost_replies_is_the_dropout() -> None:
    lost = [lost_devices(request(round=r, dropout=0.2), 1000).mean() for r in range(20)]
    assert np.mean(lost) == pytest.approx(0.2, abs=0.02)
    assert len(set(lost)) > 5


def test_a_device_s_fate_does_not_hang_on_how_many_there_are() -> None:
    few, many = (lost_devices(request(dropout=0.5), devices) for devices in (10, 1000))
    np.testing.assert_array_equal(few, many[:10])


def test_nobody_is_lost_in_the_test_of_the_final_head() -> None:
    assert not lost_devices(request(EVALUATE, 3, dropout=0.9), 100).any()
    assert lost_devices(request(REFERENCE_STAGE, 0, dropout=0.9), 100).any()


@pytest.mark.parametrize(("evaluate", "count"), [(True, 24 + 2 * 6 + 24), (False, 24 + 2 * 6)])
def test_requests_of_a_federation(evaluate: bool, count: int) -> None:
    assert requests_of(plan(rounds=2, clients_per_round=0.25, evaluate=evaluate), 24) == count
