"""Fills what room there is with clips, and says how it ended. Run as a program:

    python -m tests.client.vault.full FOLDER [BYTES]

With BYTES no file may grow beyond them; without, the folder's file system is small, and a file of
ballast goes at last. The vault is opened once more while there is no room still, and read.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from client.vault.records import User
from client.vault.vault import Vault, VaultError, unlock
from tests.client.vault.support import SECRET, a_clip, a_user, new_vault, some_arrays

BALLAST = 7 << 19
"""Of 6 MiB: forgetting writes as many pages as it wipes."""


def main(folder: Path, most: int | None) -> None:
    ballast = folder.parent / "ballast"
    ballast.write_bytes(bytes(BALLAST))
    with new_vault(folder) as vault:
        user = a_user()
        vault.save_user(user)
        if most is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        kept, error = fill(vault, user)
        again = [type(refused(vault, user, 5000 + number)).__name__ for number in range(2)]
        clips, broken = len(vault.clips()), len(vault.damaged())
    told = {"kept": kept, "kind": type(error).__name__, "text": str(error), "again": again}
    told |= {"clips": clips, "broken": broken}
    if most is None:
        use_up(folder.parent / "filler")
    with Vault(folder, unlock(folder, SECRET)) as vault:  # still no room
        told["reopened"] = len(vault.clips())
        told["broken"] += len(vault.damaged())
        told["then"] = type(refused(vault, user, 6000)).__name__
    if most is None:
        ballast.unlink()
        with Vault(folder, unlock(folder, SECRET)) as vault:
            vault.forget(user.id)
            told["forgotten"] = len(vault.clips()) == 0 == len(vault.damaged())
    print(json.dumps(told))


def use_up(path: Path) -> None:
    """Take the last byte that there is."""
    with path.open("wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError:
                continue


def fill(vault: Vault, user: User) -> tuple[int, VaultError]:
    for number in range(4000):
        error = refused(vault, user, number)
        if error is not None:
            return number, error
    raise AssertionError("there was room for everything")


def refused(vault: Vault, user: User, number: int) -> VaultError | None:
    try:
        vault.add_clip(a_clip(user, number), some_arrays(number, 100, 40))
    except VaultError as error:
        return error
    return None


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None)
