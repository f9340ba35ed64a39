"""The load test itself, small: scripted devices take part as real ones do."""

from __future__ import annotations

import shutil

import pytest

from simulations.bench.fleet import scripted_fleet

pytestmark = pytest.mark.slow


def test_every_scripted_device_counts_in_every_round() -> None:
    if not (shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")):
        pytest.skip("needs nginx (Debian: apt install nginx-light)")
    figures = scripted_fleet(20, 1, 300.0, 16, lambda *_: None)
    assert figures["accepted"] == [20, 20]
    assert figures["errors"] == {}
    assert figures["bytes_per_update"] > 4 * 2 * 8 * 16
    assert all(each > 0 for each in figures["superlink_pss_mb"])
