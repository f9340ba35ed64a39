"""The SuperLink's control routes, for the operator's side alone: nodes, and runs of Mien's app.

A thin adapter over Flower's own client. It speaks to loopback: nothing else reaches these routes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flwr.cli.build import build_fab_from_files
from flwr.common.serde import fab_to_proto, user_config_to_proto
from flwr.proto.control_pb2 import (
    ListNodesRequest,
    ListRunsRequest,
    RegisterNodeRequest,
    StartRunRequest,
    StopRunRequest,
    UnregisterNodeRequest,
)
from flwr.supercore.control import ControlHttpClient
from flwr.supercore.fab import Fab
from flwr.supercore.interceptors.http.runtime_version import RuntimeVersionHttpInterceptor

from common.app_bundle import app_files
from common.errors import WorkError


@dataclass(frozen=True)
class Node:
    """A registered node: Flower's id and status, and the name that the operator gave."""

    id: int
    name: str
    status: str
    public_key: bytes


class Control:
    """A connection to a SuperLink's control routes; closes as a context manager."""

    def __init__(self, port: int, authority: Path) -> None:
        """Connect to the SuperLink on a loopback `port` whose certificate `authority` signed."""
        self._client = ControlHttpClient.from_server_address(
            f"localhost:{port}",
            insecure=False,
            root_certificates=authority.read_bytes(),
            interceptors=[RuntimeVersionHttpInterceptor(component_name="mien")],
        )

    def __enter__(self) -> Control:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def nodes(self) -> tuple[Node, ...]:
        """All registered nodes."""
        found = _asked(lambda: self._client.ListNodes(ListNodesRequest()), "list nodes")
        return tuple(
            Node(info.node_id, info.name, info.status, info.public_key) for info in found.nodes_info
        )

    def register(self, name: str, key: ec.EllipticCurvePublicKey) -> int:
        """Let a device in; returns its node's id, the same for the same key."""
        request = RegisterNodeRequest(public_key=key_bytes(key), name=name)
        answer = _asked(lambda: self._client.RegisterNode(request), f"register {name}")
        return int(answer.node_id)

    def unregister(self, node: int) -> None:
        """Let a device in no more."""
        request = UnregisterNodeRequest(node_id=node)
        _asked(lambda: self._client.UnregisterNode(request), f"unregister node {node}")

    def start(self, settings: Mapping[str, str | int | float | bool]) -> int:
        """Start a run of Mien's app; returns its id."""
        content = bundle()
        request = StartRunRequest(
            fab=fab_to_proto(Fab(hashlib.sha256(content).hexdigest(), content, {})),
            override_config=user_config_to_proto(dict(settings)),
        )
        answer = _asked(lambda: self._client.StartRun(request), "start a run")
        if not answer.HasField("run_id"):
            raise WorkError("Flower's SuperLink did not start the run and did not say why")
        return int(answer.run_id)

    def stop(self, run: int) -> None:
        """Stop a run."""
        _asked(lambda: self._client.StopRun(StopRunRequest(run_id=run)), f"stop run {run}")

    def status(self, run: int) -> str:
        """Flower's word for where a run is, such as `running` or `finished:completed`."""
        request = ListRunsRequest(run_id=run)
        answer = _asked(lambda: self._client.ListRuns(request), f"look at run {run}")
        for told in answer.run_dict.values():
            parts = (told.status.status, told.status.sub_status)
            return ":".join(part for part in parts if part)
        return "unknown"


def bundle() -> bytes:
    """Mien's Flower app in the form that is sent to devices."""
    return build_fab_from_files(app_files())[0]


def key_bytes(key: ec.EllipticCurvePublicKey) -> bytes:
    """A node's public key as Flower's registry has it."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _asked(ask: Any, what: str) -> Any:
    """What the SuperLink answers, or one sentence."""
    try:
        return ask()
    except Exception as error:
        told = " ".join(str(error).split())
        raise WorkError(f"the SuperLink can't {what}: {told or type(error).__name__}") from error


def names(nodes: Sequence[Node]) -> dict[int, str]:
    """Names by node id."""
    return {node.id: node.name for node in nodes}
