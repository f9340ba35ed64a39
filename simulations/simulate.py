"""One simulation from clips to results: devices, federation, personal heads, figures."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import shlex
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import torch

from client.evaluation import view
from client.exposure import ExposureLimits
from client.store import DeviceFolder
from client.training import FEWEST_CLIPS
from common.clips import ClipSet
from common.errors import UsageError
from common.files import private_folder
from common.heads.leak import LeakNote, check_federated
from common.heads.specification import WIDEST_SCATTER, HeadSpecification
from common.heads.training import (
    ATTENTION_EPOCHS,
    ATTENTION_RATE,
    LOGISTIC_EPOCHS,
    LOGISTIC_RATE,
)
from common.heads.universal import UniversalHead, statistics_of
from common.paths import simulated_device, simulation_folder
from common.settings import FederationPlan
from server.run import REFERENCE, ServerPlan, load_plan
from simulations.devices import create_devices
from simulations.everyone import EVERYONE, choose_with_everyone, export_head, untested
from simulations.identification.measure import measure_identification
from simulations.identities import give_identities
from simulations.pooled import pooled_head
from simulations.privacy import privacy_of
from simulations.protocols import Protocol as SplitProtocol
from simulations.protocols import make_protocol
from simulations.public_reference import save_reference
from simulations.recording import keep_truth
from simulations.results import SCHEMA, summarise
from simulations.selection import Choice, choose, unchosen
from simulations.settings import SimulationSettings
from simulations.sources import Source
from simulations.versions import code_version as code_version
from simulations.versions import versions
from simulations.watching import Watcher

WITHOUT_MESSAGES = "cohort"
"""The engine that trains without messages: nothing is transmitted, no gate and no ledger work."""
LOCK_FILE = "mien-simulation.lock"
LEFT_BEHIND = ("devices", "server")


@dataclass(frozen=True)
class Prepared:
    """A simulation that is set up on disk and ready for an engine."""

    settings: SimulationSettings
    source: Source
    protocol: SplitProtocol
    specification: HeadSpecification
    choices: Mapping[str, Choice]
    own_clips: tuple[int, ...]
    users: tuple[str, ...]
    root: Path
    leak: LeakNote


def prepare(settings: SimulationSettings, source: Source, root: Path, watch: Watcher) -> Prepared:
    """Plan the protocol, choose settings on training users, set up devices and the server.

    Raises:
        UsageError: the data does not allow the protocol, or the head should not be federated.
    """
    torch.set_num_threads(1)  # sums keep their order; workers, not threads, use the cores
    clips = source.clips
    protocol = make_protocol(settings.protocol, clips, source.ravdess, folds=settings.user_folds)
    specification = HeadSpecification(
        kind=settings.head,
        dimension=clips.dimension,
        features=source.features,
        pooling=settings.pooling,
        key_dimension=settings.key_dimension,
        scatter=settings.metric == "scatter" and clips.dimension <= WIDEST_SCATTER,
    )
    leak = check_federated(specification, accept_leak=settings.accept_leak)
    _check_training_clips(clips, protocol)
    choices = _choices(settings, specification, clips, protocol, watch)
    own_clips = powers_of_two(most_own_clips(clips, protocol))
    users = create_devices(
        root,
        specification,
        clips,
        protocol,
        choices,
        seed=settings.seed,
        own_clips=own_clips,
        draws=settings.draws,
        limits=_limits(settings),
        accept_leak=settings.accept_leak,
    )
    plans = tuple(untested(_plan(settings, name, choice)) for name, choice in choices.items())
    plan = ServerPlan(specification, plans, len(users))
    plan.save(root / "plan.json")
    if settings.secure_aggregation == "on":
        give_identities(root, len(users))
    if source.public is not None and settings.noise_multiplier:
        save_reference(root / "server" / REFERENCE, specification, source.public, settings.seed)
    if settings.record:
        keep_truth(Path(settings.record), plan, clips, users)
    return Prepared(
        settings, source, protocol, specification, choices, own_clips, tuple(users), root, leak
    )


def _limits(settings: SimulationSettings) -> ExposureLimits:
    """Of every simulated device; 0 stands for none, as Flower's configuration has no null."""
    return ExposureLimits(
        share=settings.exposure_share or None,
        epsilon=settings.exposure_epsilon or None,
        bare_updates=settings.secure_aggregation != "on",
    )


def _choices(
    settings: SimulationSettings,
    specification: HeadSpecification,
    clips: ClipSet,
    protocol: SplitProtocol,
    watch: Watcher,
) -> dict[str, Choice]:
    def chosen(federations: SplitProtocol) -> dict[str, Choice]:
        if settings.noise_multiplier:
            return unchosen(federations, settings.l2)
        return choose(
            specification,
            clips,
            federations,
            l2=settings.l2,
            seed=settings.seed,
            progress=lambda done, total: watch("settings chosen on training users", done, total),
        )

    return choose_with_everyone(protocol, chosen) if settings.save_head else chosen(protocol)


