"""`mien privacy`: what differential privacy would take, before a federation starts."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import print_json
from cli.fleet_shared import Json, print_table, say
from common.errors import UsageError

if TYPE_CHECKING:
    from common.privacy.plan import HeadPlan, PrivacyPlan

app = typer.Typer(
    no_args_is_help=True,
    help="Plan differential privacy, and make the public projection that small heads stand behind.",
)


@app.command("plan")
def plan_command(
    devices: Annotated[int, typer.Option(help="Devices that take part in every round.")],
    rounds: Annotated[int, typer.Option(help="Rounds in all.")],
    epsilon: Annotated[float, typer.Option(help="The promise; smaller is stronger.")],
    delta: Annotated[
        float, typer.Option(help="Chance that the promise does not hold; far below 1 / devices.")
    ] = 1e-5,
    dimension: Annotated[
        int, typer.Option(help="Length of a feature; 1280 for EmotiEffNet-B0.")
    ] = 1280,
    json: Json = False,
) -> None:
    """Tell how much noise a promise takes, and whether anything can be learnt under it.

    The promise is for everything of one device over all rounds together. Accuracies are lab
    figures of synthetic features: believe the differences, not the levels. **Example:**
    `mien privacy plan --devices 24 --rounds 20 --epsilon 8`
    """
    from common.privacy.plan import make_plan

    made = make_plan(
        devices=devices, rounds=rounds, epsilon=epsilon, delta=delta, dimension=dimension
    )
    if json:
        print_json(described(made))
        return
    for sentence in sentences(made):
        say(sentence)
    print_table(
        ("head", "features", "parameters", "noise (norm)", "signal", "lab accuracy"),
        [_row("full head", made.full), _row("small projection", made.small)],
    )
    say(advice(made))


@app.command("projection")
def projection_command(
    features: Annotated[
        Path, typer.Argument(help="Feature table of people who are in no fleet, with expressions.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="To write.")],
    kind: Annotated[
        str,
        typer.Option(
            help="lda: directions that tell expressions apart; pca: in which clips vary most."
        ),
    ] = "lda",
    dimensions: Annotated[
        int,
        typer.Option(help="Numbers per feature, at most 32; for lda fewer than expressions."),
    ] = 7,
    json: Json = False,
) -> None:
    """Learn a frozen projection from a public table, for `mien simulate --projection FILE`.

    The table must not be of the clients: a projection that was learnt from their clips would tell
    of them to whoever has it. **Example:** `mien privacy projection public.parquet --out small`
    """
    from common.heads.projection import save_projection
    from simulations.projecting import LEARNT, learnt
    from simulations.sources import load_table_source

    if kind not in LEARNT:
        raise UsageError(f"kind is {kind!r}, expected {' or '.join(LEARNT)}")
    source = load_table_source(features)
    made = learnt(kind, source.features, source.clips, dimensions)
    try:
        save_projection(out.absolute(), made)
    except OSError as error:
        raise UsageError(f"{out}: can't be written ({error.strerror})") from error
    users = source.clips.user_names()
    if json:
        told = {"kind": kind, "from": source.clips.dimension, "to": made.width}
        origin = {"clips": len(source.clips), "users": list(users), "reads": made.features}
        print_json({"file": str(out), **told, **origin, "sha256": made.sha256})
        return
    say(
        f"{out}: a projection of {source.clips.dimension} features to {made.width} numbers, from "
        f"{len(source.clips)} clips of {len(users)} users; digest {made.sha256[:16]}."
    )
    say(
        f"None of these users ({', '.join(users[:5])}{' …' if len(users) > 5 else ''}) may be on a "
        "device that federates behind it: it was learnt from their clips, and is public."
    )


def described(plan: PrivacyPlan) -> dict[str, Any]:
    """A plan as JSON."""
    told = asdict(plan)
    told["ceilings"] = {f"{rate:g}": most for rate, most in plan.ceilings.items()}
    for name, head in (("full", plan.full), ("small", plan.small)):
        told[name]["usable"] = head.usable
        if head.cost:
            told[name]["cost"]["points"] = head.cost.points
    return told | {"advice": advice(plan)}


def sentences(plan: PrivacyPlan) -> list[str]:
    """Noise and promise in words."""
    ceilings = ", ".join(
        f"{100 * most:.2g} % of the members at {100 * rate:g} % false alarms"
        for rate, most in plan.ceilings.items()
    )
    return [
        f"Noise of {plan.multiplier:.4g} clipping norms on the sum of each round keeps epsilon "
        f"{plan.epsilon:g} at delta {plan.delta:g} over {plan.rounds} rounds; on the average of "
        f"{plan.devices} devices that is {plan.noise_on_average:.3g} clipping norms per entry.",
        f"Whatever the attack, it finds at most {ceilings}.",
    ]


def advice(plan: PrivacyPlan) -> str:
    """What to use."""
    from common.privacy.lab import FULL, SMALL
    from common.privacy.plan import USABLE_SIGNAL

    if plan.recommendation == FULL:
        return (
            f"Use the full head: its signal is {plan.full.signal:.2g}, {USABLE_SIGNAL:g} is enough."
        )
    if plan.recommendation == SMALL:
        return (
            f"Use a public projection to at most {plan.small.features} numbers: the full head's "
            f"signal is {plan.full.signal:.2g}, the projection's {plan.small.signal:.2g}, and "
            f"{USABLE_SIGNAL:g} is enough. Compare with a head that is trained on public clips "
            "alone."
        )
    return (
        f"Nothing could be learnt: even {plan.small.features} features have a signal of "
        f"{plan.small.signal:.2g}, and {USABLE_SIGNAL:g} is needed. Take more devices, a larger "
        "epsilon, or a head that is trained on public clips alone."
    )


def _row(name: str, head: HeadPlan) -> tuple[str, ...]:
    return (
        name,
        str(head.features),
        str(head.parameters),
        f"{head.noise_norm:.3g}",
        f"{head.signal:.2g}",
        _cost(head),
    )


def _cost(head: HeadPlan) -> str:
    cost = head.cost
    if cost is None:
        return "no lab figure for so few devices or so small an epsilon"
    return (
        f"lab: {cost.without:g} -> {cost.with_privacy:g} % with {cost.devices} devices, "
        f"{cost.parameters} parameters, epsilon {cost.epsilon:g}"
    )
