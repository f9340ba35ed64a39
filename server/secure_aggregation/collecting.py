"""A round as a secure sum, over any transport: who is asked what, who left, what the sum is.

Members who answer nonsense are left out and named; a session that falls below its threshold before
anything was revealed is begun anew with those who still answer, and so does one below the round's
quorum. Once shares were asked for there is no other session over the same head: the same question
is asked again, and the sum counts, however few are in it. Only the operator may give it up.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from common.enrolment.introduction import IDENTITY_BYTES
from common.errors import UsageError
from common.messages import Request
from common.secure_aggregation import steps
from common.secure_aggregation.encoding import Ring, Vector
from common.secure_aggregation.messages import (
    Advertisement,
    Confirmation,
    Revealed,
    SealedShares,
)
from common.secure_aggregation.rounds import (
    digest_of_head,
    is_noised,
    one_limb,
    read_sum,
    session_for,
    sharing_for,
)
from common.secure_aggregation.session import FEWEST_MEMBERS, SecureSumRefused, Session
from common.secure_aggregation.steps import Invitation
from server.secure_aggregation.aggregator import Aggregator
from server.secure_aggregation.outcome import Collected, Exchange, SumRecord
from server.secure_aggregation.unfinished import (
    InMemory,
    Unfinished,
    UnfinishedSum,
    unfinished_over,
)
from server.strategies.mean import WeightedMean

ATTEMPTS: Final = 4
_ATTEMPT_BITS: Final = 31
NOT_ITS_OWN: Final = "a device introduced itself by what is not its own"
T = TypeVar("T")


class SumCollector:
    """Collects secure sums from devices at addresses.

    Args:
        exchange: carries steps.
        introductions: by address, as far as they are known; added to.
        unfinished: where a sum is kept that was asked for.
        quorum: members without whom no sum is asked for.
        is_own: whether an introduction is of the device at an address.
    """

    def __init__(
        self,
        exchange: Exchange,
        introductions: dict[int, bytes] | None = None,
        unfinished: UnfinishedSum | None = None,
        quorum: int = 1,
        is_own: Callable[[int, bytes], bool] = lambda address, introduction: True,
    ) -> None:
        self.quorum = quorum
        self._is_own = is_own
        self._exchange = exchange
        self._introductions = {} if introductions is None else introductions
        self._unfinished = unfinished or InMemory()

    def collect(
        self, request: Request, addresses: Sequence[int], lost: Collection[int] = ()
    ) -> Collected:
        """One round.

        Args:
            request: what is asked for.
            addresses: of the devices that may be asked.
            lost: addresses whose masked vectors a simulation takes away on their way.
        """
        outcome = Collected()
        head = digest_of_head(request.head.specification, request.head.arrays)
        members = self._introduced(addresses, outcome)
        waiting = unfinished_over(request, self._unfinished)
        if waiting is not None:
            self._go_on(request, waiting, members, outcome)
            return outcome
        if len(members) < self.quorum:
            told = f"{len(members)} device(s) could take part, the quorum is {self.quorum}"
            outcome.failures.append(told)
            return outcome
        fewest = max(FEWEST_MEMBERS, request.plan.smallest_sum, self.quorum)
        for _ in range(ATTEMPTS):
            attempt = _Attempt(self, request, head, members, outcome, frozenset(lost))
            if attempt.run():
                return outcome
            left = attempt.answering
            if len(left) < fewest or left == members:
                break
            members = left
        return outcome

    def _introduced(self, addresses: Sequence[int], outcome: Collected) -> list[int]:
        """Those of whom the others can know who they are; two of one identity count once."""
        new = {each: b"" for each in addresses if each not in self._introductions}
        if new:
            told = self.ask(steps.INTRODUCE, new, outcome)
            good = {address: each for address, each in told.items() if self._fits(address, each)}
            outcome.failures += [NOT_ITS_OWN] * (len(told) - len(good))
            self._introductions |= good
        by_key: dict[bytes, int] = {}
        for address in addresses:
            if address in self._introductions:
                by_key.setdefault(self._introductions[address][:IDENTITY_BYTES], address)
        return sorted(by_key.values())

    def _fits(self, address: int, introduction: bytes) -> bool:
        if not IDENTITY_BYTES <= len(introduction) <= steps.LONGEST_INTRODUCTION:
            return False
        return self._is_own(address, introduction)

    def ask(self, step: str, payloads: Mapping[int, bytes], outcome: Collected) -> dict[int, bytes]:
        """Carry one step; what went wrong is in the outcome."""
        answers = self._exchange(step, payloads)
        outcome.bytes += answers.bytes
        outcome.failures += answers.failures
        if step == steps.ADVERTISE:
            outcome.declined += len(answers.declined)
        return answers.payloads

    def introductions(self, addresses: Sequence[int]) -> tuple[bytes, ...]:
        """Of the members of a roster, in their order."""
        return tuple(self._introductions[address] for address in addresses)

    def _go_on(
        self, request: Request, kept: Unfinished, here: Sequence[int], outcome: Collected
    ) -> None:
        """Ask those of a sum's members who are here for its shares; it was asked for before."""
        session, told = _session(request, bytes.fromhex(kept.invitation))
        aggregator = Aggregator.restored(session, kept.aggregator)
        now = {self._introductions[address][:IDENTITY_BYTES]: address for address in here}
        keys = [each[:IDENTITY_BYTES] for each in told.introductions]
        addresses = [now.get(key, old) for key, old in zip(keys, kept.addresses, strict=True)]
        moved = replace(kept, addresses=addresses)
        away = frozenset(number for number, key in enumerate(keys, start=1) if key not in now)
        end = _Ending(self, request, told, session, aggregator, moved, outcome, away)
        end.finish({})

    def keep(self, unfinished: Unfinished) -> None:
        """Before shares are asked for, and whenever some have come."""
        self._unfinished.write(unfinished)


