"""Small devices with made-up clips, and messages to them over the in-process Grid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import Message, RecordDict
from flwr.common.serde import message_from_proto, message_to_proto, recorddict_to_proto
from flwr.proto.message_pb2 import Message as MessageProto

from client.store import DeviceFolder, DeviceSettings, Part
from common.clips import ClipSet, make_clip_set
from common.heads.specification import REFERENCE_STAGE, HeadSpecification
from common.heads.universal import UniversalHead, initial_head
from common.messages import Request
from common.paths import simulated_device
from common.settings import FederationPlan
from server.flower_adapter import _message as message_of
from simulations.engines.flower_grid import FIRST_NODE, FlowerGrid, answer_bytes

DIMENSION = 5


def specification(kind: str = "logistic", dimension: int = DIMENSION) -> HeadSpecification:
    return HeadSpecification(kind=kind, dimension=dimension, features="made-up", key_dimension=3)


def plan(name: str = "fold-1", **changes: Any) -> FederationPlan:
    settings = {
        "rounds": 3,
        "epochs": 2,
        "learning_rate": 0.5,
        "l2": 0.01,
        "memory": 0,
        "seed": 1,
        **changes,
    }
    return FederationPlan(name=name, **settings)


def made_up_clips(
    users: Sequence[str] = ("Ada",),
    *,
    per_expression: int = 2,
    expressions: int = 8,
    dimension: int = DIMENSION,
    frames: int = 3,
    seed: int = 0,
) -> ClipSet:
    """Clips whose features lie around a centre of their expression, moved for each user."""
    chooser = np.random.default_rng(seed)
    centres = chooser.normal(size=(expressions, dimension))
    names, owners, labels, features = [], [], [], []
    for user in users:
        shift = chooser.normal(size=dimension)
        for label in range(expressions):
            for take in range(per_expression):
                names.append(f"{user}-{label}-{take}")
                owners.append(user)
                labels.append(label)
                count = 1 + (label + take) % frames
                noise = 0.2 * chooser.normal(size=(count, dimension))
                features.append(centres[label] + shift + noise)
    return make_clip_set(names, owners, labels, features)


def any_head(spec: HeadSpecification, seed: int = 0) -> UniversalHead:
    """A head with random values and a sensible reference."""
    chooser = np.random.default_rng(seed)
    arrays = {
        name: chooser.normal(size=shape).astype(np.float32)
        for name, shape in spec.all_shapes().items()
    }
    arrays["reference.spread"] = np.abs(arrays["reference.spread"]) + np.float32(0.5)
    return UniversalHead(spec, arrays)


def request(
    spec: HeadSpecification,
    stage: str,
    *,
    head: UniversalHead | None = None,
    name: str = "fold-1",
    round: int | None = None,
) -> Request:
    number = round if round is not None else int(stage != REFERENCE_STAGE)
    return Request(plan(name), stage, number, head or initial_head(spec, 1))


def device(
    root: Path, clips: ClipSet, spec: HeadSpecification, *, index: int = 0, **settings: Any
) -> DeviceFolder:
    folder = DeviceFolder(simulated_device(root, index))
    folder.create(DeviceSettings(specification=spec, seed=0, **settings), clips)
    return folder


def part_of(clips: ClipSet, user: str, federation: str = "fold-1", **settings: Any) -> Part:
    """Even clips of a user to adapt on, odd ones to test on."""
    own = [index for index, owner in enumerate(clips.users) if owner == user]
    return Part(
        federation=federation,
        user=user,
        adaptation=tuple(own[::2]),
        test=tuple(own[1::2]),
        **settings,
    )


def message_to(asked: Request, device: int = 0) -> Message:
    """A request as a server's message to the first node."""
    with FlowerGrid(devices=1, run_config={}, workers=1, progress=lambda _: None):
        return message_of(asked, FIRST_NODE, {"device": device})


def ask(root: Path, asked: Request, *, kind: str | None = None) -> bytes:
    """A device's whole reply, serialised; `kind` replaces the message's type."""
    return send(root, message_to(asked), kind=kind)


def send(root: Path, message: Message, *, kind: str | None = None) -> bytes:
    message.metadata.__dict__["_message_id"] = "asked"
    if kind is not None:
        message.metadata.__dict__["_message_type"] = kind
    wire = message_to_proto(message).SerializeToString()
    return answer_bytes(wire, 0, 1, {"state-root": str(root)})


def read(wire: bytes) -> Message:
    return message_from_proto(MessageProto.FromString(wire))


def content_bytes(content: RecordDict) -> bytes:
    return recorddict_to_proto(content).SerializeToString(deterministic=True)
