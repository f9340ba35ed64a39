"""How a recorded run lies in its folder: written by a server, read by the audit.

For each federation, stage and round (`F-S-R` below) the folder has:

plan.json                 the server's plan (of a simulation: on the researcher's side)
F-S-R-N.bin               a reply as it came, in Flower's bytes: an update, or one of the messages
                          of a secure sum (N counts through all of them)
F-S-R-sum.safetensors     of a secure sum: `sum`, (length,) float64, decoded as the server learnt
                          it; metadata `members`, `pseudonyms` (JSON lists), `step`, `attempt`
F-S-R-masked.safetensors  of a secure sum: what came, uint32 (length,), by member number
F-S-R-sum-earlier-1...    sums that were made of the same round before, with other members or in
                          another session, and their masked vectors: nothing that was revealed
                          is written over
F-S-R-noised.safetensors  like a sum, where the server saw single updates and put noise on their sum
F-reference.safetensors   a head (`server.run.save_head`) whose reference is public: no device was
                          asked for one
privacy.json              {"federations": {F: claim}}, see `server.audit.transcript.Claim`

`sum` and masked vectors are a stage's arrays one behind the other in the specification's order
(`common.privacy.release.flat`). Where devices weight their update in secret, one entry more
follows: the weight. Masked vectors of round 0 have the arrays twice before it, as coarse steps and
as what is left of them. Members are numbered 1, 2, ... as in the round's session; their pseudonyms
are what the server knows devices by: a device's five digits in a simulation, else its node's id.

Beside a folder `run`, the folder `run-truth` is the researcher's side, see `server.audit.truth`; no
server has it.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from common.errors import WorkError
from common.files import private_folder, write_atomically
from server.audit.transcript import Claim, Ring, SecureSum, Vector, truth_folder

PRIVACY: Final = "privacy.json"
SUM: Final = "sum"
NOISED: Final = "noised"
SUFFIX: Final = ".safetensors"


def write_sum(
    folder: Path,
    stem: str,
    *,
    total: Vector,
    members: Mapping[int, str],
    step: float,
    attempt: int = 0,
    masked: Mapping[int, Ring] | None = None,
    kind: str = SUM,
) -> None:
    """Keep what a secure sum left of one round, beside other sums that the round had before.

    Args:
        folder: of the record, made if it is missing.
        stem: from `server.audit.transcript.file_stem`.
        total: (length,) the decoded sum.
        members: pseudonyms of those whose vectors are in the sum, by member number.
        step: distance of two encoded numbers.
        attempt: at this round, from 0.
        masked: (length,) vectors as they came, by member number, also of members who left later;
            None keeps none.
        kind: `SUM`, or `NOISED` for what the server made of single updates that it saw.
    """
    folder.mkdir(parents=True, exist_ok=True)
    about = {
        "members": json.dumps(list(members)),
        "pseudonyms": json.dumps(list(members.values())),
        "step": repr(float(step)),
        "attempt": str(attempt),
    }
    _put_aside(folder, f"{stem}-{kind}", f"{stem}-masked" if kind == SUM else "", about)
    whole = {SUM: np.ascontiguousarray(total, dtype=np.float64)}
    if masked is not None:
        _save_vectors(folder / f"{stem}-masked.safetensors", masked)
    write_atomically(folder / f"{stem}-{kind}.safetensors", save(whole, about))


def _put_aside(folder: Path, sum_stem: str, masked_stem: str, about: Mapping[str, str]) -> None:
    """Copy an earlier sum that is not just this one, written once more."""
    path = folder / f"{sum_stem}{SUFFIX}"
    if not path.exists() or _tensors(path)[1] == about:
        return
    number = 1
    while (folder / _earlier(sum_stem, number)).exists():
        number += 1
    for stem in filter(None, (masked_stem, sum_stem)):
        if (folder / f"{stem}{SUFFIX}").exists():
            content = (folder / f"{stem}{SUFFIX}").read_bytes()
            write_atomically(folder / _earlier(stem, number), content)
    if masked_stem:
        (folder / f"{masked_stem}{SUFFIX}").unlink(missing_ok=True)


def _earlier(stem: str, number: int) -> str:
    return f"{stem}-earlier-{number}{SUFFIX}"


def write_plain(folder: Path, stem: str, plain: Mapping[int, Vector]) -> None:
    """Keep what was masked, (length,) by member number, on the researcher's side."""
    _save_vectors(private_folder(truth_folder(folder)) / f"{stem}-plain.safetensors", plain)


def _save_vectors(path: Path, vectors: Mapping[int, npt.NDArray[Any]]) -> None:
    named = {str(member): np.ascontiguousarray(each) for member, each in vectors.items()}
    write_atomically(path, save(named))


