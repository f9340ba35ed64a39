"""A node that hangs is ended and started again; one that answers or is just starting is not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from flwr.supercore.grpc_health import run_health_server_grpc_no_tls

from client.daemon.health import SERVING, SILENT, STARTING, NodeHealth, answers
from client.daemon.supernode import SuperNode, free_port
from tests.client.daemon.test_supernode import LOOPBACK, program, starts


def looked_after(check: Callable[[int], bool], seconds: float) -> tuple[bool, str]:
    """Whether a node was found to hang within so many seconds, and its state then."""

    async def whole() -> tuple[bool, str]:
        health = NodeHealth(1, check, every=0.01, patience=0.1)
        try:
            async with asyncio.timeout(seconds):
                await health.hung()
        except TimeoutError:
            return False, health.state
        return True, health.state

    return asyncio.run(whole())


def test_who_never_answered_is_still_starting() -> None:
    assert looked_after(lambda _: False, 0.3) == (False, STARTING)


def test_who_answers_is_serving() -> None:
    assert looked_after(lambda _: True, 0.3) == (False, SERVING)


def test_who_falls_silent_hangs() -> None:
    said = iter((True, True))
    assert looked_after(lambda _: next(said, False), 20) == (True, SILENT)


def test_one_missed_answer_is_none() -> None:
    said = iter(range(10_000))
    assert looked_after(lambda _: next(said) % 3 > 0, 0.4)[0] is False


def test_flowers_health_service_is_understood() -> None:
    port = free_port()
    assert not answers(port)
    server = run_health_server_grpc_no_tls(f"127.0.0.1:{port}")
    try:
        assert answers(port)
    finally:
        server.stop(0)
    assert not answers(port)


@pytest.mark.parametrize("silent", [True, False])
def test_a_hanging_node_is_ended_and_started_again(tmp_path: Path, silent: bool) -> None:
    said: list[str] = []
    first = iter((True,))

    def health(port: int) -> NodeHealth:
        def check(_: int) -> bool:
            """The first start answers once, as soon as it is there."""
            return bool(starts(tmp_path)) and (not silent or next(first, False))

        return NodeHealth(port, check, every=0.01, patience=0.05)

    async def whole() -> int:
        path = program(tmp_path, "time.sleep(1000)")
        node = SuperNode(
            tmp_path, LOOPBACK, said.append, program=path, waits=(0.01,), health=health
        )
        task = asyncio.create_task(node.keep())
        async with asyncio.timeout(60):
            while len(starts(tmp_path)) < (2 if silent else 1):
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.3)
        await node.close(0.1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return len(starts(tmp_path))

    assert asyncio.run(whole()) == (2 if silent else 1)
    told = "fleet: the SuperNode did not answer its health check any more and was ended; "
    assert said == ([f"{told}the next try is in 0.01 s"] if silent else [])
