"""Many devices that speak Flower's fleet protocol from one process, for load tests.

Every device has its own key and TLS connection, and asks as a SuperNode does: activate, heartbeat,
pull, confirm, push. What it sends is drawn from its number and the round; nothing is trained.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import httpx
import numpy as np
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import Message
from flwr.app.message import remove_content_from_message
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.fab_pb2 import GetFabRequest
from flwr.proto.fleet_pb2 import (
    ActivateNodeRequest,
    DeactivateNodeRequest,
    PullMessagesRequest,
    PushMessagesRequest,
)
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest
from flwr.proto.message_pb2 import (
    ConfirmMessageReceivedRequest,
    ObjectTree,
    PullObjectRequest,
    PushObjectRequest,
)
from flwr.proto.node_pb2 import Node
from flwr.proto.run_pb2 import GetRunRequest
from flwr.supercore.inflatable.inflatable_object import (
    get_all_nested_objects,
    get_object_tree,
    iterate_object_tree,
)
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from flwr.supercore.interceptors.http.runtime_version import RuntimeVersionHttpInterceptor
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from client.flower_adapter import content_of
from common.heads.specification import STAGES, HeadSpecification
from common.randomness import generator
from common.update import HeadUpdate

HEARTBEAT_SECONDS: Final = 30.0
BEAT_EARLY: Final = 0.6
"""Share of the interval after which a device beats again."""
PULL_SECONDS: Final = 3.0
"""Between pulls, as Flower's SuperNode has it."""
RETRY_SECONDS: Final = 1.0
TRIES: Final = 5


class ScriptedDevice:
    """One device.

    Args:
        number: tells it from others, and decides what it sends.
        address: HOST:PORT of the server.
        authority: CA certificate, PEM.
        key: that is registered.
    """

    def __init__(
        self, number: int, address: str, authority: bytes, key: ec.EllipticCurvePrivateKey
    ) -> None:
        self.number = number
        self._client = FleetHttpClient.from_server_address(
            address,
            False,
            authority,
            interceptors=[
                RuntimeVersionHttpInterceptor(component_name="SuperNode"),
                NodeAuthHttpInterceptor(key, key.public_key()),
            ],
        )
        self._public = public_key_to_bytes(key.public_key())
        self._node = Node()
        self._beat = 0.0
        self._runs: set[int] = set()

    def activate(self) -> None:
        """Say that it is there; once its key is registered."""
        request = ActivateNodeRequest(public_key=self._public, heartbeat_interval=HEARTBEAT_SECONDS)
        self._node = Node(node_id=self._client.ActivateNode(request).node_id)
        self._beat = time.monotonic()

    def beat(self) -> None:
        """Say that it still is there, where it is time to."""
        if time.monotonic() - self._beat > HEARTBEAT_SECONDS * BEAT_EARLY:
            self._client.SendNodeHeartbeat(
                SendNodeHeartbeatRequest(node=self._node, heartbeat_interval=HEARTBEAT_SECONDS)
            )
            self._beat = time.monotonic()

    def turn(self) -> bool:
        """Pull once and answer; returns whether there was a message."""
        pulled = self._client.PullMessages(PullMessagesRequest(node=self._node))
        if not pulled.messages_list:
            return False
        told = message_from_proto(pulled.messages_list[0])
        self._answer(told, pulled.message_object_trees[0])
        return True

    def leave(self) -> None:
        """Say that it goes, and close the connection."""
        if self._node.node_id:
            self._client.DeactivateNode(DeactivateNodeRequest(node_id=self._node.node_id))
        self._client.close()

    def _answer(self, told: Message, tree: ObjectTree) -> None:
        run = told.metadata.run_id
        self._learn(run)
        contents = {
            each.object_id: self._pulled(run, each.object_id) for each in iterate_object_tree(tree)
        }
        message = inflate_object_from_contents(tree.object_id, contents)
        if not isinstance(message, Message):
            raise TypeError("the server sent something that is no message")
        message.metadata.__dict__["_message_id"] = tree.object_id
        self._client.ConfirmMessageReceived(
            ConfirmMessageReceivedRequest(
                node=self._node, run_id=run, message_object_id=tree.object_id
            )
        )
        self._send(Message(content_of(self._update(message)), reply_to=message), run)

    def _learn(self, run: int) -> None:
        """The run and its app, once for each run, as a SuperNode fetches them."""
        if run in self._runs:
            return
        about = self._client.GetRun(GetRunRequest(node=self._node, run_id=run)).run
        request = GetFabRequest(node=self._node, hash_str=about.fab_hash, run_id=run)
        self._client.GetFab(request)
        self._runs.add(run)

    def _pulled(self, run: int, identity: str) -> bytes:
        request = PullObjectRequest(node=self._node, run_id=run, object_id=identity)
        for _ in range(TRIES):
            answer = self._client.PullObject(request)
            if answer.object_available:
                return answer.object_content
            time.sleep(RETRY_SECONDS)
        raise TimeoutError("an object of a message is not there")

    def _update(self, message: Message) -> HeadUpdate | None:
        """An update for a head that the message asks for; nothing for any other message."""
        records = message.content.config_records
        numbers = dict(records["config"]) if "config" in records else {}
        stage, round_ = numbers.get("stage"), numbers.get("round")
        if stage not in STAGES or not isinstance(round_, int):
            return None
        specification = HeadSpecification.from_json(str(numbers["specification"]))
        draw = generator(0, "scripted update", client=self.number, round=round_)
        arrays = {
            name: (0.01 * draw.standard_normal(shape)).astype(np.float32)
            for name, shape in specification.shapes(str(stage)).items()
        }
        return HeadUpdate(
            specification=specification, stage=str(stage), round=round_, clips=8, arrays=arrays
        )

    def _send(self, reply: Message, run: int) -> None:
        reply.metadata.__dict__["_message_id"] = reply.object_id
        objects, tree = get_all_nested_objects(reply), get_object_tree(reply)
        proto = message_to_proto(remove_content_from_message(reply))
        answer = self._client.PushMessages(
            PushMessagesRequest(
                node=self._node,
                messages_list=[proto],
                message_object_trees=[tree],
                clientapp_runtime_list=[0.0],
            )
        )
        for identity in answer.objects_to_push:
            self._client.PushObject(
                PushObjectRequest(
                    node=self._node,
                    run_id=run,
                    object_id=identity,
                    object_content=objects[identity].deflate(),
                    session_id=answer.session_id,
                )
            )


