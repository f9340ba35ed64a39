"""An in-process Flower Grid: real messages, serialised as on the wire, without SuperLink or Ray.

The same ServerApp and ClientApp run as in a deployment. A message is turned into Flower's protobuf
bytes and back in both directions, so a device shares no object with the server.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from uuid import uuid4

from flwr.app import Context, Error, Message, RecordDict
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.message_pb2 import Message as MessageProto
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from common.errors import WorkError

RUN_ID = 1
SERVER_NODE = 1
FIRST_NODE = 1001
APP_RAISED = 2

Progress = Callable[[int], None]
Config = dict[str, bool | float | int | str]


def answer_bytes(wire: bytes, index: int, nodes: int, run_config: Config) -> bytes:
    """Let node `index` answer one serialised message; returns its serialised reply."""
    message = message_from_proto(MessageProto.FromString(wire))
    context = Context(
        run_id=RUN_ID,
        node_id=FIRST_NODE + index,
        node_config={"partition-id": index, "num-partitions": nodes},
        state=RecordDict(),
        run_config=dict(run_config),
    )
    reply = _answer(message, context)
    reply.metadata.__dict__["_message_id"] = str(uuid4())
    wire_reply: bytes = message_to_proto(reply).SerializeToString()
    return wire_reply


def _answer(message: Message, context: Context) -> Message:
    """The app's reply; an exception that leaves the app is sent as a deployed runtime sends it."""
    from client.app import app

    try:
        return app(message, context)
    except Exception as error:  # noqa: BLE001 - so that a test sees what a server would see
        return Message(Error(APP_RAISED, f"{type(error)}:<'{error}'>"), reply_to=message)


class FlowerGrid(Grid):
    """A Grid whose nodes are the simulation's devices; use as a context manager.

    Args:
        devices: number of nodes.
        run_config: what the apps see as the run's configuration.
        workers: processes that the devices share; 1 runs them in this process. Results do not
            depend on it.
        progress: told each time a device has answered.
    """

    def __init__(
        self,
        *,
        devices: int,
        run_config: Mapping[str, bool | float | int | str],
        workers: int,
        progress: Progress,
    ) -> None:
        self._devices = devices
        self._config: Config = dict(run_config)
        self._workers = workers
        self._progress = progress
        self._pool: ProcessPoolExecutor | None = None
        self._replies: dict[str, Message | Future[bytes]] = {}
        self._run = Run.create_empty(RUN_ID)

    def __enter__(self) -> FlowerGrid:
        TaskIdentity.run_id = RUN_ID
        TaskIdentity.node_id = SERVER_NODE
        TaskIdentity.task_id = 1
        if self._workers > 1:
            self._pool = ProcessPoolExecutor(
                self._workers, mp_context=multiprocessing.get_context("spawn")
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def set_run(self, run: Run) -> None:
        """Keep the run's description."""
        self._run = run

    @property
    def run(self) -> Run:
        """The run's description."""
        return self._run

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """A message to one node."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        """All nodes; they are there from the start."""
        return range(FIRST_NODE, FIRST_NODE + self._devices)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Hand messages to the devices; without workers they answer before this returns."""
        ids = []
        for message in messages:
            identity = str(uuid4())
            message.metadata.__dict__["_message_id"] = identity
            wire = message_to_proto(message).SerializeToString()
            arguments = wire, message.metadata.dst_node_id - FIRST_NODE, self._devices, self._config
            if self._pool:
                self._replies[identity] = self._pool.submit(answer_bytes, *arguments)
            else:
                self._replies[identity] = _message(answer_bytes(*arguments))
                self._progress(1)
            ids.append(identity)
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Replies that are there, each given out once.

        Raises:
            WorkError: a worker process died.
        """
        arrived = []
        for identity in list(message_ids):
            reply = self._replies.get(identity)
            if isinstance(reply, Future):
                if not reply.done():
                    continue
                reply = _message(_result(reply))
                self._progress(1)
            if reply is not None:
                del self._replies[identity]
                arrived.append(reply)
        return arrived

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Push, then wait for all replies (the devices always answer, so `timeout` is not used)."""
        waiting = set(self.push_messages(messages))
        replies: list[Message] = []
        while waiting:
            arrived = list(self.pull_messages(waiting))
            replies += arrived
            waiting -= {reply.metadata.reply_to_message_id for reply in arrived}
        return replies


def _result(future: Future[bytes]) -> bytes:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise WorkError(
            "a worker process ended by itself, perhaps for lack of memory; try --workers 1"
        ) from error


def _message(wire: bytes) -> Message:
    return message_from_proto(MessageProto.FromString(wire))
