"""A real vault with made-up people and clips, and workers that answer without a model."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from starlette.testclient import TestClient

from client.device.device import Device
from client.recognition.answer import BACKBONE, Answer, Likeness, Moment
from client.vault.records import Clip, ClipArrays, Consent, StoredHead, User
from client.vault.vault import KeyFile, Vault, create_vault, make_key_file
from client.web.app import make_app
from client.web.guard import Session
from common.errors import UsageError, WorkError
from common.expressions import EXPRESSIONS

TOKEN = "t0ken-of-this-start-t0ken-of-this-start"
PORT = 8631
SPEC = "made-up/1"
BASE = f"http://127.0.0.1:{PORT}"
SESSION = Session(TOKEN, PORT)


def new_vault(folder: Path) -> Vault:
    """An empty vault with a key file of its own."""
    folder.mkdir(exist_ok=True)
    make_key_file(folder / "key")
    return create_vault(folder, KeyFile(folder / "key"))


def answer(
    *,
    user: str = "Ada",
    expression: str = "happy",
    confidence: float = 0.8,
    clip: str = "",
    name: str = "clip.mp4",
    final: bool = True,
    warnings: tuple[str, ...] = (),
    moments: int = 6,
) -> Answer:
    """An answer whose other expressions share what is left, unevenly."""
    rest = np.arange(1.0, 8.0)
    rest = rest / rest.sum() * (1 - confidence)
    shares = np.insert(rest, EXPRESSIONS.index(expression), confidence)
    drift = np.linspace(0.2, 1.0, moments)[:, None]
    path = drift * shares + (1 - drift) / 8
    return Answer(
        clip=clip,
        name=name,
        user=user,
        likeness=Likeness(distance=0.3, threshold=0.6, source="its authors", network="made-up/1"),
        expression=expression,
        probabilities=tuple(float(share) for share in shares),
        head=BACKBONE,
        reason="this device has no universal head yet",
        warnings=warnings,
        frames=40,
        with_face=40,
        moments=tuple(
            Moment(
                seconds=0.6 * (index + 1),
                probabilities=tuple(float(share) for share in row),
                box=(0.35, 0.2, 0.65, 0.75),
            )
            for index, row in enumerate(path)
        ),
        seconds=0.9,
        final=final,
    )


def person(vault: Vault, name: str, *, federate: bool = False) -> User:
    """A user whose id is a function of the name."""
    consent = Consent(version=1, given="2026-03-01T10:00:00+00:00", federate=federate)
    user = User(
        id=hashlib.sha256(name.encode()).hexdigest()[:32],
        name=name,
        enrolled="2026-03-01T10:00:00+00:00",
        consent=consent,
    )
    vault.save_user(user)
    return user


def clip(
    vault: Vault, user: User, number: int, *, expression: str = "happy", confidence: float = 0.8
) -> str:
    """A clip in the vault that waits for the user's word; its id."""
    id = hashlib.sha256(f"{user.id} {number}".encode()).hexdigest()[:32]
    told = answer(
        user=user.name,
        expression=expression,
        confidence=confidence,
        clip=id,
        name=f"clip {number}.mp4",
        warnings=("it is rather dark",) if confidence < 0.5 else (),
    )
    vault.add_clip(
        Clip(
            id=id,
            user=user.id,
            name=told.name,
            added="2026-03-02T10:00:00+00:00",
            digest=hashlib.sha256(id.encode()).hexdigest(),
            spec=SPEC,
            answer=told.to_json(),
            guessed=EXPRESSIONS.index(expression),
        ),
        ClipArrays(features=np.full((2, 3), number, dtype=np.float32)),
    )
    return id


def personal_head(vault: Vault, user: User) -> None:
    """A personal head with a comparison, as fitting leaves it."""
    from client.device.due import base_digest

    about = {
        "features": SPEC,
        "base": base_digest(None),
        "personal": True,
        "reason": "9 clips of yours bear it out",
        "comparison": {
            "clips": 9,
            "before": 4,
            "after": 8,
            "better": 4,
            "worse": 0,
            "chance": 0.125,
            "sentence": "of 9 ...",
        },
        "labels": {},
    }
    vault.save_personal(user.id, StoredHead(arrays={"bias": np.zeros(8)}, about=about))


