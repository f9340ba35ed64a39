"""What the report and the terminal say of accuracy with identification in the loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Results = Mapping[str, Any]


@dataclass(frozen=True)
class LoopRow:
    """Figures at one number of own clips per expression; all are shares, 0..1.

    Attributes:
        own_clips: that number.
        right, unknown, another: whom test clips were taken for; together 1.
        strangers: taken for somebody though their user is not enrolled; None where nobody shares a
            device.
        given: accuracy of personal heads that are told whose clip it is.
        identified: accuracy where the face decides that.
        low, high: interval of `identified`.
        loss: `given` less `identified`.
    """

    own_clips: int
    right: float
    unknown: float
    another: float
    strangers: float | None
    given: float
    identified: float
    low: float
    high: float
    loss: float


def loop_rows(results: Results) -> tuple[LoopRow, ...]:
    """A row per number of own clips; none where nobody was identified."""
    found = results.get("identification")
    if not found:
        return ()
    strangers = found["strangers_taken"]
    return tuple(
        LoopRow(
            own_clips=count,
            strangers=strangers[index] if strangers else None,
            given=found["accuracy"]["given"][index],
            identified=found["accuracy"]["identified"][index],
            low=found["intervals"]["identified"][index][0],
            high=found["intervals"]["identified"][index][1],
            **{name: found[name][index] for name in ("right", "unknown", "another", "loss")},
        )
        for index, count in enumerate(found["own_clips"])
    )


def device_words(results: Results) -> str:
    """Who shares a device.

    >>> device_words({"identification": {"devices": [["ann", "bob"], ["eve"]]}})
    '2 devices, each shared by up to 2 users'
    >>> device_words({"identification": {"devices": [["ann", "bob", "eve"]]}})
    'one device, shared by all 3 users'
    """
    devices = results["identification"]["devices"]
    most = max(len(device) for device in devices)
    if len(devices) == 1:
        return f"one device, shared by all {most} users"
    return f"{len(devices)} devices, each shared by up to {most} user{'' if most == 1 else 's'}"
