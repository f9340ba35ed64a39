"""Flower's messages on the device's side: requests in, guarded replies out."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from flwr.app import (
    Array,
    ArrayRecord,
    ConfigRecord,
    Context,
    Error,
    Message,
    MetricRecord,
    RecordDict,
)
from flwr.common.serde import recorddict_from_proto, recorddict_to_proto
from flwr.proto.recorddict_pb2 import RecordDict as RecordDictProto

from client.adoption import adopt
from client.device.unlock import open_vault
from client.gate import REFUSED_REASON, let_step_through, let_through
from client.membership import membership
from client.settings import DeviceStore
from client.turns import turn
from client.vault.device_store import VaultStore
from common.errors import MienError, WorkError
from common.paths import simulated_device, simulation_folder
from common.releases.container import MOST_BYTES
from common.releases.errors import ReleaseRefused
from common.update import HeadUpdate
from common.wire import (
    ARRAYS,
    NPY_KIND,
    NUMBERS,
    PAYLOAD,
    SUM,
    Expected,
    WireReply,
    encode_array,
    public_numbers,
    read_step,
    wire_reply,
)

if TYPE_CHECKING:
    from common.messages import Request, SumRequest

RELEASE = "release"
RELEASE_MESSAGE = f"query.{RELEASE}"
SUM_MESSAGE = f"query.{SUM}"
MOST_LINKS = 2000
REFUSED_CODE = 2

ClientApp = Callable[[Message, Context], Message]


def device_folder(message: Message, context: Context) -> DeviceStore:
    """The store of the device that a message is for.

    A deployed device names its folder in its node configuration, and no message can change that:
    `vault-dir` the one with its vault, whose key comes from the running daemon or from the key
    that device.json names; `state-dir` one without a vault. In a simulation a node may stand for
    several devices: the message says which, and the folder lies under the run's `state-root`. Only
    a simulation's runtime gives a node its partition; a deployed node without either is refused.

    Raises:
        WorkError: a simulated device is not named by a number, or the vault can't be opened.
        UsageError: there is no device in `vault-dir`, or its settings name no usable key.
    """
    vault = context.node_config.get("vault-dir")
    if vault is not None:
        return VaultStore(open_vault(Path(str(vault)), ask=_nobody), _asked(message))
    from client.store import DeviceFolder  # which, unlike a vault, loads torch

    configured = context.node_config.get("state-dir")
    if configured is not None:
        return DeviceFolder(Path(str(configured)))
    if "partition-id" not in context.node_config:
        raise WorkError("this node is no simulated one, and its node-config has no state-dir")
    records = message.content.config_records
    device = records["config"].get("device") if "config" in records else None
    if type(device) is not int or device < 0:
        raise WorkError("the message names no simulated device, and node-config no state-dir")
    root = simulation_folder(str(context.run_config.get("state-root", "")))
    return DeviceFolder(simulated_device(root, device))


def _asked(message: Message) -> str:
    """The head specification that a request names; empty where it names none."""
    records = message.content.config_records
    told = records["config"].get("specification") if "config" in records else None
    return told if isinstance(told, str) else ""


def _nobody(prompt: str) -> str:
    """The answer of a process that must not ask on a terminal."""
    return ""


def request_of(message: Message, store: DeviceStore) -> Request:
    """Read a server's message.

    Raises:
        WorkError: it is not a request, or not one for this device's head.
    """
    from common.messages import read_request

    content = message.content
    if ARRAYS not in content.array_records or "config" not in content.config_records:
        raise WorkError("the server's message is not a request")
    record = content.array_records[ARRAYS]
    arrays = {name: array.numpy() for name, array in record.items()}
    numbers = dict(content.config_records["config"])
    return read_request(numbers, arrays, store.settings().specification)


def sum_request_of(message: Message, store: DeviceStore) -> SumRequest:
    """Read a step of a secure sum.

    Raises:
        WorkError: it is not one, or not one for this device's head.
    """
    from common.messages import read_sum_request

    content = message.content
    if "config" not in content.config_records:
        raise WorkError("the server's message is not a request")
    record = content.array_records.get(ARRAYS)
    arrays = None if record is None else {name: each.numpy() for name, each in record.items()}
    numbers = dict(content.config_records["config"])
    return read_sum_request(numbers, arrays, store.settings().specification)


def take_release(message: Message, store: DeviceStore) -> None:
    """Adopt the release that a message brings; one that is refused is noted in the vault alone.

    A device without a vault, or in no fleet, has nothing to do with releases.

    Raises:
        WorkError: the message is not of the form that a release travels in.
    """
    if not isinstance(store, VaultStore) or membership(store.vault) is None:
        return
    records = message.content.config_records
    told = dict(records[RELEASE]) if RELEASE in records else {}
    release, links = told.get("release"), told.get("links", [])
    if not isinstance(release, bytes) or not isinstance(links, list) or len(links) > MOST_LINKS:
        raise WorkError("the server's message is not a release")
    if len(release) > MOST_BYTES or not all(isinstance(link, bytes) for link in links):
        raise WorkError("the server's message is not a release")
    try:
        adopt(store.vault, release, [link for link in links if isinstance(link, bytes)])
    except ReleaseRefused:
        return  # `adopt` has noted it; the server learns nothing of what this device has


def content_of(update: HeadUpdate | None) -> RecordDict:
    """An update in the form in which it travels; nothing for None."""
    if update is None:
        return RecordDict()
    record = ArrayRecord()
    for name in update.specification.shapes(update.stage):
        array = update.arrays[name]
        record[name] = Array("float32", tuple(array.shape), NPY_KIND, encode_array(array))
    return RecordDict({ARRAYS: record, NUMBERS: MetricRecord(public_numbers(update))})


def step_content(payload: bytes | None) -> RecordDict:
    """A secure sum's step in the form in which it travels; nothing for None."""
    return RecordDict({} if payload is None else {SUM: ConfigRecord({PAYLOAD: payload})})