def read_sum(folder: Path, stem: str, kind: str = SUM) -> SecureSum | None:
    """What `write_sum` kept, earlier sums of the round with it; None where there is none.

    Raises:
        WorkError: a file is damaged or not a sum.
    """
    path = folder / f"{stem}-{kind}{SUFFIX}"
    if not path.exists():
        return None
    hidden = truth_folder(folder) / f"{stem}-plain{SUFFIX}"
    found = _read(path, folder / f"{stem}-masked{SUFFIX}", hidden)
    earlier, number = [], 1
    while (before := folder / _earlier(f"{stem}-{kind}", number)).exists():
        earlier.append(_read(before, folder / _earlier(f"{stem}-masked", number), None))
        number += 1
    return dataclasses.replace(found, earlier=tuple(earlier))


def _read(path: Path, masked: Path, hidden: Path | None) -> SecureSum:
    arrays, about = _tensors(path)
    try:
        names = dict(
            zip(json.loads(about["members"]), json.loads(about["pseudonyms"]), strict=True)
        )
        step, attempt = float(about["step"]), int(about["attempt"])
        total = np.asarray(arrays[SUM], dtype=np.float64)
    except (KeyError, ValueError, TypeError) as error:
        raise WorkError(f"{path.name} is not a recorded sum: it does not name members") from error
    if total.ndim != 1 or not np.isfinite(total).all() or not names:
        raise WorkError(f"{path.name} is not a recorded sum: {SUM!r} is no finite vector")
    by_number = {str(number): str(name) for number, name in names.items()}
    length = len(total)
    # round 0 travels as two limbs, see `common.secure_aggregation.rounds`
    came = _vectors(masked, by_number, np.uint32, (length, 2 * length - 1))
    plain = _vectors(hidden, by_number, np.float64, (length,)) if hidden else {}
    return SecureSum(tuple(by_number.values()), total, came, plain, step, attempt)


def _vectors(
    path: Path, names: Mapping[str, str], dtype: type[np.generic], lengths: tuple[int, ...]
) -> dict[str, npt.NDArray[Any]]:
    """Vectors by pseudonym; a member who left later has none and keeps its number."""
    if not path.exists():
        return {}
    found = _tensors(path)[0]
    shapes = {each.shape for each in found.values()}
    right = len(shapes) <= 1 and shapes <= {(length,) for length in lengths}
    if not right or any(each.dtype != dtype for each in found.values()):
        raise WorkError(
            f"{path.name}: a vector is not of {np.dtype(dtype).name} and the sum's length "
            f"{lengths[0]}"
        )
    return {names.get(number, f"member {number}"): each for number, each in sorted(found.items())}


def _tensors(path: Path) -> tuple[dict[str, npt.NDArray[Any]], dict[str, str]]:
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118 - not a mapping
    except (OSError, SafetensorError) as error:
        raise WorkError(f"{path.name} can't be read as recorded arrays: {error}") from error


def write_claim(folder: Path, federation: str, claim: Claim) -> None:
    """Put one federation's claim of differential privacy into `privacy.json`, beside the others'.

    Raises:
        WorkError: the file is there and is none of these.
    """
    folder.mkdir(parents=True, exist_ok=True)
    asked = dataclasses.asdict(claim)
    if claim.void:
        asked["epsilon"] = None
    told = {"federations": {**_claims(folder / PRIVACY), federation: asked}}
    write_atomically(folder / PRIVACY, (json.dumps(told, indent=1) + "\n").encode())


def read_claim(folder: Path, federation: str) -> Claim | None:
    """A federation's claim of differential privacy; None where there is none.

    Raises:
        WorkError: it is not a claim.
    """
    path = folder / PRIVACY
    told = _claims(path).get(federation)
    if told is None:
        return None
    try:
        claim = _claim(told)
        numbers = [claim.noise_multiplier, claim.clip, claim.delta]
        numbers += [] if claim.void else [claim.epsilon, claim.rounds]
        good = all(float(number) > 0 and np.isfinite(number) for number in numbers)
        flags = type(claim.seeded) is bool and type(claim.individual) is bool
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise WorkError(f"{path.name} is not a claim of differential privacy: {error}") from error
    if not good or not flags:
        raise WorkError(
            f"{path.name}: numbers of {federation} have to be above 0 and finite, seeded and "
            "individual true or false"
        )
    return claim


def _claim(told: Mapping[str, Any]) -> Claim:
    """A void claim has no epsilon in JSON, which knows no infinity."""
    void = tuple(str(reason) for reason in told.get("void", ()))
    epsilon = math.inf if void and told["epsilon"] is None else told["epsilon"]
    return Claim(**{**told, "void": void, "epsilon": epsilon})


def _claims(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))["federations"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise WorkError(f"{path.name} does not hold federations' claims of privacy") from error
