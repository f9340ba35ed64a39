"""What the bench times: that it is the work it says, not how long it takes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from client.personalisation.maximum_a_posteriori import Chosen
from common.errors import WorkError
from simulations.bench import personalise
from simulations.bench.personalise import (
    EPOCHS,
    RATE,
    made_up_case,
    measure,
    mien,
    published,
    time_by_turns,
    ways,
)

FIGURES = {"mien_ms", "paper_batch1_ms", "paper_batch32_ms"}


def test_the_case_is_as_wide_as_the_claim() -> None:
    case = made_up_case(3)
    assert case.weight.shape == (8, 1280)
    assert case.descriptors.shape == (40, 1280)
    assert np.bincount(case.labels).tolist() == [5] * 8
    np.testing.assert_array_equal(case.descriptors, made_up_case(3).descriptors)
    assert not np.array_equal(case.descriptors, made_up_case(4).descriptors)


def test_ours_chooses_and_solves() -> None:
    found = mien(made_up_case(0))
    assert isinstance(found, Chosen)
    assert found.personal
    assert np.abs(found.head.weight).max() > 0


@pytest.mark.parametrize(("batch", "steps"), [(1, 8 * EPOCHS), (32, EPOCHS)])
def test_the_published_way_takes_the_published_steps(batch: int, steps: int) -> None:
    """Adam moves an entry by at most about its rate a step."""
    case = made_up_case(0, dimension=6, clips=8)
    torch.manual_seed(0)
    moved = (published(case, batch=batch).numpy() - case.weight).astype(np.float64)
    assert 0.2 * EPOCHS * RATE < np.abs(moved).max() <= 1.3 * steps * RATE


def test_the_published_way_lowers_the_loss() -> None:
    case = made_up_case(0, dimension=6, clips=8)
    rows, labels = torch.from_numpy(case.descriptors), torch.from_numpy(case.labels)
    before = cross_entropy(rows @ torch.from_numpy(case.weight).T, labels)
    after = cross_entropy(rows @ published(case, batch=1).double().T, labels)
    assert after < before


def test_figures_of_all_ways_and_their_spread() -> None:
    found = time_by_turns(made_up_case(0, dimension=4, clips=8), repeats=3)
    assert set(ways(made_up_case(0, dimension=4, clips=8))) == FIGURES
    for name in FIGURES:
        low, high = found["spread_ms"][name]
        assert low <= found[name] <= high
    assert (found["repeats"], found["clips"], found["data"]) == (3, 8, "synthetic")


def test_a_measuring_process_that_fails_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(personalise.sys, "executable", "/bin/false")
    with pytest.raises(WorkError, match="measuring personal heads failed"):
        measure(1, 0)