def egress_gate(message: Message, context: Context, call_next: ClientApp) -> Message:
    """The outermost mod of the device's app: only nothing, a true update or a step passes.

    Whatever goes wrong inside, the server learns one fixed sentence; the full text stays in the
    device's error log.
    """
    try:
        store = device_folder(message, context)
        if message.metadata.message_type == RELEASE_MESSAGE:  # which brings, and takes nothing
            return _gated(message, context, call_next, store)
        with turn(store):
            return _gated(message, context, call_next, store)
    except Exception as error:  # noqa: BLE001 - nothing of an error may travel
        _keep_error(message, context, error)
        return Message(Error(REFUSED_CODE, REFUSED_REASON), reply_to=message)


def _gated(
    message: Message, context: Context, call_next: ClientApp, before: DeviceStore
) -> Message:
    willing = before.contributors()
    reply = call_next(message, context)
    wire = recorddict_to_proto(reply.content).SerializeToString(deterministic=True)
    read_back = recorddict_from_proto(RecordDictProto.FromString(wire))
    store = device_folder(message, context)
    if store.contributors() != willing:
        raise WorkError("a user withdrew, or taking part was paused, during the round")
    passed = _passed(message, context, store, wire_reply(read_back), len(wire))
    return Message(passed, reply_to=message)


def _passed(
    message: Message, context: Context, store: DeviceStore, reply: WireReply, size: int
) -> RecordDict:
    """What of a reply may leave, made anew from what the gate read; it is in the ledger."""
    occasion: dict[str, object] = {"run": context.run_id, "node": context.node_id}
    if message.metadata.message_type == SUM_MESSAGE:
        return _passed_step(message, occasion, store, reply, size)
    expected, told = _agreed(message, store)
    return content_of(let_through(store.ledger, reply, expected, {**occasion, **told}, size))


def _passed_step(
    message: Message,
    occasion: dict[str, object],
    store: DeviceStore,
    reply: WireReply,
    size: int,
) -> RecordDict:
    from client.secure_aggregation.taking_part import own_step

    if read_step(reply) is None:
        return step_content(None)
    asked = sum_request_of(message, store)
    own = own_step(store, asked)
    told = {**occasion, "federation": asked.plan.name, **own.told}
    return step_content(let_step_through(store.ledger, reply, own, told, size))


def _agreed(message: Message, store: DeviceStore) -> tuple[Expected | None, dict[str, object]]:
    """What this device may send in answer to a message, and what the ledger says of it."""
    if message.metadata.message_type == RELEASE_MESSAGE:
        return None, {"federation": RELEASE}
    from client.exposure import exposure_part
    from common.messages import EVALUATE

    request = request_of(message, store)
    told: dict[str, object] = {"federation": request.plan.name}
    if message.metadata.message_type != "train" or request.stage == EVALUATE:
        return None, told
    specification = request.head.specification
    agreed = Expected(specification=specification, stage=request.stage, round=request.round)
    norm = request.plan.clip_norm or None
    return agreed, {**told, **exposure_part(request, store.clips(), clip_norm=norm)}


def _keep_error(message: Message, context: Context, error: Exception) -> None:
    """Write an error to the device's log; a device that can't be opened has nowhere to keep it."""
    text = "".join(traceback.format_exception(error))
    try:
        store = device_folder(message, context)
        store.log_error(text)
        if isinstance(store, VaultStore) and isinstance(error, MienError):
            store.note_refusal(_occasion(message), str(error))
    except (OSError, KeyError, ValueError, MienError):
        return


def _occasion(message: Message) -> str:
    """What a message wanted, in the words of the device's status."""
    if message.metadata.message_type == RELEASE_MESSAGE:
        return "a release"
    records = message.content.config_records
    number = records["config"].get("round") if "config" in records else None
    return f"round {number}" if type(number) is int else "a request"
