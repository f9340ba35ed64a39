"""Flower's own SecAgg+ as something to audit: a run whose sums its legacy functions make.

Devices go through `secaggplus_mod` of the installed Flower, message by message, in this process;
the server's side uses the same library's functions. What arrives is recorded like any other run.
The weights of `fitres.num_examples` and the metrics stay in clear, keys are unsigned, and a mask is
drawn from a seed of 32 bits (see `server.audit.short_seeds`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.client.mod import secaggplus_mod
from flwr.common.secure_aggregation.crypto.shamir import combine_shares
from flwr.common.secure_aggregation.secaggplus_constants import (
    RECORD_KEY_CONFIGS,
    RECORD_KEY_STATE,
    Key,
    Stage,
)
from flwr.common.secure_aggregation.secaggplus_utils import pseudo_rand_gen
from flwr.common.serde import message_from_proto, message_to_proto, recorddict_to_proto
from flwr.compat.common.parameter import bytes_to_ndarray
from flwr.proto.message_pb2 import Message as MessageProto  # pylint: disable=no-name-in-module
from flwr.proto.message_pb2 import Metadata as MetadataProto  # pylint: disable=no-name-in-module

from common.errors import WorkError
from common.files import write_atomically
from common.privacy.release import flat
from server.audit.lab_record import FIRST_NODE, record_lab
from server.audit.recording_format import write_plain, write_sum
from server.audit.short_seeds import seeds_that_begin
from server.audit.subject import Subject
from server.audit.transcript import Received, Ring, Round, Vector, file_stem

CLIP: Final = 8.0
LEVELS: Final = 1 << 22
MODULUS: Final = 1 << 32
MOST_WEIGHT: Final = 1000.0
METRICS: Final = {"loss": 1.25, "accuracy": 0.5}
"""Made up: what a device's training function may report; the mod leaves it where it is."""


@dataclass
class Exchange:
    """One round through the protocol.

    Attributes:
        replies: all messages as they came, in their order.
        masked: (length + 1,) vectors by node, the weight's entry last.
        private: seeds of the devices' own masks, as the server rebuilds them from shares.
        pairs: seeds of the masks of two devices each: only the two have them.
        total: (length + 1,) the decoded sum of weighted updates, and of weights.
    """

    replies: list[Message] = field(default_factory=list)
    masked: dict[int, Ring] = field(default_factory=dict)
    private: dict[int, bytes] = field(default_factory=dict)
    pairs: dict[tuple[int, int], bytes] = field(default_factory=dict)
    total: Vector = field(default_factory=lambda: np.zeros(0))


def exchange(updates: Mapping[int, Vector], clips: Mapping[int, int]) -> Exchange:
    """A whole round of SecAgg+ over vectors, (length,) by node id, weighted by clips."""
    states = {
        node: Context(1, node, {}, RecordDict(), {})  # one per device, kept over the stages
        for node in updates
    }
    done = Exchange()
    count = len(updates)
    setup = {
        Key.STAGE: Stage.SETUP,
        Key.SAMPLE_NUMBER: count,
        Key.SHARE_NUMBER: count,
        Key.THRESHOLD: count // 2 + 1,
        Key.CLIPPING_RANGE: CLIP,
        Key.TARGET_RANGE: LEVELS,
        Key.MOD_RANGE: MODULUS,
        Key.MAX_WEIGHT: MOST_WEIGHT,
    }

    def ask(told: Mapping[int, Mapping[str, Any]]) -> dict[int, Any]:
        answers = {}
        for node, config in told.items():
            reply = secaggplus_mod(
                _message(node, config), states[node], _trained(updates[node], clips[node])
            )
            done.replies.append(reply)
            answers[node] = reply.content.config_records[RECORD_KEY_CONFIGS]
        return answers

    keys = ask(dict.fromkeys(updates, setup))
    public = {str(n): [k[Key.PUBLIC_KEY_1], k[Key.PUBLIC_KEY_2]] for n, k in keys.items()}
    sealed = ask({node: {**public, Key.STAGE: Stage.SHARE_KEYS} for node in updates})
    masked = ask({node: _forwarded(node, sealed) for node in updates})
    done.masked = {node: _vector(each[Key.MASKED_PARAMETERS]) for node, each in masked.items()}
    _remember_pairs(done, states)
    everyone = {Key.ACTIVE_NODE_ID_LIST: list(updates), Key.DEAD_NODE_ID_LIST: []}
    shares = ask({node: {**everyone, Key.STAGE: Stage.UNMASK} for node in updates})
    _unmask(done, shares)
    return done