@dataclass
class Crowd:
    """Devices that take their turns in a few threads until `stop`.

    Attributes:
        devices: that have activated.
        threads: how many speak at the same time.
        errors: how often a turn failed, by the error's name.
        answered: messages answered.
    """

    devices: Sequence[ScriptedDevice]
    threads: int = 8
    errors: Counter[str] = field(default_factory=Counter)
    answered: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> None:
        """Let everyone take turns; ends soon after `stop`."""
        parts = [self.devices[place :: self.threads] for place in range(self.threads)]
        with ThreadPoolExecutor(self.threads + 1) as pool:
            beating = pool.submit(self._beat_for_all)
            list(pool.map(self._take_turns, parts))
            beating.result()

    def stop(self) -> None:
        """End `run`."""
        self._stop.set()

    def _take_turns(self, devices: Sequence[ScriptedDevice]) -> None:
        due = dict.fromkeys(devices, time.monotonic())
        while not self._stop.is_set() and devices:
            device = min(devices, key=due.__getitem__)
            if self._stop.wait(max(0.0, due[device] - time.monotonic())):
                return
            due[device] = time.monotonic() + (0.0 if self._turn(device) else PULL_SECONDS)

    def _beat_for_all(self) -> None:
        """Beats do not wait for a device's turn: a server under load would take it for gone."""
        while not self._stop.wait(1.0):
            for device in self.devices:
                with self._errors_counted():
                    device.beat()

    def _turn(self, device: ScriptedDevice) -> bool:
        had = False
        with self._errors_counted():
            had = device.turn()
        with self._lock:
            self.answered += had
        return had

    @contextmanager
    def _errors_counted(self) -> Iterator[None]:
        try:
            yield
        except (httpx.HTTPError, OSError, RuntimeError, TypeError, ValueError) as error:
            with self._lock:
                self.errors[type(error).__name__] += 1
