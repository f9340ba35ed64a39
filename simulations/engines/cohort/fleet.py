"""The cohort as the server's fleet: the same requests, answered by all clients together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from client.training import FEWEST_CLIPS
from common.errors import WorkError
from common.heads.specification import HeadSpecification
from common.messages import EVALUATE, Request
from server.federation import Replies
from server.sampling import asked_devices, lost_devices
from server.strategies import strategy_of
from server.strategies.mean import WeightedMean
from simulations.engines.cohort.clients import Cohort, Cutter, Flags, Integers, pooled
from simulations.engines.cohort.rounds import BLOCK_ENTRIES, Share, added, answer_together

MOST_UPDATE_BYTES = 1 << 30

Progress = Callable[[int], None]
Test = Callable[[Request], None]


class CohortFleet:
    """All devices of a simulation as a `server.federation.Fleet`, without messages.

    Memory is that of the cohort plus a few blocks per worker. Results do not depend on `workers`.

    Args:
        specification: of the heads to train.
        cohort: the devices' clips; kept, not copied, but for frames that the head pools first.
        held_out: per federation, (clients,) true where a client's clips stay out of it.
        test: what the final head is tested by, if it is to be tested.
        workers: threads that share the blocks, at least 1.
        progress: told how many devices have answered.
    """

    def __init__(
        self,
        specification: HeadSpecification,
        cohort: Cohort,
        *,
        held_out: Mapping[str, Flags] | None = None,
        test: Test | None = None,
        workers: int = 1,
        progress: Progress = lambda devices: None,
    ) -> None:
        self._cutter = Cutter.of(pooled(specification, cohort))
        self._specification = specification
        self._held_out = dict(held_out or {})
        self._test = test
        self._threads = ThreadPoolExecutor(workers) if workers > 1 else None
        self._progress = progress

    def ask(self, request: Request) -> Replies:
        """What all devices that are asked answer.

        Raises:
            WorkError: the head is of another specification, or the strategy needs more updates at
                once than fit into memory.
        """
        if request.head.specification != self._specification:
            raise WorkError("the server asks for another head than this cohort is set up for")
        devices = len(self._cutter.cohort)
        asked = asked_devices(request, devices)
        if request.stage == EVALUATE:
            if self._test:
                self._test(request)
            self._progress(devices)
            return Replies((), 0, devices, ())
        ready = asked[self._takes_part(request.plan.name)[asked]]
        offline = lost_devices(request, devices)[ready]
        share = self._train(ready[~offline], request)
        self._progress(len(asked) - len(ready) + int(offline.sum()))
        return _replies(request, share, len(asked) - len(ready), int(offline.sum()))

    def _takes_part(self, federation: str) -> Flags:
        enough = self._cutter.cohort.counts >= FEWEST_CLIPS
        held_out = self._held_out.get(federation)
        return enough if held_out is None else np.asarray(enough & ~held_out)

    def _train(self, clients: Integers, request: Request) -> Share | None:
        every = strategy_of(request.plan).needs_every_update
        if every:
            _check_size(len(clients), request)
        groups = self._cutter.groups(clients, BLOCK_ENTRIES)
        work = partial(answer_together, self._cutter, request=request, every=every)
        # In the groups' order, whoever is done first; the arithmetic lets go of the GIL.
        shares = self._counted((self._threads.map if self._threads else map)(work, groups))
        return added(shares) if len(clients) else None

    def _counted(self, shares: Iterator[Share]) -> Iterator[Share]:
        for share in shares:
            self._progress(share.devices + len(share.failures))
            yield share


def _check_size(clients: int, request: Request) -> None:
    shapes = request.head.specification.shapes(request.stage).values()
    size = 4 * clients * sum(int(np.prod(shape)) for shape in shapes)
    if size > MOST_UPDATE_BYTES:
        raise WorkError(
            f"strategy {request.plan.strategy} needs all updates of a round at once, "
            f"{size / 2**30:.1f} GiB for {clients} devices; set clients-per-round, or take a "
            "strategy that averages"
        )


def _replies(request: Request, share: Share | None, empty: int, lost: int) -> Replies:
    if share is None or not share.devices:
        return Replies((), 0, empty, share.failures if share else (), lost)
    if share.updates:
        return Replies(share.updates, 0, empty, share.failures, lost)
    mean = WeightedMean(
        specification=request.head.specification,
        stage=request.stage,
        round=request.round,
        devices=share.devices,
        clips=share.clips,
        arrays={name: total / share.clips for name, total in share.sums.items()},
    )
    return Replies((), 0, empty, share.failures, lost, mean)
