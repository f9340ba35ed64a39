"""Why a release is refused: one class per reason, each with one sentence."""

from __future__ import annotations

from common.errors import WorkError


class ReleaseRefused(WorkError):
    """Base of all reasons; the device keeps the release that it has."""


class NotARelease(ReleaseRefused):
    """The bytes do not have a release's form, or are more than one may have."""


class Tampered(ReleaseRefused):
    """The signature or a checksum does not fit the bytes."""


class WrongKey(ReleaseRefused):
    """Signed by another key than the pinned one."""


class WrongFleet(ReleaseRefused):
    """Of another fleet."""


class WrongSpecification(ReleaseRefused):
    """A head of another kind or size."""


class WrongBackbone(ReleaseRefused):
    """A head for features of another backbone or preprocessing."""


class WrongLabels(ReleaseRefused):
    """Other expressions, or the same in another order."""


class BadArrays(ReleaseRefused):
    """The tensors are not exactly the head's arrays, float32 and finite."""


class RollBack(ReleaseRefused):
    """Older than what was adopted."""


class Fork(ReleaseRefused):
    """Another history than the one that was adopted."""


class Gap(ReleaseRefused):
    """Newer than the next one, and the releases in between are missing."""
