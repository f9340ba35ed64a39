"""The device's place in a fleet while its daemon runs: device.json is followed as it changes.

`mien device join` may come while the daemon runs. The SuperNode is then started, or exchanged where
the fleet's address, authority or key is another one, within seconds and without a new start of the
daemon.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol

from client.daemon.settings import Fleet, load_settings
from client.daemon.supernode import SuperNode
from client.device.place import DEVICE_FILE
from common.errors import MienError

LOOK_SECONDS: Final = 2.0
Tell = Callable[[str], None]


class Node(Protocol):
    """`client.daemon.supernode.SuperNode`, as far as it is needed here."""

    @property
    def state(self) -> dict[str, Any]: ...

    async def keep(self) -> None: ...

    async def close(self) -> None: ...


class FleetPart:
    """Keeps the node that device.json asks for.

    Args:
        folder: the device's.
        fleet: as device.json named it when the daemon started.
        tell: told a sentence when the fleet is another one, or the file can't be read.
        make: makes a node; tests give their own.
        every: seconds between looks.
    """

    def __init__(
        self,
        folder: Path,
        fleet: Fleet | None,
        tell: Tell,
        *,
        make: Callable[[Path, Fleet, Tell], Node] = SuperNode,
        every: float = LOOK_SECONDS,
    ) -> None:
        self._folder = folder
        self._tell = tell
        self._make = make
        self._every = every
        self._node: Node | None = None
        self._task: asyncio.Task[None] | None = None
        self._stamp = self._stamped()
        self._wanted = fleet, _digest(fleet)
        self._trouble = ""

    @property
    def state(self) -> dict[str, Any] | None:
        """The node's; None where the device is in no fleet."""
        return None if self._node is None else self._node.state

    async def keep(self) -> None:
        """Go on until cancelled; a node's defect ends it with the node's error."""
        self._begin(self._wanted[0])
        while True:
            if self._task is not None and self._task.done():
                self._task.result()
            await asyncio.sleep(self._every)
            await self._look()

    async def close(self) -> None:
        """End the node."""
        node, task, self._node, self._task = self._node, self._task, None, None
        if node is not None:
            await node.close()
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _begin(self, fleet: Fleet | None) -> None:
        if fleet is not None:
            self._node = self._make(self._folder, fleet, self._tell)
            self._task = asyncio.create_task(self._node.keep(), name="node")

    async def _look(self) -> None:
        if (stamp := self._stamped()) == self._stamp:
            return
        self._stamp = stamp
        try:
            fleet = load_settings(self._folder).fleet
        except MienError as error:
            if self._trouble != str(error):
                self._trouble = str(error)
                self._tell(f"fleet: nothing is changed: {error}")
            return
        self._trouble = ""
        if (wanted := (fleet, _digest(fleet))) == self._wanted:
            return
        self._wanted = wanted
        await self.close()
        self._tell(f"fleet: takes part at {fleet.address}" if fleet else "fleet: left")
        self._begin(fleet)

    def _stamped(self) -> tuple[int, int]:
        with suppress(OSError):
            status = (self._folder / DEVICE_FILE).stat()
            return status.st_ino, status.st_mtime_ns
        return 0, 0


def _digest(fleet: Fleet | None) -> str:
    """Of the files that a node reads when it starts."""
    digest = hashlib.sha256()
    for name in (fleet.root_certificates, fleet.private_key, fleet.certificate) if fleet else ():
        content = b""
        with suppress(OSError):
            content = Path(name).read_bytes() if name else b""
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()
