"""`actors.json`: what a folder of synthetic actors was drawn from."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Final

from common.errors import UsageError
from common.files import write_atomically
from simulations.actors.plan import ClipPlan

MANIFEST: Final = "actors.json"
RENDERER_VERSION: Final = 1
"""Raise whenever the same seed would give other pixels."""


def describe(*, actors: int, seed: int, plan: ClipPlan, twins: bool) -> dict[str, object]:
    """The manifest's content."""
    fields = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in asdict(plan).items()
    }
    return {
        "synthetic": True,
        "renderer": RENDERER_VERSION,
        "seed": seed,
        "actors": actors,
        "twins": twins,
        "sound": False,
        "plan": fields,
    }


def claim_folder(folder: Path, *, actors: int, seed: int, plan: ClipPlan, twins: bool) -> None:
    """Make `folder` the home of these actors, or find that it is already.

    Raises:
        UsageError: it holds other synthetic actors, a broken manifest, or actors' folders
            that no manifest explains (such as real recordings).
    """
    wanted = describe(actors=actors, seed=seed, plan=plan, twins=twins)
    path = folder / MANIFEST
    if path.exists():
        _compare(path, wanted)
        return
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.glob("Actor_*")):
        raise UsageError(
            f"{folder} has Actor_ folders but no {MANIFEST}, so they are not synthetic actors: "
            "use an empty folder"
        )
    write_atomically(path, (json.dumps(wanted, indent=2) + "\n").encode(), mode=0o644)


def _compare(path: Path, wanted: dict[str, object]) -> None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{path} is not JSON ({error}): use another folder") from error
    if not isinstance(found, dict):
        raise UsageError(f"{path} does not describe synthetic actors: use another folder")
    differing = sorted(
        key for key in wanted.keys() | found.keys() if found.get(key) != wanted.get(key)
    )
    if differing:
        raise UsageError(
            f"{path} was written with other settings ({', '.join(differing)}): "
            "use another folder or the same settings"
        )
