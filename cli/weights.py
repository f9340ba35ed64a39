"""`mien weights`: which weight files there are, and how they get here."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli.console import output, phase_bars, print_json
from common.errors import UsageError, WorkError

if TYPE_CHECKING:
    from cli.console import PhaseBars
    from common.weights.files import WeightsFile
    from common.weights.store import Verdict, WeightsStore

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""Look for, fetch, check and import the weights of backbones and identity networks.

Mien ships without the weights below, and nothing but `mien weights fetch` downloads any. A file is
taken only if its checksum is the recorded one.

**Example:** `mien weights fetch enet_b0_8_best_vgaf.onnx`

**Without network:** bring the file from elsewhere, then `mien weights import FILE`.""",
)

_QUIET_SECONDS: Final = 2.0
_MIB: Final = 1 << 20

Folder = Annotated[
    Path | None,
    typer.Option(
        "--folder",
        help="Where the files are kept; by default the folder that the environment variable "
        "`MIEN_WEIGHTS` names, else one in Mien's cache. Other commands look only there: set the "
        "variable for them.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


@app.command("list")
def list_command(folder: Folder = None, json: Json = False) -> None:
    """Show all known weight files: id, purpose, what needs it, licence, and whether it is here.

    What needs a file is a backbone (`mien extract --backbone`) or an identity network. Where it
    needs one of several files, the first in the list is the best.
    """
    from common.weights.catalogue import WEIGHTS

    store = _store(folder)
    rows = [(file, _verdict(file, store)) for file in WEIGHTS.values()]
    if json:
        print_json([_described(file, verdict, store) for file, verdict in rows])
        return
    _print_table(rows)
    _say(f"Files are kept in {store.folder}; `mien weights fetch ID` brings one.")


@app.command("fetch")
def fetch_command(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="As `mien weights list` says.")],
    folder: Folder = None,
    mirror: Annotated[
        list[str] | None,
        typer.Option(
            "--mirror",
            metavar="URL",
            help="Fetch from here instead: takes the place of "
            "`https://raw.githubusercontent.com/OWNER/REPO/COMMIT` (or a release's folder). "
            "Several are tried in their order.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Download weight files and check them; one that is here already is left alone.

    A stopped download goes on where it stopped. **Example:**
    `mien weights fetch enet_b0_8_best_vgaf.onnx --mirror https://mirror.example/emotiefflib`
    """
    from common.weights.catalogue import weights_file
    from common.weights.fetch import fetch

    store, files = _store(folder), [weights_file(name) for name in ids]
    with phase_bars() as bars:
        for file in files:
            place = fetch(file, store, mirrors=mirror or (), progress=_delayed(bars, file.name))
            if not json:
                _say(f"{file.name} is here, checked: {place}")
    if json:
        print_json([_described(file, store.verify(file), store) for file in files])


@app.command("verify")
def verify_command(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID...]", help="By default, all that are here.")
    ] = None,
    folder: Folder = None,
    json: Json = False,
) -> None:
    """Read weight files again and hold them against their checksums.

    Ends with exit code 1 if one is wrong, or is named and missing.
    """
    from common.weights.catalogue import WEIGHTS, weights_file
    from common.weights.store import State

    store = _store(folder)
    files = [weights_file(name) for name in ids] if ids else list(WEIGHTS.values())
    rows = [(file, _verdict(file, store)) for file in files]
    rows = [row for row in rows if ids or row[1].state is not State.MISSING]
    if json:
        print_json([_described(file, verdict, store) for file, verdict in rows])
    else:
        for file, verdict in rows:
            _say(f"{file.name}: {_told(verdict)}")
        if not rows:
            _say(f"No weights are in {store.folder}.")
    _raise_for([(file, verdict) for file, verdict in rows if verdict.state is not State.RIGHT])


@app.command("import")
def import_command(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Weights from elsewhere.")],
    name: Annotated[
        str | None,
        typer.Option("--as", metavar="ID", help="Which file it must be; else it is recognised."),
    ] = None,
    folder: Folder = None,
    json: Json = False,
) -> None:
    """Copy a weights file into Mien's folder if its checksum is a recorded one.

    Files are recognised by their content, so that the name does not matter. **Example:**
    `mien weights import Downloads/model.onnx`
    """
    store = _store(folder)
    file = _recognised(path, name)
    place = store.import_file(path, file)
    if json:
        print_json(_described(file, store.verify(file), store))
    else:
        _say(f"{file.name} is here, checked: {place}")


def _store(folder: Path | None) -> WeightsStore:
    from common.weights.store import WeightsStore

    return WeightsStore(folder)


def _verdict(file: WeightsFile, store: WeightsStore) -> Verdict:
    """What cannot be read is wrong, and no reason to keep silent about the other files."""
    from common.weights.store import State, Verdict

    try:
        return store.verify(file)
    except WorkError as error:
        return Verdict(State.WRONG, str(error), file.expected)


def _users(file: WeightsFile) -> list[str]:
    """Ids of the backbones and identity networks that can use a file."""
    from common.backbones.records import RECORDS as BACKBONES
    from common.identity.records import RECORDS as IDENTITIES

    needs = {record.id: record.files for record in BACKBONES.values()}
    needs |= {record.id: record.files for record in IDENTITIES.values()}
    return [id for id, files in needs.items() if file.name in files]


def _recognised(path: Path, name: str | None) -> WeightsFile:
    from common.weights.catalogue import recognise, weights_file
    from common.weights.files import digests_of

    if not path.exists():
        raise UsageError(f"{path}: there is no such file; give the weights file to import")
    if name is not None:
        return weights_file(name)
    digests = digests_of(path)
    file = recognise(digests)
    if file is None:
        raise WorkError(
            f"{path} is none of the known weights: found SHA-256 {digests.sha256}, Git blob "
            f"{digests.git_blob_sha1} in {digests.size} bytes; see `mien weights list` for the "
            "known ones"
        )
    return file


def _raise_for(failed: list[tuple[WeightsFile, Verdict]]) -> None:
    if failed:
        names = ", ".join(file.name for file, _ in failed)
        raise WorkError(
            f"missing or not the recorded file: {names}; run `mien weights fetch ID` for each"
        )


def _described(file: WeightsFile, verdict: Verdict, store: WeightsStore) -> dict[str, object]:
    return {
        "id": file.name,
        "purpose": file.purpose,
        "needed_by": _users(file),
        "licence": file.licence,
        "source": file.source,
        "path": str(store.path(file)),
        "state": verdict.state.value,
        "found": verdict.found,
        "expected": verdict.expected,
    }


def _told(verdict: Verdict) -> str:
    if verdict.found and verdict.found != verdict.expected:
        return f"{verdict.state.value}, found {verdict.found}, expected {verdict.expected}"
    return verdict.state.value


def _print_table(rows: list[tuple[WeightsFile, Verdict]]) -> None:
    from rich.console import Group
    from rich.padding import Padding
    from rich.table import Column, Table

    # 80 columns hold the longest id beside the rest; only what a file is for is ever wrapped.
    name = Column("id", min_width=max(len(file.name) for file, _ in rows))
    others = (Column(title, no_wrap=True) for title in ("needed by", "licence", "state"))
    table = Table(name, *others, box=None, padding=(0, 1, 0, 0))
    for file, verdict in rows:
        about = Group(file.name, Padding(file.purpose, (0, 0, 0, 2)))
        table.add_row(about, "\n".join(_users(file)), file.licence, verdict.state.value)
    output.print(table)


def _say(sentence: str) -> None:
    output.print(sentence, highlight=False, markup=False, soft_wrap=True)


def _delayed(bars: PhaseBars, name: str) -> Callable[[int, int], None]:
    """Progress in MiB, from the third second on: what is done at once needs no bar."""
    started = time.monotonic()

    def watch(done: int, total: int) -> None:
        if time.monotonic() - started > _QUIET_SECONDS:
            bars(f"{name} (MiB)", done // _MIB, max(total, done) // _MIB)

    return watch
