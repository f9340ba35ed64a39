"""A made-up fleet's run in a folder, as `mien simulate --record` would have left it.

What is written is synthetic; `mien audit` reads it like any other record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from flwr.app import Array, ArrayRecord, MetricRecord, RecordDict
from flwr.common.serde import recorddict_to_proto
from flwr.proto.message_pb2 import Message as MessageProto  # pylint: disable=no-name-in-module
from flwr.proto.message_pb2 import Metadata as MetadataProto  # pylint: disable=no-name-in-module
from safetensors.numpy import save

from common.clips import ClipSet
from common.files import write_atomically
from common.heads.specification import DTYPE, REFERENCE_STAGE, HeadSpecification
from common.heads.universal import UniversalHead, initial_head
from common.privacy.release import flat
from common.wire import ARRAYS, NPY_KIND, NUMBERS, encode_array
from server.audit.recording_format import NOISED, SUM, write_claim, write_plain, write_sum
from server.audit.subject import Subject
from server.audit.transcript import Received, Round, SecureSum, file_stem, truth_folder
from server.audit.truth import save_truth
from server.run import ServerPlan

FIRST_NODE = 1000


def record_lab(subject: Subject, folder: Path) -> None:
    """Write a made-up run to `folder`, and what is true of it beside it."""
    transcript, known = subject.transcript, subject.known
    folder.mkdir(parents=True, exist_ok=True)
    devices = _users(subject)
    trained = known.trained & (known.owner_of != "") | (known.owner_of == "")
    save_truth(folder, _chosen(known.clips, trained), devices, _chosen(known.clips, ~trained))
    plan = ServerPlan(transcript.final.specification, (transcript.plan,), len(devices))
    plan.save(truth_folder(folder) / "plan.json")
    for each in transcript.rounds:
        whole = _reference_round(each, subject) if each.stage == REFERENCE_STAGE else each
        write_round(folder, transcript.plan.name, whole)
    if transcript.claim:
        write_claim(folder, transcript.plan.name, transcript.claim)
    if subject.canaries is not None:
        told = save({"directions": subject.canaries})
        write_atomically(truth_folder(folder) / "canaries.safetensors", told)


def write_round(folder: Path, federation: str, each: Round) -> None:
    """One round's replies, or its sum."""
    stem = file_stem(federation, each.stage, each.number)
    for number, reply in enumerate(each.received):
        write_atomically(folder / f"{stem}-{number}.bin", reply_bytes(reply))
    if each.secure:
        _write_sum(folder, stem, each.secure, SUM)
    if each.noised:
        _write_sum(folder, stem, each.noised, NOISED)


def _write_sum(folder: Path, stem: str, secure: SecureSum, kind: str) -> None:
    members = dict(enumerate(secure.members, start=1))
    number_of = {name: number for number, name in members.items()}
    masked = {number_of[name]: vector for name, vector in secure.masked.items()}
    write_sum(
        folder,
        stem,
        total=secure.total,
        members=members,
        step=secure.step,
        masked=masked or None,
        kind=kind,
    )
    if secure.plain:
        write_plain(folder, stem, {number_of[name]: each for name, each in secure.plain.items()})


def reply_bytes(reply: Received) -> bytes:
    """A device's reply in Flower's bytes."""
    arrays = ArrayRecord()
    for name, array in reply.arrays.items():
        data = encode_array(array.astype(np.float32))
        arrays[name] = Array(DTYPE, tuple(array.shape), NPY_KIND, data)
    numbers = MetricRecord({n: v for n, v in reply.numbers.items() if isinstance(v, int | float)})
    return message_bytes(RecordDict({ARRAYS: arrays, NUMBERS: numbers}), int(reply.pseudonym))


def message_bytes(content: RecordDict, device: int) -> bytes:
    """A reply of a device's node, in Flower's bytes."""
    metadata = MetadataProto(src_node_id=FIRST_NODE + device, dst_node_id=1, message_type="train")
    proto = MessageProto(metadata=metadata, content=recorddict_to_proto(content))
    return bytes(proto.SerializeToString())


def _reference_round(each: Round, subject: Subject) -> Round:
    """Round 0: every device tells the lab's reference, which is that of public people."""
    head = subject.transcript.final
    start = initial_head(head.specification, subject.transcript.plan.seed)
    arrays = _difference(head, start)
    summed = any(r.secure for r in subject.transcript.head_rounds)
    names = subject.members
    if summed:
        total = len(names) * flat(head.specification, REFERENCE_STAGE, arrays)
        return replace(each, secure=SecureSum(names, total))
    numbers = {"num-examples": 1, "round": 0, "specification": head.specification.number}
    return replace(each, received=tuple(Received(name, arrays, numbers) for name in names))


def _difference(head: UniversalHead, start: UniversalHead) -> dict[str, npt.NDArray[np.float64]]:
    specification: HeadSpecification = head.specification
    return {
        name: head.arrays[name].astype(np.float64) - start.arrays[name]
        for name in specification.shapes(REFERENCE_STAGE)
    }


def _users(subject: Subject) -> list[list[str]]:
    """Users of each device, in the devices' order."""
    known = subject.known
    found: Mapping[str, set[str]] = {name: set() for name in sorted(set(known.owners) - {""})}
    for user, owner in zip(known.clips.users, known.owners, strict=True):
        if owner:
            found[owner].add(user)
    return [sorted(users) for users in found.values()]


def _chosen(clips: ClipSet, which: npt.NDArray[np.bool_]) -> ClipSet:
    return clips.select(np.flatnonzero(which))
