"""A universal head of all users, for real devices: federated like the others, tested by nobody."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from common.errors import UsageError
from common.files import check_writable
from common.heads.file import save_head
from common.settings import FederationPlan
from server.run import load_head
from simulations.protocols import Protocol
from simulations.selection import FEWEST_FOLDS, Choice

EVERYONE: Final = "everyone"
Choose = Callable[[Protocol], dict[str, Choice]]


def choose_with_everyone(protocol: Protocol, choose: Choose) -> dict[str, Choice]:
    """The choices of the protocol's federations, unchanged, and one for all users together.

    Validated on every user, each by heads of the other folds' users.

    Args:
        protocol: without this federation.
        choose: makes choices for a protocol.
    """
    if len(protocol.held_out) < FEWEST_FOLDS:  # nobody to choose on: all get the same
        choices = choose(protocol)
        return {**choices, EVERYONE: next(iter(choices.values()))}
    return choose(dataclasses.replace(protocol, held_out={**protocol.held_out, EVERYONE: ()}))


def untested(plan: FederationPlan) -> FederationPlan:
    """The plan, without the round in which held-out users test the head: there are none."""
    return dataclasses.replace(plan, evaluate=False) if plan.name == EVERYONE else plan


def check_head_file(path: Path) -> None:
    """Refuse a place where no head can be written, before hours of work go into one.

    Raises:
        UsageError: it is a folder, or its folder can't be made or written to.
    """
    if path.is_dir():
        raise UsageError(f"{path}: is a folder; name a file for save-head")
    check_writable(path.absolute().parent)


def export_head(path: Path, root: Path, about: Mapping[str, Any]) -> None:
    """Write the head that all users took part in where devices can take it from.

    Args:
        path: the new file.
        root: the simulation's folder.
        about: what the head's receiver should know, JSON values.

    Raises:
        UsageError: the file can't be written.
    """
    try:
        save_head(path, load_head(root / "server" / f"{EVERYONE}.safetensors"), about)
    except OSError as error:
        raise UsageError(f"{path}: can't be written ({error.strerror}); name another") from error
