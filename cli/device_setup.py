"""What the commands of `mien device` do, apart from their options."""

from __future__ import annotations

import getpass
import secrets
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from client.daemon.lock import device_lock
from client.daemon.settings import load_settings, parse_settings
from client.daemon.socket import SOCKET_FILE, socket_path
from client.daemon.units import KINDS, LAUNCHD, SYSTEMD, Service, launchd_plist, systemd_unit
from client.device.due import feature_spec, specification_of
from client.device.place import (
    DEVICE_FILE,
    KEY_FILE,
    KEYRING,
    NEXT_KEY,
    PASSPHRASE,
    read_device,
    write_device,
)
from client.device.unlock import read_passphrase, remember, remembered, secret_of
from client.vault.records import StoredHead
from client.vault.vault import (
    VAULT_FILE,
    KeyFile,
    Passphrase,
    Secret,
    Vault,
    create_vault,
    make_key_file,
    unlock,
)
from common.errors import UsageError, WorkError
from common.files import private_folder

Ask = Callable[[], str]
_WAYS: Final = "--key-file, --passphrase-file and --keyring are three ways; choose one"


@dataclass(frozen=True)
class ChosenSecret:
    """What a vault is to be locked with.

    Attributes:
        key: as device.json tells it.
        path: of the key file that is to be made, or None.
        passphrase: or None.
    """

    key: dict[str, str]
    path: Path | None = None
    passphrase: Passphrase | None = None

    def secret(self, folder: Path) -> Secret:
        """The secret, where a command needs it: key file made, keyring told."""
        if self.path is not None:
            make_key_file(self.path)
            return KeyFile(self.path)
        if self.passphrase is None:
            raise UsageError("no passphrase was given")
        if self.key["source"] == KEYRING and not remember(folder, self.passphrase):
            raise WorkError(
                "there is no keyring on this system that can be used; lock the vault with a "
                "passphrase or with --key-file"
            )
        return self.passphrase


def chosen_secret(
    folder: Path,
    key_file: Path | None,
    passphrase_file: Path | None,
    keyring: bool,
    ask_passphrase: Ask,
) -> ChosenSecret:
    """What the options say, without doing anything yet.

    Raises:
        UsageError: they contradict each other, or the key file would lie beside the vault.
    """
    if sum((key_file is not None, passphrase_file is not None, keyring)) > 1:
        raise UsageError(_WAYS)
    if key_file is not None:
        path = key_file.absolute()
        if path.resolve().is_relative_to(folder.resolve()):
            raise UsageError(
                f"{path}: whoever copies the device's folder would have the key too; put the key "
                "file somewhere else"
            )
        return ChosenSecret({"source": KEY_FILE, "path": str(path)}, path=path)
    if keyring:
        # What opens the vault now must not be overwritten before the vault has a new lock.
        held = remembered(folder)
        fresh = held if held is not None else Passphrase(secrets.token_urlsafe(32))
        return ChosenSecret({"source": KEYRING}, passphrase=fresh)
    if passphrase_file is not None:
        return ChosenSecret({"source": PASSPHRASE}, passphrase=read_passphrase(passphrase_file))
    return ChosenSecret({"source": PASSPHRASE}, passphrase=Passphrase(ask_passphrase()))


def settings_text(
    inboxes: Sequence[Path],
    networks: Mapping[str, str],
    fleet: str,
    root_certificates: Path | None,
    private_key: Path | None,
) -> dict[str, Any]:
    """device.json's content but for its key.

    Raises:
        UsageError: there is no such network, or the fleet's options do not fit.
    """
    text: dict[str, Any] = {
        "inboxes": [str(path.expanduser().absolute()) for path in inboxes],
        **{name: id for name, id in networks.items() if id},
    }
    if fleet:
        text["fleet"] = {
            "address": fleet,
            "root_certificates": str(root_certificates.absolute()) if root_certificates else "",
            "private_key": str(private_key.absolute()) if private_key else "",
        }
    elif root_certificates or private_key:
        raise UsageError("--root-certificates and --private-key are for a --fleet; name one")
    _check_networks(networks)
    try:
        parse_settings(text, "the new device's settings")
    except WorkError as error:
        raise UsageError(str(error)) from error
    return text


def _check_networks(networks: Mapping[str, str]) -> None:
    from common.backbones.registry import backbone_record
    from common.identity.records import identity_record

    if networks["backbone"]:
        backbone_record(networks["backbone"])
    if networks["identity"]:
        identity_record(networks["identity"])


def make_device(folder: Path, chosen: ChosenSecret, text: Mapping[str, Any]) -> None:
    """Make the folder, the vault and device.json, in this order.

    Raises:
        UsageError: there is a device already, or the secret is not in order.
    """
    if (folder / DEVICE_FILE).exists() or (folder / VAULT_FILE).exists():
        raise UsageError(
            f"{folder}: there is a device here already; name another folder with --device"
        )
    _make_folders([Path(inbox) for inbox in text["inboxes"]], folder)
    create_vault(folder, chosen.secret(folder)).close()
    write_device(folder, {"key": chosen.key, **text})