class _Attempt:
    """One session, from invitation to shares."""

    def __init__(
        self,
        collector: SumCollector,
        request: Request,
        head: str,
        members: Sequence[int],
        outcome: Collected,
        lost: frozenset[int],
    ) -> None:
        self._collector = collector
        self._request = request
        self._outcome = outcome
        self._lost = lost
        self.answering = list(members)
        self._address = dict(enumerate(members, start=1))
        self._number = {address: number for number, address in self._address.items()}
        attempt = secrets.randbits(_ATTEMPT_BITS)
        introductions = collector.introductions(members)
        self._told = Invitation(attempt, head, introductions)

    def run(self) -> bool:
        """Whether the round is over: a sum, or shares asked for; False is worth another attempt."""
        try:
            self._invitation = steps.write_invitation(self._told)
            session, _ = _session(self._request, self._invitation)
            aggregator = Aggregator(session, quorum=self._collector.quorum)
            masked = self._to_masks(session, aggregator)
            signed = aggregator.confirmed(self._confirmed(session, sorted(masked)))
        except SecureSumRefused as error:
            self._outcome.failures.append(str(error))
            return False
        kept = Unfinished(
            head=self._told.head,
            stage=self._request.stage,
            round=self._request.round,
            invitation=self._invitation.hex(),
            addresses=list(self._address.values()),
            aggregator=aggregator.saved(),
            signatures=steps.write_signatures(signed).hex(),
            signed=[each.member for each in signed],
            revealed={},
            needed=session.threshold,
            plan=self._request.plan.to_json(),
        )
        end = _Ending(
            self._collector, self._request, self._told, session, aggregator, kept, self._outcome
        )
        end.finish(masked)
        return True

    def _to_masks(self, session: Session, aggregator: Aggregator) -> dict[int, Ring]:
        everybody = dict.fromkeys(self._address, self._invitation)
        keys = self._step(steps.ADVERTISE, everybody, _checked_keys(session))
        told = aggregator.advertised(list(keys.values()))
        shared = self._step(
            steps.SHARE, dict.fromkeys(keys, steps.write_all_keys(told)), _checked_shares(set(keys))
        )
        passed_on = aggregator.shared(shared)
        incoming = {to: steps.write_incoming(each) for to, each in passed_on.items()}
        masked = self._step(
            steps.MASK, incoming, lambda _, data: steps.read_masked(data, session.length)
        )
        there = {n: each for n, each in masked.items() if self._address[n] not in self._lost}
        aggregator.masked(there)
        return there

    def _confirmed(self, session: Session, there: list[int]) -> list[Confirmation]:
        told = dict.fromkeys(there, steps.write_members(there))

        def read(number: int, data: bytes) -> Confirmation:
            found = steps.read_signature(number, data)
            found.check(session, there)
            return found

        return list(self._step(steps.CONFIRM, told, read).values())

    def _step(
        self, step: str, payloads: Mapping[int, bytes], read: Callable[[int, bytes], T]
    ) -> dict[int, T]:
        """Answers by number; one that can't be read is named, and its device left out."""
        by_address = {self._address[number]: each for number, each in payloads.items()}
        found: dict[int, T] = {}
        for address, data in self._collector.ask(step, by_address, self._outcome).items():
            number = self._number[address]
            try:
                found[number] = read(number, data)
            except SecureSumRefused as error:
                self._outcome.refused.append(f"device {address}: {error}")
        self.answering = sorted(self._address[number] for number in found)
        return dict(sorted(found.items()))


