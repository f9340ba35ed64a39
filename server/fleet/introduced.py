"""Whether an introduction to a secure sum is the one of the device that sent it."""

from __future__ import annotations

from collections.abc import Callable

from common.enrolment.introduction import read_introduction
from common.enrolment.keys import public_openssh
from server.authority.devices import Device, DeviceRegistry


def introduced_by(devices: DeviceRegistry) -> Callable[[int, bytes], bool]:
    """A judge of introductions, by Flower's node id.

    A device that sent another one's introduction, or a second one under its own key, would make
    the members refuse the roster: they believe certificates, and not who sent them.
    """

    def is_own(node: int, introduction: bytes) -> bool:
        try:
            key = public_openssh(read_introduction(introduction).key)
        except ValueError:
            return False
        return any(each.node == node and each.public_key == key for each in _active(devices))

    return is_own


def _active(devices: DeviceRegistry) -> list[Device]:
    return [each for each in devices.all() if each.active]
