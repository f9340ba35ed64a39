"""The egress gate: the last thing on the device's side of the wire, closed unless proven open.

A reply passes in exactly three forms: nothing at all, one `HeadUpdate` of the round that the
device itself agreed to, or one step of the secure sum that it is in. The gate reads the reply's
bytes back and lets through only what encodes to those very bytes again, so that nothing can ride
along in a header, a gap or an extra key. What passed is in the ledger before it is on the wire.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

from client.secure_aggregation.own_step import OwnStep
from client.settings import ReleaseLedger
from common.heads.specification import DTYPE
from common.secure_aggregation.steps import MASK
from common.update import HeadUpdate
from common.wire import Expected, WireRefused, WireReply, read_step, read_update

REFUSED_REASON: Final = "the device did not take part; its own error log says why"
"""All that a server learns of an error on a device."""


def let_through(
    ledger: ReleaseLedger,
    reply: WireReply,
    expected: Expected | None,
    context: Mapping[str, object],
    size: int,
) -> HeadUpdate | None:
    """Decide on one reply and write it to the ledger; return the update, or None for an empty one.

    Args:
        ledger: the device's.
        reply: read back from the serialised bytes, not the object that made them.
        expected: the update that was agreed to, None if only an empty reply was.
        context: what the ledger says of the occasion (federation, run, exposure); stays on the
            device.
        size: bytes of the serialised reply.

    Raises:
        WireRefused, NotAnUpdate, LedgerBroken, OSError: then nothing may be sent.
    """
    if not reply.arrays and not reply.numbers and not reply.other_parts:
        return None
    if expected is None:
        raise WireRefused("an empty reply was agreed to, and this one is not empty")
    update = read_update(reply, expected)
    ledger.append({"clip_norm": None, "noise": None, **context, **_entry(update, size)})
    return update


def let_step_through(
    ledger: ReleaseLedger, reply: WireReply, own: OwnStep, context: Mapping[str, object], size: int
) -> bytes | None:
    """Decide on one step of a secure sum; return its payload, or None for an empty reply.

    Args:
        ledger: the device's; a masked vector is in it before it is on the wire.
        reply: read back from the serialised bytes.
        own: the step that the device is at, and what it keeps of it.
        context: what the ledger says of the occasion, and of the protection.
        size: bytes of the serialised reply.

    Raises:
        WireRefused, SecureSumRefused, LedgerBroken, OSError: then nothing may be sent.
    """
    payload = read_step(reply)
    if payload is None:
        return None
    own.check(payload)
    if own.step == MASK:
        ledger.append({"clip_norm": None, "noise": None, **context, **_masked(own, payload, size)})
    return payload


def _masked(own: OwnStep, payload: bytes, size: int) -> dict[str, object]:
    digest = hashlib.sha256(payload).hexdigest()
    array = {
        "name": "masked",
        "shape": [own.length],
        "dtype": "uint32",
        "bytes": len(payload),
        "sha256": digest,
    }
    told = {"stage": own.stage, "round": own.round, "arrays": [array]}
    return {**told, "bytes": size, "sha256": digest}


def _entry(update: HeadUpdate, size: int) -> dict[str, object]:
    arrays = [
        {
            "name": name,
            "shape": list(array.shape),
            "dtype": DTYPE,
            "bytes": array.nbytes,
            "sha256": hashlib.sha256(array.astype("<f4").tobytes()).hexdigest(),
        }
        for name, array in update.arrays.items()
    ]
    return {
        "stage": update.stage,
        "round": update.round,
        "clips": update.clips,
        "arrays": arrays,
        "bytes": size,
        "sha256": update.sha256,
    }
