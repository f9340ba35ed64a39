"""Recorded replies in Flower's bytes as a `Transcript`; the heads that were sent are found again.

A server's step is a function of the updates alone, so that the heads of all rounds follow from
the plan and the replies, and nothing but these has to be kept.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from flwr.app import Message
from flwr.common.serde import message_from_proto
from flwr.proto.message_pb2 import Message as MessageProto  # pylint: disable=no-name-in-module

from common.errors import UsageError, WorkError
from common.heads.specification import HEAD_STAGE, REFERENCE_STAGE, HeadSpecification
from common.heads.universal import UniversalHead, initial_head
from common.messages import EVALUATE
from common.settings import FederationPlan
from common.update import HeadUpdate
from common.wire import Expected, read_update, wire_reply
from server.aggregation import ServerState, initial_state, skip, step
from server.audit.recording_format import NOISED, read_claim, read_sum
from server.audit.reply_parts import PUBLIC_KEYS, parts_of
from server.audit.transcript import (
    Received,
    Round,
    SecureSum,
    Transcript,
    file_stem,
    truth_folder,
)
from server.audit.truth import pseudonym_of
from server.federation import with_reference
from server.run import ServerPlan, load_head, load_plan
from server.strategies import strategy_of
from server.strategies.mean import WeightedMean

PLAN = "plan.json"
_REPLY = re.compile(r"(?P<stem>.+-\d+)-(?P<number>\d+)\.bin")


@dataclass(frozen=True)
class Reply:
    """A reply with content, and the update that it is if the server took it for one.

    Attributes:
        node: Flower's id of the sender.
        received: what stands in it in clear.
        update: None where the server refused it, and of a step of a secure sum.
        sealed: names of what a step of a secure sum holds beside `received`; else empty.
    """

    node: int
    received: Received
    update: HeadUpdate | None
    sealed: frozenset[str] = frozenset()


def load_transcript(folder: Path, federation: str = "") -> Transcript:
    """The transcript of one federation of a recorded run.

    Args:
        folder: as `mien simulate --record` or a server filled it.
        federation: name; empty takes the first of the plan.

    Raises:
        UsageError: the folder is no record, or has no such federation.
        WorkError: a reply can't be read; a device answered twice in a round.
    """
    plan = _plan(folder)
    chosen = _federation(plan, federation)
    files = _files(folder)
    senders = _senders(files, chosen.name, plan.devices)
    nodes = _nodes(folder, senders, plan.devices)
    state = initial_state(initial_head(plan.specification, chosen.seed))
    public = _public_reference(folder, chosen.name)
    rounds: list[Round] = []
    for number in range(chosen.rounds + 1):
        stage = HEAD_STAGE if number else REFERENCE_STAGE
        stem = file_stem(chosen.name, stage, number)
        expected = Expected(specification=plan.specification, stage=stage, round=number)
        secure = _secure_sum(folder, stem, nodes)
        sums = chosen.secure_sum or secure is not None
        paths = files.get(stem, ())
        replies = list(read_replies(paths, expected, sums=sums, nodes=senders.nodes))
        secure = secure and replace(secure, unsigned=_unsigned(replies, nodes))
        noised = read_sum(folder, stem, NOISED)
        rounds.append(replace(_round(stage, state, replies, nodes, secure), noised=noised))
        if stage == REFERENCE_STAGE and public is not None:
            state = with_reference(state, public)
        else:
            state = _moved(state, stage, chosen, replies, secure or noised)
    return Transcript(
        chosen,
        tuple(rounds),
        state.head,
        read_claim(folder, chosen.name),
        tuple(_unasked(files, chosen.name, _nothing(plan.specification), nodes)),
    )


def _nothing(specification: HeadSpecification) -> Expected:
    return Expected(specification=specification, stage=HEAD_STAGE, round=0)


def _unasked(
    files: Mapping[str, Sequence[Path]], federation: str, expected: Expected, nodes: dict[int, str]
) -> Iterator[Received]:
    """What devices told when they were asked to test a head, which nobody has to answer."""
    for stem, paths in sorted(files.items()):
        if stem.startswith(f"{federation}-{EVALUATE}-"):
            for reply in read_replies(paths, expected):
                name = nodes.get(reply.node, str(reply.node))
                yield replace(reply.received, pseudonym=name)


def _plan(folder: Path) -> ServerPlan:
    for place in (folder, truth_folder(folder)):
        if (place / PLAN).is_file():
            return load_plan(place / PLAN)
    raise UsageError(
        f"{folder}: no recorded run with its {PLAN} is there; make one with mien simulate --record"
    )


def _public_reference(folder: Path, federation: str) -> UniversalHead | None:
    """The head whose reference nobody had to be asked for; None where devices told it."""
    path = folder / f"{federation}-reference.safetensors"
    return load_head(path) if path.is_file() else None


def _federation(plan: ServerPlan, name: str) -> FederationPlan:
    known = {each.name: each for each in plan.federations}
    if name and name not in known:
        raise UsageError(f"federation is {name!r}, the run has {', '.join(known)}")
    return known[name] if name else plan.federations[0]


def _files(folder: Path) -> dict[str, list[Path]]:
    """Reply files by stem, in the order of their numbers."""
    found: dict[str, list[tuple[int, Path]]] = {}
    for path in folder.glob("*.bin"):
        match = _REPLY.fullmatch(path.name)
        if match:
            found.setdefault(match["stem"], []).append((int(match["number"]), path))
    return {stem: [path for _, path in sorted(paths)] for stem, paths in found.items()}


@dataclass(frozen=True)
class _Senders:
    """Flower's ids of all nodes that ever answered, sorted.

    Attributes:
        asked_first: whether they are those that round 0 asked, which asks every device.
    """

    nodes: tuple[int, ...]
    asked_first: bool


def _senders(files: Mapping[str, Sequence[Path]], federation: str, devices: int) -> _Senders:
    own = {stem: paths for stem, paths in files.items() if stem.startswith(f"{federation}-")}
    # Every device is asked for a reference, but in a later round perhaps only some.
    first = own.get(file_stem(federation, REFERENCE_STAGE, 0), []) if devices else []
    every = first or [path for paths in (own if devices else files).values() for path in paths]
    return _Senders(
        tuple(sorted({_message(path).metadata.src_node_id for path in every})), bool(first)
    )


def _nodes(folder: Path, senders: _Senders, devices: int) -> dict[int, str]:
    """Pseudonyms of all nodes that ever answered: their places in the order of Flower's ids."""
    if devices and len(senders.nodes) != devices:
        if senders.asked_first:
            raise UsageError(
                f"{folder}: {len(senders.nodes)} nodes played {devices} devices, so that replies "
                "can't be told apart; record with --engine grid, and without dropout"
            )
        return {}
    return {node: pseudonym_of(place) for place, node in enumerate(senders.nodes)}


