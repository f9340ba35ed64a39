"""A device's part in secure sums: one step of one session per request, whatever comes in between.

A request names its step; what the device sends in one step it sends once, and again only byte for
byte. A device that would not take part declines at the first step, by an empty answer. Knows
nothing of Flower.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from client.secure_aggregation.identity import Vouched
from client.secure_aggregation.keeping import Kept, SumKeeper, keeper_of, without_secrets
from client.secure_aggregation.member import Member
from client.secure_aggregation.own_step import OwnStep
from client.secure_aggregation.replay import (
    EVENT,
    check_new_session,
    check_not_replayed,
    revealed_entry,
)
from client.settings import DeviceStore
from client.turns import turn
from common.messages import Request, SumRequest
from common.secure_aggregation import steps
from common.secure_aggregation.rounds import (
    digest_of_head,
    is_noised,
    session_for,
    sharing_for,
    terms_of,
    vector_of,
)
from common.secure_aggregation.session import SecureSumRefused, Session
from common.update import HeadUpdate

Trained = tuple[HeadUpdate, dict[str, Any]]
"""An update, and what the ledger is to say of it."""


@dataclass(frozen=True)
class Protection:
    """What a round does for this device.

    Attributes:
        stay: members without whom nothing is revealed.
        noise: multiplier that is counted on, 0 for no noise.
        members: who may take part.
        session: hex digest.
    """

    stay: int
    noise: float
    members: int
    session: str

    @property
    def secure_sum(self) -> dict[str, Any]:
        """As a ledger's entry tells it."""
        return {"stay": self.stay, "members": self.members, "session": self.session}

    @property
    def told_noise(self) -> dict[str, Any] | None:
        """As a ledger's entry tells it."""
        return {"multiplier": self.noise, "seeded": False} if self.noise else None


Train = Callable[[Request, Protection], Trained]
Willing = Callable[[SumRequest, Protection], bool]


def protection_of(asked: SumRequest, session: Session) -> Protection:
    """What the session promises."""
    noised = is_noised(asked.plan, asked.stage)
    noise = sharing_for(asked.plan, session).guaranteed if noised else 0.0
    digest = session.digest.hex()
    return Protection(session.threshold, noise, len(session.roster), digest)


def answer_step(
    store: DeviceStore, asked: SumRequest, *, willing: Willing, train: Train
) -> bytes | None:
    """What leaves the device in answer to one step; None where it declines.

    Args:
        store: the device's.
        asked: the request.
        willing: whether the device takes part under such protection; asked at the first step.
        train: makes the update of a request; called at the step that masks it.

    Raises:
        SecureSumRefused: going on could reveal more than the sum, or the step is not the next one.
        WorkError, OSError: what the device holds can't be read or kept.
    """
    with turn(store):
        return _answer_step(store, asked, willing, train)


def _answer_step(
    store: DeviceStore, asked: SumRequest, willing: Willing, train: Train
) -> bytes | None:
    keeper = keeper_of(store)
    if asked.step == steps.INTRODUCE:
        return keeper.identities.introduction()
    kept, digest = keeper.kept(), _digest(asked)
    if kept is not None and kept.asked == digest:
        if kept.step == steps.REVEAL:
            session = _session(keeper, asked, bytes.fromhex(kept.invitation))
            _ensure_revealed(store, keeper, asked, session)
        return bytes.fromhex(kept.answer)
    if asked.step == steps.ADVERTISE:
        return _advertise(store, keeper, asked, digest, willing, kept)
    if kept is None:
        raise SecureSumRefused("a step of a secure sum came that this device is not in")
    session = _session(keeper, asked, bytes.fromhex(kept.invitation))
    if session.digest.hex() != kept.session:
        raise SecureSumRefused("a step came of another secure sum than this device is in")
    member = Member.restored(session, keeper.identities.own(), kept.member)
    if asked.step == steps.REVEAL:
        _check_not_replayed(store, keeper, asked, session)
    told = kept.told
    if asked.step == steps.MASK:
        kept = _taken(keeper, kept, digest)
        answer, told = _mask(member, asked, train)
    else:
        answer = _plain_step(member, asked)
    after = replace(
        kept,
        asked=digest,
        step=asked.step,
        answer=answer.hex(),
        member=member.saved(),
        told=told,
    )
    keeper.keep(without_secrets(after) if asked.step == steps.REVEAL else after, kept)
    if asked.step == steps.REVEAL:
        _ensure_revealed(store, keeper, asked, session)
    return answer


def own_step(store: DeviceStore, asked: SumRequest) -> OwnStep:
    """What this device may send in answer to a step of a secure sum.

    Raises:
        SecureSumRefused: the device is not at that step.
    """
    keeper = keeper_of(store)
    if asked.step == steps.INTRODUCE:
        introduction = keeper.identities.introduction()
        return OwnStep(asked.stage, asked.round, asked.step, 0, introduction)
    kept = keeper.kept()
    if kept is None or kept.asked != _digest(asked):
        raise SecureSumRefused("this device is not at the step that a reply is for")
    session = _session(keeper, asked, bytes.fromhex(kept.invitation))
    answer = bytes.fromhex(kept.answer)
    return OwnStep(asked.stage, asked.round, asked.step, session.length, answer, kept.told)


