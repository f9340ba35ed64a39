"""The process that holds the models: reads jobs from standard input, tells events on the output.

It starts when there is something to do and ends with its input, or after a while without a job.
The data key comes as the first job, so that it is in no argument, environment or file. See
`client.daemon.protocol` for what is said.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import os
import stat
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, cast

from client.daemon.parent import end_with_parent, no_core_dump
from client.daemon.pipe import ClipStream, Pipe
from client.daemon.protocol import (
    JOB_BYTES,
    check_job,
    comes_as_bytes,
    done_event,
    error_event,
    line_of,
    message_of,
)
from common.errors import MienError, UsageError, WorkError

if TYPE_CHECKING:
    from client.recognition.answer import Answer
    from client.recognition.recogniser import Recogniser
    from client.vault.vault import Vault

Source = Path | ClipStream
Told = Callable[[dict[str, Any]], None]


class Tools(Protocol):
    """What a worker can do once it is open; each returns a JSON document."""

    def recognise(
        self, source: Source, job: Mapping[str, Any], on_answer: Told
    ) -> dict[str, Any]: ...

    def enrol(self, sources: Sequence[Source], job: Mapping[str, Any]) -> dict[str, Any]: ...

    def personalise(self, user: str) -> dict[str, Any]: ...

    def close(self) -> None: ...


class VaultTools:
    """The real ones, on one device's vault; models are loaded by the first job that needs them."""

    def __init__(self, folder: Path, data_key: bytes, *, backbone: str, identity: str) -> None:
        from client.vault.vault import Vault

        self._vault: Vault = Vault(folder, data_key)
        self._backbone = backbone
        self._identity = identity
        self._loaded: Recogniser | None = None

    def recognise(self, source: Source, job: Mapping[str, Any], on_answer: Told) -> dict[str, Any]:
        """The answer; a known user's clip is in the vault before this returns."""
        from client.device.work import recognise

        def told(answer: Answer) -> None:
            on_answer(answer.to_json())

        answer = recognise(
            self._vault,
            self._recogniser(),
            cast("Path | BinaryIO", source),
            name=job["name"],
            digest=digest_of(source),
            keep=job["keep"],
            on_answer=told,
        )
        return answer.to_json()

    def enrol(self, sources: Sequence[Source], job: Mapping[str, Any]) -> dict[str, Any]:
        """See `client.device.work.enrol`."""
        from client.device.work import enrol
        from client.vault.records import Consent

        return dict(
            enrol(
                self._vault,
                self._recogniser(),
                job["user"],
                cast("list[Path | BinaryIO]", list(sources)),
                Consent(**job["consent"]),
                names=list(job["names"]),
            )
        )

    def personalise(self, user: str) -> dict[str, Any]:
        """See `client.device.work.personalise`."""
        from client.device.work import personalise

        known = self._vault.user(user)
        if known is None:
            raise UsageError(f"nobody is enrolled here as {user!r}; `mien users` lists who is")
        return dict(personalise(self._vault, known.id))

    def close(self) -> None:
        """Close the vault."""
        self._vault.close()

    def _recogniser(self) -> Recogniser:
        if self._loaded is None:
            from client.recognition.recogniser import Recogniser
            from common.backbones.records import MINI_XCEPTION
            from common.identity.records import DLIB_RESNET

            self._loaded = Recogniser(
                backbone=self._backbone or MINI_XCEPTION.id,
                identity=self._identity or DLIB_RESNET.id,
            )
        return self._loaded


def digest_of(source: Source) -> Any:
    """Hexadecimal SHA-256 of a file's content; for a clip that still arrives, how to get it."""
    if isinstance(source, ClipStream):
        return source.digest
    try:
        if not stat.S_ISREG(source.stat().st_mode):
            raise UsageError(f"{source}: can't be read (it is no file)")
        with source.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"{source}: can't be read ({error.strerror})") from error


def open_tools(job: Mapping[str, Any]) -> Tools:
    """The tools that a job `open` asks for."""
    try:
        data_key = base64.b64decode(job["data_key"], validate=True)
    except (ValueError, binascii.Error) as error:
        raise UsageError("open: data_key is not base64") from error
    return VaultTools(
        Path(job["folder"]), data_key, backbone=job["backbone"], identity=job["identity"]
    )


class Worker:
    """Does jobs, one after another.

    Args:
        pipe: where jobs come from.
        events: where events go.
        opener: makes the tools; tests give their own.
    """

    def __init__(
        self,
        pipe: Pipe,
        events: BinaryIO,
        opener: Callable[[Mapping[str, Any]], Tools] = open_tools,
    ) -> None:
        self._pipe = pipe
        self._events = events
        self._opener = opener
        self._tools: Tools | None = None

    def serve(self, idle: float) -> None:
        """Do jobs until the input ends, or none came for `idle` seconds."""
        while (line := self._pipe.line(JOB_BYTES, idle)) is not None:
            self._serve(line)

    def close(self) -> None:
        """Close what a job has opened."""
        if self._tools is not None:
            self._tools.close()

    def _serve(self, line: bytes) -> None:
        clip: ClipStream | None = None
        try:
            job = check_job(message_of(line))
            clip = ClipStream(self._pipe) if comes_as_bytes(job) else None
            self._tell({"event": "began"})
            event = done_event(self._do(job, clip))
        except MienError as error:
            event = error_event(error)
        except Exception as error:  # noqa: BLE001 - a defect costs this job, not the worker
            traceback.print_exc(limit=-5)
            event = error_event(error)
        self._tell(event)
        if clip is not None:
            self._finish(clip)

    def _do(self, job: Mapping[str, Any], clip: ClipStream | None) -> dict[str, Any]:
        if job["do"] == "open":
            self._tools = self._opener(job)
            return {}
        if self._tools is None:
            raise WorkError("the worker was given a job before it was opened")
        if job["do"] == "recognise":
            source: Source = clip if clip is not None else Path(job["path"])
            return self._tools.recognise(source, job, self._answer)
        if job["do"] == "enrol":
            sources = [clip] if clip is not None else [Path(path) for path in job["paths"]]
            return self._tools.enrol(sources, job)
        if job["do"] == "personalise":
            return self._tools.personalise(job["user"])
        raise UsageError(f"a worker does not do {job['do']!r}")

    def _finish(self, clip: ClipStream) -> None:
        try:
            clip.drain()
        except WorkError:  # cut off: its sender knows, and the next line is a job's
            return

    def _answer(self, answer: dict[str, Any]) -> None:
        self._tell({"event": "answer", "answer": answer})

    def _tell(self, event: Mapping[str, Any]) -> None:
        self._events.write(line_of(event))
        self._events.flush()


def claim_output() -> BinaryIO:
    """Keep standard output for events: whatever libraries print there goes to standard error."""
    events = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return events


def main(
    arguments: Sequence[str] | None = None,
    opener: Callable[[Mapping[str, Any]], Tools] = open_tools,
) -> None:
    """Serve standard input; see the module."""
    parser = argparse.ArgumentParser(prog="mien-worker")
    parser.add_argument("--idle", type=float, default=120.0)
    parser.add_argument("--parent", type=int, default=0)
    given = parser.parse_args(arguments)
    no_core_dump()
    if given.parent:
        end_with_parent(given.parent)
    worker = Worker(Pipe(0), claim_output(), opener)
    with suppress(BrokenPipeError):  # nobody listens any more
        worker.serve(given.idle)
    worker.close()
    # The engines would take a second or two to take themselves apart.
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
