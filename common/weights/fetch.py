"""Downloads of weight files: resumed where they stopped, and in place only once checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import IO, Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, ProxyHandler, Request, build_opener

from common.errors import MienError, UsageError, WorkError
from common.weights.files import CHUNK, LARGEST, WeightsFile
from common.weights.locks import exclusive
from common.weights.store import State, WeightsStore

Progress = Callable[[int, int], None]
"""Told (bytes there, bytes in all); the second is 0 where the server does not say."""

_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
# The part of a source that a mirror stands for, up to the commit, the release or the version.
_PINNED: Final = re.compile(
    r"https://raw\.githubusercontent\.com/[^/]+/[^/]+/[^/]+"
    r"|https://github\.com/[^/]+/[^/]+/releases/download/[^/]+"
    r"|https://storage\.googleapis\.com/mediapipe-models/[^/]+/[^/]+/[^/]+/[^/]+"
)


class _Unreachable(Exception):
    """One location did not give the file; the sentence says why."""


def fetch(
    file: WeightsFile,
    store: WeightsStore,
    *,
    mirrors: Sequence[str] = (),
    progress: Progress | None = None,
    timeout: float = 30.0,
) -> Path:
    """Download a file into the store unless the right one is there; returns its place.

    With `mirrors`, these are tried in their order instead of the source: each takes the place of
    the source's URL up to its commit or release. What a stopped download left is taken up again.
    Of several processes one downloads and the others wait for it.

    Args:
        file: what to fetch.
        store: where to put it.
        mirrors: https URLs; plain http only to this machine.
        progress: called for every piece that arrives.
        timeout: seconds without a byte after which a location is given up.

    Raises:
        UsageError: a mirror is not a URL of that kind.
        WorkError: no location gives the right file, or the store can't be written.
    """
    locations = [mirrored(file.source, mirror) for mirror in mirrors] or [_checked(file.source)]
    if store.verify(file).state is State.RIGHT:
        return store.path(file)
    store.make_folder()
    with exclusive(store.folder / f".{file.name}.lock"):
        if store.verify(file).state is State.RIGHT:
            return store.path(file)
        download = _Download(file, store, progress or _silent, timeout)
        return download.from_first(locations)


def mirrored(source: str, mirror: str) -> str:
    """The URL of a source's file at a mirror.

    >>> mirrored("https://raw.githubusercontent.com/owner/name/abc/models/b0.onnx",
    ...          "https://mirror.example/weights/")
    'https://mirror.example/weights/models/b0.onnx'

    Raises:
        UsageError: `mirror` is no https URL, or has a user, a query or a fragment.
    """
    parts = urlsplit(mirror)
    if parts.username is not None or parts.query or parts.fragment:
        raise UsageError("--mirror must be a plain https URL, without user, query or fragment")
    pinned = _PINNED.match(source)
    path = source[pinned.end() :] if pinned else urlsplit(source).path
    return _checked(mirror.rstrip("/") + path)


class _Download:
    """One file's way into the store; the caller holds the file's lock."""

    def __init__(
        self, file: WeightsFile, store: WeightsStore, progress: Progress, timeout: float
    ) -> None:
        self._file = file
        self._store = store
        self._progress = progress
        self._timeout = timeout
        self._limit = file.size or LARGEST
        self._part = store.folder / f".{file.name}.part"

    def from_first(self, locations: Sequence[str]) -> Path:
        """Try locations until one gives the right file."""
        reasons = []
        for url in locations:
            try:
                return self._attempt(url)
            except _Unreachable as reason:
                reasons.append(str(reason))
        raise WorkError(
            f"{self._file.name} was not fetched: {'; '.join(reasons)}; try again, or get the file "
            f"elsewhere and run `mien weights import FILE`"
        )

    def _attempt(self, url: str) -> Path:
        resumed = self._stopped_at() > 0
        self._transfer(url)
        try:
            self._file.check(self._part)
        except WorkError as error:
            self._drop_part()
            if resumed:  # what an earlier run had left may be what is wrong
                return self._attempt(url)
            told = str(error).replace(str(self._part), url)
            raise _Unreachable(told) from error
        return self._store.place(self._part, self._file)

    def _transfer(self, url: str) -> None:
        """Bring the part to its full length."""
        start = self._stopped_at()
        if start > self._limit:
            self._drop_part()
            start = 0
        try:
            with self._open(url, start) as answer:
                if start and not _continues(answer, start):
                    start = 0 if answer.status == 200 else -1
                if start >= 0:
                    self._receive(answer, start)
                    return
        except HTTPError as error:
            error.close()
            if error.code != 416 or not start:
                raise _Unreachable(f"{url} answered {error.code} {error.reason}") from error
            return  # nothing is left to send: the part is complete, or wrong, as the check will say
        except (OSError, HTTPException, UnicodeError) as error:
            raise _Unreachable(_unreachable(url, error)) from error
        self._drop_part()
        self._transfer(url)

    def _open(self, url: str, start: int) -> Any:
        headers = {"User-Agent": "mien", "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        return _opener(url).open(Request(url, headers=headers), timeout=self._timeout)

    def _receive(self, answer: HTTPResponse, start: int) -> None:
        declared = answer.headers.get("Content-Length", "")
        total = start + int(declared) if declared.isdecimal() else 0
        if total > self._limit:
            raise _Unreachable(
                f"{answer.url} would send {total} bytes, expected at most {self._limit}"
            )
        done = start
        with self._open_part(start) as part:
            while piece := answer.read1(CHUNK):
                done += len(piece)
                if done > self._limit:
                    self._drop_part()
                    raise _Unreachable(f"{answer.url} sends more than {self._limit} bytes")
                self._write(part, piece)
                self._progress(done, total or (self._file.size or 0))
        if done < total:
            raise _Unreachable(f"{answer.url} ended after {done} of {total} bytes")

    def _stopped_at(self) -> int:
        """Bytes that an earlier download left."""
        try:
            return self._part.stat().st_size
        except FileNotFoundError:
            return 0

    def _open_part(self, start: int) -> IO[bytes]:
        try:
            # Without a buffer: what is received is what a killed process leaves.
            return self._part.open("ab" if start else "wb", buffering=0)
        except OSError as error:
            raise WorkError(f"{self._part}: can't be written ({error.strerror})") from error

    def _write(self, part: IO[bytes], piece: bytes) -> None:
        view = memoryview(piece)
        try:
            while view:
                view = view[part.write(view) :]
        except OSError as error:
            raise WorkError(
                f"{self._part}: can't be written ({error.strerror}); make room there or name "
                "another folder with --folder"
            ) from error

    def _drop_part(self) -> None:
        self._part.unlink(missing_ok=True)


class _Redirects(HTTPRedirectHandler):
    """Follows redirects as `_checked` allows them, and never from outside to this machine."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> Request | None:
        """Refuse what the first URL could not have been."""
        try:
            _checked(newurl)
        except MienError as error:
            raise URLError(f"redirects to {newurl}, which is not https") from error
        if _local(newurl) and not _local(req.full_url):
            raise URLError("redirects to this machine")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(url: str) -> OpenerDirector:
    # A proxy has no business between this machine and itself.
    return build_opener(_Redirects, *([ProxyHandler({})] if _local(url) else []))


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable or not (parts.scheme == "https" or (parts.scheme == "http" and _local(url))):
        raise UsageError(f"{url!r} is no https URL; weights are fetched over https only")
    return url


def _local(url: str) -> bool:
    return urlsplit(url).hostname in _LOOPBACK


def _continues(answer: HTTPResponse, start: int) -> bool:
    """Whether the server goes on where the part ends; some answer a range with the whole file."""
    span = answer.headers.get("Content-Range", "")
    return answer.status == 206 and span.startswith(f"bytes {start}-")


def _unreachable(url: str, error: Exception) -> str:
    reason = error.reason if isinstance(error, URLError) else error
    told = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    return f"{urlsplit(url).hostname} can't be reached ({told})"


def _silent(_done: int, _total: int) -> None:
    """Progress that nobody asked for."""
