"""`mien fleet-demo`: a whole fleet on this computer, checked from outside, then gone."""

from __future__ import annotations

from typing import Annotated

import typer


def command(
    seed: Annotated[int, typer.Option(help="Of the synthetic actors.")] = 0,
    patience: Annotated[
        float, typer.Option(metavar="SECONDS", help="After which it gives up, with code 1.")
    ] = 300.0,
) -> None:
    """Run a fleet on loopback: a server, three devices, three rounds, releases, personal heads.

    TLS, node authentication, signed releases, vaults and SuperNodes are the real ones. The nine
    actors are **synthetic**: their clips' features are drawn, so that nothing here says how well
    Mien reads people. It takes about two minutes, ends by itself and leaves nothing behind; code 1
    says that something did not hold, and what. Needs nginx.

    **Example:** `mien fleet-demo`
    """
    import signal

    from cli.console import output
    from cli.opened import say
    from common.errors import UsageError
    from simulations.fleet_demo.demo import run_demo

    if not 0 < patience < float("inf"):
        raise UsageError(f"patience is {patience}, expected seconds above 0")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends what it started, too
    output.print("SYNTHETIC actors; everything is in a temporary folder.", highlight=False)
    result = run_demo(say, seed=seed, patience=patience)
    say(
        f"It holds: {result.releases} releases adopted by every device, {result.personal} of "
        f"{result.users} synthetic actors with a head of their own, in {result.seconds:.0f} s."
    )
