"""The device's rule: which release may take the place of the one it has.

A device pins a fleet, a signing key, a head specification (which names backbone and
preprocessing) and the expressions at its enrolment. From then on it goes forward along one chain
only:

- the next release names the adopted one as its parent and has the next sequence number;
- a gap is closed by links (or releases) of all sequence numbers in between, each signed and each
  naming the one before; without them a newer release is refused, however well it is signed;
- the first release of a device may be any from the `floor` on that the enrolment named, since the
  device has nothing to compare it with;
- what a release names as `next_key` signs all releases after it, and the old key none;
- only the head that is adopted must fit the device: links may be of other specifications.

All is pure: `accept` returns the new state or raises, and whoever holds the state and the
adopted file keeps both until it returns. `to_json` is what to keep.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from common.errors import UsageError
from common.heads.specification import HeadSpecification
from common.releases.container import content_of, opened
from common.releases.errors import (
    Fork,
    Gap,
    RollBack,
    WrongBackbone,
    WrongFleet,
    WrongLabels,
    WrongSpecification,
)
from common.releases.manifest import LAST_SEQUENCE, Manifest
from common.releases.signing import Release, read_manifest, read_release

FORMAT: Final = 1
MOST_LINKS: Final = 10_000
NONE_YET: Final = ""


class Adoption(NamedTuple):
    """A state, the release that led to it, and whether it was adopted already."""

    adopted: Adopted
    release: Release
    repeated: bool


@dataclass(frozen=True, kw_only=True)
class Adopted:
    """What a device trusts, and the last good release.

    Attributes:
        fleet: id.
        key: hex of the Ed25519 public key that must have signed the next release.
        specification: of the head that the device can use.
        expressions: labels in their order.
        floor: least sequence number of a first release.
        sequence: of the adopted release, 0 before there is one.
        sha256: its hash, empty before there is one.
        round: its round, 0 before there is one.
        signer: key that signed it, empty before there is one.
    """

    fleet: str
    key: str
    specification: HeadSpecification
    expressions: tuple[str, ...]
    floor: int = 1
    sequence: int = 0
    sha256: str = NONE_YET
    round: int = 0
    signer: str = NONE_YET

    def __post_init__(self) -> None:
        for key in (self.key, self.signer or self.key):
            public_key(key)
        numbers = (self.floor, self.sequence, self.round)
        if any(type(number) is not int or not 0 <= number <= LAST_SEQUENCE for number in numbers):
            raise UsageError(f"an adopted release's numbers are {numbers}, expected 0 or more")
        if len({self.sequence == 0, self.sha256 == NONE_YET, self.signer == NONE_YET}) > 1:
            raise UsageError("an adopted release has a sequence number, a hash and a signer")

    def accept(self, release: bytes | Path, between: Sequence[bytes | Path] = ()) -> Adoption:
        """The state after `release` is adopted; this state is not changed.

        The adopted release itself is accepted again, so that what was cut short can be repeated.

        Args:
            release: the file or its bytes.
            between: links or releases after the adopted one and before this, in their order.

        Raises:
            ReleaseRefused: the subclass names the reason; keep what you have.
        """
        if len(between) > MOST_LINKS:
            raise Gap(
                f"{len(between)} links are more than {MOST_LINKS}; bring the device forward in "
                "parts, or enrol it again"
            )
        content = release if isinstance(release, bytes) else content_of(release)
        if hashlib.sha256(opened(content).manifest).hexdigest() == self.sha256:
            return Adoption(self, read_release(content, public_key(self.signer)), True)
        state = self
        for link in between:
            state = state._after(read_manifest(_link(link), public_key(state.key)))
        new = read_release(content, public_key(state.key))
        state = state._after(new.manifest)
        self._check_use(new.manifest)
        return Adoption(state, new, False)

    def _after(self, manifest: Manifest) -> Adopted:
        """One step along the chain."""
        self._check_place(manifest)
        return replace(
            self,
            key=manifest.next_key or self.key,
            signer=self.key,
            sequence=manifest.sequence,
            sha256=manifest.sha256,
            round=manifest.round,
        )

    def _check_place(self, manifest: Manifest) -> None:
        found = manifest.sequence
        if manifest.fleet != self.fleet:
            raise WrongFleet(
                f"the release is of fleet {manifest.fleet}, and this device belongs to {self.fleet}"
            )
        if not self.sequence:
            return
        if found < self.sequence:
            raise RollBack(
                f"release {found} is older than release {self.sequence}, which this device has; "
                "it stays with that one"
            )
        if found == self.sequence or (found == self.sequence + 1 and not self._precedes(manifest)):
            raise Fork(
                f"release {found} belongs to another history than release {self.sequence}, which "
                "this device has; tell the fleet's operator"
            )
        if found > self.sequence + 1:
            raise Gap(
                f"release {found} came after release {self.sequence}; fetch the links of releases "
                f"{self.sequence + 1} to {found - 1} too"
            )

    def _precedes(self, manifest: Manifest) -> bool:
        return manifest.parent == self.sha256

    def _check_use(self, manifest: Manifest) -> None:
        """Whether the device can use the head."""
        if not self.sequence and manifest.sequence < self.floor:
            raise RollBack(
                f"release {manifest.sequence} is older than release {self.floor}, the least that "
                "this device was enrolled for"
            )
        own, theirs = self.specification, manifest.specification
        if own.features != theirs.features:
            raise WrongBackbone(
                f"the release is for features of {theirs.features}, and this device makes "
                f"{own.features}; set it up with that backbone, or wait for a release for its own"
            )
        if own != theirs:
            raise WrongSpecification(
                f"the release is a {theirs.kind} head of another size or version than the "
                f"{own.kind} head that this device is set up for; update Mien or the settings"
            )
        if manifest.expressions != self.expressions:
            raise WrongLabels(
                f"the release's expressions are {', '.join(manifest.expressions)}; this device "
                f"knows {', '.join(self.expressions)}, in this order"
            )

    def to_json(self) -> str:
        """What to keep, as one line; keys sorted."""
        return json.dumps({**dataclasses.asdict(self), "format": FORMAT}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Adopted:
        """Inverse of `to_json`.

        Raises:
            UsageError: not JSON, of another format, or a key is missing, unknown or out of range.
        """
        try:
            values = json.loads(text)
            if values.pop("format") != FORMAT:
                raise UsageError("the adopted release's state is of another version of Mien")
            values["specification"] = HeadSpecification(**values["specification"])
            values["expressions"] = tuple(values["expressions"])
            return cls(**values)
        except (TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
            raise UsageError(f"the adopted release's state could not be read: {error}") from error


def public_key(text: str) -> Ed25519PublicKey:
    """An Ed25519 public key from 64 hexadecimal digits.

    Raises:
        UsageError: it is none.
    """
    try:
        if len(text) != 64:
            raise ValueError
        return Ed25519PublicKey.from_public_bytes(bytes.fromhex(text))
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{text!r} is not an Ed25519 public key, expected 64 hexadecimal digits"
        ) from error


def _link(source: bytes | Path) -> bytes:
    return source if isinstance(source, bytes) else content_of(source, tensors=False)
