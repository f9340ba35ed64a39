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

from safetensors import SafetensorError, safe_open

from common.errors import UsageError, WorkError
from common.files import private_folder, write_atomically
from common.heads.leak import check_federated
from common.heads.specification import HeadSpecification
from common.heads.universal import UniversalHead
from common.secure_aggregation.session import MOST_MEMBERS
from common.settings import FederationPlan
from server.fleet.oversampling import check_factor
from server.fleet.rounds import CHECKPOINT, RoundRules, with_rounds
from server.run import REFERENCE, load_head, save_head

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
        over_sample: see `server.fleet.oversampling`.
        accept_leak: whether the operator accepts a head that should not be federated, see
            `common.heads.leak`.
    """

    specification: HeadSpecification
    plan: FederationPlan
    rules: RoundRules
    deadline: float
    over_sample: float = 0.0
    accept_leak: bool = False

    def __post_init__(self) -> None:
        check_federated(self.specification, accept_leak=self.accept_leak)
        check_factor(self.over_sample)
        if self.over_sample and self.plan.secure_sum:
            raise UsageError(
                f"over-sample is {self.over_sample:g} together with secure sums, whose members "
                "may leave anyway; leave it out"
            )
        if self.plan.secure_sum and self.rules.quorum > MOST_MEMBERS:
            raise UsageError(
                f"quorum is {self.rules.quorum} with secure sums, which have at most "
                f"{MOST_MEMBERS} members; take a smaller one"
            )
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

    def begin(self, settings: FederationSettings, reference: UniversalHead | None = None) -> None:
        """Settle what the federation is; it can't be changed afterwards.

        Args:
            settings: of the federation.
            reference: a public one, in place of round 0; None where devices are asked for theirs.

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
        self._keep_reference(reference)
        told = {
            "format": FORMAT,
            "specification": settings.specification.to_json(),
            "plan": with_rounds(settings.plan, 1).to_json(),
            "rules": dataclasses.asdict(settings.rules),
            "deadline": settings.deadline,
            "over_sample": settings.over_sample,
            "accept_leak": settings.accept_leak,
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
                over_sample=float(told.get("over_sample", 0.0)),
                accept_leak=told.get("accept_leak", False) is True,
            )
        except (KeyError, TypeError, ValueError, UsageError) as error:
            raise WorkError(f"{self.federation / SETTINGS} can't be used: {error}") from error

    def reference(self) -> UniversalHead | None:
        """The public reference, None where devices are asked for theirs.

        Raises:
            WorkError: the file is damaged.
        """
        path = self.federation / REFERENCE
        return load_head(path) if path.exists() else None

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
        """Head rounds whose checkpoint is on disk; a report alone, written before it, is none.

        Raises:
            WorkError: the checkpoint is damaged.
        """
        path = self.federation / CHECKPOINT
        if not path.exists():
            return 0
        try:
            with safe_open(path, framework="numpy") as file:
                about = json.loads((file.metadata() or {})["about"])
            return max(0, int(about["round"]) - 1)
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise WorkError(f"{path} is not a readable checkpoint: {error}") from error

    def rounds_due(self) -> bool:
        """Whether rounds are wanted now that are not done.

        Raises:
            WorkError: see `rounds_done`.
        """
        wanted = self.wanted()
        return self.begun and not wanted.paused and self.rounds_done() < wanted.rounds

    def note_run(self, note: Mapping[str, Any]) -> None:
        """Keep what is known of Flower's newest run."""
        write_atomically(self.federation / RUN, json.dumps(dict(note)).encode())

    def run_note(self) -> dict[str, Any]:
        """What `note_run` kept; empty before the first run."""
        return self._read(RUN) or {}

    def _keep_reference(self, reference: UniversalHead | None) -> None:
        """Before the settings are: one that an attempt left, which was killed then, is replaced."""
        path = self.federation / REFERENCE
        if reference is None:
            path.unlink(missing_ok=True)
        else:
            save_head(path, reference)

    def _read(self, name: str) -> dict[str, Any] | None:
        path = self.federation / name
        try:
            told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise WorkError(f"{path} can't be read: {error}") from error
        return told
