"""Noise by the server: what it may look at before, and what rounds cost together."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from common.errors import WorkError
from common.heads.universal import initial_head
from common.messages import Request
from server.federation import Replies, RoundRecord, run_federation
from server.fleet.judge import Examiner
from server.noising import combined, norm_before_noise, privacy_record
from server.strategies.mean import WeightedMean
from tests.server.defence.replies import arrival
from tests.server.fakes import SPECIFICATION, FakeFleet, declines, plan, sends, update

NOISY = {"clip_norm": 1.0, "noise_multiplier": 1e-3}
HEAD = initial_head(SPECIFICATION, seed=0)
SHORT = 0.3
"""In every entry: of norm 0.85."""


def request(stage: str = "head", **changes: object) -> Request:
    return Request(plan(**{**NOISY, **changes}), stage, int(stage == "head"), HEAD)


def test_the_norm_counts_only_where_the_server_adds_the_noise() -> None:
    assert norm_before_noise(request()) == 1.0
    assert norm_before_noise(request("reference")) == 0.0
    assert norm_before_noise(request(secure_sum=True)) == 0.0
    assert norm_before_noise(request(noise_multiplier=0.0)) == 0.0


@pytest.mark.parametrize("own", [SHORT / 100, SHORT])
def test_one_update_changes_the_sum_by_no_more_than_itself(tmp_path: Path, own: float) -> None:
    """Twelve short, twelve long ones, and one at the median: all are in the sum, whatever it is."""
    values = [SHORT / 100] * 12 + [SHORT] * 12 + [own]
    arrivals = [arrival(f"d{n}", value) for n, value in enumerate(values)]
    judged = Examiner(tmp_path, dict)(request(), arrivals)
    assert (len(judged.updates), judged.refused) == (25, ())
    collected, noise = combined(request(), Replies(judged.updates, 0, 0, ()))
    assert noise == pytest.approx(1e-3, rel=1e-6)
    assert isinstance(collected, WeightedMean)
    np.testing.assert_allclose(collected.arrays["user.bias"], np.mean(values), atol=2e-3)


def test_an_update_beyond_the_norm_stops_a_round_that_nobody_judges() -> None:
    with pytest.raises(WorkError, match="did not clip its update"):
        combined(request(), Replies((update(0.5),), 0, 0, ()))


def test_a_round_without_anybody_costs_nothing() -> None:
    rounds: list[RoundRecord] = []
    budget = iter([SHORT, None])

    def device(asked: Request) -> object:
        value = next(budget)
        return declines(asked) if value is None else sends(value)(asked)

    run_federation(FakeFleet(device), SPECIFICATION, plan(**NOISY), rounds.append, reference=HEAD)  # type: ignore[arg-type]
    assert [each.clients for each in rounds] == [1, 0]
    told = privacy_record(asdict(each) for each in rounds)
    assert (told["dp"], told["releases"]) == ("counted", [[pytest.approx(1e-3, rel=1e-6), 1]])
    assert privacy_record([{"noise": 5.0, "accepted": 3}, {"noise": 0.0, "accepted": 0}])["mu"]


def test_a_round_without_noise_voids_the_promise() -> None:
    told = privacy_record([{"noise": 5.0, "clients": 3}, {"noise": 0.0, "clients": 3}])
    assert (told["dp"], told["epsilon"]) == ("void", None)
