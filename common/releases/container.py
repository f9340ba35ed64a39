"""A release as one file: a header of fixed length, the manifest, the tensors.

| bytes | what |
|---|---|
| 8 | `MIENREL1`, or `MIENLNK1` for a link, which has no tensors |
| 32 | Ed25519 public key of the signer |
| 64 | Ed25519 signature (RFC 8032) of `mien-release/1`, a zero byte and the manifest |
| 4 | length of the manifest, big-endian |
| 4 | length of the tensors, big-endian; 0 in a link |
| | the manifest, canonical JSON |
| | the tensors, safetensors |

A link proves a release's place in the chain without its tensors: devices that were away for long
need the links in between only. Nothing in a file is looked at before its signature is.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from common.releases.errors import NotARelease, Tampered, WrongKey
from common.releases.manifest import MOST_MANIFEST_BYTES, MOST_TENSOR_BYTES

RELEASE_MAGIC: Final = b"MIENREL1"
LINK_MAGIC: Final = b"MIENLNK1"
_CONTEXT: Final = b"mien-release/1\0"
_HEADER: Final = struct.Struct(">8s32s64sII")
MOST_BYTES: Final = _HEADER.size + MOST_MANIFEST_BYTES + MOST_TENSOR_BYTES


@dataclass(frozen=True)
class Container:
    """The parts of a file, none of them believed yet."""

    key: bytes
    signature: bytes = field(repr=False)
    manifest: bytes = field(repr=False)
    tensors: bytes | None = field(repr=False)

    def to_bytes(self) -> bytes:
        """The file."""
        magic = LINK_MAGIC if self.tensors is None else RELEASE_MAGIC
        tensors = self.tensors or b""
        lengths = len(self.manifest), len(tensors)
        return _HEADER.pack(magic, self.key, self.signature, *lengths) + self.manifest + tensors

    def check(self, key: Ed25519PublicKey) -> None:
        """Hold the manifest against the pinned key.

        Raises:
            WrongKey: another key signed it.
            Tampered: the signature does not fit.
        """
        if self.key != key.public_bytes_raw():
            raise WrongKey(
                f"the release is signed by key {self.key.hex()[:16]}, and the pinned one is "
                f"{key.public_bytes_raw().hex()[:16]}; ask the fleet's operator whether the key "
                "was changed"
            )
        try:
            key.verify(self.signature, _CONTEXT + self.manifest)
        except InvalidSignature:
            raise Tampered(
                "the release's signature does not fit; it was changed on its way, fetch it again"
            ) from None


def sealed(manifest: bytes, tensors: bytes, key: Ed25519PrivateKey) -> Container:
    """A signed release."""
    signature = key.sign(_CONTEXT + manifest)
    return Container(key.public_key().public_bytes_raw(), signature, manifest, tensors)


def opened(content: bytes) -> Container:
    """The parts of a release or link.

    Raises:
        NotARelease: too short, too long, or not of this form.
    """
    if len(content) < _HEADER.size or len(content) > MOST_BYTES:
        raise NotARelease(
            f"{len(content)} bytes are not a release, which has {_HEADER.size} to {MOST_BYTES}"
        )
    magic, key, signature, manifest, tensors = _HEADER.unpack_from(content)
    if magic not in (RELEASE_MAGIC, LINK_MAGIC):
        raise NotARelease("the file does not start as a release of this version of Mien does")
    wanted = _HEADER.size + manifest + tensors
    if manifest > MOST_MANIFEST_BYTES or wanted != len(content):
        raise NotARelease(
            f"the release is cut short or has something added: {len(content)} bytes, {wanted} told"
        )
    if magic == LINK_MAGIC and tensors:
        raise NotARelease("a link between releases has no tensors, and this one has")
    end = _HEADER.size + manifest
    body = None if magic == LINK_MAGIC else content[end:]
    return Container(key, signature, content[_HEADER.size : end], body)


def content_of(path: Path, *, tensors: bool = True) -> bytes:
    """A release's bytes out of a file, never more of it than a release may have.

    Args:
        path: of a release or link.
        tensors: False reads the release as a link, without reading its tensors.

    Raises:
        NotARelease: the file is missing, unreadable or too large.
    """
    try:
        with path.open("rb") as file:
            if tensors:
                return file.read(MOST_BYTES + 1)
            header = file.read(_HEADER.size)
            if len(header) < _HEADER.size:
                return header
            magic, key, signature, manifest, _ = _HEADER.unpack(header)
            body = file.read(min(manifest, MOST_MANIFEST_BYTES + 1))
    except OSError as error:
        raise NotARelease(f"{path.name} can't be read as a release: {error.strerror}") from error
    start = LINK_MAGIC if magic == RELEASE_MAGIC else magic
    return _HEADER.pack(start, key, signature, manifest, 0) + body
