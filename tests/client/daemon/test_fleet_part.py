"""A daemon that runs while its device joins a fleet, is renewed, or finds device.json broken."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from client.daemon.fleet import FleetPart
from client.daemon.settings import Fleet, load_settings
from client.device.place import DEVICE_FILE
from common.errors import MienError


class FakeNode:
    def __init__(self, folder: Path, fleet: Fleet, tell: Callable[[str], None]) -> None:
        self.address = fleet.address
        self.closed = False
        self.defect: Exception | None = None

    @property
    def state(self) -> dict[str, Any]:
        return {"address": self.address}

    async def keep(self) -> None:
        while self.defect is None:
            await asyncio.sleep(0.01)
        raise self.defect

    async def close(self) -> None:
        self.closed = True


class Part:
    """A fleet's part of a daemon, its nodes, and a device.json to be written."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.nodes, self.told = folder, list[FakeNode](), list[str]()
        self.ca = folder / "ca.crt"
        self.ca.write_text("one")
        self.write(None)
        fleet = load_settings(folder).fleet
        self.part = FleetPart(folder, fleet, self.told.append, make=self._make, every=0.01)

    def _make(self, folder: Path, fleet: Fleet, tell: Callable[[str], None]) -> FakeNode:
        self.nodes.append(FakeNode(folder, fleet, tell))
        return self.nodes[-1]

    def write(self, address: str | None) -> None:
        fleet = {"address": address, "root_certificates": str(self.ca)} if address else None
        new = self.folder / "new"
        new.write_text(json.dumps({"key": {"source": "file", "path": "/key"}, "fleet": fleet}))
        new.replace(self.folder / DEVICE_FILE)

    async def until(self, there: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not there():
                await asyncio.sleep(0.01)

    def run(self, story: Callable[[], Awaitable[None]]) -> None:
        async def whole() -> None:
            keeping = asyncio.create_task(self.part.keep())
            try:
                await story()
            finally:
                keeping.cancel()
                await self.part.close()
                await asyncio.gather(keeping, return_exceptions=True)

        asyncio.run(whole())


@pytest.fixture
def part(tmp_path: Path) -> Part:
    return Part(tmp_path)


def test_joining_moving_and_leaving_are_followed(part: Part) -> None:
    async def story() -> None:
        assert part.part.state is None
        part.write("one.example:443")
        await part.until(lambda: len(part.nodes) == 1)
        assert part.part.state == {"address": "one.example:443"}
        part.write("two.example:443")
        await part.until(lambda: len(part.nodes) == 2)
        part.write(None)
        await part.until(lambda: part.part.state is None)

    part.run(story)
    assert [node.closed for node in part.nodes] == [True, True]
    assert part.told == [
        "fleet: takes part at one.example:443",
        "fleet: takes part at two.example:443",
        "fleet: left",
    ]


def test_a_renewal_with_another_authority_starts_the_node_anew(part: Part) -> None:
    async def story() -> None:
        part.write("one.example:443")
        await part.until(lambda: len(part.nodes) == 1)
        part.write("one.example:443")  # a renewal that changed nothing for the node
        await asyncio.sleep(0.1)
        assert len(part.nodes) == 1
        part.ca.write_text("two")
        part.write("one.example:443")
        await part.until(lambda: len(part.nodes) == 2)

    part.run(story)


def test_a_broken_file_changes_nothing_and_is_told_of_once(part: Part) -> None:
    async def story() -> None:
        part.write("one.example:443")
        await part.until(lambda: len(part.nodes) == 1)
        for _ in range(2):
            (part.folder / DEVICE_FILE).write_text("{")
            await asyncio.sleep(0.05)
        await part.until(lambda: len(part.told) == 2)
        assert not part.nodes[0].closed
        part.write("two.example:443")
        await part.until(lambda: len(part.nodes) == 2)

    part.run(story)
    assert part.told[1].startswith("fleet: nothing is changed: ")


def test_a_defect_of_the_node_ends_the_daemon_with_its_error(part: Part) -> None:
    async def whole() -> None:
        part.write("one.example:443")
        keeping = asyncio.create_task(part.part.keep())
        await part.until(lambda: len(part.nodes) == 1)
        part.nodes[0].defect = MienError("a defect")
        async with asyncio.timeout(20):
            with pytest.raises(MienError, match="a defect"):
                await keeping
        await part.part.close()

    asyncio.run(whole())