def _advertise(
    store: DeviceStore,
    keeper: SumKeeper,
    asked: SumRequest,
    digest: str,
    willing: Willing,
    before: Kept | None,
) -> bytes | None:
    session = _session(keeper, asked, asked.payload)
    if before is not None and before.session == session.digest.hex():
        raise SecureSumRefused("the server begins a secure sum anew that this device is in")
    if not willing(asked, protection_of(asked, session)):
        return None
    check_new_session(store.ledger.entries(), session)
    _check_not_replayed(store, keeper, asked, session)
    identity = keeper.identities.own()
    own = identity.public_key().public_bytes_raw()
    number = next((n for n, key in session.roster.items() if key == own), 0)
    member = Member(session, number, identity)
    answer = steps.write_keys(member.advertise())
    keeper.keep(
        Kept(
            session=session.digest.hex(),
            invitation=asked.payload.hex(),
            asked=digest,
            step=asked.step,
            answer=answer.hex(),
            member=member.saved(),
        ),
        before,
    )
    return answer


def _taken(keeper: SumKeeper, kept: Kept, digest: str) -> Kept:
    """Bind the masks to one request before anything is trained for it.

    After a kill the same request may come again, and gets the vector that never left.
    """
    if kept.taken not in ("", digest):
        raise SecureSumRefused("the masks of this secure sum are for another request's vector")
    taken = replace(kept, taken=digest)
    if taken != kept:
        keeper.keep(taken, kept)
    return taken


def _session(keeper: SumKeeper, asked: SumRequest, invitation: bytes) -> Session:
    """The session that an invitation means, its roster believed member by member."""
    told = steps.read_invitation(invitation)
    believed = [keeper.identities.vouched(each) for each in told.introductions]
    _check_apart(believed)
    roster = {number: each.key for number, each in enumerate(believed, start=1)}
    return session_for(
        asked.plan,
        asked.specification,
        stage=asked.stage,
        round=asked.round,
        attempt=told.attempt,
        head=told.head,
        roster=roster,
    )


def _check_apart(believed: Sequence[Vouched]) -> None:
    """One enrolled device must not be several members: they would all be one party."""
    vouchers = [voucher for each in believed for voucher in each.by]
    if len(set(vouchers)) != len(vouchers):
        raise SecureSumRefused("two members of the roster are one enrolled device")


def _plain_step(member: Member, asked: SumRequest) -> bytes:
    if asked.step == steps.SHARE:
        return steps.write_shares(member.share(steps.read_all_keys(asked.payload)))
    if asked.step == steps.CONFIRM:
        return steps.write_signature(member.confirm(steps.read_members(asked.payload)))
    if asked.step == steps.REVEAL:
        return steps.write_revealed(member.reveal(steps.read_signatures(asked.payload)))
    raise SecureSumRefused("the server asks for an unknown step of a secure sum")


def _mask(member: Member, asked: SumRequest, train: Train) -> tuple[bytes, dict[str, Any]]:
    """The masked update, and what the ledger says of it."""
    head, session = asked.head, member.session
    if head is None or digest_of_head(head.specification, head.arrays) != session.head:
        raise SecureSumRefused("the server sent another head than the secure sum began with")
    request = Request(asked.plan, asked.stage, asked.round, head)
    update, told = train(request, protection_of(asked, session))
    vector = vector_of(asked.plan, session, update)
    masked = member.mask(steps.read_incoming(member.number, asked.payload), vector)
    return steps.write_masked(masked), told


def _check_not_replayed(
    store: DeviceStore, keeper: SumKeeper, asked: SumRequest, session: Session
) -> None:
    check_not_replayed(
        store.ledger.entries(),
        session,
        features=asked.specification.features,
        fleet=keeper.fleet,
        federations_apart=keeper.federations_apart,
    )


def _ensure_revealed(
    store: DeviceStore, keeper: SumKeeper, asked: SumRequest, session: Session
) -> None:
    """The ledger knows of a reveal before it leaves, once."""
    features = asked.specification.features
    entry = revealed_entry(session, features=features, fleet=keeper.fleet)
    for known in store.ledger.entries():
        if known.get("event") == EVENT and known.get("session") == entry["session"]:
            return
    store.ledger.append(entry)


def _digest(asked: SumRequest) -> str:
    """What tells a request that came before from a new one."""
    about = f"{terms_of(asked.plan)}|{asked.stage}|{asked.round}|{asked.step}|"
    return hashlib.sha256(about.encode() + asked.payload).hexdigest()
