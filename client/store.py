"""A device's folder: its clips, its personal heads, its ledger. Nothing in it is ever sent.

device.json          what the device is set up for
clips.safetensors    labelled clip features
personal/            one head per user, named by a hash of the user's name
ledger.jsonl         what left this device
evaluation/          what the device measured for itself, one file per federation
errors.log           full texts of errors, of which the server learns only that there was one
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from client.exposure import ExposureLimits
from client.ledger import Ledger
from client.personalisation.heads import PersonalHead
from client.settings import DeviceSettings, Part
from common.clips import ClipSet, load_clips, save_clips
from common.errors import UsageError, WorkError
from common.files import PRIVATE_FILE, private_folder, write_atomically
from common.heads.specification import HeadSpecification
from common.heads.standardise import UserStatistics

__all__ = ["DeviceFolder", "DeviceSettings", "Part", "StoredPersonalHead"]


@dataclass(frozen=True)
class StoredPersonalHead:
    """A user's head as stored, with the run and round of the universal head it corrects."""

    user: str
    head: PersonalHead
    statistics: UserStatistics
    run: int
    round: int
    specification: int


class DeviceFolder:
    """Reads and writes one device's folder (mode 0700, files 0600, written whole or not at all)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ledger = Ledger(path / "ledger.jsonl")

    def create(self, settings: DeviceSettings, clips: ClipSet) -> None:
        """Set the folder up."""
        private_folder(self.path)
        save_clips(self.path / "clips.safetensors", clips)
        text = {**dataclasses.asdict(settings), "specification": settings.specification.to_json()}
        write_atomically(self.path / "device.json", json.dumps(text, sort_keys=True).encode())
        _clips.cache_clear()

    def settings(self) -> DeviceSettings:
        """What `create` was given.

        Raises:
            WorkError: the folder was not set up or its device.json can't be read.
        """
        path = self.path / "device.json"
        try:
            return _settings(path.name, path.read_bytes())
        except FileNotFoundError as error:
            raise WorkError(f"{path.name} is missing from the device's folder") from error
        except OSError as error:
            raise WorkError(f"{path.name} can't be read: {error}") from error

    def contributors(self) -> frozenset[str]:
        """Nobody in particular: whoever is in a folder takes part, and nobody can withdraw."""
        return frozenset()

    def clips(self) -> ClipSet:
        """The device's labelled clips."""
        return _clips(self.path / "clips.safetensors", _stamp(self.path / "clips.safetensors"))

    def save_personal(self, stored: StoredPersonalHead) -> None:
        """Keep a user's head, in place of the one before."""
        folder = private_folder(self.path / "personal")
        tensors = {
            "weight": stored.head.weight,
            "bias": stored.head.bias,
            "mean": stored.statistics.mean,
            "spread": stored.statistics.spread,
            "numbers": np.array([stored.head.scale, stored.statistics.trust]),
        }
        about = {key: getattr(stored, key) for key in ("user", "run", "round", "specification")}
        whole = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
        content = save(whole, {"about": json.dumps(about)})
        write_atomically(folder / _file_name(stored.user), content)

    def load_personal(self, user: str) -> StoredPersonalHead | None:
        """A user's head, None if there is none.

        Raises:
            WorkError: the file is there but is not a personal head of this user.
        """
        path = self.path / "personal" / _file_name(user)
        if not path.exists():
            return None
        try:
            with safe_open(path, framework="numpy") as file:
                about = json.loads((file.metadata() or {})["about"])
                get = file.get_tensor
                scale, trust = (float(value) for value in get("numbers"))
                head = PersonalHead(get("weight"), get("bias"), scale)
                statistics = UserStatistics(get("mean"), get("spread"), trust)
            if about["user"] != user:
                raise ValueError("it is another user's")
            return StoredPersonalHead(head=head, statistics=statistics, **about)
        except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
            raise WorkError(f"{path.name} is not a readable personal head: {error}") from error

    def forget_user(self, user: str) -> None:
        """Erase all of a user who leaves: clips, personal head, and what was measured of them.

        What remains is written anew without the user; then the old files are overwritten, so that
        a failure in between loses nobody's data. Other users' parts keep their meaning. The ledger
        stays: it holds hashes of updates that already left, and nobody's name. `errors.log` goes
        as a whole.

        Raises:
            WorkError: the folder can't be read or written.
        """
        settings, clips = self.settings(), self.clips()
        kept = [index for index, owner in enumerate(clips.users) if owner != user]
        evaluations = sorted((self.path / "evaluation").glob("*.json"))
        records = {path.stem: self.load_evaluation(path.stem) for path in evaluations}
        parts = _renumbered([part for part in settings.parts if part.user != user], kept)
        gone = [self.path / "personal" / _file_name(user), self.path / "errors.log"]
        renewed = [self.path / "clips.safetensors", self.path / "device.json", *evaluations]
        with _overwriting([*gone, *renewed]):
            self.create(dataclasses.replace(settings, parts=parts), clips.select(kept))
            for federation, found in records.items():
                self.save_evaluation(federation, [r for r in found if r.get("user") != user])
            for path in gone:
                path.unlink(missing_ok=True)
        _settings.cache_clear()

    def save_evaluation(self, federation: str, parts: list[dict[str, Any]]) -> None:
        """Keep what the device measured for itself."""
        folder = private_folder(self.path / "evaluation")
        write_atomically(folder / f"{federation}.json", json.dumps(parts).encode())

    def load_evaluation(self, federation: str) -> list[dict[str, Any]]:
        """What `save_evaluation` kept; an empty list if nothing was.

        Raises:
            WorkError: the file is there but is not an evaluation.
        """
        path = self.path / "evaluation" / f"{federation}.json"
        if not path.exists():
            return []
        try:
            parts = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise WorkError(f"{path.name} is not a readable evaluation: {error}") from error
        if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
            raise WorkError(f"{path.name} is not a readable evaluation: no list of records")
        return parts

    def exposure_limits(self) -> ExposureLimits:
        """How much the device is willing to tell: all, unless its settings say otherwise."""
        settings = self.settings()
        return ExposureLimits(
            share=settings.exposure_share,
            epsilon=settings.exposure_epsilon,
            bare_updates=settings.bare_updates,
        )

    def note_declined(self, about: str, text: str) -> None:
        """Append to the error log which round was declined, and why."""
        self.log_error(f"{about} declined: {text}")

    def log_error(self, text: str) -> None:
        """Append an error's full text; it stays here."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        descriptor = os.open(self.path / "errors.log", flags, PRIVATE_FILE)
        with os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text.rstrip() + "\n")


def _file_name(user: str) -> str:
    return hashlib.sha256(user.encode()).hexdigest()[:32] + ".safetensors"


def _renumbered(parts: list[Part], kept: list[int]) -> tuple[Part, ...]:
    """Parts after the device's clips became those that are `kept`."""
    place = {old: new for new, old in enumerate(kept)}

    def moved(indices: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(place[index] for index in indices)

    return tuple(
        dataclasses.replace(part, adaptation=moved(part.adaptation), test=moved(part.test))
        for part in parts
    )


@contextmanager
def _overwriting(paths: Sequence[Path]) -> Iterator[None]:
    """Overwrite what the files held with zeros once they are replaced or removed.

    Copies that a disk's wear levelling or a backup keeps are out of reach.
    """
    try:
        with ExitStack() as stack:
            old = [stack.enter_context(path.open("r+b")) for path in paths if path.exists()]
            yield
            for file in old:
                file.write(bytes(os.fstat(file.fileno()).st_size))
                file.flush()
                os.fsync(file.fileno())
    except OSError as error:
        raise WorkError(f"a user can't be erased from the device's folder: {error}") from error


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise WorkError(f"{path.name} is missing from the device's folder") from error
    return status.st_ino, status.st_mtime_ns, status.st_size


@lru_cache(maxsize=64)
def _clips(path: Path, stamp: tuple[int, int, int]) -> ClipSet:
    return load_clips(path)


@lru_cache(maxsize=1024)
def _settings(name: str, content: bytes) -> DeviceSettings:
    try:
        text = json.loads(content.decode())
        text["specification"] = HeadSpecification.from_json(text["specification"])
        text["parts"] = tuple(
            Part(
                **{**part, **{key: tuple(part[key]) for key in ("adaptation", "test", "evidence")}}
            )
            for part in text["parts"]
        )
        for key in ("held_out_of", "own_clips", "peers"):
            text[key] = tuple(text[key])
        return DeviceSettings(**text)
    except (UsageError, ValueError, KeyError, TypeError) as error:
        raise WorkError(f"{name} is not a device's settings: {error}") from error
