"""A worker without models: what a clip says decides what becomes of it.

The real worker's program with other tools. Recognised clips are kept in the real vault.
"""

from __future__ import annotations

import base64
import hashlib
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from client.daemon.worker import Source, Told, digest_of, main
from client.vault.records import Clip, ClipArrays
from client.vault.vault import Vault, new_id
from common.errors import UsageError, WorkError

CRASH, SLOW, BROKEN, DEFECT, GUEST, HANG = (
    b"crash",
    b"slow",
    b"broken",
    b"defect",
    b"guest",
    b"hang",
)
SLOW_SECONDS = 1.0


class FakeTools:
    def __init__(self, folder: Path, data_key: bytes) -> None:
        self._vault = Vault(folder, data_key)

    def recognise(self, source: Source, job: Mapping[str, Any], on_answer: Told) -> dict[str, Any]:
        print("noise of a library on standard output")
        content = self._content(source, on_answer)
        for start, act in ACTS.items():
            if content.startswith(start):
                act()
        digest = digest_of(source)
        if callable(digest):
            digest = digest()
        assert digest == hashlib.sha256(content).hexdigest()
        kept = self._keep(job["name"], digest) if not content.startswith(GUEST) else ""
        return {"clip": kept, "name": job["name"], "bytes": len(content), "process": os.getpid()}

    def enrol(self, sources: Sequence[Source], job: Mapping[str, Any]) -> dict[str, Any]:
        sizes = [len(self._content(source, lambda _: None)) for source in sources]
        return {"user": job["user"], "sizes": sizes, "names": job["names"]}

    def personalise(self, user: str) -> dict[str, Any]:
        self._vault.set_setting("personalised", [*self._vault.setting("personalised", []), user])
        return {"user": user}

    def close(self) -> None:
        self._vault.close()

    def _content(self, source: Source, on_answer: Told) -> bytes:
        if isinstance(source, Path):
            on_answer({"bytes": 0})
            return source.read_bytes()
        content = b""
        while part := source.read(50_000):
            content += part
            on_answer({"bytes": len(content)})
            if content.startswith(BROKEN):
                break
        return content

    def _keep(self, name: str, digest: str) -> str:
        users = self._vault.users()
        if not users:
            return ""
        id = new_id()
        clip = Clip(
            id=id,
            user=users[0].id,
            name=name,
            added="2026-01-01T00:00:00+00:00",
            digest=digest,
            spec="made-up",
            answer={},
            guessed=0,
        )
        self._vault.add_clip(clip, ClipArrays(features=np.zeros((1, 4), np.float32)))
        return id


def _crash() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _broken() -> None:
    raise UsageError("this clip is broken")


def _defect() -> None:
    raise ZeroDivisionError("a defect")


ACTS: dict[bytes, Callable[[], None]] = {
    CRASH: _crash,
    BROKEN: _broken,
    DEFECT: _defect,
    SLOW: lambda: time.sleep(SLOW_SECONDS),
    HANG: lambda: time.sleep(1000),
}


def open_fake(job: Mapping[str, Any]) -> FakeTools:
    if job["backbone"] == "refused":
        raise WorkError("these networks can't be loaded")
    return FakeTools(Path(job["folder"]), base64.b64decode(job["data_key"]))


if __name__ == "__main__":
    main(opener=open_fake)
