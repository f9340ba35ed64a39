"""Recorded replies in Flower's bytes as a `Transcript`; the heads that were sent are found again.

A server's step is a function of the updates alone, so that the heads of all rounds follow from
the plan and the replies, and nothing but these has to be kept.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from flwr.app import Array, Message
from flwr.common.serde import message_from_proto
from flwr.proto.message_pb2 import Message as MessageProto  # pylint: disable=no-name-in-module

from common.errors import UsageError, WorkError
from common.heads.specification import DTYPE, HEAD_STAGE, REFERENCE_STAGE
from common.heads.universal import UniversalHead, initial_head
from common.settings import FederationPlan
from common.update import HeadUpdate
from common.wire import Expected, read_update, wire_reply
from server.aggregation import ServerState, initial_state, skip, step
from server.audit.recording_format import NOISED, read_claim, read_sum
from server.audit.transcript import (
    Received,
    Round,
    SecureSum,
    Transcript,
    Vector,
    file_stem,
    truth_folder,
)
from server.audit.truth import pseudonym_of
from server.federation import with_reference
from server.run import ServerPlan, load_head, load_plan
from server.strategies import strategy_of
from server.strategies.mean import WeightedMean

PLAN = "plan.json"
RING_DTYPE = "uint32"
PUBLIC_KEY = "pk"
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
    nodes = _nodes(folder, files, chosen.name, plan.devices)
    state = initial_state(initial_head(plan.specification, chosen.seed))
    public = _public_reference(folder, chosen.name)
    rounds: list[Round] = []
    for number in range(chosen.rounds + 1):
        stage = HEAD_STAGE if number else REFERENCE_STAGE
        stem = file_stem(chosen.name, stage, number)
        expected = Expected(specification=plan.specification, stage=stage, round=number)
        replies = list(read_replies(files.get(stem, ()), expected))
        secure = _secure_sum(folder, stem, nodes)
        secure = secure and replace(secure, unsigned=_unsigned(replies, nodes))
        noised = read_sum(folder, stem, NOISED)
        rounds.append(replace(_round(stage, state, replies, nodes, secure), noised=noised))
        if stage == REFERENCE_STAGE and public is not None:
            state = with_reference(state, public)
        else:
            state = _moved(state, stage, chosen, replies, secure or noised)
    return Transcript(chosen, tuple(rounds), state.head, read_claim(folder, chosen.name))


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


def _nodes(
    folder: Path, files: Mapping[str, Sequence[Path]], federation: str, devices: int
) -> dict[int, str]:
    """Pseudonyms of all nodes that ever answered: their places in the order of Flower's ids."""
    own = {stem: paths for stem, paths in files.items() if stem.startswith(f"{federation}-")}
    # Every device is asked for a reference, but in a later round perhaps only some.
    first = own.get(file_stem(federation, REFERENCE_STAGE, 0), []) if devices else []
    every = first or [path for paths in (own if devices else files).values() for path in paths]
    nodes = sorted({_message(path).metadata.src_node_id for path in every})
    if devices and len(nodes) != devices:
        if first:
            raise UsageError(
                f"{folder}: {len(nodes)} nodes played {devices} devices, so that replies can't be "
                "told apart; record with --engine grid, and without dropout"
            )
        return {}
    return {node: pseudonym_of(place) for place, node in enumerate(nodes)}


def read_replies(paths: Sequence[Path], expected: Expected) -> Iterator[Reply]:
    """The replies with content among recorded ones.

    Args:
        paths: of the files.
        expected: what the server had asked for.

    Raises:
        WorkError: a file is no message of Flower's.
    """
    for path in paths:
        message = _message(path)
        if not message.has_error() and len(message.content):
            arrays, numbers = _parts(message)
            sealed = _sealed(message)
            if sealed:
                arrays = {name: value for name, value in arrays.items() if name not in sealed}
                numbers = {name: value for name, value in numbers.items() if name not in sealed}
            yield Reply(
                message.metadata.src_node_id,
                Received("", arrays, numbers),
                _update(message, expected),
                frozenset(sealed),
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


def _sealed(message: Message) -> set[str]:
    """Names of keys, shares, signatures and masked vectors; empty if it is no secure sum's step.

    What is in them is for A10 to judge, by the vectors that the server recorded.
    """
    found = set()
    for record in message.content.config_records.values():
        for name, value in record.items():
            several = value if isinstance(value, list) and value else [value]
            if all(isinstance(each, bytes) for each in several):
                found.add(name)
    for arrays in message.content.array_records.values():
        found |= {name for name, array in arrays.items() if array.dtype == RING_DTYPE}
    return found


def _unsigned(replies: Sequence[Reply], nodes: Mapping[int, str]) -> tuple[str, ...]:
    """Whose public keys came in a message that has no signature, as in Flower's SecAgg+."""
    keys = [r for r in replies if any(name.startswith(PUBLIC_KEY) for name in r.sealed)]
    bare = {r.node for r in keys if not any("sign" in name for name in r.sealed)}
    return tuple(sorted(nodes.get(node, str(node)) for node in bare))


def _parts(message: Message) -> tuple[dict[str, Vector], dict[str, object]]:
    """All arrays and all else of a reply, whatever names they have."""
    arrays: dict[str, Vector] = {}
    numbers: dict[str, object] = {}
    for record in message.content.array_records.values():
        for name, array in record.items():
            arrays[name] = _values(array)
    for part in (message.content.metric_records, message.content.config_records):
        for values in part.values():
            numbers |= dict(values)
    return arrays, numbers


def _values(array: Array) -> Vector:
    """The numbers of a float32 array as its record declares it; none if it is anything else."""
    size = 4 * math.prod(array.shape)
    if array.dtype != DTYPE or min(array.shape, default=0) < 0 or size > len(array.data):
        return np.zeros(0)
    found = np.frombuffer(array.data, dtype="<f4", offset=len(array.data) - size)
    return found.reshape(array.shape).astype(np.float64)


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
        Received(nodes.get(reply.node, str(reply.node)), each.arrays, each.numbers)
        for reply in replies
        for each in (reply.received,)
        if not reply.sealed or each.arrays or each.numbers
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
    return replace(
        found,
        members=tuple(known.get(name, name) for name in found.members),
        masked={known.get(name, name): vector for name, vector in found.masked.items()},
        plain={known.get(name, name): vector for name, vector in found.plain.items()},
    )