def release(vault: Vault, number: int) -> None:
    """One entry of the ledger."""
    vault.ledger.append(
        {
            "when": f"2026-03-{number + 1:02d}T10:00:00+00:00",
            "federation": "home",
            "run": "7",
            "round": number,
            "stage": "reference" if number == 0 else "head",
            "clips": 12,
            "bytes": 1000 * (number + 1),
            "clip_norm": None if number == 0 else 1.0,
            "noise": None if number == 0 else 0.5,
            "arrays": [{"name": "weight", "shape": [8, 3], "bytes": 96, "sha256": "0" * 64}],
        }
    )


class FakeJobs:
    """Takes clips and answers with what it was told to.

    Attributes:
        taken: (job, all bytes of its clip) of every job.
        result: what a job gives back; None for what a worker would: an answer about a clip, or
            that nothing could be learned.
        events: answers told while a clip comes, one after each piece.
        error: raised instead, once the clip is there.
        unreadable: raised before any piece is taken.
    """

    def __init__(self) -> None:
        self.taken: list[tuple[dict[str, Any], bytes]] = []
        self.result: dict[str, Any] | None = None
        self.events: list[dict[str, Any]] = []
        self.error: Exception | None = None
        self.unreadable = False
        self.closed = False

    async def run(
        self,
        job: Mapping[str, Any],
        *,
        chunks: AsyncIterator[bytes] | None = None,
        on_event: Any = None,
    ) -> dict[str, Any]:
        if self.unreadable:
            raise UsageError("clip.mp4: this is no video")
        content = bytearray()
        waiting = list(self.events)
        if chunks is not None:
            async for piece in chunks:
                content += piece
                if waiting:
                    on_event({"event": "answer", "answer": waiting.pop(0)})
        self.taken.append((dict(job), bytes(content)))
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return self.result if self.result is not None else self._plain_result(job)

    def _plain_result(self, job: Mapping[str, Any]) -> dict[str, Any]:
        if job["do"] != "personalise":
            return answer(clip="a" * 32).to_json()
        return {
            "user": job["user"],
            "head": "universal",
            "personal": False,
            "reason": "there are too few clips",
            "comparison": None,
            "answers_changed": 0,
        }

    async def close(self) -> None:
        self.closed = True


def lost() -> WorkError:
    """What workers say when one of them died."""
    return WorkError("the worker ended before the job was done; please try again")


class Visitor:
    """A browser's tab as far as the guard is concerned: cookie, Origin, CSRF secret.

    Use as a context manager: one event loop serves all requests.
    """

    def __init__(self, device: Device, jobs: FakeJobs, *, entered: bool = True) -> None:
        self.http = TestClient(
            make_app(device, jobs, TOKEN, PORT),
            base_url=BASE,
            follow_redirects=False,
            raise_server_exceptions=False,
        )
        if entered:
            self.http.cookies.set(SESSION.cookie, SESSION.ticket)

    def __enter__(self) -> Visitor:
        self.http.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.http.__exit__(None, None, None)

    def get(self, path: str, *, html: bool = True) -> httpx.Response:
        accept = "text/html" if html else "application/json"
        return self.http.get(path, headers={"accept": accept})

    def post(self, path: str, *, json: bool = False, **fields: str) -> httpx.Response:
        accept = "application/json" if json else "text/html"
        return self.http.post(
            path,
            data={"csrf": SESSION.csrf, **fields},
            headers={"accept": accept, "origin": BASE},
        )

    def send(
        self, method: str, path: str, content: bytes | None = None, json: Any = None
    ) -> httpx.Response:
        headers = {"accept": "application/json", "origin": BASE, "x-mien-csrf": SESSION.csrf}
        return self.http.request(method, path, content=content, json=json, headers=headers)
