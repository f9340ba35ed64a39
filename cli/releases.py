"""`mien server publish` and `releases`: the fleet's signed universal heads."""

from __future__ import annotations

import json as json_module
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import print_json
from cli.fleet_shared import Folder, Json, opened, print_table, say
from common.errors import UsageError

if TYPE_CHECKING:
    from common.releases import Manifest
    from server.authority import Authority


def publish_command(
    head: Annotated[Path, typer.Argument(metavar="HEAD", help="A universal head (.safetensors).")],
    folder: Folder,
    round: Annotated[int, typer.Option(help="The federation's round that it is of.")],
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", metavar="NAME=NUMBER", help="A measured figure; any number."),
    ] = None,
    epsilon: Annotated[
        float | None, typer.Option(help="Differential privacy spent; none: no guarantee.")
    ] = None,
    delta: Annotated[float | None, typer.Option(help="Goes with --epsilon.")] = None,
    rotate_key: Annotated[
        bool,
        typer.Option(
            "--rotate-key",
            help="Name a new signing key in this release, which signs all that follow.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Sign a universal head and put it at the end of the fleet's releases.

    The same head of the same round is published once, however often it is asked for. **Example:**
    `mien server publish head.safetensors --round 30 --metric uar=0.61 --folder fleet`
    """
    from common.releases import PrivacySpent
    from server.fleet.check import release_metrics
    from server.fleet.folder import FleetFolder
    from server.registry import Publication
    from server.run import load_head

    authority, privacy = opened(folder), PrivacySpent(epsilon, delta)
    content = load_head(head)
    tested = release_metrics(FleetFolder(folder).federation, content)
    metrics = {**tested, **_metrics(metric or ())}
    manifest = authority.publish(
        Publication(
            specification=content.specification,
            arrays=content.arrays,
            round=round,
            metrics=metrics,
            privacy=privacy,
            next_key=authority.new_signing_key() if rotate_key else None,
        )
    )
    described = _described_release(manifest, authority)
    if json:
        print_json(described)
    else:
        say(f"Release {manifest.sequence} of round {manifest.round}: {described['path']}")


def releases_command(folder: Folder, json: Json = False) -> None:
    """Show all releases, with their signatures and chain checked."""
    authority = opened(folder)
    rows = [_described_release(manifest, authority) for manifest in authority.registry.history()]
    if json:
        print_json(rows)
        return
    columns = ("release", "round", "created", "epsilon", "metrics", "hash")
    print_table(
        columns,
        [
            (
                str(row["sequence"]),
                str(row["round"]),
                row["created"],
                "none" if row["epsilon"] is None else f"{row['epsilon']:g}",
                " ".join(f"{name}={value:g}" for name, value in row["metrics"].items()),
                row["sha256"][:16],
            )
            for row in rows
        ],
    )


def _metrics(given: Sequence[str]) -> dict[str, float]:
    metrics = {}
    for text in given:
        name, _, value = text.partition("=")
        try:
            metrics[name] = float(value)
        except ValueError:
            raise UsageError(f"metric {text!r} is not NAME=NUMBER, such as uar=0.61") from None
    return metrics


def _described_release(manifest: Manifest, authority: Authority) -> dict[str, Any]:
    return {
        "sequence": manifest.sequence,
        "round": manifest.round,
        "sha256": manifest.sha256,
        "parent": manifest.parent,
        "created": manifest.created,
        "specification": json_module.loads(manifest.specification.to_json()),
        "metrics": dict(manifest.metrics),
        "epsilon": manifest.privacy.epsilon,
        "delta": manifest.privacy.delta,
        "next_key": manifest.next_key,
        "path": str(authority.registry.path(manifest.sequence)),
    }
