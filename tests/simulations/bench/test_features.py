from __future__ import annotations

from pathlib import Path

import pytest

from simulations.bench.features import Timing, _by_turns, _report
from simulations.watching import unwatched


def test_report_has_the_agreed_keys_and_the_limit_is_decode_plus_backbone() -> None:
    timings = {
        "mien": Timing([120.0, 100.0, 110.0]),
        "common_torch": Timing([10.0, 11.0, 9.0]),
        "common_onnx": Timing([14.0, 15.0, 13.0]),
        "decode": Timing([600.0] * 3),
        "backbone": Timing([300.0] * 3),
    }
    report = _report(Path("clip.mp4"), timings)
    assert (report["mien_fps"], report["common_torch_fps"], report["common_onnx_fps"]) == (
        110.0,
        10.0,
        14.0,
    )
    assert report["limit_fps"] == pytest.approx(200.0)
    assert report["mien_fps_spread"] == [100.0, 120.0]
    assert report["mien_of_limit"] == pytest.approx(0.55)
    assert report["mien_times_common_torch"] == pytest.approx(11.0)
    assert report["weights"] == "random"


def test_ways_take_turns_and_the_first_turn_does_not_count() -> None:
    asked: list[str] = []
    ways = {name: (lambda name=name: asked.append(name)) for name in ("a", "b")}
    timings = _by_turns(ways, 10, 2, unwatched)
    assert asked == ["a", "b"] * 3
    assert [len(timings[name].fps) for name in ways] == [2, 2]
