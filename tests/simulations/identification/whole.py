"""A whole small simulation over fabricated clips and fabricated embeddings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from common.heads.universal import UniversalHead
from common.identity.network import Embeddings
from common.identity.records import DLIB_RESNET
from common.ravdess import ClipName
from server.run import load_head
from simulations.data.embeddings import FaceEmbeddings
from simulations.engines.cohort.run import run_cohort
from simulations.engines.grid import run_grid
from simulations.settings import SimulationSettings
from simulations.simulate import Prepared, finish, prepare
from simulations.sources import Source
from simulations.watching import unwatched
from tests.simulations.people import clips_named, ravdess_names

ACTORS = (2, 5, 9, 10)
Looks = Callable[[ClipName], str | None]
"""Whose face a clip shows: a user, a stranger, or None for no face at all."""


def user_of(name: ClipName) -> str:
    return f"actor-{name.actor:02d}"


def face_of(person: str) -> Embeddings:
    """Of length 1, far from everybody else's; the same three times."""
    face = np.random.default_rng(list(person.encode())).normal(size=DLIB_RESNET.dimension)
    return np.repeat(face[None] / np.linalg.norm(face), 3, axis=0).astype(np.float32)


@dataclass(frozen=True)
class Ran:
    """Results of a simulation, and what it left."""

    results: dict[str, Any]
    heads: dict[str, UniversalHead]
    prepared: Prepared

    @property
    def records(self) -> list[tuple[str, dict[str, Any]]]:
        return [(u, r) for u, rs in self.results["predictions"].items() for r in rs]


def ran(looks: Looks, *, engine: str = "cohort", identify: bool = True, **changes: Any) -> Ran:
    names = ravdess_names(ACTORS)
    clips = clips_named(names, noise=1.6)  # so hard that heads differ
    persons = {str(name): looks(name) for name in names}
    by_clip = {name: face_of(person) for name, person in persons.items() if person}
    faces = FaceEmbeddings(DLIB_RESNET, by_clip) if identify else None
    source = Source(clips, tuple(names), "people/1", "made up", True, (), {}, faces)
    small = {"rounds": 2, "l2": 0.01, "user_folds": 3, "draws": 2}
    settings = SimulationSettings(**{**small, "identify": identify, **changes})
    run = {"cohort": run_cohort, "grid": run_grid}[engine]
    with TemporaryDirectory() as folder:
        prepared = prepare(settings, source, Path(folder), unwatched)
        run(prepared, workers=1, watch=unwatched)
        results = finish(prepared, "mien simulate", 0.0, unwatched, engine=engine)
        heads = {
            name: load_head(Path(folder) / "server" / f"{name}.safetensors")
            for name in prepared.protocol.held_out
        }
    return Ran(results, heads, prepared)


@cache
def perfect() -> Ran:
    return ran(user_of)
