"""Takes what comes into the inboxes, and lets users' heads be fitted when that is due."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from client.daemon.inbox import Found, Inbox
from client.daemon.protocol import LONGEST_NAME, Job
from client.device.due import base_digest, feature_spec, is_due, labels_of, usable_universal
from client.device.names import printable
from client.vault.records import Clip, User
from client.vault.vault import VAULT_FILE, Vault
from common.errors import MienError, UsageError

POLL_SECONDS: Final = 2.0
LEARN_SECONDS: Final = 4.0
"""Between looks at what is due, each of which decrypts the labels."""
LEARN_ANYWAY_SECONDS: Final = 30.0
"""After which that is looked at though the vault's files look the same: their clocks are coarse."""
NAMED_AT_MOST: Final = 50
_HASHED_AT_ONCE: Final = 1024 * 1024
Tell = Callable[[str], None]
VaultStamp = tuple[tuple[int, int], ...]


class RunsJobs(Protocol):
    """`client.daemon.workers.Workers`, as far as it is needed here."""

    async def run(self, job: Job) -> dict[str, Any]: ...


@dataclass
class Counts:
    """What became of the files so far."""

    recognised: int = 0
    guests: int = 0
    known: int = 0
    refused: int = 0
    personalised: int = 0


class Taker:
    """Watches inboxes, one clip after another.

    Whose clip it was, and that there was a guest's, is remembered in memory only.

    Args:
        vault: the device's, used from the event loop's thread.
        workers: do the work.
        inboxes: to watch.
        tell: told a sentence about each file that can't be used.
        naming: whether these sentences name the file; not where they go to a log that is kept, a
            guest's file may be called by the guest's name.
    """

    def __init__(
        self,
        vault: Vault,
        workers: RunsJobs,
        inboxes: Sequence[Inbox],
        tell: Tell,
        *,
        naming: bool = True,
    ) -> None:
        self.counts = Counts()
        self.problems: deque[dict[str, str]] = deque(maxlen=NAMED_AT_MOST)
        self.waiting = 0
        self._vault = vault
        self._workers = workers
        self._inboxes = inboxes
        self._tell = tell
        self._naming = naming
        self._ending = threading.Event()
        self._unreadable: dict[Path, str] = {}
        self._learnt_at = -LEARN_SECONDS
        self._seen: VaultStamp = ()
        self._tried: dict[str, tuple[dict[str, int], str]] = {}

    async def watch(self) -> None:
        """Go on until cancelled or `end`ed."""
        while not self._ending.is_set():
            for inbox in self._inboxes:
                found = await self._look(inbox)
                self.waiting = len(found)
                for each in found:
                    await self._take(inbox, each)
                    self.waiting -= 1
            await self.learn()
            await asyncio.sleep(POLL_SECONDS)

    def end(self) -> None:
        """Take no more clips; what fails from now on is not the clip's fault."""
        self._ending.set()

    async def _look(self, inbox: Inbox) -> list[Found]:
        try:
            found = await asyncio.to_thread(inbox.look, time.monotonic())
        except MienError as error:
            if self._unreadable.get(inbox.folder) != str(error):
                self._unreadable[inbox.folder] = str(error)
                self._tell(str(error))
            return []
        self._unreadable.pop(inbox.folder, None)
        return found

    async def _take(self, inbox: Inbox, found: Found) -> None:
        if self._ending.is_set():
            return
        try:
            if found.reason:
                raise UsageError(found.reason)
            digest = await asyncio.to_thread(file_digest, found.path, self._ending)
            if self._vault.clip_by_digest(digest) is not None:
                self.counts.known += 1
                return
            job = {"do": "recognise", "path": str(found.path), "name": clean_name(found.path)}
            self._count(await self._workers.run(job))
        except MienError as error:
            if not self._ending.is_set():
                self._refuse(found.path, str(error))
        await self.learn()

    def _count(self, answer: dict[str, Any]) -> None:
        self.counts.recognised += 1
        self.counts.guests += not answer.get("clip")

    def _refuse(self, path: Path, text: str) -> None:
        self.counts.refused += 1
        name = clean_name(path)
        self.problems.append({"file": name, "text": text})
        if self._naming:
            self._tell(text if name in text else f"{name}: {text}")
        else:
            self._tell("a file in an inbox can't be used; `mien device status` says which and why")

    async def learn(self) -> None:
        """Fit the heads for which that is due, once the vault has been left alone for a moment."""
        now = time.monotonic()
        if now - self._learnt_at < LEARN_SECONDS or self._ending.is_set():
            return
        stamp = vault_stamp(self._vault.folder)
        if stamp == self._seen and now - self._learnt_at < LEARN_ANYWAY_SECONDS:
            return
        self._learnt_at, self._seen = now, stamp
        try:
            for user in self._vault.users():
                if not self._ending.is_set() and is_due(self._vault, user.id):
                    await self._personalise(user)
        except MienError as error:
            self._tell(f"whose head is due could not be seen: {error}")

    async def _personalise(self, user: User) -> None:
        """Once for the same labels and base: a head that was not worth keeping stays due."""
        labels = self._vault.clips(user=user.id, labelled=True)
        occasion = _occasion(self._vault, labels)
        if self._tried.get(user.id) == occasion:
            return
        self._tried[user.id] = occasion
        try:
            await self._workers.run({"do": "personalise", "user": user.name})
            self.counts.personalised += 1
        except MienError as error:
            if not self._ending.is_set():
                why = str(error) if self._naming else "`mien users` says more"
                self._tell(f"a personal head could not be fitted: {why}")


def _occasion(vault: Vault, clips: tuple[Clip, ...]) -> tuple[dict[str, int], str]:
    spec = feature_spec(vault)
    base = usable_universal(vault, spec) if spec is not None else None
    return labels_of(clips, spec), base_digest(base)


def vault_stamp(folder: Path) -> VaultStamp:
    """Changes whenever something was written to the vault, by whatever process."""
    stamps = []
    for name in (VAULT_FILE, f"{VAULT_FILE}-wal"):
        try:
            status = (folder / name).stat()
            stamps.append((status.st_size, status.st_mtime_ns))
        except OSError:
            stamps.append((0, 0))
    return tuple(stamps)


def clean_name(path: Path) -> str:
    """A file's name as text that can be shown and kept, whatever bytes it is made of."""
    shown = printable(path.name)[:LONGEST_NAME]
    return shown if shown.strip() else "?"


def file_digest(path: Path, ending: threading.Event) -> str:
    """Hexadecimal SHA-256 of a file's content.

    Raises:
        UsageError: it can't be read, or the daemon ends meanwhile.
    """
    told = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while part := file.read(_HASHED_AT_ONCE):
                told.update(part)
                if ending.is_set():
                    raise UsageError("the device is being ended")
    except OSError as error:
        raise UsageError(f"{clean_name(path)}: can't be read ({error.strerror})") from error
    return told.hexdigest()
