"""Actors as devices: one folder per user, set up as a real device's would be."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from client.exposure import NO_LIMITS, ExposureLimits
from client.store import DeviceFolder, DeviceSettings, Part
from common.clips import ClipSet
from common.errors import WorkError
from common.heads.specification import HeadSpecification
from common.paths import simulated_device
from simulations.protocols import Protocol, Split
from simulations.selection import Choice

PEERS = ("fine-tune",)
"""Methods that users are tested with beside `map` and `local-only`."""


def create_devices(
    root: Path,
    specification: HeadSpecification,
    clips: ClipSet,
    protocol: Protocol,
    choices: Mapping[str, Choice],
    *,
    seed: int,
    own_clips: tuple[int, ...],
    draws: int,
    limits: ExposureLimits = NO_LIMITS,
    accept_leak: bool = False,
) -> list[str]:
    """One device per user, in the order of the users' names; returns those names.

    `limits` and `accept_leak` are every device's own word, see `DeviceSettings`.
    """
    users = list(clips.user_names())
    for index, user in enumerate(users):
        own = clips.of_user(user)
        place = {name: position for position, name in enumerate(own.names)}
        settings = DeviceSettings(
            specification=specification,
            seed=seed,
            held_out_of=tuple(name for name, out in protocol.held_out.items() if user in out),
            parts=tuple(
                _part(split, place, choices[split.federation])
                for split in protocol.splits
                if split.user == user
            ),
            own_clips=own_clips,
            draws=draws,
            peers=PEERS,
            exposure_share=limits.share,
            exposure_epsilon=limits.epsilon,
            bare_updates=limits.bare_updates,
            accept_leak=accept_leak,
        )
        DeviceFolder(simulated_device(root, index)).create(settings, own)
    return users


def _part(split: Split, place: Mapping[str, int], choice: Choice) -> Part:
    return Part(
        federation=split.federation,
        user=split.user,
        adaptation=tuple(place[name] for name in split.adaptation),
        test=tuple(place[name] for name in split.test),
        evidence=choice.evidence,
    )


def with_device_error(root: Path, error: WorkError) -> WorkError:
    """The error with the newest line of a device's own error log, where there is one.

    Only a simulation may read it: there the researcher owns the devices' folders.
    """
    for log in sorted(root.glob("devices/*/errors.log")):
        lines = log.read_text(encoding="utf-8").strip().splitlines()
        if lines:
            return WorkError(f"{error}; device {log.parent.name} says: {lines[-1]}")
    return error
