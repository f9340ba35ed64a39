"""All attacks on one recorded run, and what they found as one JSON-ready document."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from common.errors import UsageError
from common.files import check_writable, write_atomically
from server.audit.attacks import (
    a01_labels,
    a02a_ratio,
    a02b_class_means,
    a02c_matching,
    a03_span,
    a04_alignment,
    a05_linkability,
    a06_reidentification,
    a06b_reference,
    a07_properties,
    a08_canaries,
    a09_ceiling,
    a10_masks,
    a11_cohort,
    a12_metadata,
)
from server.audit.finding import INDIVIDUAL, VIEWS, Attack, Finding, Verdict, not_measurable
from server.audit.subject import Subject
from server.audit.transcript import Claim

SCHEMA: Final = 1
ATTACKS: Final[tuple[Attack, ...]] = (
    a01_labels.ATTACK,
    a02a_ratio.ATTACK,
    a02b_class_means.ATTACK,
    a02c_matching.ATTACK,
    a03_span.ATTACK,
    a04_alignment.ATTACK,
    a05_linkability.ATTACK,
    a06_reidentification.ATTACK,
    a06b_reference.ATTACK,
    a07_properties.ATTACK,
    a08_canaries.ATTACK,
    a09_ceiling.ATTACK,
    a10_masks.ATTACK,
    a11_cohort.ATTACK,
    a12_metadata.ATTACK,
)
WITHOUT_HEADS: Final = ("A6b", "A12")
"""What can be told of single devices though heads were summed."""
Progress = Callable[[int, int], None]


def audit(
    subject: Subject, views: Sequence[str] = VIEWS, *, progress: Progress = lambda done, total: None
) -> list[Finding]:
    """Play every attack in each of the views that it has.

    Raises:
        UsageError: a view that there is not, or none.
    """
    unknown = [view for view in views if view not in VIEWS]
    if unknown or not views:
        raise UsageError(f"view is {', '.join(unknown) or 'empty'}, expected {', '.join(VIEWS)}")
    wanted = [(a, view) for view in VIEWS if view in views for a in ATTACKS if view in a.views]
    found: list[Finding] = []
    for done, (attack, view) in enumerate(wanted, start=1):
        found.append(_played(subject, attack, view, found))
        progress(done, len(wanted))
    return found


def _played(subject: Subject, attack: Attack, view: str, found: Sequence[Finding]) -> Finding:
    if view == INDIVIDUAL and not subject.transcript.individual and attack.id not in WITHOUT_HEADS:
        reason = "the server saw no single update, only sums"
        return replace(attack, run=lambda s, v: not_measurable("-", reason)).find(subject, view)
    if attack is a09_ceiling.ATTACK:
        before = list(found)
        attack = replace(attack, run=lambda s, v: a09_ceiling.outcome(s, v, before))
    return attack.find(subject, view)


def failed(findings: Sequence[Finding]) -> bool:
    """Whether any attack succeeded beyond its limit."""
    return any(finding.verdict is Verdict.FAIL for finding in findings)


def overall(findings: Sequence[Finding]) -> Verdict:
    """FAIL where anything fails; PASS where something passes and nothing fails."""
    if failed(findings):
        return Verdict.FAIL
    passed = any(finding.verdict is Verdict.PASS for finding in findings)
    return Verdict.PASS if passed else Verdict.NOT_MEASURABLE


def document(subject: Subject, findings: Sequence[Finding], *, run: str) -> dict[str, Any]:
    """`audit.json`: what was audited, and a list of findings, plain JSON values only.

    Args:
        run: name of the recorded run, no path.
    """
    transcript = subject.transcript
    specification = transcript.final.specification
    return {
        "schema": SCHEMA,
        "run": run,
        "federation": transcript.plan.name,
        "features": specification.features,
        "head": specification.kind,
        "dimension": specification.dimension,
        "rounds": len(transcript.head_rounds),
        "devices": len(transcript.pseudonyms),
        "seed": subject.seed,
        "secure_aggregation": any(r.secure for r in transcript.head_rounds),
        "claim": _claim(transcript.claim) if transcript.claim else None,
        "verdict": str(overall(findings)),
        "attacks": [plain(dataclasses.asdict(finding)) for finding in findings],
    }


def _claim(claim: Claim) -> Any:
    """A claim as it was made; why it is void where it is, and then without an epsilon."""
    told = dataclasses.asdict(claim)
    if not claim.void:
        del told["void"]
    return plain(told)


def ledger_document(findings: Sequence[Finding], *, run: str) -> dict[str, Any]:
    """`audit.json` of a device's own ledger, which knows of no run's head or devices."""
    return {
        "schema": SCHEMA,
        "run": run,
        "verdict": str(overall(findings)),
        "attacks": [plain(dataclasses.asdict(finding)) for finding in findings],
    }


def plain(value: Any) -> Any:
    """The value with NumPy's numbers, tuples and enumerations as JSON has them; NaN as null."""
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return str(value) if isinstance(value, str) else value


def write_document(folder: Path, told: dict[str, Any]) -> Path:
    """Write `audit.json`; returns its path.

    Raises:
        UsageError: the folder can't be written to.
    """
    check_writable(folder)
    path = folder / "audit.json"
    write_atomically(path, (json.dumps(told, indent=1) + "\n").encode(), mode=0o644)
    return path
