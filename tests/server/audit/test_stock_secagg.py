"""Flower's own SecAgg+ as a target: what the audit says of it, and a mask that is searched for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import WorkError
from server.audit.attacks import a10_masks, a12_metadata
from server.audit.finding import SUM, Verdict
from server.audit.lab import Lab, play
from server.audit.recorded import load_subject
from server.audit.short_seeds import first_numbers, fold, gather, seeds_that_begin, spread
from server.audit.stock_secagg import CLIP, LEVELS, METRICS, exchange, record_stock, recover
from server.audit.subject import Subject

TINY = Lab(clients=4, clips=5, other_takes=2, rounds=2, public=2, dimension=100)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=5))
def test_first_numbers_are_numpys(seeds: list[int]) -> None:
    theirs = [np.random.RandomState(s).randint(0, 2**32 - 1, 1, dtype=np.int64)[0] for s in seeds]
    assert first_numbers(np.array(seeds, dtype=np.uint32)).tolist() == theirs


@given(st.integers(0, 2**28 - 1))
def test_possible_seeds_have_seven_bits_in_each_byte(index: int) -> None:
    seed = int(spread(np.array([index]))[0])
    assert seed & 0x80808080 == 0
    assert gather(seed) == index


def test_a_seed_is_found_where_it_lies() -> None:
    seed = spread(np.array([70_000]))
    number = int(first_numbers(seed)[0])
    assert list(seeds_that_begin(number, 60_000, 20_000)) == [int(seed[0])]
    assert list(seeds_that_begin(number, 0, 60_000)) == []


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    folder = tmp_path_factory.mktemp("stock") / "run"
    record_stock(play(TINY), folder)
    return load_subject(folder)


def test_the_stock_sum_is_right(stock: Subject) -> None:
    whole = play(TINY)
    assert stock.members == whole.members
    assert stock.final.weight == pytest.approx(whole.final.weight, abs=2e-3)
    assert not stock.transcript.individual


def test_numbers_in_clear_are_named(stock: Subject) -> None:
    outcome = a12_metadata.run(stock, SUM)
    assert outcome.verdict is Verdict.FAIL
    for name in ("num_examples", *METRICS):
        assert outcome.details["found"][f"number {name!r}"] == 8, "two rounds of four devices"


def test_unsigned_keys_are_named_and_masks_look_uniform(stock: Subject) -> None:
    outcome = a10_masks.run(stock, SUM)
    assert outcome.verdict is Verdict.FAIL
    assert len(outcome.details["problems"]) == 1, "32-bit seeds do not show in a single vector"
    assert "keys of 4 devices came unsigned in 2 rounds" in outcome.meaning


def test_an_update_is_recovered_by_trying_seeds() -> None:
    """Two devices; a part of 2^16 of the 2^28 seeds, which is known to hold the right one."""
    random = np.random.default_rng(0)
    updates = {7: random.normal(size=40) * 0.1, 9: random.normal(size=40) * 0.1}
    done = exchange(updates, {7: 500, 9: 300})
    start = max(0, gather(fold(done.pairs[7, 9])) - 2**15)
    found = recover(replace(done, pairs={}), (7, 9), 500, start=start, count=2**16)
    assert len(found) == 1
    assert found[0] == pytest.approx(updates[7], abs=4 * CLIP / LEVELS / 0.5)


def test_sums_are_not_summed_again(tmp_path: Path) -> None:
    with pytest.raises(WorkError, match="single updates"):
        record_stock(play(replace(TINY, secure=True)), tmp_path / "run")
