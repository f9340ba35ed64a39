"""A device that is killed again and again; run by `test_killed` in a process of its own.

A child does operations on a real vault, noting each in a journal before it starts and after it is
acknowledged. It is killed (SIGKILL) at a random moment, or at the k-th call into the vault. Then
the vault must be what the acknowledged operations made of it, with the last one that had begun done
whole or not at all; and no planted marker may stand in any file.
"""

from __future__ import annotations

import base64
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from client.device import work
from client.device.device import Device
from client.vault.vault import Vault, unlock
from common.expressions import EXPRESSIONS
from tests.client.device.fakes import (
    NO,
    PASSPHRASE,
    YES,
    FakeRecogniser,
    clip_file,
    digest,
    face_of,
    features_of,
    new_vault,
)

PEOPLE = ("Zyzzyva-Ada", "Quokka-Bob", "Xylem-Cleo")
TAKES = 12
LONGEST_LIFE = 0.25
"""Seconds until a child is killed; an operation takes 2 to 100 ms."""

State = dict[str, Any]
Operation = dict[str, Any]


def empty() -> State:
    return {"users": {}, "clips": {}, "heads": {}}


def applied(state: State, operation: Operation) -> State:
    """The state after an operation, by the plainest possible rules."""
    after: State = json.loads(json.dumps(state))
    kind, name = operation["do"], operation.get("user", "")
    if kind == "enrol":
        known = after["users"].setdefault(name, {"faces": 0, "federate": False})
        known["faces"] += operation["new"]
        known["federate"] = operation["federate"]
    elif kind == "recognise" and name in after["users"]:
        after["clips"].setdefault(operation["clip"], {"user": name, "labels": []})
    elif kind == "correct":
        after["clips"][operation["clip"]]["labels"].append(operation["label"])
    elif kind == "undo":
        after["clips"][operation["clip"]]["labels"].pop()
    elif kind == "personalise":
        mine = {key: clip for key, clip in after["clips"].items() if clip["user"] == name}
        labels = {key: clip["labels"][-1] for key, clip in mine.items() if clip["labels"]}
        after["heads"].pop(name, None)
        if mine:
            after["heads"][name] = labels
    elif kind == "forget":
        after["users"].pop(name)
        after["heads"].pop(name, None)
        for key in [key for key, clip in after["clips"].items() if clip["user"] == name]:
            del after["clips"][key]
    return after


def shown(state: State) -> State:
    """A state as it can be seen from outside: of labels the newest only."""
    clips = {
        key: [clip["user"], clip["labels"][-1] if clip["labels"] else None]
        for key, clip in state["clips"].items()
    }
    return {"users": state["users"], "clips": clips, "heads": state["heads"]}


def found(vault: Vault) -> State:
    """What the vault holds; reads every value of it."""
    names = {user.id: user.name for user in vault.users()}
    faces = [names[entry.user] for entry in vault.gallery("dlib-resnet/1")]
    clips = {clip.id: clip for clip in vault.clips()}
    for id in clips:
        vault.arrays(id)
    heads = {}
    for id, name in names.items():
        stored = vault.personal(id)
        if stored is not None:
            labels = stored.about["labels"]
            heads[name] = {clips[key].name: label for key, label in labels.items()}
    assert vault.damaged() == ()
    return {
        "users": {
            user.name: {"faces": faces.count(user.name), "federate": user.consent.federate}
            for user in vault.users()
        },
        "clips": {clip.name: [names[clip.user], clip.label] for clip in clips.values()},
        "heads": heads,
    }


