"""Commands on a device's people and clips: enrol, recognise, correct, personalise, forget, ...

from cli import people
people.register(app)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import errors, print_json
from cli.enrolling import enrol
from cli.opened import (
    Engine,
    FolderOption,
    JsonOption,
    PassphraseOption,
    check_clip,
    clip_name,
    engine_of,
    file_digest,
    on_terminal,
    opened_vault,
    say,
    tell,
)
from cli.people_tables import (
    answer_lines,
    clip_lines,
    personal_lines,
    release_lines,
    user_lines,
)
from common.errors import MienError, UsageError

if TYPE_CHECKING:
    from client.device.device import Device

ClipId = Annotated[
    str,
    typer.Argument(
        metavar="CLIP",
        help="The clip's file, its name, its id, or the first digits of its id; see `mien clips`.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for name, command in (
        ("enrol", enrol),
        ("recognise", recognise),
        ("correct", correct),
        ("clips", clips),
        ("users", users),
        ("personalise", personalise),
        ("export", export),
        ("ledger", ledger),
        ("forget", forget),
    ):
        app.command(name)(command)


def recognise(
    clips: Annotated[list[Path], typer.Argument(metavar="CLIP...", help="Clips to look at.")],
    keep: Annotated[
        bool,
        typer.Option(
            "--keep/--no-keep",
            help="Keep the features of enrolled users' clips, so that they can be corrected.",
        ),
    ] = True,
    folder: FolderOption = None,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Say who is in a clip and which expression it shows.

    A clip that can't be used is named and the others are still looked at; the exit code is then 1.
    Nothing is kept of guests.
    """
    answers: list[dict[str, Any]] = []
    failed: list[dict[str, str]] = []
    with opened_vault(folder, passphrase_file) as vault, engine_of(vault) as engine:
        for number, path in enumerate(clips, start=1):
            tell(f"{number}/{len(clips)} {clip_name(path)}")
            try:
                answers.append(_recognised(engine, path, keep=keep))
                if not json:
                    say(*answer_lines(answers[-1]))
            except MienError as error:
                failed.append({"clip": clip_name(path), "error": str(error)})
                _name_failure(failed[-1])
    if json:
        print_json({"answers": answers, "failed": failed})
    if failed:
        raise typer.Exit(1)


def _recognised(engine: Engine, path: Path, *, keep: bool) -> dict[str, Any]:
    return engine.recognise(check_clip(path), keep=keep)


def _name_failure(failure: dict[str, str]) -> None:
    from client.device.names import printable

    text = printable(failure["error"])
    named = text if failure["clip"] in text else f"{failure['clip']}: {text}"
    errors.print(f"mien: {named}", highlight=False, markup=False, soft_wrap=True)


