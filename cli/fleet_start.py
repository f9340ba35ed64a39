"""`mien server rounds start`: what the first call settles, and what later calls may say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from click.core import ParameterSource

from cli.fleet_shared import Folder, opened, say
from common.errors import UsageError

if TYPE_CHECKING:
    from common.heads.universal import UniversalHead
    from server.fleet.folder import FederationSettings, FleetFolder

Count = Annotated[int, typer.Option("--rounds", help="Rounds to do from now on.")]
Backbone = Annotated[str, typer.Option(help="Of the devices; settled when the federation begins.")]
Head = Annotated[str, typer.Option(help="Kind of head; settled at the beginning.")]
Strategy = Annotated[str, typer.Option(help="Settled at the beginning.")]
Quorum = Annotated[int, typer.Option(help="Updates that a round needs; settled at the beginning.")]
Deadline = Annotated[
    float, typer.Option(help="Seconds that devices have to answer; settled at the beginning.")
]
OverSample = Annotated[
    float,
    typer.Option(
        help="Devices asked for each that the quorum needs, such as 1.3: a round then ends with "
        "the quorum's last answer. 0 asks all and waits for all. Needs --no-secure-sum. Settled "
        "at the beginning."
    ),
]
SecureSum = Annotated[
    bool,
    typer.Option(
        "--secure-sum/--no-secure-sum",
        help="Whether devices mask their updates, so that the server learns sums alone. Settled "
        "at the beginning.",
    ),
]
SmallestSum = Annotated[
    int,
    typer.Option(
        help="Devices without whom no sum is revealed, 3 or more; enrol one or two more than "
        "that. Settled then, too."
    ),
]
ClipNorm = Annotated[
    float, typer.Option(help="Norm that devices shorten updates to; 0 none. Settled then, too.")
]
NoiseMultiplier = Annotated[
    float,
    typer.Option(
        help="Differential privacy: noise in clip norms, see `mien privacy plan`; needs "
        "--reference. 0 none. Settled then, too."
    ),
]
Reference = Annotated[
    Path | None,
    typer.Option(
        metavar="HEAD",
        help="Head of public data (`mien simulate --save-head`): its centre and spread stand in "
        "for what devices would tell in round 0.",
    ),
]
AcceptLeak = Annotated[
    bool,
    typer.Option(
        "--accept-leak",
        help="Federate a head that tells mixtures of raw features in one round; devices whose "
        "owners did not accept that decline.",
    ),
]


def start(
    context: typer.Context,
    folder: Folder,
    count: Count = 10,
    backbone: Backbone = "mini-xception",
    head: Head = "logistic",
    strategy: Strategy = "fedavg",
    quorum: Quorum = 3,
    deadline: Deadline = 120.0,
    over_sample: OverSample = 0.0,
    secure_sum: SecureSum = True,
    smallest_sum: SmallestSum = 10,
    clip_norm: ClipNorm = 0.0,
    noise_multiplier: NoiseMultiplier = 0.0,
    reference: Reference = None,
    accept_leak: AcceptLeak = False,
) -> None:
    """Ask for rounds; the running server begins within seconds.

    The first call settles what the federation is. Later calls ask for more rounds of the same one,
    and end a pause; what they say otherwise is refused.

    **Example:** `mien server rounds start --folder fleet --rounds 20 --quorum 5`
    """
    from server.fleet.folder import FleetFolder, Wanted

    if count < 1:
        raise UsageError(f"rounds is {count}, expected at least 1")
    opened(folder)
    there = FleetFolder(folder)
    if there.begun:
        check_settled(there, _given(context))
    else:
        _begin(there, context.params)
    done = there.rounds_done()
    there.want(Wanted(done + count))
    say(f"{done + count} rounds are wanted in all, {done} are done.")


def check_settled(there: FleetFolder, given: Mapping[str, Any]) -> None:
    """Whether options say what was settled when the federation began.

    Args:
        there: where it has begun.
        given: values of the options that were given, by name.

    Raises:
        UsageError: names those that say something else.
    """
    settled = _settled(there.settings())
    told = {name: _comparable(name, value) for name, value in given.items() if name in settled}
    others = [
        f"--{name.replace('_', '-')} {value}, where {settled[name]} is settled"
        for name, value in told.items()
        if value != settled[name]
    ]
    if given.get("reference") is not None and not _is_kept(there, given["reference"]):
        others.append("--reference of another head than the one that is settled")
    if others:
        raise UsageError(
            f"{there.federation} holds a federation that has begun with other settings "
            f"({'; '.join(others)}); leave them out to go on with it, or make another fleet"
        )


def _given(context: typer.Context) -> dict[str, Any]:
    """Values of the options that were said, not those that stand by default."""
    default = (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP)
    return {
        name: value
        for name, value in context.params.items()
        if context.get_parameter_source(name) not in default
    }


def _settled(settings: FederationSettings) -> dict[str, Any]:
    """What options would have to say, by their names."""
    plan = settings.plan
    return {
        "backbone": settings.specification.features,
        "head": settings.specification.kind,
        "strategy": plan.strategy,
        "quorum": settings.rules.quorum,
        "deadline": settings.deadline,
        "over_sample": settings.over_sample,
        "secure_sum": plan.secure_sum,
        "smallest_sum": plan.smallest_sum,
        "clip_norm": plan.clip_norm,
        "noise_multiplier": plan.noise_multiplier,
        "accept_leak": settings.accept_leak,
    }


def _comparable(name: str, value: Any) -> Any:
    """A backbone's features stand in the settings, not its name."""
    if name != "backbone":
        return value
    from common.backbones.records import feature_spec
    from common.backbones.registry import backbone_record

    return feature_spec(backbone_record(value))


def _begin(there: FleetFolder, options: Mapping[str, Any]) -> None:
    """Settle a federation; nothing is kept before all of it is checked."""
    from server.fleet.begin import Protection, default_settings
    from server.fleet.check import check_fits, load_table

    protection = ("secure_sum", "smallest_sum", "clip_norm", "noise_multiplier")
    others = ("backbone", "head", "strategy", "quorum", "deadline", "over_sample", "accept_leak")
    settings = default_settings(
        **{name: options[name] for name in others},
        protection=Protection(**{name: options[name] for name in protection}),
    )
    reference = _checked_reference(settings, options["reference"])
    if table := load_table(there.federation):
        check_fits(table, settings.specification)
    there.begin(settings, reference)


def _checked_reference(settings: FederationSettings, path: Path | None) -> UniversalHead | None:
    """The public reference; noise is worth nothing beside what devices tell without it.

    Raises:
        UsageError: it is missing for noised rounds, or made for another head.
    """
    from common.heads.file import load_head

    if path is None:
        if settings.plan.noise_multiplier:
            raise UsageError(
                f"noise-multiplier is {settings.plan.noise_multiplier:g} without a reference: "
                "devices would tell theirs without noise, and nothing could be promised; name a "
                "head of public data by --reference"
            )
        return None
    head, _ = load_head(path)
    made_for = head.specification
    if made_for != settings.specification:
        raise UsageError(
            f"{path}: is made for {made_for.kind} on {made_for.features}, the federation is of "
            f"{settings.specification.kind} on {settings.specification.features}; make one for "
            "these"
        )
    return head


def _is_kept(there: FleetFolder, path: Path) -> bool:
    """Whether a file holds the head that is kept as the federation's reference."""
    import numpy as np

    from common.heads.file import load_head

    kept, (head, _) = there.reference(), load_head(path)
    if kept is None or kept.specification != head.specification:
        return False
    return all(np.array_equal(array, head.arrays[name]) for name, array in kept.arrays.items())