def _check_training_clips(clips: ClipSet, protocol: SplitProtocol) -> None:
    """Each federation needs a user whose device has enough clips to take part.

    Raises:
        UsageError: a federation has none.
    """
    counts = Counter(clips.users)
    for federation, out in protocol.held_out.items():
        training = [count for user, count in counts.items() if user not in out]
        if max(training, default=0) < FEWEST_CLIPS:
            raise UsageError(
                f"{federation} has no training user with {FEWEST_CLIPS} clips or more, and a "
                "device with fewer takes no part; add clips"
            )


def _plan(settings: SimulationSettings, name: str, choice: Choice) -> FederationPlan:
    logistic = settings.head == "logistic"
    rate = LOGISTIC_RATE if logistic else ATTENTION_RATE
    epochs = LOGISTIC_EPOCHS if logistic else ATTENTION_EPOCHS
    return FederationPlan(
        name=name,
        rounds=settings.rounds,
        epochs=settings.local_epochs or epochs,
        learning_rate=settings.learning_rate or rate,
        l2=choice.l2,
        memory=settings.memory if _accelerates(settings) else 0,
        seed=settings.seed,
        evaluate=True,
        strategy=settings.strategy,
        proximal_mu=settings.proximal_mu,
        server_learning_rate=settings.server_learning_rate,
        trim=settings.trim,
        clients_per_round=settings.clients_per_round,
        dropout=settings.dropout,
        secure_sum=settings.secure_aggregation == "on",
        smallest_sum=settings.smallest_sum,
        clip_norm=settings.clip_norm,
        noise_multiplier=settings.noise_multiplier,
    )


def _accelerates(settings: SimulationSettings) -> bool:
    """Extrapolation needs a map that is the same, and convex, in every round, without noise."""
    averages = settings.strategy in ("fedavg", "fedprox") and settings.noise_multiplier == 0
    return averages and settings.head == "logistic" and settings.clients_per_round == 0


def most_own_clips(clips: ClipSet, protocol: SplitProtocol) -> int:
    """The most clips of one expression that any user can adapt on."""
    label = dict(zip(clips.names, clips.labels.tolist(), strict=True))
    counts: dict[tuple[str, str, int], int] = {}
    for split in protocol.splits:
        for name in split.adaptation:
            key = split.user, split.test[0], label[name]
            counts[key] = counts.get(key, 0) + 1
    return max(counts.values())


def powers_of_two(limit: int) -> tuple[int, ...]:
    """1, 2, 4, ... up to `limit`, which is at least 1.

    >>> powers_of_two(5)
    (1, 2, 4)
    """
    return tuple(2**power for power in range(limit.bit_length()))


def finish(
    prepared: Prepared, command: str, started: float, watch: Watcher, *, engine: str
) -> dict[str, Any]:
    """Read what devices and server left on disk, add the pooled ceiling, and sum up.

    `engine` is the one that ran; `cohort` transmitted nothing, and its rounds are kept apart.
    """
    by_user: dict[str, list[dict[str, Any]]] = {user: [] for user in prepared.users}
    federations = list(prepared.protocol.held_out)
    for done, federation in enumerate(federations, start=1):
        pooled = _pooled(prepared, federation)
        for index, user in enumerate(prepared.users):
            folder = DeviceFolder(simulated_device(prepared.root, index))
            for record in folder.load_evaluation(federation):
                by_user[user].append({**record, "pooled": _test_pooled(pooled, folder, record)})
        watch("pooled ceiling", done, len(federations))
    identification = measure_identification(prepared, by_user, watch)
    if prepared.settings.save_head:
        export_head(Path(prepared.settings.save_head), prepared.root, _about(prepared))
    plans = load_plan(prepared.root / "plan.json").federations
    rounds = json.loads((prepared.root / "server" / "rounds.json").read_text(encoding="utf-8"))
    return {
        "schema": SCHEMA,
        "command": command,
        "seed": prepared.settings.seed,
        "versions": versions(),
        "protocol": prepared.protocol.name,
        "engine": engine,
        "source": prepared.source.description,
        "synthetic": prepared.source.synthetic,
        "commit": code_version(),
        "head": prepared.specification.kind,
        "features": prepared.specification.features,
        "federation": _federation(prepared),
        "clients": len(prepared.users),
        "rounds": prepared.settings.rounds,
        **summarise(by_user, prepared.own_clips, seed=prepared.settings.seed),
        **identification,
        "chosen_on_training_users": any(c.evidence for c in prepared.choices.values()),
        "chosen": {
            name: {"l2": c.l2, "strength": c.strength, "scale": c.scale}
            for name, c in prepared.choices.items()
        },
        "plans": [dataclasses.asdict(plan) for plan in plans],
        **told_rounds(rounds, engine),
        "privacy": privacy_of(prepared.root, prepared.protocol.held_out, prepared.users),
        "left_out": [{"clip": c, "reason": reason} for c, reason in prepared.source.left_out],
        "skipped": dict(prepared.source.skipped),
        "predictions": by_user,
        "seconds": round(time.monotonic() - started, 1),
    }


