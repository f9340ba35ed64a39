"""Flower's Grid on the server's side: one request to all nodes, validated replies back."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.common.serde import message_to_proto, recorddict_to_proto
from flwr.serverapp import Grid
from flwr.superlink.grid import http_grid

from common.errors import WorkError
from common.messages import EVALUATE, Request, SumRequest
from common.secure_aggregation.steps import MASK
from common.wire import (
    ARRAYS,
    NPY_KIND,
    SUM,
    encode_array,
    read_step,
    wire_reply,
)
from server.defence import Arrival
from server.federation import Replies
from server.fleet.judge import Judge, by_form
from server.fleet.oversampling import OverSampling, Tries
from server.pulls import pulls_end_by
from server.recording import keep_replies, keep_sum
from server.sampling import asked_devices, lost_devices
from server.secure_aggregation.collecting import SumCollector
from server.secure_aggregation.outcome import Answers
from server.secure_aggregation.unfinished import (
    InMemory,
    UnfinishedSum,
    as_begun,
    unfinished_over,
)

RELEASE = "query.release"
SUM_MESSAGE = f"query.{SUM}"
MOST_UNANSWERED = 10_000
"""Requests whose late answers are still looked for; older ones are forgotten."""


class TooFewDevices(WorkError):
    """Fewer devices are connected than a request needs."""


class FlowerFleet:
    """All nodes of a Grid as a `server.federation.Fleet`.

    A deployment's nodes are its devices. A simulation's nodes stand for its devices by turns, each
    message saying which, so that neither their number nor their random ids change a result, and a
    round can't miss devices whose node registered late.

    Args:
        grid: Flower's.
        devices: number of simulated devices; 0 in a deployment.
        timeout: seconds to wait for the first node, and for the replies to one request.
        poll: seconds between looks.
        quorum: nodes to wait for before a request is sent, and the fewest members of a secure sum;
            in a deployment.
        judge: decides on the replies in place of the form alone; in a deployment.
        left_out: node ids, as text, that are not asked; looked at before every request.
        over: whom a round asks, and when it need not wait any more; in a deployment.
        record: folder that every reply is written to as it came, in Flower's bytes; None keeps
            none.
        unfinished: where a secure sum is kept from the moment it may be revealed; None for one
            that need not survive this process.
    """

    def __init__(
        self,
        grid: Grid,
        *,
        devices: int,
        timeout: float,
        poll: float,
        quorum: int = 1,
        judge: Judge | None = None,
        left_out: Callable[[], Collection[str]] = frozenset,
        record: Path | None = None,
        unfinished: UnfinishedSum | None = None,
        over: OverSampling | None = None,
        is_own: Callable[[int, bytes], bool] = lambda node, introduction: True,
    ) -> None:
        self._is_own = is_own
        self._over = over or OverSampling()
        self._tries = Tries(self._over)
        self._unfinished = unfinished or InMemory()
        self._introductions: dict[int, bytes] = {}
        self._judge = judge or by_form
        self._left_out = left_out
        self._quorum = quorum
        self._unanswered: dict[str, None] = {}
        self._record = record
        self._told: tuple[bytes, set[int]] = (b"", set())
        self._unheard: set[str] = set()
        self._grid = grid
        self._devices = devices
        self._timeout = timeout
        self._poll = poll

    def ask(self, request: Request) -> Replies:
        """Send one request to the devices that are to be asked, and collect the answers."""
        if request.plan.secure_sum and request.stage != EVALUATE:
            return self._ask_sum(request)
        late = self._late()
        nodes = sorted(self._nodes())
        devices = self._devices or len(nodes)
        asked = self._tries.asked(asked_devices(request, devices).tolist(), nodes, request)
        messages = [self._message(request, nodes, number) for number in asked]
        ids, arrived = self._exchange(messages, lambda found: self._enough(found, request))
        offline = lost_devices(request, devices)
        gone = {identity for identity, device in zip(ids, asked, strict=True) if offline[device]}
        replies = [r for r in arrived if r.metadata.reply_to_message_id not in gone]
        if self._record:
            keep_replies(self._record, request, _as_came(replies))
        full = [_arrival(reply) for reply in replies if _has_content(reply)]
        judgement = self._judge(request, full)
        self._tries.refused(judgement.at_fault)
        enough = self._over.enough(len(judgement.updates), request)
        missing = 0 if enough else len(asked) - len(arrived)
        failures = [f"{missing} device(s) did not answer in time"] if missing else []
        failures += [f"a device failed (code {r.error.code})" for r in replies if r.has_error()]
        answered = sum(not reply.has_error() for reply in replies)
        lost = sum(_has_content(r) for r in arrived if r.metadata.reply_to_message_id in gone)
        return Replies(
            judgement.updates,
            judgement.bytes,
            answered - len(full),
            tuple(failures),
            lost,
            refused=judgement.refused,
            late=late,
            capped=judgement.capped,
        )

    def _enough(self, arrived: Sequence[Message], request: Request) -> bool:
        """Whether so many replies would be accepted now that the rest need not be waited for."""
        full = [reply for reply in arrived if _has_content(reply)]
        if not self._over.enough(len(full), request):
            return False
        found = self._judge(request, [_arrival(reply) for reply in full], keep=False)
        return self._over.enough(len(found.updates), request)

    def _ask_sum(self, request: Request) -> Replies:
        """The same as a secure sum: its steps in place of one message, its mean of updates."""
        late = self._late()
        kept = unfinished_over(request, self._unfinished)
        request = as_begun(request, kept)
        nodes = sorted(self._nodes(self._quorum if kept is None else kept.missing))
        devices = self._devices or len(nodes)
        asked = list(range(devices)) if kept else asked_devices(request, devices).tolist()
        gone = np.flatnonzero(lost_devices(request, devices)).tolist()
        # An address is a device's number in a simulation, which has no other, else a node's id.
        place = asked if self._devices else [nodes[number] for number in asked]
        carrier = _Steps(self, request, {n: self._node_of(n, nodes) for n in place})
        collector = SumCollector(
            carrier, self._introductions, self._unfinished, self._quorum, self._is_own
        )
        found = collector.collect(request, place, gone if self._devices else ())
        if self._record and found.record is not None:
            keep_sum(self._record, request, found.record, self._devices > 0)
        failures = () if found.mean else tuple(found.failures) or ("no secure sum came about",)
        return Replies(
            (),
            found.bytes,
            found.declined,
            failures,
            len(gone) if found.mean else 0,
            found.mean,
            refused=() if found.mean else tuple(found.refused),
            late=late,
            noise=found.noise,
            hurdles=(*found.refused, *found.failures) if found.mean else (),
        )

    def _node_of(self, address: int, nodes: Sequence[int]) -> int:
        return nodes[address % len(nodes)] if self._devices else address

    def carry(
        self, request: Request, step: str, payloads: Mapping[int, bytes], nodes: Mapping[int, int]
    ) -> Answers:
        """Send one step of a secure sum to addresses, and collect the answers."""
        addresses = sorted(payloads)
        messages = [
            _step_message(
                request,
                step,
                payloads[each],
                nodes[each],
                {"device": each} if self._devices else {},
            )
            for each in addresses
        ]
        ids, arrived = self._exchange(messages)
        sender = dict(zip(ids, addresses, strict=True))
        if self._record:
            keep_replies(self._record, request, _as_came(arrived), further=True)
        answers = Answers({})
        failures = [f"{len(ids) - len(arrived)} device(s) did not answer to {step} in time"]
        failures = failures if len(arrived) < len(ids) else []
        for reply in sorted(arrived, key=lambda each: sender[each.metadata.reply_to_message_id]):
            address = sender[reply.metadata.reply_to_message_id]
            if reply.has_error():
                failures.append(f"a device failed at {step} (code {reply.error.code})")
                continue
            answers.bytes += int(recorddict_to_proto(reply.content).ByteSize())
            try:
                payload = read_step(wire_reply(reply.content))
            except WorkError as error:
                failures.append(f"a device's answer to {step} was refused: {error}")
                continue
            if payload is None:
                answers.declined |= {address}
            else:
                answers.payloads[address] = payload
        answers.failures = tuple(failures)
        return answers

    def tell(self, release: bytes, links: Sequence[bytes]) -> None:
        """Send a release to the nodes that are connected now and were not sent it before.

        Waits for nobody: what a device makes of a release is its own affair, and one that does not
        answer is no failure. See `hear`.
        """
        if self._told[0] != release:
            self._told = (release, set())
        new = sorted(set(self._grid.get_node_ids()) - self._told[1])
        record = ConfigRecord({"release": release, "links": list(links)})
        messages = [Message(RecordDict({"release": record}), node, RELEASE) for node in new]
        self._unheard.update(self._grid.push_messages(messages) if messages else ())
        self._told[1].update(new)
        self.hear(0.0)

    def hear(self, patience: float) -> int:
        """Take in what devices answered to releases; how many have not within so many seconds.

        A run must not end before, or its last release reaches nobody.
        """
        deadline = time.monotonic() + patience
        while self._unheard:
            replies = self._pull(self._unheard, deadline)
            self._unheard -= {reply.metadata.reply_to_message_id for reply in replies}
            if time.monotonic() >= deadline:
                break
            if not replies:
                time.sleep(self._poll)
        return len(self._unheard)

    def _late(self) -> int:
        """How many replies to requests before came too late; they are dropped here."""
        if not self._unanswered:
            return 0
        late = self._pull(self._unanswered, time.monotonic())
        for reply in late:
            self._unanswered.pop(reply.metadata.reply_to_message_id, None)
        return len(late)

    def _pull(self, ids: Iterable[str], deadline: float) -> list[Message]:
        """Replies that are there; one that was announced alone is waited for until `deadline`."""
        with pulls_end_by(deadline, http_grid):
            return list(self._grid.pull_messages(list(ids)))

    def _look_for_later(self, ids: Iterable[str]) -> None:
        """Count the answers to these requests as late, should they come."""
        self._unanswered |= dict.fromkeys(ids)
        too_many = len(self._unanswered) - MOST_UNANSWERED
        for oldest in list(self._unanswered)[: max(0, too_many)]:
            del self._unanswered[oldest]

    def _message(self, request: Request, nodes: Sequence[int], device: int) -> Message:
        address = {"device": device} if self._devices else {}
        return _message(request, nodes[device % len(nodes)], address)

    def _nodes(self, fewest: int | None = None) -> list[int]:
        """All nodes, once enough are there: the server app may start before any is registered.

        Enough is the quorum; an unfinished sum may do with fewer, or wait for more.
        """
        expected = self._quorum if fewest is None else fewest
        deadline = time.monotonic() + self._timeout
        out = set(self._left_out())
        while len(nodes := self._there(out)) < expected:
            if time.monotonic() > deadline:
                raise TooFewDevices(
                    f"{len(nodes) or 'no'} device connected within {self._timeout:.0f} s, expected "
                    f"{expected}; start more, or give more time by the setting timeout"
                )
            time.sleep(self._poll)
        return nodes

    def _there(self, out: Collection[str]) -> list[int]:
        return [node for node in self._grid.get_node_ids() if str(node) not in out]

    def _exchange(
        self,
        messages: Iterable[Message],
        enough: Callable[[Sequence[Message]], bool] = lambda _: False,
    ) -> tuple[list[str], list[Message]]:
        """The messages' ids in their order, and the replies that came in time in theirs.

        `enough` says of replies, whenever one came, that the rest need not be waited for.
        """
        ids = list(self._grid.push_messages(messages))
        waiting = set(ids)
        deadline = time.monotonic() + self._timeout
        replies: list[Message] = []
        while waiting:
            last = time.monotonic() > deadline  # a look may outlast it, and more have come by then
            arrived = self._pull(waiting, deadline)
            replies += arrived
            waiting -= {reply.metadata.reply_to_message_id for reply in arrived}
            if not waiting or (arrived and enough(replies)) or last:
                break
            if not arrived:
                time.sleep(self._poll)
        self._look_for_later(each for each in ids if each in waiting)
        return ids, replies


class _Steps:
    """A fleet as `server.secure_aggregation.collecting.Exchange` for one request."""

    def __init__(self, fleet: FlowerFleet, request: Request, nodes: dict[int, int]) -> None:
        self._fleet = fleet
        self._request = request
        self._nodes = nodes

    def __call__(self, step: str, payloads: Mapping[int, bytes]) -> Answers:
        """See `Exchange`."""
        nodes = {each: self._nodes[each] for each in payloads}
        return self._fleet.carry(self._request, step, payloads, nodes)


def _as_came(replies: Sequence[Message]) -> list[bytes]:
    return [message_to_proto(reply).SerializeToString() for reply in replies]


def _has_content(reply: Message) -> bool:
    return not reply.has_error() and len(reply.content) > 0


def _message(request: Request, node: int, address: dict[str, int]) -> Message:
    config = ConfigRecord({**request.numbers(), **address})
    kind = "evaluate" if request.stage == EVALUATE else "train"
    return Message(RecordDict({ARRAYS: _head(request), "config": config}), node, kind)


def _step_message(
    request: Request, step: str, payload: bytes, node: int, address: dict[str, int]
) -> Message:
    """A secure sum's step; the one that masks brings the head along."""
    asked = SumRequest(
        request.plan, request.head.specification, request.stage, request.round, step, payload
    )
    config = ConfigRecord({**asked.numbers(), **address})
    if step != MASK:
        return Message(RecordDict({"config": config}), node, SUM_MESSAGE)
    return Message(RecordDict({ARRAYS: _head(request), "config": config}), node, SUM_MESSAGE)


def _head(request: Request) -> ArrayRecord:
    record = ArrayRecord()
    for name, array in request.head.arrays.items():
        record[name] = Array("float32", tuple(array.shape), NPY_KIND, encode_array(array))
    return record


def _arrival(reply: Message) -> Arrival:
    size = int(recorddict_to_proto(reply.content).ByteSize())
    return Arrival(str(reply.metadata.src_node_id), wire_reply(reply.content), size)
