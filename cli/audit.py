"""`mien audit`: what a curious server could have learnt from a recorded run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import output, phase_bars, print_json
from common.errors import UsageError

if TYPE_CHECKING:
    from server.audit.finding import Finding

COLOURS = {"fail": "bold red", "pass": "green", "not measurable": "yellow"}
OtherClips = Annotated[
    Path | None,
    typer.Option(
        help="A clip file (.safetensors) of the same people's other clips, which no device "
        "trained on: the hardest to tell apart."
    ),
]
Stock = Annotated[
    bool,
    typer.Option(
        "--stock",
        help="Fill RUN first, with a small synthetic fleet whose updates Flower's own SecAgg+ "
        "sums: to see the difference.",
    ),
]


def command(
    run: Annotated[
        Path,
        typer.Argument(
            help="Folder that `mien simulate --record` filled, or a device's own ledger.jsonl."
        ),
    ],
    view: Annotated[
        str,
        typer.Option(
            help="What the attacker sees, with commas between: individual (each update), sum "
            "(secure aggregation), final (the last head alone)."
        ),
    ] = "individual,sum,final",
    federation: Annotated[
        str, typer.Option(help="Which of the run's federations; the first if none is named.")
    ] = "",
    candidates: OtherClips = None,
    ledger: Annotated[
        Path | None,
        typer.Option(help="A device's ledger.jsonl, to be held against the recorded run."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for audit.json and audit.html.")] = None,
    seed: Annotated[int, typer.Option(help="Of the auditor's own draws.")] = 0,
    stock: Stock = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print audit.json on standard output.")
    ] = False,
) -> None:
    """Play a curious server: attack what a recorded run transmitted, and judge by fixed limits.

    Each attack says what it found beside what guessing would find, whether that passes, what it
    means for a person, and what to do about it. The exit code is 1 where anything fails.

    A device's owner names the own ledger in place of a run, and is told what the server could have
    learnt of the own clips.

    **Example:** `mien simulate --features clips.csv --record run`, then `mien audit run --out out`
    """
    from server.audit.run import failed

    if stock:
        _fill_with_stock(run)
    if run.is_file():
        findings, told = _own(run)
    else:
        views = tuple(part.strip() for part in view.split(",") if part.strip())
        findings, told = _recorded(run, views, federation, candidates, ledger, seed)
    if out:
        _write(out, told)
    if json:
        print_json(told)
    else:
        _print(findings, told, out)
    if failed(findings):
        raise typer.Exit(1)


def _fill_with_stock(run: Path) -> None:
    """A made-up fleet's rounds through the installed Flower's SecAgg+.

    Raises:
        UsageError: the folder has something in it already.
    """
    from server.audit.lab import Lab, play
    from server.audit.stock_secagg import record_stock

    if run.exists() and (not run.is_dir() or any(run.iterdir())):
        raise UsageError(f"{run}: is there already; name a new folder for --stock")
    record_stock(play(Lab(clients=12, clips=30, rounds=5, public=8, dimension=256)), run)


def _recorded(
    run: Path,
    views: tuple[str, ...],
    federation: str,
    candidates: Path | None,
    ledger: Path | None,
    seed: int,
) -> tuple[list[Finding], dict[str, Any]]:
    import torch

    from server.audit.ledgers import hold_against, ledger_finding, likeliest_pseudonym
    from server.audit.recorded import load_subject
    from server.audit.run import audit, document

    torch.set_num_threads(1)
    with phase_bars() as watch:
        subject = load_subject(run, federation=federation, candidates=candidates, seed=seed)
        findings = audit(subject, views, progress=lambda done, total: watch("attacks", done, total))
    if ledger:
        entries = _entries(ledger)
        device = likeliest_pseudonym(entries, subject.transcript)
        differences = hold_against(entries, subject.transcript, device)
        findings.append(ledger_finding(differences, device))
    return findings, document(subject, findings, run=run.resolve().name)


def _own(path: Path) -> tuple[list[Finding], dict[str, Any]]:
    """What a device's own ledger tells."""
    from client.exposure import FLEET_LIMITS, exposure
    from server.audit.ledgers import exposure_finding
    from server.audit.run import ledger_document

    entries = _entries(path)
    clips = exposure(entries, 0, FLEET_LIMITS).most_clips
    told = exposure(entries, clips, FLEET_LIMITS)
    found = exposure_finding(
        share=told.share,
        share_of_sums=told.share_of_sums,
        words=told.in_words(),
        references=told.references,
        epsilon=told.epsilon,
    )
    return [found], ledger_document([found], run=path.name)


def _entries(path: Path) -> list[dict[str, Any]]:
    """A ledger's entries, its chain checked.

    Raises:
        UsageError: there is no such file.
        LedgerBroken: an entry was changed.
    """
    from client.ledger import Ledger

    if not path.is_file():
        raise UsageError(f"{path}: is no file; name a device's ledger.jsonl")
    return list(Ledger(path).entries())


def _write(out: Path, told: dict[str, Any]) -> None:
    """`audit.json`, and for a run `audit.html`."""
    from server.audit.report.page import write_page
    from server.audit.run import write_document

    write_document(out, told)
    if "rounds" in told:
        write_page(out, told)


def _print(findings: list[Finding], told: dict[str, Any], out: Path | None) -> None:
    for finding in findings:
        verdict = str(finding.verdict)
        output.print(
            f"[bold]{finding.id}[/] {finding.view}: [{COLOURS[verdict]}]{verdict}[/]  "
            f"{_plain(finding.meaning)}",
            highlight=False,
        )
        if finding.change:
            output.print(f"    {_plain(finding.change)}", highlight=False)
    output.print(f"verdict: [{COLOURS[told['verdict']]}]{told['verdict']}[/]", highlight=False)
    if out:
        output.print(f"written to {out}", highlight=False, soft_wrap=True)


def _plain(text: str) -> str:
    return text.replace("[", "\\[")
