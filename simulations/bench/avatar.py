"""How quick a device says whether an avatar shows what its user shows.

One picture of each, both of a camera's size, both synthetic. The whole way is timed: finding the
faces, cutting them out, the backbone, the user's personal head, the comparison; loading apart.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from client.avatar.check import Checker, load_checker
from client.avatar.own import fit_own_avatar
from client.avatar.sources.sheet import LEVELS
from client.device.due import base_digest
from client.device.readers import VaultReaders
from client.recognition.answer import PERSONAL
from client.vault.keys import KeyFile, make_key_file
from client.vault.records import CONSENT_VERSION, Consent, StoredHead, User
from client.vault.vault import Vault, create_vault
from common.backbones.records import DEFAULT_BACKBONE, backbone_record, feature_spec
from common.errors import WorkError
from common.expressions import EXPRESSIONS, expression_index
from common.randomness import generator
from common.video import Image
from simulations.actors.action_units import PROTOTYPES
from simulations.actors.face import render_frame
from simulations.actors.identity import dressed
from simulations.avatar_data.sheets import draw_sheet
from simulations.watching import Watcher

SIZE: Final = 480
LIMITS: Final = {"check_ms": 300.0}
_SHOWN: Final = "happy"


def measure_avatar(*, repeats: int, watch: Watcher) -> dict[str, Any]:
    """Time checks on this machine.

    Args:
        repeats: at least 1.
        watch: told of progress.

    Returns:
        `check_ms` with a personal head and the own avatar's head (median, and `[least, most]`
        beside it), `guest_ms` with the backbone's labels only, `compare_ms` where the person is
        known already (Live), `load_s`, `own_avatar_s` (reading a sheet of 24 pictures and fitting
        its head), `head` that read the face; `limits`, and what was measured.
    """
    face, sheet = _face(), draw_sheet(7)
    drawn = sheet.pictures[LEVELS - 1, expression_index(_SHOWN)]
    avatar = np.asarray(cv2.resize(drawn, (SIZE, SIZE)), dtype=np.uint8)
    with tempfile.TemporaryDirectory(prefix="mien-bench-") as scratch, _vault(scratch) as vault:
        began = time.perf_counter()
        user, checker = _enrolled(vault), _loaded(vault)
        first = checker.check(face, avatar, user=user)
        load = time.perf_counter() - began
        if first.face.head != PERSONAL:
            raise WorkError(f"the face was read by the {first.face.head} head, not a personal one")
        began = time.perf_counter()
        own = fit_own_avatar(checker, sheet)
        fitted = time.perf_counter() - began
        ways = {
            "check_ms": lambda: checker.check(face, avatar, user=user, own_avatar=own),
            "guest_ms": lambda: checker.check(face, avatar),
            "compare_ms": lambda: checker.compare(first.face, avatar, own_avatar=own),
        }
        seconds = _timed(ways, repeats, watch)
        checker.close()
    return {
        **_told(seconds),
        "load_s": round(load, 2),
        "own_avatar_s": round(fitted, 2),
        "head": first.face.head,
        "pictures": f"synthetic, {SIZE} x {SIZE}",
        "repeats": repeats,
        "cores": os.cpu_count(),
        "limits": LIMITS,
    }


def _timed(ways: dict[str, Any], repeats: int, watch: Watcher) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(repeats):
        watch("checking", number, repeats)
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - began)
    watch("checking", repeats, repeats)
    return seconds


def _told(seconds: dict[str, list[float]]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for name, values in seconds.items():
        told[name] = round(1000 * statistics.median(values), 1)
        told[f"{name}_spread"] = [round(1000 * each, 1) for each in (min(values), max(values))]
    return told


def _face() -> Image:
    return render_frame(dressed(0, 3), PROTOTYPES[_SHOWN][0], size=SIZE)


@contextmanager
def _vault(scratch: str) -> Iterator[Vault]:
    file = Path(scratch) / "key"
    make_key_file(file)
    with create_vault(Path(scratch) / "device", KeyFile(file)) as vault:
        yield vault


def _loaded(vault: Vault) -> Checker:
    spec = feature_spec(backbone_record(DEFAULT_BACKBONE))
    return load_checker(DEFAULT_BACKBONE, readers=VaultReaders(vault, spec))


def _enrolled(vault: Vault) -> str:
    """A user with a personal head of random numbers: speed does not depend on them."""
    consent = Consent(version=CONSENT_VERSION, given="2026-01-01T00:00:00+00:00", federate=False)
    user = User(id="b" * 32, name="bench", enrolled=consent.given, consent=consent)
    record = backbone_record(DEFAULT_BACKBONE)
    random = generator(0, "avatar bench")
    width, classes = record.dimension, len(EXPRESSIONS)
    arrays = {
        "mean": random.normal(size=width),
        "spread": np.ones(width),
        "weight": 0.01 * random.normal(size=(classes, width)),
        "bias": np.zeros(classes),
        "scale": np.ones(1),
    }
    about = {
        "features": feature_spec(record),
        "base": base_digest(None),
        "personal": True,
        "reason": "a head of random numbers, for timing",
    }
    vault.save_user(user)
    vault.save_personal(user.id, StoredHead(arrays=arrays, about=about))
    return user.id
