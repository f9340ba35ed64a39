"""Whether the SuperNode answers: gRPC's health service on a loopback port of its own.

A node can hang and yet be a running process. One that has answered and then is silent for a while
is ended, so that it is started again. gRPC is loaded with the first question, thus only on devices
that are in a fleet.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

ANSWER_SECONDS: Final = 3.0
LOOK_SECONDS: Final = 15.0
PATIENCE: Final = 90.0
STARTING: Final = "starting"
SERVING: Final = "serving"
SILENT: Final = "silent"
Check = Callable[[int], bool]


def answers(port: int) -> bool:
    """Whether the health service on a loopback port says that its program serves."""
    import grpc
    from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
    from grpc_health.v1.health_pb2_grpc import HealthStub

    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            answer = HealthStub(channel).Check(HealthCheckRequest(), timeout=ANSWER_SECONDS)
        except grpc.RpcError:
            return False
    return bool(answer.status == HealthCheckResponse.SERVING)


class NodeHealth:
    """Looks at one start of a node from time to time.

    Args:
        port: of its health service.
        check: says whether it answers; called in a thread.
        every: seconds between looks.
        patience: seconds of silence, after a first answer, that mean that it hangs.
    """

    def __init__(
        self,
        port: int,
        check: Check = answers,
        *,
        every: float = LOOK_SECONDS,
        patience: float = PATIENCE,
    ) -> None:
        self.state = STARTING
        self._port = port
        self._check = check
        self._every = every
        self._patience = patience

    async def hung(self) -> None:
        """Return once the node hangs; until then goes on looking."""
        heard: float | None = None
        while True:
            if await asyncio.to_thread(self._check, self._port):
                heard, self.state = time.monotonic(), SERVING
            elif heard is not None:
                self.state = SILENT
                if time.monotonic() - heard >= self._patience:
                    return
            await asyncio.sleep(self._every)