def read_replies(
    paths: Sequence[Path],
    expected: Expected,
    *,
    sums: bool = False,
    nodes: Collection[int] = (),
) -> Iterator[Reply]:
    """The replies with content among recorded ones.

    Args:
        paths: of the files.
        expected: what the server had asked for.
        sums, nodes: see `server.audit.reply_parts.parts_of`.

    Raises:
        WorkError: a file is no message of Flower's.
    """
    for path in paths:
        message = _message(path)
        if not message.has_error() and len(message.content):
            parts = parts_of(message.content, expected, sums=sums, nodes=nodes)
            yield Reply(
                message.metadata.src_node_id,
                Received("", parts.arrays, parts.numbers, tuple(parts.odd)),
                _update(message, expected),
                frozenset(parts.sealed),
            )


def _message(path: Path) -> Message:
    try:
        return message_from_proto(MessageProto.FromString(path.read_bytes()))
    except Exception as error:  # a parser's error, of a type of its own
        raise WorkError(f"{path.name} is not a recorded reply: {type(error).__name__}") from error


def _update(message: Message, expected: Expected) -> HeadUpdate | None:
    """What the server made of the reply; None where it refused it."""
    try:
        return read_update(wire_reply(message.content), expected)
    except WorkError:
        return None


def _unsigned(replies: Sequence[Reply], nodes: Mapping[int, str]) -> tuple[str, ...]:
    """Whose public keys came in a message that has no signature, as in Flower's SecAgg+."""
    keys = [r for r in replies if r.sealed & set(PUBLIC_KEYS)]
    return tuple(sorted({nodes.get(reply.node, str(reply.node)) for reply in keys}))


def _round(
    stage: str,
    state: ServerState,
    replies: Sequence[Reply],
    nodes: Mapping[int, str],
    secure: SecureSum | None,
) -> Round:
    senders = [reply.node for reply in replies if not reply.sealed]
    if len(set(senders)) < len(senders):
        raise UsageError(
            f"round {state.round}: one node answered twice, so that devices can't be told apart; "
            "record with --engine grid"
        )
    received = tuple(
        replace(each, pseudonym=nodes.get(reply.node, str(reply.node)))
        for reply in replies
        for each in (reply.received,)
        if not reply.sealed or each.arrays or each.numbers or each.odd
    )
    return Round(stage, state.round, state.head, received, secure)


def _moved(
    state: ServerState,
    stage: str,
    plan: FederationPlan,
    replies: Sequence[Reply],
    secure: SecureSum | None,
) -> ServerState:
    updates = [reply.update for reply in replies if reply.update is not None]
    if secure is not None:
        mean = _mean(state, stage, secure)
        return step(state, mean, stage=stage, strategy=strategy_of(plan))
    if not updates:
        return skip(state)
    if plan.noise_multiplier > 0 and stage == HEAD_STAGE:
        raise UsageError(
            f"round {state.round}: the server put noise on the updates, and the record does not "
            "have the noised sum, so that the heads can't be found again"
        )
    return step(state, updates, stage=stage, strategy=strategy_of(plan))


def _mean(state: ServerState, stage: str, secure: SecureSum) -> WeightedMean:
    specification, count = state.head.specification, len(secure.members)
    weight = secure.weight(specification, stage)
    arrays = {name: each / weight for name, each in secure.arrays(specification, stage).items()}
    if not arrays or weight <= 0:
        raise WorkError(
            f"the secure sum of {stage} round {state.round} has {len(secure.total)} numbers, which "
            "are not the stage's arrays, or a weight that is not above 0"
        )
    return WeightedMean(specification, stage, state.round, count, count, arrays)


def _secure_sum(folder: Path, stem: str, nodes: Mapping[int, str]) -> SecureSum | None:
    """The round's sum; members who are named by their node's id get the node's pseudonym."""
    found = read_sum(folder, stem)
    if found is None:
        return None
    known = {str(node): pseudonym for node, pseudonym in nodes.items()}
    earlier = tuple(_named(each, known) for each in found.earlier)
    return replace(_named(found, known), earlier=earlier)


def _named(found: SecureSum, known: Mapping[str, str]) -> SecureSum:
    return replace(
        found,
        members=tuple(known.get(name, name) for name in found.members),
        masked={known.get(name, name): vector for name, vector in found.masked.items()},
        plain={known.get(name, name): vector for name, vector in found.plain.items()},
    )
