"""What the bench of the audit measures: both kinds of record, read back and attacked."""

from __future__ import annotations

from dataclasses import replace

from server.audit.lab import Lab
from simulations.bench.audit import FULL, measure_audit


def test_the_run_is_as_large_as_the_limit_says() -> None:
    assert (FULL.clients, FULL.rounds, FULL.dimension, FULL.fleet) == (24, 20, 1280, True)


def test_both_records_are_audited() -> None:
    small = replace(FULL, clients=3, clips=4, other_takes=2, rounds=1, public=1, dimension=8)
    assert isinstance(small, Lab)
    seen: list[tuple[int, int]] = []
    figures = measure_audit(small, watch=lambda phase, done, total: seen.append((done, total)))
    assert figures["updates_verdict"] == "fail", "the number of examples is in clear"
    assert figures["sums_verdict"] in ("pass", "not measurable", "fail")
    assert figures["updates_attacks"] == figures["sums_attacks"] > 20
    assert figures["limit_seconds"] == 120
    assert seen == [(0, 2), (1, 2), (2, 2)]