def _make_folders(inboxes: Sequence[Path], folder: Path) -> None:
    try:
        for path in inboxes:
            path.mkdir(parents=True, exist_ok=True)
        private_folder(folder)
    except OSError as error:
        raise UsageError(
            f"{error.filename}: no folder can be made there ({error.strerror}); name another"
        ) from error


def change_lock(vault: Vault, chosen: ChosenSecret) -> None:
    """Rekey a vault and say so in device.json.

    Raises:
        UsageError, WorkError: the new secret is not in order; then nothing was changed.
    """
    folder, settings = vault.folder, read_device(vault.folder)
    secret = chosen.secret(folder)
    # Whoever is killed in between leaves both: `client.device.unlock` tries one after the other.
    write_device(folder, {**settings, NEXT_KEY: chosen.key})
    try:
        vault.rekey(secret)
    finally:
        locked_by = chosen.key if _opens(folder, secret) else settings["key"]
        kept = {name: value for name, value in settings.items() if name != NEXT_KEY}
        write_device(folder, {**kept, "key": locked_by})


def _opens(folder: Path, secret: Secret) -> bool:
    try:
        unlock(folder, secret)
    except WorkError:
        return False
    return True


def restore_device(
    source: Path,
    folder: Path,
    key_file: Path | None,
    passphrase_file: Path | None,
    *,
    replace: bool,
) -> None:
    """Put a backup in a device's folder; a folder without a device becomes one.

    Raises:
        UsageError: a daemon runs on the device, or it has a vault and `replace` is false.
        WorkError: the backup can't be opened.
    """
    from client.vault.vault import restore

    private_folder(folder)
    with device_lock(folder, "restore a backup"):
        there = (folder / DEVICE_FILE).is_file()
        settings = read_device(folder) if there else {"inboxes": []}
        secret, key = _backup_secret(folder, key_file, passphrase_file, there=there)
        restore(source, folder, secret, replace=replace)
        write_device(folder, {**settings, "key": key})


def _backup_secret(
    folder: Path, key_file: Path | None, passphrase_file: Path | None, *, there: bool
) -> tuple[Secret, dict[str, str]]:
    """The secret of a backup, and how device.json tells it from now on."""
    if key_file is not None and passphrase_file is not None:
        raise UsageError("--key-file and --passphrase-file are two ways; choose one")
    if key_file is not None:
        path = key_file.absolute()
        return KeyFile(path), {"source": KEY_FILE, "path": str(path)}
    if passphrase_file is not None:
        return read_passphrase(passphrase_file), {"source": PASSPHRASE}
    if there:
        return secret_of(folder), read_device(folder)["key"]
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError("name what the backup is locked with: --key-file or --passphrase-file")
    return Passphrase(getpass.getpass("Passphrase of the backup: ")), {"source": PASSPHRASE}


def stored_head(file: Path) -> StoredHead:
    """A universal head from a file, as the vault keeps it.

    Raises:
        WorkError: it is not a head.
    """
    from common.heads.file import read_head

    read = read_head(file)
    told = {**read.about, "specification": read.specification.to_json()}
    return StoredHead(arrays=read.arrays, about=told)


def save_head(vault: Vault, head: StoredHead) -> str:
    """Make a head the device's universal head; what a person should know of it, or nothing.

    Features that no recogniser of this device has made yet are not known: then nothing is said.
    """
    vault.save_universal(head)
    made, read = feature_spec(vault), specification_of(head).get("features")
    if made is None or made == read:
        return ""
    return (
        f"It reads features {read!r}, and this device makes {made!r}: it rests until the device "
        "makes those."
    )


def service_file(folder: Path, kind: str) -> str:
    """The service file of a device.

    Args:
        folder: the device's.
        kind: one of `KINDS`, or empty for this system's own.

    Raises:
        UsageError: another kind, no device in `folder`, or the program can't be found.
    """
    chosen = kind or (LAUNCHD if sys.platform == "darwin" else SYSTEMD)
    if chosen not in KINDS:
        raise UsageError(f"kind is {kind!r}, expected one of {', '.join(KINDS)}")
    service = _service(folder)
    if chosen == LAUNCHD:
        return launchd_plist(service)
    if socket_path(folder) != folder.resolve() / SOCKET_FILE:
        raise UsageError(
            f"{folder}: the path is too long for the socket of a service that may write nowhere "
            "else; choose a shorter one"
        )
    return systemd_unit(service, own=chosen != SYSTEMD)


def _service(folder: Path) -> Service:
    settings = load_settings(folder)
    program = Path(sys.executable).parent / "mien"
    found = str(program) if program.is_file() else shutil.which("mien")
    if found is None:
        raise UsageError("the program mien is not beside this Python, nor on the PATH")
    return Service(
        command=(found, "device", "run", "--device", str(folder)),
        folder=folder,
        user=getpass.getuser(),
        fleet=settings.fleet is not None,
        passphrase=read_device(folder)["key"]["source"] == PASSPHRASE,
    )
