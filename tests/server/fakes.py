"""Updates with tiny numbers, a hand-written fleet, and a Grid whose nodes do as they are told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from flwr.app import Message, RecordDict
from flwr.serverapp import Grid
from flwr.supercore.run import Run

from common.heads.specification import REFERENCE_STAGE, HeadSpecification
from common.messages import EVALUATE, Request
from common.settings import FederationPlan
from common.update import HeadUpdate
from server.federation import Replies

SPECIFICATION = HeadSpecification(kind="logistic", dimension=1, features="made-up", classes=2)
"""Eight numbers: a reference of two, and per branch a weight (2, 1) and a bias (2,)."""


def plan(**changes: object) -> FederationPlan:
    settings: dict[str, object] = {
        "name": "fold-1",
        "rounds": 2,
        "epochs": 1,
        "learning_rate": 1.0,
        "l2": 0.01,
        "memory": 0,
        "seed": 1,
    }
    return FederationPlan(**{**settings, **changes})  # type: ignore[arg-type]


def update(
    values: float | Mapping[str, Sequence[float]],
    *,
    clips: int = 1,
    stage: str = "head",
    round: int = 1,
    specification: HeadSpecification = SPECIFICATION,
) -> HeadUpdate:
    """An update whose arrays all hold one value, or the values given by name."""
    arrays = {}
    for name, shape in specification.shapes(stage).items():
        value = values if isinstance(values, float | int) else values.get(name, 0.0)
        arrays[name] = np.broadcast_to(
            np.reshape(np.asarray(value, np.float32), (-1,) + (1,) * (len(shape) - 1)), shape
        ).astype(np.float32)
    return HeadUpdate(
        specification=specification, stage=stage, round=round, clips=clips, arrays=arrays
    )


Answer = HeadUpdate | None | str
"""An update, nothing to send, or the reason of a failure."""


class FakeFleet:
    """Devices as functions of a request; keeps the requests."""

    def __init__(self, *devices: Callable[[Request], Answer]) -> None:
        self.requests: list[Request] = []
        self._devices = devices

    def ask(self, request: Request) -> Replies:
        self.requests.append(request)
        answers = [device(request) for device in self._devices]
        updates = tuple(answer for answer in answers if isinstance(answer, HeadUpdate))
        failures = tuple(answer for answer in answers if isinstance(answer, str))
        empty = len(answers) - len(updates) - len(failures)
        return Replies(updates, 100 * len(updates), empty, failures)


def sends(value: float, clips: int = 1) -> Callable[[Request], Answer]:
    """A device that always sends `value` in every entry."""

    def answer(request: Request) -> Answer:
        if request.stage == EVALUATE:
            return None
        return update(value, clips=clips, stage=request.stage, round=request.round)

    return answer


def declines(_: Request) -> Answer:
    return None


def fails(_: Request) -> Answer:
    return "it is broken"


def fails_after_reference(request: Request) -> Answer:
    return sends(1.0)(request) if request.stage == REFERENCE_STAGE else "it broke later"


Node = Callable[[Message], Message | None]


class FakeGrid(Grid):
    """Nodes that answer at once, late, or never.

    Args:
        nodes: a function per node id; None is no answer.
        appear: looks for nodes until they are there.
        delay: looks for replies until they are there.
    """

    def __init__(self, nodes: Mapping[int, Node], *, appear: int = 0, delay: int = 0) -> None:
        self._nodes = nodes
        self._appear = appear
        self._delay = delay
        self._replies: dict[str, Message] = {}
        self.pushed: list[Message] = []

    def set_run(self, run: Run) -> None:
        raise NotImplementedError

    @property
    def run(self) -> Run:
        raise NotImplementedError

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        raise NotImplementedError

    def get_node_ids(self) -> Iterable[int]:
        self._appear -= 1
        return [] if self._appear >= 0 else list(self._nodes)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        identities = []
        for message in messages:
            identity = f"message-{len(self.pushed)}"
            message.metadata.__dict__["_message_id"] = identity
            self.pushed.append(message)
            identities.append(identity)
            reply = self._nodes[message.metadata.dst_node_id](message)
            if reply is not None:
                self._replies[identity] = reply
        return identities

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        self._delay -= 1
        if self._delay >= 0:
            return []
        there = [identity for identity in message_ids if identity in self._replies]
        return [self._replies.pop(identity) for identity in there[:1]]

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        raise NotImplementedError
