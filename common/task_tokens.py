"""Flower's task tokens off the command line, where every user of the computer could read them.

Flower's executor starts an app's process with `--token TOKEN`. The programs also take
`--token-file PATH`: the token is written to a file without a name, in memory where the system has
such files, and the process gets it as an open descriptor, `/dev/fd/N`, that nobody else can open.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from types import ModuleType
from typing import Any, Final

TOKEN: Final = "--token"
TOKEN_FILE: Final = "--token-file"


class TokensOffCommandLine:
    """Stands in for the module `subprocess` in the module that starts Flower's apps."""

    def __getattr__(self, name: str) -> Any:
        return getattr(subprocess, name)

    def Popen(self, arguments: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """As `subprocess.Popen`; a `--token` becomes an open file."""
        if TOKEN not in arguments:
            return subprocess.Popen(arguments, **options)
        place = list(arguments).index(TOKEN)
        descriptor = _open_file(arguments[place + 1].encode())
        command = [
            *arguments[:place],
            *(TOKEN_FILE, f"/dev/fd/{descriptor}"),
            *arguments[place + 2 :],
        ]
        try:
            return subprocess.Popen(command, pass_fds=(descriptor,), **options)
        finally:
            os.close(descriptor)


def keep_tokens_off(launcher: ModuleType) -> None:
    """Let a module of Flower's start its apps without tokens on command lines.

    Raises:
        RuntimeError: the module does not start programs through `subprocess`.
    """
    if getattr(launcher, "subprocess", None) is not subprocess:
        raise RuntimeError("this version of flwr starts its apps in another way")
    launcher.subprocess = TokensOffCommandLine()  # type: ignore[attr-defined]


def _open_file(content: bytes) -> int:
    """A descriptor of a nameless file with this content, at its beginning."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("task")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
