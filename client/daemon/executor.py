"""Flower's SuperExec beside a device's SuperNode: apps get their tokens by open files.

Options are `flower-superexec`'s. The node starts this module as its child, see
`client.daemon.node`.
"""

from __future__ import annotations

from flwr.supercore.cli.flower_superexec import flower_superexec
from flwr.supercore.superexec.executor import subprocess_executor

from common.task_tokens import keep_tokens_off


def main() -> None:
    """Be the executor."""
    keep_tokens_off(subprocess_executor)
    flower_superexec()


if __name__ == "__main__":
    main()
