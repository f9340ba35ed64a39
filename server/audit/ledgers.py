"""A device's ledger: how much its entries say was told, and whether a server's record agrees.

A ledger is a sequence of entries as the egress gate writes them: `federation`, `stage`, `round`,
`clips`, `sha256` of the values that left (an update's float32 or a masked vector's uint32,
little-endian), and more. It holds no values, so that it shows how much could have been learnt, not
what was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from common.errors import WorkError
from common.heads.universal import UniversalHead
from server.audit.finding import INDIVIDUAL, Finding, Verdict, judged
from server.audit.transcript import Received, Transcript

SAFE_SHARE: Final = 0.25
"""Mixtures per clip at which a device should stop without secure aggregation or noise."""
SAFE_EPSILON: Final = 8.0
"""What rounds under noise may cost together where a device of a fleet still takes part."""
MOST_EPSILON: Final = 30.0
"""At delta 1e-5 such noise lets an attack find 99 % of clips with one false alarm in a hundred."""
REFERENCES: Final = (
    " Of round 0 a coarse centre and spread of all clips' features left as well: no single clip, "
    "but by it whoever has clips of the person may recognise whose device it is."
)
FEWER_ROUNDS: Final = (
    "Take part in fewer rounds, with more clips, or only under secure aggregation."
)
MORE_NOISE: Final = "Take part in fewer rounds, or only under more noise."
UNKNOWN: Final = "not kept"
Entry = Mapping[str, Any]
Key = tuple[str, int]


@dataclass(frozen=True)
class Difference:
    """One release that both sides do not tell alike.

    Attributes:
        kind: `missing` (in the ledger, not in the record: it may have been lost on the way),
            `extra` (in the record, not in the ledger), or `different`.
        stage, round: of the release.
    """

    kind: str
    stage: str
    round: int

    def __str__(self) -> str:
        told = {
            "missing": "is in the ledger, but the server's record lacks it",
            "extra": "is in the server's record, but the ledger lacks it",
            "different": "has other values in the server's record than in the ledger",
        }
        return f"{self.stage} of round {self.round} {told[self.kind]}"


def hold_against(
    entries: Iterable[Entry], transcript: Transcript, pseudonym: str
) -> list[Difference]:
    """Every release of one device that ledger and record do not tell alike, in rounds' order.

    Args:
        entries: the device's, of any federations and runs; the newest of a round counts.
        transcript: the server's.
        pseudonym: of the device in it.

    Raises:
        WorkError: an entry is none of the egress gate's.
    """
    told = _told(entries, transcript.plan.name)
    came = _came(transcript, pseudonym)
    found = []
    for key in sorted(told.keys() | came.keys(), key=lambda key: (key[1], key[0])):
        kind = "extra" if key not in told else "missing" if key not in came else "different"
        if told.get(key) != came.get(key) and not (key in told and came.get(key) == UNKNOWN):
            found.append(Difference(kind, *key))
    return found


def likeliest_pseudonym(entries: Sequence[Entry], transcript: Transcript) -> str:
    """The device in the record that shares most releases with the ledger.

    Raises:
        WorkError: none shares any.
    """
    told = set(_told(entries, transcript.plan.name).values())
    rounds = transcript.rounds
    names = sorted(
        {r.pseudonym for each in rounds for r in each.received}
        | {name for each in rounds if each.secure for name in each.secure.masked}
    )
    shared = {name: len(told & set(_came(transcript, name).values())) for name in names}
    best = max(names, key=lambda name: shared[name], default="")
    if not best or not shared[best]:
        raise WorkError(
            f"no device of federation {transcript.plan.name} sent anything that is in this ledger; "
            "name the ledger of a device that took part, or another federation by --federation"
        )
    return best


def _told(entries: Iterable[Entry], federation: str) -> dict[Key, str]:
    try:
        return {
            (str(e["stage"]), int(e["round"])): str(e["sha256"])
            for e in entries
            if "sha256" in e and e.get("federation", federation) == federation
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise WorkError(f"a ledger's entry does not tell stage and round: {error}") from error


def _came(transcript: Transcript, pseudonym: str) -> dict[Key, str]:
    """What the server has of one device; of secure sums the masked vectors, where it kept them."""
    found: dict[Key, str] = {}
    for each in transcript.rounds:
        key, secure = (each.stage, each.number), each.secure
        if secure and pseudonym in secure.members:
            vector = secure.masked.get(pseudonym)
            found[key] = UNKNOWN if vector is None else _sha256(vector.astype("<u4"))
        for reply in each.received:
            if reply.pseudonym == pseudonym and reply.arrays:
                found[key] = digest(each.head, each.stage, reply)
    return found


def _sha256(values: npt.NDArray[np.generic]) -> str:
    return hashlib.sha256(values.tobytes()).hexdigest()


def digest(head: UniversalHead, stage: str, reply: Received) -> str:
    """SHA-256 of an update's values as the ledger has it; empty if an array is missing."""
    names = head.specification.shapes(stage)
    if any(name not in reply.arrays for name in names):
        return ""
    payload = b"".join(
        np.ascontiguousarray(reply.arrays[name], dtype="<f4").tobytes() for name in names
    )
    return hashlib.sha256(payload).hexdigest()


