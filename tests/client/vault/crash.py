"""Kills processes that work on a vault, and looks at what they leave. Run as a program:

python -m tests.client.vault.crash work|rekey|create|restore ROUNDS SEED FOLDER
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from client.vault.vault import Vault, VaultMissing, VaultWrongKey, create_vault, restore, unlock
from common.randomness import generator
from tests.client.vault.support import (
    CHEAP,
    IDENTITY,
    OTHER_SECRET,
    SECRET,
    a_clip,
    a_gallery,
    a_head,
    a_user,
    filled,
    new_vault,
    some_arrays,
)

SECRETS = (SECRET, OTHER_SECRET)
Acknowledge = Callable[[], None]
State = dict[str, Any]


def killed(work: Callable[[Acknowledge], None], seconds: float) -> int:
    """Let a child work and kill it; how many steps it had acknowledged by then."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            work(lambda: os.write(writer, b"."))
        finally:
            os._exit(3)
    os.close(writer)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the child ended by itself"
    acknowledged = 0
    while piece := os.read(reader, 4096):
        acknowledged += len(piece)
    os.close(reader)
    return acknowledged


def steps() -> Iterator[tuple[str, int]]:
    """Enrol, correct, correct back, personalise, send; and forget every third user."""
    number = 0
    while True:
        for kind in ("enrol", "label", "undo", "label", "head", "send"):
            yield kind, number
        if number % 3 == 2:
            yield "forget", number - 1
        number += 1


def do(vault: Vault, kind: str, number: int) -> None:
    if kind == "send":
        vault.ledger.append({"round": number})
        return
    if kind == "enrol":
        user = a_user(f"user {number}")
        with vault.transaction():
            vault.save_user(user)
            vault.add_gallery(a_gallery(user))
            for take in range(2):
                vault.add_clip(a_clip(user, 2 * number + take), some_arrays(take, 60, 20))
        return
    user = next(user for user in vault.users() if user.name == f"user {number}")
    clip = vault.clips(user=user.id)[0]
    if kind == "label":
        vault.label(clip.id, 5)
    elif kind == "undo":
        vault.undo_label(clip.id)
    elif kind == "head":
        vault.save_personal(user.id, a_head())
    else:
        vault.forget(user.id)


def expected(count: int) -> State:
    """What the vault holds after so many steps."""
    state: State = {"sent": 0}
    for (kind, number), _ in zip(steps(), range(count), strict=False):
        name = f"user {number}"
        if kind == "enrol":
            state[name] = {"gallery": 1, "clips": 2, "labels": 0, "head": False}
        elif kind in ("label", "undo"):
            state[name]["labels"] += 1 if kind == "label" else -1
        elif kind == "head":
            state[name]["head"] = True
        elif kind == "send":
            state["sent"] += 1
        else:
            del state[name]
    return state


def found(vault: Vault) -> State:
    state: State = {"sent": len(list(vault.ledger.entries()))}
    gallery = [entry.user for entry in vault.gallery(IDENTITY)]
    for user in vault.users():
        clips = vault.clips(user=user.id)
        assert all(vault.arrays(clip.id).features.shape == (60, 20) for clip in clips)
        state[user.name] = {
            "gallery": gallery.count(user.id),
            "clips": len(clips),
            "labels": len(vault.label_history(clips[0].id)),
            "head": vault.personal(user.id) is not None,
        }
    return state


def work_round(folder: Path, seconds: float) -> int:
    new_vault(folder).close()

    def work(acknowledge: Acknowledge) -> None:
        vault = Vault(folder, unlock(folder, SECRET))
        for kind, number in steps():
            do(vault, kind, number)
            acknowledge()

    done = killed(work, seconds)
    with Vault(folder, unlock(folder, SECRET)) as vault:
        state = found(vault)
        assert state in (expected(done), expected(done + 1)), (done, state)
        assert vault.damaged() == ()
        vault.save_user(a_user("afterwards"))
    return done


def rekey_round(folder: Path, seconds: float) -> int:
    with new_vault(folder) as vault:
        with vault.transaction():
            filled(vault, "Ada", "Ben", clips=6)
        vault.ledger.append({"round": 1})

    def work(acknowledge: Acknowledge) -> None:
        vault = Vault(folder, unlock(folder, SECRET))
        number = 0
        while True:
            number += 1
            vault.rekey(SECRETS[number % 2], cost=CHEAP)
            acknowledge()

    done = killed(work, seconds)
    opening = [index for index, secret in enumerate(SECRETS) if opens(folder, secret)]
    assert len(opening) == 1, "neither key opens the vault, or both do"
    assert opening[0] in (done % 2, (done + 1) % 2)
    with Vault(folder, unlock(folder, SECRETS[opening[0]])) as vault:
        assert vault.damaged() == ()
        assert (len(vault.users()), len(vault.clips(labelled=True))) == (2, 12)
        assert vault.user("Ada") is not None
        assert len(list(vault.ledger.entries())) == 1
    return done


def opens(folder: Path, secret: Any) -> bool:
    try:
        unlock(folder, secret)
    except VaultWrongKey:
        return False
    return True


def create_round(folder: Path, seconds: float) -> int:
    def work(acknowledge: Acknowledge) -> None:
        for number in range(1000):
            create_vault(folder / str(number), SECRET, cost=CHEAP).close()
            acknowledge()

    done = killed(work, seconds)
    for number in range(done + 1):
        try:
            with Vault(folder / str(number), unlock(folder / str(number), SECRET)) as vault:
                assert vault.damaged() == ()
        except VaultMissing:
            assert number == done
            create_vault(folder / str(number), SECRET, cost=CHEAP).close()
    return done


def restore_round(folder: Path, seconds: float) -> int:
    """Two backups take each other's place, and backups are made of what is there."""
    copies = [folder.with_name(f"{folder.name}.{number}.backup") for number in range(2)]
    with new_vault(folder) as vault:
        for number, copy in enumerate(copies):
            more(vault, number)
            vault.backup(copy)

    def work(acknowledge: Acknowledge) -> None:
        number = 0
        while True:
            number += 1
            restore(copies[number % 2], folder, SECRET, replace=True)
            with Vault(folder, unlock(folder, SECRET)) as vault:
                vault.backup(copies[number % 2])
            acknowledge()

    done = killed(work, seconds)
    for copy in copies:
        restore(copy, copy.with_suffix(".opened"), SECRET)
    for place in (folder, *(copy.with_suffix(".opened") for copy in copies)):
        with Vault(place, unlock(place, SECRET)) as vault:
            assert vault.damaged() == ()
            assert len(vault.clips()) == 4 * len(vault.users()) > 0
    return done


def more(vault: Vault, number: int) -> None:
    user = a_user(f"user {number}")
    with vault.transaction():
        vault.save_user(user)
        for take in range(4):
            vault.add_clip(a_clip(user, 4 * number + take), some_arrays(take, 60, 20))


ROUNDS = {
    "restore": restore_round,
    "work": work_round,
    "rekey": rekey_round,
    "create": create_round,
}


def main(mode: str, rounds: str, seed: str, folder: str) -> None:
    chooser = generator(int(seed), f"kill {mode}")
    done = 0
    for number in range(int(rounds)):
        place = Path(folder) / f"round-{number}"
        done += ROUNDS[mode](place, float(chooser.uniform(0.02, 0.3)))
        for left in Path(folder).glob(f"{place.name}*"):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    print(f"{done} steps acknowledged in {rounds} rounds")


if __name__ == "__main__":
    main(*sys.argv[1:])
