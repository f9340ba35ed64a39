"""What a fleet's server knows of its federation, in the operator's folder beside the keys.

federation/settings.json    head, plan and rules, decided once
federation/wanted.json      what the operator wants now: how many rounds, paused or not
federation/checkpoint.safetensors, federation/rounds/   see `server.fleet.rounds`
federation/run.json         Flower's newest run, and why the one before ended
service/                    logs and running programs, see `server.fleet.service`
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from common.errors import UsageError, WorkError
from common.files import private_folder, write_atomically
from common.heads.specification import HeadSpecification
from common.settings import FederationPlan
from server.fleet.rounds import CHECKPOINT, RoundRules, reports, with_rounds

FORMAT: Final = 1
SETTINGS: Final = "settings.json"
WANTED: Final = "wanted.json"
RUN: Final = "run.json"


@dataclass(frozen=True, kw_only=True)
class FederationSettings:
    """What is decided when a fleet's federation begins.

    Attributes:
        specification: of the universal head.
        plan: of the federation; its number of rounds is what the operator wants, see `Wanted`.
        rules: when a round counts.
        deadline: seconds that devices have for an answer; later ones are not counted.
    """

    specification: HeadSpecification
    plan: FederationPlan
    rules: RoundRules
    deadline: float

    def __post_init__(self) -> None:
        if not 0 < self.deadline < float("inf"):
            raise UsageError(f"deadline is {self.deadline!r}, expected a number of seconds above 0")


@dataclass(frozen=True)
class Wanted:
    """What the operator wants: head rounds in all, and whether to pause before the next."""

    rounds: int
    paused: bool = False


class FleetFolder:
    """The federation's part of a fleet's folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.federation = root / "federation"
        self.service = root / "service"

    @property
    def begun(self) -> bool:
        """Whether a federation has been settled."""
        return (self.federation / SETTINGS).exists()

    def begin(self, settings: FederationSettings) -> None:
        """Settle what the federation is; it can't be changed afterwards.

        Raises:
            UsageError: another one has begun here.
        """
        if self.begun:
            if self.settings() != settings:
                raise UsageError(
                    f"{self.federation} holds a federation with other settings; leave them out to "
                    "go on with it, or make another fleet"
                )
            return
        private_folder(self.federation)
        told = {
            "format": FORMAT,
            "specification": settings.specification.to_json(),
            "plan": with_rounds(settings.plan, 1).to_json(),
            "rules": dataclasses.asdict(settings.rules),
            "deadline": settings.deadline,
        }
        write_atomically(self.federation / SETTINGS, json.dumps(told, indent=1).encode())

    def settings(self) -> FederationSettings:
        """What `begin` was given.

        Raises:
            WorkError: no federation has begun, or the file is damaged.
        """
        told = self._read(SETTINGS)
        if told is None:
            raise WorkError(
                f"no federation has begun in {self.root}; begin one: mien server rounds start"
            )
        try:
            if told["format"] != FORMAT:
                raise UsageError("another version of Mien made it")
            return FederationSettings(
                specification=HeadSpecification.from_json(told["specification"]),
                plan=FederationPlan.from_json(told["plan"]),
                rules=RoundRules(**told["rules"]),
                deadline=float(told["deadline"]),
            )
        except (KeyError, TypeError, ValueError, UsageError) as error:
            raise WorkError(f"{self.federation / SETTINGS} can't be used: {error}") from error

    def wanted(self) -> Wanted:
        """What the operator wants; no rounds before anything was said."""
        told = self._read(WANTED)
        return Wanted(int(told["rounds"]), bool(told["paused"])) if told else Wanted(0)

    def want(self, wanted: Wanted) -> None:
        """Say what is wanted; the running server sees it within seconds."""
        private_folder(self.federation)
        content = json.dumps(dataclasses.asdict(wanted)).encode()
        write_atomically(self.federation / WANTED, content)

    def rounds_done(self) -> int:
        """Head rounds whose checkpoint is on disk."""
        if not (self.federation / CHECKPOINT).exists():
            return 0
        done = [int(report["round"]) for report in reports(self.federation)]
        return max(done, default=0)

    def note_run(self, note: Mapping[str, Any]) -> None:
        """Keep what is known of Flower's newest run."""
        write_atomically(self.federation / RUN, json.dumps(dict(note)).encode())

    def run_note(self) -> dict[str, Any]:
        """What `note_run` kept; empty before the first run."""
        return self._read(RUN) or {}

    def _read(self, name: str) -> dict[str, Any] | None:
        path = self.federation / name
        try:
            told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise WorkError(f"{path} can't be read: {error}") from error
        return told
