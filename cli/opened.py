"""What commands on a device share: its folder, its vault, and who does the heavy jobs."""

from __future__ import annotations

import asyncio
import hashlib
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from cli.console import errors, output
from common.errors import UsageError

if TYPE_CHECKING:
    from client.daemon.socket import Remote
    from client.recognition.recogniser import Recogniser
    from client.vault.records import Consent
    from client.vault.vault import Vault

FolderOption = Annotated[
    Path | None,
    typer.Option(
        "--device",
        metavar="FOLDER",
        help="The device's folder; by default what MIEN_DEVICE names, else the platform's own.",
    ),
]
PassphraseOption = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        metavar="FILE",
        help="File whose first line is the device's passphrase; without it the running daemon, "
        "the key file, the keyring or the terminal gives it.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
OnAnswer = Callable[[dict[str, Any]], None]


class Engine(Protocol):
    """Who recognises, enrols and personalises: a running daemon, or this process."""

    def recognise(self, path: Path, *, keep: bool) -> dict[str, Any]:
        """A clip's answer."""
        ...

    def enrol(self, user: str, paths: Sequence[Path], consent: Consent) -> dict[str, Any]:
        """What was stored."""
        ...

    def personalise(self, user: str) -> dict[str, Any]:
        """What was learnt."""
        ...


class RemoteEngine:
    """A running daemon."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    def recognise(self, path: Path, *, keep: bool) -> dict[str, Any]:
        """See `Engine`."""
        return self._run(
            {
                "do": "recognise",
                "path": str(path.absolute()),
                "name": clip_name(path),
                "keep": keep,
            }
        )

    def enrol(self, user: str, paths: Sequence[Path], consent: Consent) -> dict[str, Any]:
        """See `Engine`."""
        return self._run(
            {
                "do": "enrol",
                "user": user,
                "consent": asdict(consent),
                "paths": [str(path.absolute()) for path in paths],
                "names": [clip_name(path) for path in paths],
            }
        )

    def personalise(self, user: str) -> dict[str, Any]:
        """See `Engine`."""
        return self._run({"do": "personalise", "user": user})

    def _run(self, job: dict[str, Any]) -> dict[str, Any]:
        return asyncio.run(self._remote.run(job))


class LocalEngine:
    """This process; the networks are loaded by the first job that needs them."""

    def __init__(self, vault: Vault, *, backbone: str = "", identity: str = "") -> None:
        self._vault = vault
        self._networks = {"backbone": backbone, "identity": identity}
        self._loaded: Recogniser | None = None

    def recognise(self, path: Path, *, keep: bool) -> dict[str, Any]:
        """See `Engine`."""
        from client.device.work import recognise

        digest = file_digest(path)
        answer = recognise(
            self._vault, self._recogniser(), path, name=clip_name(path), digest=digest, keep=keep
        )
        return answer.to_json()

    def enrol(self, user: str, paths: Sequence[Path], consent: Consent) -> dict[str, Any]:
        """See `Engine`."""
        from client.device.work import enrol

        return enrol(
            self._vault,
            self._recogniser(),
            user,
            list(paths),
            consent,
            names=[clip_name(path) for path in paths],
        )

    def personalise(self, user: str) -> dict[str, Any]:
        """See `Engine`."""
        from client.device.work import personalise

        found = self._vault.user(user)
        if found is None:
            raise UsageError(f"nobody is enrolled here as {user!r}; `mien users` lists who is")
        return personalise(self._vault, found.id)

    def close(self) -> None:
        """Stop the networks' threads."""
        if self._loaded is not None:
            self._loaded.close()

    def _recogniser(self) -> Recogniser:
        if self._loaded is None:
            tell("loading the networks ...")
            from client.recognition.recogniser import Recogniser

            given: dict[str, Any] = {name: id for name, id in self._networks.items() if id}
            self._loaded = Recogniser(**given)
        return self._loaded


@contextmanager
def opened_vault(folder: Path | None, passphrase_file: Path | None) -> Iterator[Vault]:
    """The device's vault, unlocked; see `client.device.unlock`."""
    from client.device.place import device_folder
    from client.device.unlock import open_vault

    vault = open_vault(device_folder(folder), passphrase_file=passphrase_file)
    try:
        yield vault
        _tell_of_damage(vault)
    finally:
        vault.close()


def _tell_of_damage(vault: Vault) -> None:
    """Rows that were left out are never left out in silence."""
    if vault.noticed:
        errors.print(
            f"mien: {len(vault.noticed)} damaged row(s) of the vault were left out; "
            "`mien device check` names them",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


@contextmanager
def engine_of(vault: Vault) -> Iterator[Engine]:
    """The daemon of the vault's device if it runs, else this process."""
    from client.daemon.socket import Remote
    from client.device.place import read_device

    remote = Remote(vault.folder)
    if remote.running:
        yield RemoteEngine(remote)
        return
    settings = read_device(vault.folder)
    local = LocalEngine(
        vault,
        backbone=str(settings.get("backbone", "")),
        identity=str(settings.get("identity", "")),
    )
    try:
        yield local
    finally:
        local.close()


def check_clip(path: Path) -> Path:
    """A clip's path, if there is a file that can be read.

    Raises:
        UsageError: there is none.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UsageError(f"{path}: the clip can't be read (it is no file)")
        with path.open("rb"):
            return path
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{path}: the clip can't be read ({reason})") from error


def clip_name(path: Path) -> str:
    """The file's name as it is shown and kept."""
    from client.device.names import printable

    return printable(path.name or str(path))


def file_digest(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's content.

    Raises:
        UsageError: it can't be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{path}: can't be read ({reason})") from error


def tell(text: str) -> None:
    """A line of progress on standard error, on a terminal only."""
    if errors.is_terminal:
        errors.print(text, highlight=False, markup=False)


def say(*lines: str) -> None:
    """Lines on standard output; what is not printable in them is replaced."""
    from client.device.names import printable

    for line in lines:
        output.print(printable(line), highlight=False, markup=False, soft_wrap=True)


def on_terminal() -> bool:
    """Whether a person can be asked."""
    return sys.stdin is not None and sys.stdin.isatty()