def _message(node: int, config: Mapping[str, Any]) -> Message:
    content = RecordDict({RECORD_KEY_CONFIGS: ConfigRecord(dict(config))})
    metadata = MetadataProto(
        run_id=1, message_id=str(node), src_node_id=1, dst_node_id=node, message_type="train"
    )
    return message_from_proto(MessageProto(metadata=metadata, content=recorddict_to_proto(content)))


def _trained(update: Vector, clips: int) -> Any:
    """The device's training function, in the form that the mod expects of it."""

    def call(message: Message, context: Context) -> Message:
        del context
        content = RecordDict(
            {
                "fitres.parameters": ArrayRecord([update]),
                "fitres.num_examples": MetricRecord({"num_examples": clips}),
                "fitres.metrics": ConfigRecord(dict(METRICS)),
                "fitres.status": ConfigRecord({"code": 0, "message": ""}),
            }
        )
        return Message(content, reply_to=message)

    return call


def _forwarded(node: int, sealed: Mapping[int, Any]) -> dict[str, Any]:
    sources, texts = [], []
    for sender, told in sealed.items():
        texts_of = zip(told[Key.DESTINATION_LIST], told[Key.CIPHERTEXT_LIST], strict=True)
        for receiver, text in texts_of:
            if receiver == node:
                sources.append(sender)
                texts.append(text)
    return {
        Key.STAGE: Stage.COLLECT_MASKED_VECTORS,
        Key.CIPHERTEXT_LIST: texts,
        Key.SOURCE_LIST: sources,
    }


def _vector(parts: list[bytes]) -> Ring:
    """The masked parts as one vector; the mod puts the weight first, a record has it last."""
    weight, *others = (np.atleast_1d(bytes_to_ndarray(part)).ravel() for part in parts)
    return np.asarray(np.concatenate([*others, weight]) % MODULUS, dtype=np.uint32)


def mask_of(seed: bytes, length: int) -> Ring:
    """The stock generator's mask for a vector and its weight, (length + 1,), the weight last."""
    weight, rest = pseudo_rand_gen(seed, MODULUS, [(1,), (length,)])
    return np.concatenate([rest, weight]).astype(np.uint32)


def _remember_pairs(done: Exchange, states: Mapping[int, Context]) -> None:
    from flwr.common.secure_aggregation.crypto.symmetric_encryption import generate_shared_key
    from flwr.supercore.primitives.asymmetric import bytes_to_private_key, bytes_to_public_key

    kept = {n: dict(s.state.config_records[RECORD_KEY_STATE]) for n, s in states.items()}
    for node, other in ((a, b) for a in kept for b in kept if a < b):
        done.pairs[node, other] = generate_shared_key(
            bytes_to_private_key(kept[node]["sk1"]),  # type: ignore[arg-type]
            bytes_to_public_key(kept[other]["pk1"]),  # type: ignore[arg-type]
        )


