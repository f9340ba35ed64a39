"""Making a release out of a head, and reading one back under a pinned key."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from safetensors import SafetensorError
from safetensors.numpy import load, save

from common.errors import UsageError
from common.expressions import EXPRESSIONS
from common.heads.specification import HeadSpecification
from common.releases.container import Container, content_of, opened, sealed
from common.releases.errors import BadArrays, NotARelease, Tampered
from common.releases.manifest import (
    MOST_MANIFEST_BYTES,
    NO_PARENT,
    NOT_PRIVATE,
    Manifest,
    PrivacySpent,
)

Arrays = Mapping[str, npt.NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What is to be published; attributes as in `Manifest`, arrays as in a universal head."""

    fleet: str
    specification: HeadSpecification
    arrays: Arrays = field(repr=False)
    round: int
    created: str
    expressions: tuple[str, ...] = EXPRESSIONS
    metrics: Mapping[str, float] = field(default_factory=dict)
    privacy: PrivacySpent = NOT_PRIVATE
    next_key: str | None = None


@dataclass(frozen=True)
class Release:
    """A release whose signature and checksums fit.

    Attributes:
        manifest: as signed.
        arrays: all arrays of the head, float32, finite, of the specification's shapes.
    """

    manifest: Manifest
    arrays: Arrays = field(repr=False)

    @property
    def sha256(self) -> str:
        """The release's hash."""
        return self.manifest.sha256


def sign_release(draft: Draft, parent: Manifest | None, key: Ed25519PrivateKey) -> bytes:
    """The file of the release that follows `parent` (None: the fleet's first).

    Raises:
        UsageError: a value out of its range, or a manifest that is too long.
        BadArrays: the arrays are not those of the specification.
    """
    _check_arrays(draft.specification, draft.arrays)
    tensors = save({name: np.ascontiguousarray(array) for name, array in draft.arrays.items()})
    manifest = Manifest(
        fleet=draft.fleet,
        sequence=parent.sequence + 1 if parent else 1,
        round=draft.round,
        parent=parent.sha256 if parent else NO_PARENT,
        specification=draft.specification,
        expressions=draft.expressions,
        tensors_sha256=hashlib.sha256(tensors).hexdigest(),
        tensors_bytes=len(tensors),
        created=draft.created,
        metrics=draft.metrics,
        privacy=draft.privacy,
        next_key=draft.next_key,
    ).to_bytes()
    if len(manifest) > MOST_MANIFEST_BYTES:
        raise UsageError(
            f"a release's manifest has {len(manifest)} bytes, at most {MOST_MANIFEST_BYTES} may be"
        )
    return sealed(manifest, tensors, key).to_bytes()


def read_release(source: bytes | Path, key: Ed25519PublicKey) -> Release:
    """A release, if the pinned key signed it and its tensors are what the manifest says.

    Raises:
        ReleaseRefused: the subclass names the reason.
    """
    container = opened(source if isinstance(source, bytes) else content_of(source))
    if container.tensors is None:
        raise NotARelease("a link between releases has no head; the release itself is needed")
    manifest = _manifest(container, key)
    tensors = container.tensors
    if len(tensors) != manifest.tensors_bytes or (
        hashlib.sha256(tensors).hexdigest() != manifest.tensors_sha256
    ):
        raise Tampered(
            "the release's tensors are not those that were signed; fetch the release again"
        )
    return Release(manifest, _arrays(tensors, manifest.specification))


def read_manifest(content: bytes, key: Ed25519PublicKey) -> Manifest:
    """The manifest of a release or link, if the pinned key signed it; tensors are not looked at.

    Raises:
        NotARelease, WrongKey, Tampered: it is none, or another key's, or was changed.
    """
    return _manifest(opened(content), key)


def link_of(content: bytes) -> bytes:
    """A release without its tensors, as proof of its place in the chain.

    Raises:
        NotARelease: `content` is none.
    """
    parts = opened(content)
    return Container(parts.key, parts.signature, parts.manifest, None).to_bytes()


def _manifest(container: Container, key: Ed25519PublicKey) -> Manifest:
    container.check(key)
    try:
        return Manifest.from_bytes(container.manifest)
    except UsageError as error:
        raise NotARelease(str(error)) from error


def _arrays(tensors: bytes, specification: HeadSpecification) -> Arrays:
    try:
        arrays = load(tensors)
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise BadArrays(f"the release's tensors are not safetensors of floats: {error}") from error
    _check_arrays(specification, arrays)
    return {name: arrays[name] for name in specification.all_shapes()}


def _check_arrays(specification: HeadSpecification, arrays: Mapping[str, object]) -> None:
    shapes = specification.all_shapes()
    if set(arrays) != set(shapes):
        raise BadArrays("the release's arrays are not exactly those of its head's specification")
    for name, shape in shapes.items():
        array = arrays[name]
        if type(array) is not np.ndarray or array.dtype != np.float32 or array.shape != shape:
            raise BadArrays(f"the release's array {name} is not float32 of shape {shape}")
        if not np.isfinite(array).all():
            raise BadArrays(f"the release's array {name} has a value that is not finite")