def correct(
    clip: ClipId,
    expression: Annotated[
        str, typer.Argument(metavar="EXPRESSION", help="What the clip really shows.")
    ] = "",
    undo: Annotated[bool, typer.Option("--undo", help="Take the last word on it back.")] = False,
    discard: Annotated[
        bool, typer.Option("--discard", help="Erase the clip: it shows somebody else.")
    ] = False,
    folder: FolderOption = None,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Confirm or correct a clip's expression; it can be corrected again and taken back.

    EXPRESSION is neutral, calm, happy, sad, angry, fearful, disgust or surprised. The same one as
    was answered confirms it.

    **Examples:**

    `mien correct breakfast.mp4 calm`

    `mien correct breakfast.mp4 --undo`
    """
    from client.device.device import Device, expression_label

    if sum((bool(expression), undo, discard)) != 1:
        raise UsageError("correct takes either an EXPRESSION, or --undo, or --discard")
    if expression:
        expression_label(expression)
    with opened_vault(folder, passphrase_file) as vault:
        device = Device(vault)
        id = _clip_id(device, clip)
        if expression:
            done = device.correct(id, expression)
        else:
            done = device.undo(id) if undo else device.discard(id)
    if json:
        print_json(done)
    else:
        say(*_corrected_lines(done, undo=undo, discard=discard))


def _clip_id(device: Device, clip: str) -> str:
    """A file's clip by its content, else what was typed."""
    path = Path(clip)
    try:
        is_file = "\0" not in clip and path.is_file()
    except OSError:
        is_file = False
    found = device.clip_of_file(file_digest(path)) if is_file else None
    return found or (clip_name(path) if is_file else clip)


def _corrected_lines(done: dict[str, Any], *, undo: bool, discard: bool) -> Sequence[str]:
    name, user = done["name"], done["user"]
    if discard:
        first = f"{name}: erased"
    elif undo:
        said = done["expression"]
        first = f"{name}: taken back; " + (f"{said} holds again" if said else "it waits again")
    elif done["confirmed"]:
        first = f"{name}: {done['expression']} confirmed"
    else:
        first = f"{name}: {done['expression']}, not {done['was']}"
    news = f"{done['corrections']} new correction(s) of {user}"
    return (f"{first}; {news}" + (f": time for `mien personalise {user}`" if done["due"] else ""),)


def clips(
    user: Annotated[
        str, typer.Argument(metavar="USER", help="Only this user's; by default everybody's.")
    ] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    folder: FolderOption = None,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """List the clips: first those that wait for the user's word, the least sure ones on top."""
    from client.device.device import Device

    with opened_vault(folder, passphrase_file) as vault:
        rows = Device(vault).inbox(user=user or None, limit=limit)
    if json:
        print_json(rows)
    else:
        say(*(clip_lines(rows) or ("no clips yet: `mien recognise CLIP` looks at one",)))


def users(
    folder: FolderOption = None,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """List who is enrolled, what they agreed to, and which head reads their clips and why."""
    from client.device.device import Device

    with opened_vault(folder, passphrase_file) as vault:
        rows = Device(vault).users()
    if json:
        print_json(rows)
        return
    say(*(user_lines(rows) or ("nobody is enrolled yet: `mien enrol NAME CLIP...`",)))


def personalise(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The user.")],
    folder: FolderOption = None,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Learn from a user's corrections; what was learnt is used only where evidence bears it out.

    What it gains is measured on the user's own clips, each read by a head that has not seen it.
    """
    with opened_vault(folder, passphrase_file) as vault, engine_of(vault) as engine:
        tell("learning ...")
        done = engine.personalise(name)
    if json:
        print_json(done)
    else:
        say(*personal_lines(done))


def export(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Only this user; by default everybody.")
    ] = "",
    full: Annotated[
        bool, typer.Option("--full", help="Every number, not a description of them.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="File to write, readable by you only; by default standard output."),
    ] = None,
    folder: FolderOption = None,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Show all that this device knows of a user, as JSON. Mind where it goes."""
    from client.device.device import Device

    with opened_vault(folder, passphrase_file) as vault:
        found = Device(vault).export(name or None, full=full)
    if out is None:
        print_json(found)
        return
    _write(out, found)
    if json:
        print_json({"out": str(out)})
        return
    say(f"what this device knows is in {out}, not encrypted; erase it when you have read it")


def _write(path: Path, value: object) -> None:
    import json

    from common.files import write_atomically

    if path.exists() and not path.is_file():
        raise UsageError(f"{path} is no file; name one that is not there yet, or a file")
    try:
        write_atomically(path, json.dumps(value, indent=1).encode() + b"\n")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{path}: can't be written ({reason})") from error


def ledger(
    folder: FolderOption = None,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Show what left this device: every update, with its arrays and their sizes."""
    from client.device.device import Device

    with opened_vault(folder, passphrase_file) as vault:
        rows = Device(vault).ledger()
    if json:
        print_json(rows)
    else:
        say(*(release_lines(rows) or ("nothing has left this device",)))


def forget(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The user.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    folder: FolderOption = None,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Erase all of a user from this device, and check that nothing is left."""
    from client.device.device import Device

    with opened_vault(folder, passphrase_file) as vault:
        device = Device(vault)
        if not yes and not on_terminal():
            raise UsageError(f"{name} was not erased: there is nobody to ask here; add --yes")
        if not yes and not typer.confirm(f"Erase all of {name}?", err=True):
            raise UsageError(f"{name} was not erased")
        done = device.forget(name)
    if json:
        print_json(done)
        return
    rows = ", ".join(f"{count} {table}" for table, count in done["erased"].items() if count)
    say(f"{name} is erased ({rows}); nothing of it is left in the vault", f"Note: {done['note']}.")
