"""The server's folder of releases: one file each, never changed, in one chain.

`00000012.release` is the twelfth. A file is there wholly or not at all; what a killed server left
half-written is swept away by the next publication. Publishing the same head of the same round again
returns the release that there is, so that a server that was killed between publishing and its own
checkpoint goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from common.errors import WorkError
from common.expressions import EXPRESSIONS
from common.files import private_folder, write_atomically
from common.heads.specification import HeadSpecification
from common.releases.adoption import public_key
from common.releases.container import content_of
from common.releases.errors import Fork, ReleaseRefused, WrongFleet
from common.releases.manifest import NO_PARENT, NOT_PRIVATE, Manifest, PrivacySpent
from common.releases.signing import (
    Draft,
    Release,
    link_of,
    read_manifest,
    read_release,
    sign_release,
)
from server.locks import exclusive

SUFFIX: Final = ".release"
LOCK: Final = ".lock"


class RegistryBroken(WorkError):
    """A release is missing among the others, was changed, or does not follow the one before."""


@dataclass(frozen=True, kw_only=True)
class Publication:
    """What is to be published next; see `common.releases.manifest.Manifest`."""

    specification: HeadSpecification
    arrays: Mapping[str, npt.NDArray[np.float32]]
    round: int
    metrics: Mapping[str, float]
    privacy: PrivacySpent = NOT_PRIVATE
    expressions: tuple[str, ...] = EXPRESSIONS
    next_key: str | None = None


class Head(NamedTuple):
    """The end of the chain: the newest manifest (None: nothing is published), its signer's key, and
    the key that signs the next release; both hex.
    """

    manifest: Manifest | None
    signer: str
    next_key: str


class Registry:
    """Releases of one fleet.

    Args:
        folder: made where it is missing.
        fleet: id.
        first_key: hex of the public key that signs the first release; later ones are named by the
            releases themselves.
    """

    def __init__(self, folder: Path, *, fleet: str, first_key: str) -> None:
        self._folder = private_folder(folder)
        self._fleet = fleet
        self._first_key = first_key

    def history(self) -> list[Manifest]:
        """All manifests, first to last, signatures and chain checked; tensors are not read.

        Raises:
            RegistryBroken: names the first release that does not fit.
        """
        return [manifest for manifest, _ in self._chain()]

    def head(self) -> Head:
        """The newest release, and the keys around it."""
        head = Head(None, self._first_key, self._first_key)
        for manifest, signer in self._chain():
            head = Head(manifest, signer, manifest.next_key or signer)
        return head

    def path(self, sequence: int) -> Path:
        """Where a release is or will be."""
        return self._folder / f"{sequence:08d}{SUFFIX}"

    def read(self, sequence: int) -> Release:
        """A release with its tensors, all checked.

        Raises:
            ReleaseRefused: it is missing or was changed.
            RegistryBroken: one before it was.
        """
        for manifest, key in self._chain():
            if manifest.sequence == sequence:
                return read_release(self.path(sequence), public_key(key))
        raise WorkError(f"there is no release {sequence}; `mien server releases` lists them")

    def links(self, after: int, before: int) -> list[bytes]:
        """What a device at release `after` needs beside release `before`."""
        return [link_of(self._content(sequence)) for sequence in range(after + 1, before)]

    def publish(
        self, what: Publication, key: Ed25519PrivateKey, *, now: datetime | None = None
    ) -> Manifest:
        """Sign and write the next release; waits until it is on the disk.

        Raises:
            WorkError: the key is not the one that the chain names for the next release.
            RegistryBroken: the releases so far are not in order.
            OSError: the folder is full or not writable; nothing is published then.
        """
        with self._locked():
            newest, _, expected = self.head()
            if newest is not None and self._is_again(newest, what):
                return newest
            if key.public_key().public_bytes_raw().hex() != expected:
                raise WorkError(
                    f"the next release must be signed by key {expected[:16]}, and another was given"
                )
            content = sign_release(self._draft(what, now or datetime.now(UTC)), newest, key)
            sequence = newest.sequence + 1 if newest else 1
            write_atomically(self.path(sequence), content)
            return read_manifest(content, key.public_key())

    def _draft(self, what: Publication, now: datetime) -> Draft:
        return Draft(
            fleet=self._fleet,
            specification=what.specification,
            arrays=what.arrays,
            round=what.round,
            created=now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            expressions=what.expressions,
            metrics=what.metrics,
            privacy=what.privacy,
            next_key=what.next_key,
        )

    def _is_again(self, newest: Manifest, what: Publication) -> bool:
        """Whether `what` is what was published last: the same head of the same round."""
        same = (newest.round, newest.specification, newest.next_key) == (
            what.round,
            what.specification,
            what.next_key,
        )
        if not same:
            return False
        there = self.read(newest.sequence).arrays
        return set(there) == set(what.arrays) and all(
            np.array_equal(array, what.arrays[name]) for name, array in there.items()
        )

    def _chain(self) -> Iterator[tuple[Manifest, str]]:
        """Manifests with the key that signed each."""
        parent, key = NO_PARENT, self._first_key
        numbers = sorted(int(path.stem) for path in self._folder.glob(f"[0-9]*{SUFFIX}"))
        for place, number in enumerate(numbers, start=1):
            if number != place:
                raise RegistryBroken(
                    f"{self.path(place)} is missing; bring it back from a copy of the folder"
                )
            manifest = self._checked(number, parent, key)
            yield manifest, key
            parent, key = manifest.sha256, manifest.next_key or key

    def _checked(self, number: int, parent: str, key: str) -> Manifest:
        try:
            manifest = read_manifest(self._content(number), public_key(key))
            if (manifest.sequence, manifest.parent) != (number, parent):
                raise Fork(f"release {number} does not follow the one before")
            if manifest.fleet != self._fleet:
                raise WrongFleet(f"release {number} is of fleet {manifest.fleet}")
        except ReleaseRefused as error:
            raise RegistryBroken(
                f"{self.path(number)} is not in order ({error}); bring it back from a copy"
            ) from error
        return manifest

    def _content(self, sequence: int) -> bytes:
        return content_of(self.path(sequence), tensors=False)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One publication at a time; sweeps what a killed one left."""
        with exclusive(self._folder / LOCK):
            for left in self._folder.glob(f".*{SUFFIX}.*.tmp"):
                left.unlink(missing_ok=True)
            yield
