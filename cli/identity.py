"""`mien device check-identity`: how often the identity network errs on faces of known people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import output, phase_bars, print_json

if TYPE_CHECKING:
    from client.recognition.error_rates import ErrorRates, Rate
    from client.recognition.known_faces import LeftOut

NAMED_AT_MOST = 5


def check_identity(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="Folder with a folder per person, each with clips (MP4, MOV, WebM, MKV, AVI) or "
            "pictures (JPEG, PNG) of that person alone.",
        ),
    ],
    identity: Annotated[
        str, typer.Option(help="Network that recognises users; by default dlib-resnet.")
    ] = "",
    json: Annotated[
        bool, typer.Option("--json", help="Print the figures as JSON on standard output.")
    ] = False,
) -> None:
    """Measure how often strangers would be taken for users, and users for strangers.

    Every clip is compared with every other by the rule and the published threshold that the device
    uses. Nothing is stored, and no device is needed. Says with exact bounds what the faces at hand
    show, and how many people a false accept rate of 1e-3 would need.

    **Example:** `mien device check-identity ~/faces`
    """
    from client.recognition.error_rates import error_rates
    from client.recognition.known_faces import face_files, known_faces
    from client.recognition.recogniser import Recogniser
    from common.identity.registry import DEFAULT_IDENTITY

    face_files(folder)
    with phase_bars() as bars, Recogniser(identity=identity or DEFAULT_IDENTITY) as loaded:
        faces = known_faces(folder, loaded, progress=lambda done, total: bars("faces", done, total))
        found = error_rates(
            loaded.identity_record,
            faces.known,
            progress=lambda done, total: bars("comparisons", done, total),
        )
    if json:
        left_out = [each._asdict() for each in faces.left_out]
        print_json(found.to_json() | {"left_out": left_out})
    else:
        _print(found, faces.left_out)


def _print(found: ErrorRates, left_out: tuple[LeftOut, ...]) -> None:
    for line in result_lines(found, left_out):
        output.print(line, highlight=False, markup=False, soft_wrap=True)


def result_lines(found: ErrorRates, left_out: tuple[LeftOut, ...]) -> list[str]:
    """The figures as lines of text."""
    lines = [
        f"network: {found.network}, threshold {found.threshold:g} ({found.source})",
        f"faces: {found.faces}, of {found.people} people",
        f"strangers let in: {_told(found.false_accepts)}",
        f"users refused: {_told(found.false_rejects)}",
        found.verdict,
    ]
    lines += [
        f"taken for one person: {one} and {other} (distance {distance:.2f})"
        for one, other, distance in found.worst[:NAMED_AT_MOST]
    ]
    lines += [f"left out: {name}: {reason}" for name, reason in left_out[:NAMED_AT_MOST]]
    if len(left_out) > NAMED_AT_MOST:
        lines.append(f"left out: {len(left_out) - NAMED_AT_MOST} more")
    return lines


def _told(rate: Rate) -> str:
    if rate.rate is None or rate.low is None or rate.high is None:
        return "not measurable: nothing to compare"
    bounds = f"95 % bounds {rate.low:.2%} to {rate.high:.2%}"
    return f"{rate.errors} of {rate.trials} comparisons, {rate.rate:.2%} ({bounds})"
