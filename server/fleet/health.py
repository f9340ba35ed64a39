"""Whether the server's own programs still answer: a program can hang and yet be running.

SuperLink and SuperExec serve gRPC's health protocol on loopback ports, nginx is asked for a TLS
handshake. One slow answer is none; a program counts as hung when it has been silent for a while.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Final

import grpc
from grpc_health.v1.health_pb2 import (
    HealthCheckRequest,
    HealthCheckResponse,
)
from grpc_health.v1.health_pb2_grpc import HealthStub

ANSWER_SECONDS: Final = 3.0
LOOK_SECONDS: Final = 5.0
PATIENCE: Final = 30.0

Check = Callable[[], bool]


class Health:
    """Looks at programs from time to time.

    Args:
        checks: by program's name; each says whether the program answers now.
        patience: seconds of silence after which a program counts as hung.
        every: seconds between looks.
        clock: seconds, for tests.
    """

    def __init__(
        self,
        checks: Mapping[str, Check],
        *,
        patience: float = PATIENCE,
        every: float = LOOK_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._checks = dict(checks)
        self._patience = patience
        self._every = every
        self._clock = clock
        self._next = clock()
        self._answered = dict.fromkeys(checks, clock())

    def hung(self) -> list[str]:
        """Programs that have been silent for `patience` seconds; looks where it is time to."""
        if self._clock() < self._next:
            return []
        for name, check in self._checks.items():
            if check():
                self._answered[name] = self._clock()
        now = self._clock()
        self._next = now + self._every
        return [name for name, last in self._answered.items() if now - last >= self._patience]

    def restarted(self, name: str) -> None:
        """Count a program's silence anew."""
        self._answered[name] = self._clock()


def grpc_check(port: int) -> bool:
    """Whether a program's gRPC health service on a loopback port says that it serves."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            answer = HealthStub(channel).Check(HealthCheckRequest(), timeout=ANSWER_SECONDS)
        except grpc.RpcError:
            return False
    return bool(answer.status == HealthCheckResponse.SERVING)


def tls_check(address: str, port: int) -> bool:
    """Whether a TLS handshake succeeds; who answers is not looked at, only that one does."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection((address, port), timeout=ANSWER_SECONDS) as connection:
            connection.settimeout(ANSWER_SECONDS)
            context.wrap_socket(connection).close()
    except OSError:
        return False
    return True


def reachable(address: str) -> str:
    """An address by which this machine reaches what listens on `address`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)