class Child:
    """Chooses and does operations until it is killed."""

    def __init__(self, folder: Path, seed: int, state: State, kill_at: int | None) -> None:
        self.random = random.Random(seed)
        self.folder = folder
        self.state = state
        self.vault = Vault(folder / "device", unlock(folder / "device", PASSPHRASE))
        self.journal = os.open(folder / "journal", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.recogniser: Any = FakeRecogniser()
        if kill_at is not None:
            self._die_at(kill_at)

    def _die_at(self, statement: int) -> None:
        """Die as SQLite is about to run its k-th statement."""
        left = iter(range(statement))

        def trace(text: str) -> None:
            if next(left, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)

        self.vault._db.connection.set_trace_callback(trace)

    def note(self, what: str, operation: Operation) -> None:
        os.write(self.journal, json.dumps([what, operation]).encode() + b"\n")

    def live(self) -> None:
        while True:
            operation, act = self.random.choice(list(self.choices()))
            self.note("begun", operation)
            act()
            self.note("done", operation)
            self.state = applied(self.state, operation)

    def choices(self) -> Iterator[tuple[Operation, Callable[[], Any]]]:
        name = self.random.choice(PEOPLE)
        known = self.vault.user(name)
        take, label = self.random.randrange(TAKES), self.random.randrange(8)
        path = clip_file(self.folder / "clips", name, EXPRESSIONS[take % 8], take)
        yield self._enrolment(name)
        yield (
            {"do": "recognise", "user": name, "clip": path.name},
            lambda: work.recognise(
                self.vault, self.recogniser, path, name=path.name, digest=digest(path)
            ),
        )
        device, clips = Device(self.vault), self.state["clips"]
        for clip in self.random.sample(sorted(clips), min(2, len(clips))):
            newest = (clips[clip]["labels"] or [-1])[-1]
            label = label if label != newest else (label + 1) % 8  # so that the change shows
            yield (
                {"do": "correct", "clip": clip, "label": label},
                lambda clip=clip, label=label: device.correct(clip, EXPRESSIONS[label]),
            )
            if clips[clip]["labels"]:
                yield {"do": "undo", "clip": clip}, lambda clip=clip: device.undo(clip)
        if known is not None:
            yield (
                {"do": "personalise", "user": name},
                lambda: work.personalise(self.vault, known.id),
            )
            if self.random.random() < 0.5:
                yield {"do": "forget", "user": name}, lambda: device.forget(name)

    def _enrolment(self, name: str) -> tuple[Operation, Callable[[], Any]]:
        before = self.state["users"].get(name, {"faces": 0})["faces"]
        takes = [1000 + before, 1001 + before]
        paths = [clip_file(self.folder / "clips", name, "calm", take) for take in takes]
        consent = self.random.choice((YES, NO))
        told = {"do": "enrol", "user": name, "new": 2, "federate": consent.federate}
        return told, lambda: work.enrol(self.vault, self.recogniser, name, paths, consent)


def markers() -> dict[str, bytes]:
    """Planted values in the forms in which they could stand in a file."""
    planted: dict[str, bytes] = {}
    for name in PEOPLE:
        plain = name.encode()
        planted |= {
            name: plain,
            f"{name} hex": plain.hex().encode(),
            f"{name} utf-16": name.encode("utf-16-le"),
            f"{name} base64": base64.b64encode(plain)[:8],
        }
        for take in range(3):
            face = face_of(name, 1000 + take)[0, :4]
            features = features_of(name, take % 8, take)[0, :4]
            for what, row in (("face", face), ("features", features)):
                for form in ("<f4", "<f8", ">f4"):
                    planted[f"{name} {take} {what} {form}"] = row.astype(form).tobytes()
                planted[f"{name} {take} {what} text"] = repr(float(row[0]))[:10].encode()
    for word in ("surprised", "fearful", "happy", PASSPHRASE.text, "Zyzzyva", "federate"):
        planted[word] = word.encode()
    return planted


def leaks(folder: Path) -> list[str]:
    """Markers that stand in a file of the folder."""
    planted = markers()
    return [
        f"{path.name}: {name}"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        for content in (path.read_bytes(),)
        for name, form in planted.items()
        if form in content
    ]


def killed(folder: Path, seed: int, state: State) -> int:
    """Let a child live for a while; half of them die by the clock, half at a statement."""
    chooser = random.Random(seed)
    kill_at = chooser.randrange(400) if seed % 2 else None
    heard, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            child = Child(folder, seed, state, kill_at)
            os.write(told, b".")
            child.live()
        finally:
            os._exit(7)
    os.close(told)
    with open(heard, "rb") as ready:  # noqa: PTH123 - a pipe has no path
        ready.read(1)
    if kill_at is None:
        time.sleep(chooser.uniform(0, LONGEST_LIFE))
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status), f"seed {seed}: the child failed by itself"
    return os.WTERMSIG(status)


def journal(folder: Path) -> list[tuple[str, Operation]]:
    path = folder / "journal"
    lines = path.read_bytes().split(b"\n") if path.exists() else []
    path.unlink(missing_ok=True)
    return [tuple(json.loads(line)) for line in lines if line.endswith(b"]")]


def after(folder: Path, state: State) -> tuple[State, Operation | None, int]:
    """The acknowledged state, the operation that was cut off, and how many were acknowledged."""
    pending, done = None, 0
    for what, operation in journal(folder):
        pending = operation if what == "begun" else None
        if what == "done":
            state, done = applied(state, operation), done + 1
    return state, pending, done


def check(folder: Path, state: State, pending: Operation | None) -> tuple[State, bool]:
    """The state that holds now, and whether the pending operation is in it."""
    with Vault(folder / "device", unlock(folder / "device", PASSPHRASE)) as vault:
        now = found(vault)
    whole = state if pending is None else applied(state, pending)
    assert now in (shown(state), shown(whole)), json.dumps(
        {"now": now, "before": shown(state), "pending": pending}, indent=1
    )
    happened = now == shown(whole) and now != shown(state)
    planted = leaks(folder / "device")
    assert planted == [], planted
    return (whole if happened else state), happened


def main(folder: Path, kills: int) -> None:
    (folder / "clips").mkdir()
    new_vault(folder / "device").close()
    state, counts = empty(), {"done": 0, "cut": 0, "happened": 0}
    cut: dict[str, int] = {}
    for seed in range(kills):
        killed(folder, seed, state)
        state, pending, done = after(folder, state)
        state, happened = check(folder, state, pending)
        counts["done"] += done
        counts["happened"] += happened
        if pending is not None:
            counts["cut"] += 1
            cut[pending["do"]] = cut.get(pending["do"], 0) + 1
    json.dump({**counts, "operations": cut}, sys.stdout)


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    main(Path(sys.argv[1]), int(sys.argv[2]))