def _unmask(done: Exchange, shares: Mapping[int, Any]) -> None:
    """The server's last step: own masks from their shares, and the sum."""
    held: dict[int, list[bytes]] = {node: [] for node in done.masked}
    for told in shares.values():
        for owner, share in zip(told[Key.NODE_ID_LIST], told[Key.SHARE_LIST], strict=True):
            held[owner].append(share)
    done.private = {node: combine_shares(each) for node, each in held.items()}
    length = len(next(iter(done.masked.values()))) - 1
    ring = np.zeros(length + 1, dtype=np.uint32)
    for node, vector in done.masked.items():
        ring += vector - mask_of(done.private[node], length)
    numbers = ring.astype(np.float64)
    decoded = numbers[:-1] * (2 * CLIP / LEVELS) - len(done.masked) * CLIP
    done.total = np.append(decoded, numbers[-1] / LEVELS)


def recover(
    done: Exchange, nodes: tuple[int, int], clips: int, *, start: int, count: int
) -> list[Vector]:
    """The first of two devices' update, from what the server holds of a round of just the two.

    The weight is in clear, so that the first number of the one mask that is left is known.

    Args:
        done: a round; `pairs` is not looked at.
        nodes: whose update, and the other's; the smaller id first.
        clips: of the first, as its reply tells.
        start, count: the part of the 2^28 seeds that is searched, see `short_seeds`.
    """
    node = nodes[0]
    length = len(done.masked[node]) - 1
    left = done.masked[node] - mask_of(done.private[node], length)
    weight = round(clips / MOST_WEIGHT * LEVELS)
    begins = (weight - int(left[-1])) % MODULUS
    found: list[Vector] = []
    for seed in seeds_that_begin(begins, start, count):
        levels = left + mask_of(seed.to_bytes(4, "little"), length)
        if int(levels.max()) <= LEVELS:
            values = levels[:-1] * (2 * CLIP / LEVELS) - CLIP
            found.append(np.asarray(values / (weight / LEVELS), dtype=np.float64))
    return found


def record_stock(subject: Subject, folder: Path) -> None:
    """Record a made-up run whose head rounds were summed by Flower's own SecAgg+.

    Args:
        subject: a run that was played without secure sums.
        folder: of the record.

    Raises:
        WorkError: the sums are not those of the updates.
    """
    transcript = subject.transcript
    if any(each.secure for each in transcript.rounds):
        raise WorkError("the run that stock SecAgg+ is to sum has to have single updates")
    record_lab(subject, folder)
    for path in folder.glob(f"{transcript.plan.name}-head-*.bin"):
        path.unlink()
    for each in transcript.head_rounds:
        _record_round(folder, transcript.plan.name, each)


def _record_round(folder: Path, federation: str, each: Round) -> None:
    specification = each.head.specification
    updates = {
        FIRST_NODE + int(reply.pseudonym): flat(specification, each.stage, reply.arrays)
        for reply in each.received
    }
    clips = {FIRST_NODE + int(r.pseudonym): _clips(r) for r in each.received}
    done = exchange(updates, clips)
    stem = file_stem(federation, each.stage, each.number)
    for number, reply in enumerate(done.replies):
        data = message_to_proto(reply).SerializeToString()
        write_atomically(folder / f"{stem}-{number}.bin", data)
    number_of = {node: place for place, node in enumerate(updates, start=1)}
    write_sum(
        folder,
        stem,
        total=done.total,
        members={place: str(node) for node, place in number_of.items()},
        step=2 * CLIP / LEVELS,
        masked={number_of[node]: vector for node, vector in done.masked.items()},
    )
    plain = {number_of[node]: vector for node, vector in _weighted(updates, clips)}
    write_plain(folder, stem, plain)


def _clips(reply: Received) -> int:
    return int(str(reply.numbers["num-examples"]))


def _weighted(
    updates: Mapping[int, Vector], clips: Mapping[int, int]
) -> Iterator[tuple[int, Vector]]:
    """What the mod masks: the update times the weight, and the weight."""
    for node, update in updates.items():
        weight = round(clips[node] / MOST_WEIGHT * LEVELS) / LEVELS
        yield node, np.append(weight * update, weight)
