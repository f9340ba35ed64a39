"""The newest release goes out with the links that a device may lack; none before there is one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from common.releases.signing import read_manifest
from server.authority.authority import Authority
from server.fleet.federate import MOST_LINKS, PatientFleet, announce
from server.flower_adapter import TooFewDevices
from server.registry import Publication
from tests.client.fleet_device import SPECIFICATION, draft


class Heard:
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[bytes, list[bytes]]] = []

    def tell(self, release: bytes, links: Sequence[bytes]) -> None:
        self.told.append((release, list(links)))


def publish(authority: Authority, count: int) -> None:
    for number in range(count):
        arrays = draft(float(number)).arrays
        authority.publish(
            Publication(specification=SPECIFICATION, arrays=arrays, round=number, metrics={})
        )


def test_nothing_is_said_before_the_first_release(tmp_path: Path) -> None:
    heard = Heard()
    announce(heard, Authority.create(tmp_path / "fleet", address="localhost:1").registry)
    assert heard.told == []


def test_the_newest_comes_with_the_links_before_it(tmp_path: Path) -> None:
    authority, heard = Authority.create(tmp_path / "fleet", address="localhost:1"), Heard()
    publish(authority, MOST_LINKS + 3)
    announce(heard, authority.registry)
    ((release, links),) = heard.told
    assert release == authority.registry.path(MOST_LINKS + 3).read_bytes()
    key = authority._signing_key(authority.settings.signing_key).public_key()
    numbers = [read_manifest(link, key).sequence for link in links]
    assert numbers == list(range(3, MOST_LINKS + 3))


def test_devices_that_connected_since_are_told_before_each_request() -> None:
    calls: list[str] = []

    class Few:
        def ask(self, request: object) -> object:
            calls.append("ask")
            raise TooFewDevices("none")

    fleet = PatientFleet(Few(), lambda: calls.append("tell"))  # type: ignore[arg-type]
    assert fleet.ask(None).faults == ("none",)  # type: ignore[arg-type]
    assert calls == ["tell", "ask"]
