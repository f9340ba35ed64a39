"""The server's side of a secure sum, step by step; it aborts where too few members are left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from common.secure_aggregation import masks, shamir, steps
from common.secure_aggregation.encoding import Ring, Vector, decode_sum
from common.secure_aggregation.messages import Advertisement, Confirmation, Revealed, SealedShares
from common.secure_aggregation.session import SecureSumRefused, Session


@dataclass
class Aggregator:
    """What the server holds of one session.

    Attributes:
        session: what all agreed on.
        left: members who left, and after which step.
        quorum: members whose vectors a round needs, beside the session's threshold; fewer end the
            session before anything is revealed.
    """

    session: Session
    left: dict[int, str] = field(default_factory=dict)
    _keys: dict[int, Advertisement] = field(default_factory=dict)
    _sharing: frozenset[int] = frozenset()
    _there: tuple[int, ...] = ()
    _total: Ring | None = None
    quorum: int = 1

    def advertised(self, arrived: Sequence[Advertisement]) -> list[Advertisement]:
        """After step 1: what goes to everybody who advertised."""
        for each in arrived:
            each.check(self.session)
            self._keys[each.member] = each
        self._go_on(self.session.roster, self._keys, "advertise", quorum=self.quorum)
        return list(self._keys.values())

    def shared(
        self, arrived: Mapping[int, Sequence[SealedShares]]
    ) -> dict[int, list[SealedShares]]:
        """After step 2: what goes to each member who shared, by receiver."""
        for sender, each in arrived.items():
            expected = set(self._keys) - {sender}
            if {shares.receiver for shares in each} != expected or len(each) != len(expected):
                raise SecureSumRefused(f"member {sender} did not share with everybody once")
            if any(shares.sender != sender for shares in each):
                raise SecureSumRefused(f"member {sender} shared in another's name")
        self._sharing = frozenset(arrived)
        self._go_on(self._keys, arrived, "share", quorum=self.quorum)
        return {
            receiver: [
                shares
                for each in arrived.values()
                for shares in each
                if shares.receiver == receiver
            ]
            for receiver in arrived
        }

    def masked(self, arrived: Mapping[int, Ring]) -> tuple[int, ...]:
        """After step 3: who is there; goes to everybody who is."""
        for member, vector in arrived.items():
            if vector.shape != (self.session.length,) or vector.dtype != np.uint32:
                raise SecureSumRefused(f"member {member} sent no vector of the session's length")
        self._go_on(self._sharing, arrived, "mask", quorum=self.quorum)
        self._there = tuple(sorted(arrived))
        total = np.zeros(self.session.length, dtype=np.uint32)
        for vector in arrived.values():
            total += vector
        self._total = total
        return self._there

    def confirmed(self, arrived: Sequence[Confirmation]) -> list[Confirmation]:
        """After step 4: all signatures; go to everybody who signed."""
        for each in arrived:
            each.check(self.session, self._there)
        self._go_on(self._there, [each.member for each in arrived], "confirm")
        return list(arrived)

    def unmasked(self, arrived: Sequence[Revealed]) -> Vector:
        """After step 5: the sum of the vectors of all members who are there, (length,).

        Raises:
            SecureSumRefused: too few members revealed their shares, or they do not fit.
        """
        self._go_on(self._there, [each.member for each in arrived], "reveal", reduce=False)
        if self._total is None:
            raise SecureSumRefused("there is nothing to unmask yet")
        total = self._total.copy()
        for member in self._there:
            seed = self._secret(member, [(r.member, r.own_masks.get(member)) for r in arrived])
            total -= masks.stream(self.session, seed, masks.SELF)
        for member in self._sharing - set(self._there):
            secret = self._secret(member, [(r.member, r.pair_secrets.get(member)) for r in arrived])
            total -= self._pair_masks(member, secret)
        return decode_sum(self.session, total)

    def saved(self) -> dict[str, Any]:
        """All that is needed to unmask the sum, once it is known who is there; nothing else."""
        if self._total is None:
            raise SecureSumRefused("there is nothing to unmask yet")
        return {
            "session": self.session.digest.hex(),
            "keys": steps.write_all_keys(self._keys.values()).hex(),
            "sharing": sorted(self._sharing),
            "there": list(self._there),
            "left": {str(member): step for member, step in self.left.items()},
            "total": steps.write_masked(self._total).hex(),
        }

    @classmethod
    def restored(cls, session: Session, saved: Mapping[str, Any]) -> Aggregator:
        """Inverse of `saved`, for a server that was restarted before it had the sum.

        Raises:
            SecureSumRefused: it is of another session.
        """
        if saved["session"] != session.digest.hex():
            raise SecureSumRefused("what was kept is of another secure sum")
        keys = steps.read_all_keys(bytes.fromhex(saved["keys"]))
        return cls(
            session,
            {int(member): step for member, step in saved["left"].items()},
            {each.member: each for each in keys},
            frozenset(saved["sharing"]),
            tuple(saved["there"]),
            steps.read_masked(bytes.fromhex(saved["total"]), session.length),
        )

    def _secret(self, member: int, told: Iterable[tuple[int, bytes | None]]) -> bytes:
        shares = {holder: share for holder, share in told if share is not None}
        if len(shares) < self.session.threshold:
            raise SecureSumRefused(
                f"{len(shares)} shares of member {member}'s secret came, "
                f"{self.session.threshold} are needed"
            )
        chosen = dict(sorted(shares.items())[: self.session.threshold])
        try:
            return shamir.combine(chosen)
        except ValueError as error:
            raise SecureSumRefused(f"shares of member {member}'s secret do not fit") from error

    def _pair_masks(self, gone: int, secret: bytes) -> Ring:
        """What a member who left would have cancelled in the others' vectors."""
        private = X25519PrivateKey.from_private_bytes(secret)
        if private.public_key().public_bytes_raw() != self._keys[gone].masking:
            raise SecureSumRefused(f"shares of member {gone}'s secret give another key")
        total = np.zeros(self.session.length, dtype=np.uint32)
        for other in self._there:
            public = X25519PublicKey.from_public_bytes(self._keys[other].masking)
            mask = masks.stream(self.session, private.exchange(public), masks.PAIR)
            total += mask if gone > other else -mask
        return total

    def _go_on(
        self,
        before: Iterable[int],
        now: Iterable[int],
        step: str,
        *,
        reduce: bool = True,
        quorum: int = 1,
    ) -> None:
        expected, here = set(before), set(now)
        if not here <= expected:
            raise SecureSumRefused(f"a member answered at {step} who had left or never came")
        if reduce:
            self.left |= dict.fromkeys(sorted(expected - here), step)
        if len(here) < self.session.threshold:
            raise SecureSumRefused(
                f"{len(here)} member(s) are left at {step}, {self.session.threshold} are needed"
            )
        if len(here) < quorum:
            raise SecureSumRefused(
                f"{len(here)} member(s) are left at {step}, the quorum is {quorum}"
            )
