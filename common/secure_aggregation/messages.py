"""What travels in a secure sum, as bytes by name; whatever does not fit is refused.

1. `Advertisement`: a member's two fresh public keys, signed. To everybody.
2. `SealedShares`: shares of the member's two secrets, encrypted for one other member. The server
   passes them on and can't read them.
3. the masked vector. To the server.
4. `Confirmation`: the member's signature under who is still there. To everybody.
5. `Revealed`: of each member who is gone a share of the pairs' secret, of each who is there a share
   of the own mask's: never both of one member. To the server.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from common.secure_aggregation.session import SecureSumRefused, Session

KEY_BYTES = 32
SIGNATURE_BYTES = 64
ADVERTISE = b"mien secure sum 1: keys"
CONFIRM = b"mien secure sum 1: members"


@dataclass(frozen=True)
class Advertisement:
    """A member's fresh public keys (X25519, raw): for shares and for masks; and the signature."""

    member: int
    sealing: bytes
    masking: bytes
    signature: bytes = field(repr=False)

    @classmethod
    def signed(
        cls, session: Session, member: int, sealing: bytes, masking: bytes, key: Ed25519PrivateKey
    ) -> Advertisement:
        """Sign by the member's identity key."""
        text = _advertised(session, member, sealing, masking)
        return cls(member, sealing, masking, key.sign(text))

    def check(self, session: Session) -> None:
        """Refuse keys that the member of the roster did not sign for this very session.

        Raises:
            SecureSumRefused: signed by another, for another session or head, or malformed.
        """
        sizes = (len(self.sealing), len(self.masking))
        if self.member not in session.roster or sizes != (KEY_BYTES, KEY_BYTES):
            raise SecureSumRefused(f"keys of a member {self.member} that the roster does not know")
        text = _advertised(session, self.member, self.sealing, self.masking)
        _verify(session, self.member, self.signature, text, "keys")


@dataclass(frozen=True)
class SealedShares:
    """Shares of `sender`'s secrets for `receiver`: nonce and AES-256-GCM ciphertext."""

    sender: int
    receiver: int
    sealed: bytes = field(repr=False)


@dataclass(frozen=True)
class Confirmation:
    """A member's signature under the set of members whose masked vectors arrived."""

    member: int
    signature: bytes = field(repr=False)

    @classmethod
    def signed(
        cls, session: Session, member: int, there: Iterable[int], key: Ed25519PrivateKey
    ) -> Confirmation:
        """Sign by the member's identity key."""
        return cls(member, key.sign(_confirmed(session, there)))

    def check(self, session: Session, there: Iterable[int]) -> None:
        """Refuse a signature under another set.

        Raises:
            SecureSumRefused: the server told two members two different things, or it is forged.
        """
        _verify(session, self.member, self.signature, _confirmed(session, there), "confirmation")


@dataclass(frozen=True)
class Revealed:
    """What a member reveals at the end: shares of others' secrets, by member."""

    member: int
    own_masks: Mapping[int, bytes] = field(repr=False)
    pair_secrets: Mapping[int, bytes] = field(repr=False)


def _advertised(session: Session, member: int, sealing: bytes, masking: bytes) -> bytes:
    return ADVERTISE + session.digest + member.to_bytes(4, "big") + sealing + masking


def _confirmed(session: Session, there: Iterable[int]) -> bytes:
    members = b"".join(member.to_bytes(4, "big") for member in sorted(there))
    return CONFIRM + session.digest + members


def _verify(session: Session, member: int, signature: bytes, text: bytes, what: str) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(session.roster[member]).verify(signature, text)
    except (InvalidSignature, KeyError, ValueError) as error:
        raise SecureSumRefused(
            f"the {what} of member {member} are not signed by that member for this session"
        ) from error
