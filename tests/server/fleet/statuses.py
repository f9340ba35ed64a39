"""Made-up states of a fleet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from server.fleet.status import DeviceStatus, FleetStatus


def report(number: int, *, refused: Sequence[str] = (), **changes: Any) -> dict[str, Any]:
    told = {
        "federation": "fleet",
        "round": number,
        "stage": "head" if number else "reference",
        "finished": f"2026-01-02T03:{number % 60:02d}:00+00:00",
        "tries": 1,
        "accepted": 5,
        "empty": 0,
        "refused": list(refused),
        "failures": [],
        "late": 0,
        "bytes": 5000,
        "seconds": {"asking": 4.0, "averaging": 0.25},
    }
    return {**told, **changes}


def release(number: int, epsilon: float | None = None, **metrics: float) -> dict[str, Any]:
    return {
        "sequence": number,
        "round": number,
        "created": "2026-01-02T03:04:05Z",
        "metrics": metrics,
        "epsilon": epsilon,
        "delta": None if epsilon is None else 1e-5,
    }


def status(**changes: Any) -> FleetStatus:
    told: dict[str, Any] = {
        "fleet": "home",
        "address": "fleet.example:443",
        "running": True,
        "paused": False,
        "done": 2,
        "wanted": 10,
        "run": "started",
        "released": 0,
        "devices": (DeviceStatus("kitchen", "online"), DeviceStatus("attic", "offline")),
        "due": (),
        "rounds": (report(0), report(1)),
    }
    return FleetStatus(**{**told, **changes})