class _Ending:
    """The last step: shares in, the sum out. May be asked for as often as it takes."""

    def __init__(
        self,
        collector: SumCollector,
        request: Request,
        told: Invitation,
        session: Session,
        aggregator: Aggregator,
        kept: Unfinished,
        outcome: Collected,
        away: frozenset[int] = frozenset(),
    ) -> None:
        self._away = away
        self._collector = collector
        self._request = request
        self._told = told
        self._session = session
        self._aggregator = aggregator
        self._kept = kept
        self._outcome = outcome

    def finish(self, masked: dict[int, Ring]) -> None:
        """Ask those who signed and have not revealed yet; read the sum if enough have."""
        self._collector.keep(self._kept)
        self._ask()
        answers = []
        for number, data in sorted(self._kept.revealed.items(), key=lambda each: int(each[0])):
            try:
                answers.append(steps.read_revealed(int(number), bytes.fromhex(data)))
            except SecureSumRefused as error:
                self._outcome.refused.append(f"device {self._address(int(number))}: {error}")
        total = self._total(answers)
        if total is None:
            told = self._kept.how_it_stands(self._request.plan.name, len(self._away))
            self._outcome.failures.insert(0, told)
            return
        plan, stage = self._request.plan, self._request.stage
        if is_noised(plan, stage):
            self._outcome.noise = sharing_for(plan, self._session).guaranteed
        self._outcome.left = len(self._aggregator.left)
        whole = one_limb(plan, self._session, stage, total)
        self._outcome.record = SumRecord(
            total=whole,
            members={number: self._address(number) for number in self._there},
            step=self._session.step,
            attempt=self._told.attempt,
            masked=masked,
        )

    def _total(self, answers: Sequence[Revealed]) -> Vector | None:
        """The sum; without one member's shares where these make nonsense of it."""
        try:
            return self._unmasked(answers)
        except SecureSumRefused as error:
            self._outcome.failures.append(str(error))
        if len(answers) <= self._session.threshold:
            return None
        for suspect in answers:
            try:
                total = self._unmasked([each for each in answers if each is not suspect])
            except SecureSumRefused:
                continue
            address = self._address(suspect.member)
            self._outcome.refused.append(f"device {address}: its shares do not fit the others'")
            return total
        return None

    def _unmasked(self, answers: Sequence[Revealed]) -> Vector:
        total = self._aggregator.unmasked(answers)
        self._outcome.mean = self._mean(total)
        return total

    def _ask(self) -> None:
        told = bytes.fromhex(self._kept.signatures)
        missing = {n for n in self._kept.signed if str(n) not in self._kept.revealed}
        number = {self._address(each): each for each in sorted(missing - self._away)}
        if not number:
            return
        payloads = dict.fromkeys(number, told)
        came = self._collector.ask(steps.REVEAL, payloads, self._outcome)
        for address, data in came.items():
            self._kept.revealed[str(number[address])] = data.hex()
        self._collector.keep(self._kept)

    @property
    def _there(self) -> list[int]:
        there: list[int] = list(self._aggregator.saved()["there"])
        return there

    def _address(self, number: int) -> int:
        return self._kept.addresses[number - 1]

    def _mean(self, total: Vector) -> WeightedMean:
        request, specification = self._request, self._request.head.specification
        members = len(self._there)
        found = read_sum(request.plan, self._session, specification, request.stage, total, members)
        return WeightedMean(
            specification=specification,
            stage=request.stage,
            round=request.round,
            devices=members,
            clips=found.clips,
            arrays=found.arrays,
        )


def _session(request: Request, invitation: bytes) -> tuple[Session, Invitation]:
    told = steps.read_invitation(invitation)
    roster = {
        number: each[:IDENTITY_BYTES] for number, each in enumerate(told.introductions, start=1)
    }
    try:
        session = session_for(
            request.plan,
            request.head.specification,
            stage=request.stage,
            round=request.round,
            attempt=told.attempt,
            head=told.head,
            roster=roster,
        )
    except UsageError as error:
        raise SecureSumRefused(str(error)) from error
    return session, told


def _checked_keys(session: Session) -> Callable[[int, bytes], Advertisement]:
    def read(number: int, data: bytes) -> Advertisement:
        found = steps.read_keys(number, data)
        found.check(session)
        return found

    return read


def _checked_shares(members: set[int]) -> Callable[[int, bytes], list[SealedShares]]:
    def read(number: int, data: bytes) -> list[SealedShares]:
        found = steps.read_shares(number, data)
        if sorted(each.receiver for each in found) != sorted(members - {number}):
            raise SecureSumRefused("shares that are not for every other member once")
        return found

    return read