def ledger_finding(differences: Sequence[Difference], pseudonym: str) -> Finding:
    """Ledger against record as one finding; only what was lost on the way does not fail."""
    fails = any(each.kind != "missing" for each in differences)
    named = "; ".join(map(str, differences[:8]))
    return Finding(
        id="ledger",
        view=INDIVIDUAL,
        title="Do the device's ledger and the server's record agree?",
        source="own",
        measure="releases that both sides do not tell alike",
        figure=float(len(differences)),
        chance=0.0,
        interval=None,
        threshold=0.0,
        verdict=judged(passes=not differences, fails=fails),
        meaning=f"Device {pseudonym}: {named}." if named else f"Device {pseudonym}: both agree.",
        change="Find out what sent or changed these releases before the device takes part again."
        if fails
        else "",
        details={"device": pseudonym, "differences": [str(each) for each in differences]},
    )


def exposure_finding(
    *,
    share: float,
    share_of_sums: float,
    epsilon: float,
    words: str,
    references: int = 0,
) -> Finding:
    """What a server could have learnt of a device's clips, by the device's own count.

    Args:
        references: that left, of round 0.
        share: exact mixtures of clips that updates told, per clip of the device.
        share_of_sums: the same of secure sums, per clip of all members.
        epsilon: that rounds under noise cost together at delta 1e-5.
        words: a sentence for the device's owner.
    """
    told = max(share, share_of_sums)
    verdict = judged(
        passes=told <= SAFE_SHARE and epsilon <= SAFE_EPSILON,
        fails=told >= 1 or epsilon >= MOST_EPSILON,
    )
    by_noise = epsilon / MOST_EPSILON > told
    return Finding(
        id="exposure",
        view=INDIVIDUAL,
        title="What could a server have learnt of this device's clips?",
        source="own; see A3",
        measure="epsilon of rounds under noise" if by_noise else "exact mixtures told, per clip",
        figure=epsilon if by_noise else told,
        chance=0.0,
        interval=None,
        threshold=MOST_EPSILON if by_noise else 1.0,
        verdict=verdict,
        meaning=words + _enough(told, epsilon) + (REFERENCES if references else ""),
        change="" if verdict is Verdict.PASS else MORE_NOISE if by_noise else FEWER_ROUNDS,
        details={
            "share": share,
            "share_of_sums": share_of_sums,
            "references": references,
            "epsilon": epsilon,
        },
    )


def _enough(told: float, epsilon: float) -> str:
    if told >= 1:
        return " That is enough to tell for every clip whether it was trained on."
    if epsilon >= MOST_EPSILON:
        return " That is too little noise to hide of any clip whether it was trained on."
    if epsilon > SAFE_EPSILON:
        return " That is little noise: of many clips it may be told whether they were trained on."
    return " That is too little to tell for every clip whether it was trained on."