def _federation(prepared: Prepared) -> dict[str, Any]:
    """What a reader has to know of the head and of the devices' own limits."""
    limits = _limits(prepared.settings)
    return {
        **prepared.leak.to_json(),
        "projection": prepared.source.projection,
        "exposure_limits": {"share": limits.share, "epsilon": limits.epsilon},
    }


def _about(prepared: Prepared) -> dict[str, Any]:
    """What a device should know of the head that all users took part in."""
    choice, source = prepared.choices[EVERYONE], prepared.source
    return {
        "source": source.description,
        "synthetic": source.synthetic,
        "users": len(prepared.users),
        "clips": len(source.clips),
        "rounds": prepared.settings.rounds,
        "strategy": prepared.settings.strategy,
        "seed": prepared.settings.seed,
        "l2": choice.l2,
        "evidence": list(choice.evidence),
        "federation": _federation(prepared),
        "commit": code_version(),
        "versions": versions(),
    }


def told_rounds(rounds: list[dict[str, Any]], engine: str) -> dict[str, Any]:
    """The server's rounds as results tell them: `transmitted`, or without any message in memory."""
    if engine != WITHOUT_MESSAGES:
        return {"transmitted": rounds, "in_memory": []}
    kept = ("federation", "round", "stage", "clients", "lost")
    return {"transmitted": [], "in_memory": [{key: r[key] for key in kept} for r in rounds]}


def _pooled(prepared: Prepared, federation: str) -> UniversalHead:
    out = prepared.protocol.held_out[federation]
    clips = prepared.source.clips
    training = clips.select([i for i, user in enumerate(clips.users) if user not in out])
    return pooled_head(
        prepared.specification,
        training,
        l2=prepared.choices[federation].l2,
        seed=prepared.settings.seed,
    )


def _test_pooled(head: UniversalHead, folder: DeviceFolder, record: Mapping[str, Any]) -> list[int]:
    clips = folder.clips()
    place = {name: index for index, name in enumerate(clips.names)}
    adaptation = clips.select([place[name] for name in record["adaptation_clips"]])
    test = clips.select([place[name] for name in record["test_clips"]])
    seen = view(head, test, statistics_of(head, adaptation))
    chosen: list[int] = seen.universal.argmax(axis=1).tolist()
    return chosen


@contextmanager
def simulation_root(settings: SimulationSettings) -> Iterator[Path]:
    """The folder for devices and server: the one that is set, else a temporary one."""
    if settings.state_root:
        root = simulation_folder(settings.state_root)
        with locked(root):
            yield root
    else:
        with tempfile.TemporaryDirectory(prefix="mien-") as name:
            yield Path(name)


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Hold `root` for one simulation; what an earlier one left of devices and server is removed.

    Raises:
        UsageError: another simulation is using the folder, or it holds what is none of a
            simulation's; nothing is removed then.
    """
    mark = root / LOCK_FILE
    if not mark.exists() and any((root / name).exists() for name in LEFT_BEHIND):
        raise UsageError(
            f"{root}: has a folder {' or '.join(LEFT_BEHIND)} that no simulation made; "
            "set state-root to a folder of its own"
        )
    with _open_mark(mark) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(
                f"{root}: another simulation is using this folder; wait, or set state-root"
            ) from error
        for name in LEFT_BEHIND:
            if (root / name).exists():
                shutil.rmtree(root / name)
        yield


def _open_mark(mark: Path) -> TextIO:
    try:
        if not mark.parent.exists():
            private_folder(mark.parent)
        return mark.open("w", encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{mark.parent}: can't be used as state-root ({error.strerror}); name another folder"
        ) from error


def command_line(settings: SimulationSettings, *, engine: str = "grid") -> str:
    """The command that gives these settings on this engine: only what differs from the defaults."""
    changed = settings.model_dump(exclude_defaults=True, by_alias=True)
    for key in ("state-root", "out", "record"):
        changed.pop(key, None)
    options = [word for key, value in changed.items() for word in _option(key, value)]
    if engine == WITHOUT_MESSAGES:
        options += ["--engine", engine]
    return shlex.join(["mien", "simulate", *options])


def _option(key: str, value: object) -> tuple[str, ...]:
    return (f"--{key}",) if value is True else (f"--{key}", str(value))
