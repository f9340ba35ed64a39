"""A member of a secure sum, step by step. Each step is taken once; a refusal ends the session.

The member never sends the vector without both masks, never reveals both masks of anybody, and
reveals nothing unless `threshold` members have signed the same list of who is there.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from common.secure_aggregation import masks, shamir
from common.secure_aggregation.encoding import Ring, Vector, encode
from common.secure_aggregation.messages import Advertisement, Confirmation, Revealed, SealedShares
from common.secure_aggregation.session import SecureSumRefused, Session

NONCE_BYTES: Final = 12
STEPS: Final = ("advertise", "share", "mask", "confirm", "reveal", "end")


@dataclass
class Member:
    """One member's secrets and state; `number` is the place in the roster.

    Attributes:
        session: what all agreed on, as this device sees it.
        number: of this member.
        identity: key whose public half the roster has.
    """

    session: Session
    number: int
    identity: Ed25519PrivateKey = field(repr=False)
    step: str = STEPS[0]
    _sealing: X25519PrivateKey = field(default_factory=X25519PrivateKey.generate, repr=False)
    _masking: X25519PrivateKey = field(default_factory=X25519PrivateKey.generate, repr=False)
    _own_seed: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    _keys: Mapping[int, Advertisement] = field(default_factory=dict, repr=False)
    _shares: Mapping[int, SealedShares] = field(default_factory=dict, repr=False)
    _own_share: bytes = field(default=b"", repr=False)
    _there: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        """Refuse a session whose roster has another key for this member."""
        own = self.identity.public_key().public_bytes_raw()
        if self.session.roster.get(self.number) != own:
            raise SecureSumRefused("the roster has another identity key for this member")

    def advertise(self) -> Advertisement:
        """Step 1: two fresh public keys."""
        self._take("advertise")
        sealing, masking = (_raw_public(key) for key in (self._sealing, self._masking))
        return Advertisement.signed(self.session, self.number, sealing, masking, self.identity)

    def share(self, advertised: Sequence[Advertisement]) -> list[SealedShares]:
        """Step 2: shares of both secrets for each of the others who advertised.

        Raises:
            SecureSumRefused: too few, the same key twice, a forged key, or this member's changed.
        """
        self._take("share")
        keys = {each.member: each for each in advertised}
        public = [key for each in advertised for key in (each.sealing, each.masking)]
        if len(keys) != len(advertised) or len(set(public)) != len(public):
            raise SecureSumRefused("two of the keys that were advertised are the same")
        for each in advertised:
            each.check(self.session)
        mine = keys.get(self.number)
        if mine is None or mine.masking != _raw_public(self._masking):
            raise SecureSumRefused("this member's own keys are missing or changed")
        self._enough(keys, "keys")
        self._keys = keys
        threshold = self.session.threshold
        pairs = shamir.split(self._masking.private_bytes_raw(), keys, threshold)
        own = shamir.split(self._own_seed, keys, threshold)
        self._own_share = own[self.number]
        return [
            self._sealed(other, pairs[other] + own[other]) for other in keys if other != self.number
        ]

    def mask(self, incoming: Sequence[SealedShares], values: Vector) -> Ring:
        """Step 3: the vector under both masks, (length,).

        Args:
            incoming: what the others sealed for this member; who sent nothing has left.
            values: (length,) real numbers.

        Raises:
            SecureSumRefused: too few others, or shares that are not from those who advertised.
        """
        self._take("mask")
        shares = {each.sender: each for each in incoming}
        strange = [each for each in incoming if not self._from_another(each)]
        if strange or len(shares) != len(incoming):
            raise SecureSumRefused("shares came twice, for another member or from a stranger")
        for each in incoming:
            self._opened(each)
        self._shares = shares
        self._enough({self.number, *shares}, "shares")
        total = encode(self.session, values).copy()
        total += masks.stream(self.session, self._own_seed, masks.SELF)
        for other in shares:
            mask = masks.stream(self.session, self._agreed(other), masks.PAIR)
            total += mask if other > self.number else -mask
        return total

    def confirm(self, there: Sequence[int]) -> Confirmation:
        """Step 4: sign the list of members whose vectors arrived.

        Raises:
            SecureSumRefused: too few, this member is not on it, or somebody who never shared is.
        """
        self._take("confirm")
        known = {self.number, *self._shares}
        if self.number not in there or not set(there) <= known or len(set(there)) != len(there):
            raise SecureSumRefused("the list of members who are there does not fit what was shared")
        self._enough(there, "vectors")
        self._there = frozenset(there)
        return Confirmation.signed(self.session, self.number, there, self.identity)

    def reveal(self, confirmations: Sequence[Confirmation]) -> Revealed:
        """Step 5: shares of the own masks of those who are there, of the others' pair secrets.

        Raises:
            SecureSumRefused: fewer than `threshold` members signed the list that this one did.
        """
        self._take("reveal")
        signed = {each.member for each in confirmations}
        if len(signed) != len(confirmations) or not signed <= self._there:
            raise SecureSumRefused("a confirmation came twice, or from a member who is not there")
        for each in confirmations:
            each.check(self.session, self._there)
        self._enough(signed, "confirmations")
        own, pairs = {self.number: self._own_share}, {}
        for sender, sealed in self._shares.items():
            pair_share, own_share = self._opened(sealed)
            if sender in self._there:
                own[sender] = own_share
            else:
                pairs[sender] = pair_share
        self.step = "end"
        return Revealed(self.number, own, pairs)

    def saved(self) -> dict[str, Any]:
        """All of it as JSON values, for a device that is a new process at every step; secret."""
        return {
            "session": self.session.digest.hex(),
            "number": self.number,
            "step": self.step,
            "sealing": self._sealing.private_bytes_raw().hex(),
            "masking": self._masking.private_bytes_raw().hex(),
            "own_seed": self._own_seed.hex(),
            "own_share": self._own_share.hex(),
            "keys": [
                [each.member, each.sealing.hex(), each.masking.hex(), each.signature.hex()]
                for each in self._keys.values()
            ],
            "shares": [[each.sender, each.sealed.hex()] for each in self._shares.values()],
            "there": sorted(self._there),
        }

    @classmethod
    def restored(
        cls, session: Session, identity: Ed25519PrivateKey, saved: Mapping[str, Any]
    ) -> Member:
        """Inverse of `saved`.

        Raises:
            SecureSumRefused: it is of another session.
        """
        if saved["session"] != session.digest.hex():
            raise SecureSumRefused("what this device kept is of another secure sum")
        raw = bytes.fromhex
        number = int(saved["number"])
        keys = {each[0]: Advertisement(each[0], *map(raw, each[1:])) for each in saved["keys"]}
        shares = {each[0]: SealedShares(each[0], number, raw(each[1])) for each in saved["shares"]}
        return cls(
            session,
            number,
            identity,
            saved["step"],
            X25519PrivateKey.from_private_bytes(raw(saved["sealing"])),
            X25519PrivateKey.from_private_bytes(raw(saved["masking"])),
            raw(saved["own_seed"]),
            keys,
            shares,
            raw(saved["own_share"]),
            frozenset(saved["there"]),
        )

    def _take(self, step: str) -> None:
        if self.step != step:
            raise SecureSumRefused(f"asked to {step}, but the next step is to {self.step}")
        self.step = STEPS[STEPS.index(step) + 1]

    def _enough(self, members: Iterable[int], what: str) -> None:
        count = len(set(members))
        if count < self.session.threshold:
            raise SecureSumRefused(
                f"{what} of {count} member(s) came, {self.session.threshold} are needed"
            )

    def _agreed(self, other: int) -> bytes:
        return self._masking.exchange(_public(self._keys[other].masking))

    def _channel(self, other: int) -> AESGCM:
        secret = self._sealing.exchange(_public(self._keys[other].sealing))
        return AESGCM(masks.derived(self.session, secret, masks.SHARES))

    def _sealed(self, other: int, content: bytes) -> SealedShares:
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = self._channel(other).encrypt(nonce, content, _direction(self.number, other))
        return SealedShares(self.number, other, nonce + sealed)

    def _from_another(self, shares: SealedShares) -> bool:
        known = shares.sender in self._keys and shares.sender != self.number
        return known and shares.receiver == self.number

    def _opened(self, shares: SealedShares) -> tuple[bytes, bytes]:
        """A sender's share of the pair secret, and of the own mask."""
        nonce, sealed = shares.sealed[:NONCE_BYTES], shares.sealed[NONCE_BYTES:]
        where = _direction(shares.sender, self.number)
        try:
            content = self._channel(shares.sender).decrypt(nonce, sealed, where)
        except (InvalidTag, ValueError) as error:
            raise SecureSumRefused(
                f"the shares of member {shares.sender} were changed on the way"
            ) from error
        if len(content) != 2 * shamir.SHARE_BYTES:
            raise SecureSumRefused(f"the shares of member {shares.sender} have a wrong length")
        return content[: shamir.SHARE_BYTES], content[shamir.SHARE_BYTES :]


def _raw_public(key: X25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def _public(raw: bytes) -> X25519PublicKey:
    return X25519PublicKey.from_public_bytes(raw)


def _direction(sender: int, receiver: int) -> bytes:
    return sender.to_bytes(4, "big") + receiver.to_bytes(4, "big")
