"""Flower's SuperNode with two locks of Mien's: only this device's own code runs, no error talks.

Flower sends a run's code to the devices and runs it there. This SuperNode takes a bundle only if it
is byte for byte what this device's own installed files make; anything else is answered by one
fixed error and never unpacked. Error replies leave with one fixed sentence in place of an
exception's text, whichever of Flower's processes wrote it.

The apps' process starter is this module's own child, `client.daemon.executor`, with a secret that
node and starter share: without one, every user of the computer could take the device's tasks.

Wraps functions of flwr 1.41; should another version lack one, the node does not start. The daemon
starts this module as its child, see `client.daemon.supernode`.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from flwr.app import Error, Message
from flwr.cli.build import build_fab_from_files
from flwr.supercore.fab import Fab
from flwr.supernode import start_client_internal as worker
from flwr.supernode.cli import flower_supernode

from client.daemon.supernode import TUNNEL
from client.daemon.tunnel import command as tunnel_command
from client.daemon.words import NOTICE
from client.gate import REFUSED_REASON
from common.app_bundle import APP_ID, app_files

OTHER_CODE: Final = "the server sent other code than this device has: versions differ"
AGENT: Final = "flwr-agentapp"
EXECUTOR: Final = "client.daemon.executor"
_OURS: Final = "mien"
"""Flower checks a bundle only where some entity is trusted; this one stands for the device."""
_PULL: Final = ("get_run", "get_fab", "trusted_entities")


def own_bundle() -> str:
    """SHA-256, hexadecimal, of the bundle that this device's installed files make."""
    return hashlib.sha256(build_fab_from_files(app_files())[0]).hexdigest()


class OwnCode:
    """Decides on runs and bundles.

    Args:
        digest: of the one bundle that may run.
        tell: told one sentence of each refusal.
    """

    def __init__(self, digest: str, tell: Callable[[str], None]) -> None:
        self._digest = digest
        self._tell = tell
        self._run: Any = None

    def pull(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Flower's function that takes in a message, with its checks made ours."""

        def checked(**given: Any) -> Any:
            get_run, get_fab = given["get_run"], given["get_fab"]

            def keep_run(run_id: int) -> Any:
                self._run = get_run(run_id)
                return self._run

            def marked(fab_hash: str, run_id: int) -> Fab:
                fab = get_fab(fab_hash, run_id)
                return Fab(fab.hash_str, fab.content, {"valid_license": _OURS})

            ours = {"get_run": keep_run, "get_fab": marked, "trusted_entities": {_OURS: _OURS}}
            return original(**{**given, **ours})

        return checked

    def verify(self, fab: Fab, _: object) -> bool:
        """Whether a run and its bundle are this device's own app."""
        told = (fab.hash_str, self._run.fab_hash, self._run.fab_id, self._run.fab_version)
        own = (self._digest, self._digest, APP_ID, version("mien"))
        found = hashlib.sha256(fab.content).hexdigest()
        if found == self._digest and told == own and self._run.primary_task_type != AGENT:
            return True
        self._tell(f"{OTHER_CODE} (its {found[:12]}, ours {self._digest[:12]})")
        return False


class FixedErrors:
    """A node's state whose error replies say one fixed sentence; all else is the state's own."""

    def __init__(self, state: Any, store: Any, insert: Callable[..., None]) -> None:
        self._state = state
        self._store = store
        self._insert = insert

    def __getattr__(self, name: str) -> Any:
        return getattr(self._state, name)

    def get_messages_legacy(self, **asked: Any) -> Sequence[Message]:
        """The replies, each error's text replaced before it is on its way."""
        replies: list[Message] = list(self._state.get_messages_legacy(**asked))
        if not any(_talks(reply) for reply in replies):
            return replies
        for reply in replies:
            if _talks(reply):
                self._replace(reply)
        return [reply for reply in replies if not _talks(reply)] + list(
            self._state.get_messages_legacy(**asked)
        )

    def _replace(self, reply: Message) -> None:
        old = reply.metadata.message_id
        error = Error(reply.error.code, REFUSED_REASON)
        fixed = Message(error, metadata=reply.metadata)  # type: ignore[call-overload]
        self._state.delete_messages(message_ids=[old])
        self._store.delete(old)
        self._insert(fixed, self._state, self._store)


def _talks(reply: Message) -> bool:
    return reply.has_error() and reply.error.reason != REFUSED_REASON


def lock(tell: Callable[[str], None]) -> None:
    """Put the locks on this process's SuperNode.

    Raises:
        RuntimeError: the installed flwr does not have the functions that are wrapped.
    """
    _check_flower()
    code, push, insert = OwnCode(own_bundle(), tell), worker._push_messages, worker._insert_message

    def push_fixed(**given: Any) -> None:
        fixed = FixedErrors(given["state"], given["object_store"], insert)
        push(**{**given, "state": fixed})

    worker._pull_and_store_message = code.pull(worker._pull_and_store_message)
    worker._verify_fab = code.verify  # type: ignore[assignment]
    worker._push_messages = push_fixed  # type: ignore[assignment]


def _check_flower() -> None:
    pull = inspect.signature(worker._pull_and_store_message).parameters
    push = inspect.signature(worker._push_messages).parameters
    checks = inspect.signature(worker._verify_fab).parameters
    known = set(_PULL) <= set(pull) and {"state", "object_store"} <= set(push)
    if not known or len(checks) != 2 or not hasattr(worker, "_insert_message"):
        raise RuntimeError("this version of flwr can't be locked to the device's own code")


def notice(text: str) -> None:
    """One line that the daemon takes for its log and status."""
    sys.stdout.write(f"{NOTICE}{text}\n")
    sys.stdout.flush()


def main() -> None:
    """Be the SuperNode; options are `flower-supernode`'s.

    A developer's own SuperLink on this computer, without TLS (`--insecure`), may send other code.
    """
    if "--insecure" not in sys.argv:
        lock(notice)
    if tunnel := os.environ.pop(TUNNEL, ""):
        start_beside(tunnel_command(Path(tunnel)))
    if (command := executor_command(sys.argv)) is not None:
        start_beside(command)
    flower_supernode()


def start_beside(command: Sequence[str]) -> None:
    """Start a program that ends with this process."""
    launch = [sys.executable, "-P", "-m", "client.daemon.launch", str(os.getpid())]
    subprocess.Popen([*launch, *command], stdin=subprocess.DEVNULL)


def executor_command(options: Sequence[str]) -> list[str] | None:
    """What starts the apps' process starter, which ends with this process.

    Args:
        options: of the node.

    Returns:
        None where the options ask for none (`--isolation process` is missing).
    """
    given = dict(pairwise(options))
    if given.get("--isolation") != "process":
        return None
    return [
        *(sys.executable, "-P", "-m", EXECUTOR, "--insecure"),
        *("--runtime-api-address", f"{given['--host']}:{given['--port']}"),
        *("--superexec-auth-secret-file", given["--superexec-auth-secret-file"]),
        *("--parent-pid", str(os.getpid())),
    ]


if __name__ == "__main__":
    main()
