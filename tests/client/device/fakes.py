"""A recogniser without networks: clips are small JSON files that say what is in them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from client.recognition.answer import UNKNOWN, Answer, Likeness, Moment
from client.recognition.recogniser import Look, Readers, Seen
from client.vault.keys import Argon2Cost, Passphrase
from client.vault.records import CONSENT_VERSION, ClipArrays, Consent, Floats, GalleryEntry
from client.vault.vault import Vault, create_vault
from common.errors import WorkError
from common.expressions import EXPRESSIONS
from common.identity.network import distances
from common.identity.records import DLIB_RESNET

SPEC = "fake/1"
DIMENSION = 12
PASSPHRASE = Passphrase("correct horse")
CHEAP = Argon2Cost(iterations=1, lanes=1, memory_kib=64)
YES = Consent(version=CONSENT_VERSION, given="2026-01-02T03:04:05+00:00", federate=True)
NO = dataclasses.replace(YES, federate=False)


def new_vault(folder: Path) -> Vault:
    return create_vault(folder, PASSPHRASE, cost=CHEAP)


def clip_file(
    folder: Path, person: str = "Ada", expression: str = "happy", take: int = 0, **more: Any
) -> Path:
    """Write a clip. More: faces, persons, frames, broken, own (what the backbone takes it for)."""
    told = {"person": person, "expression": expression, "take": take, **more}
    name = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:6]
    path = folder / f"{person}-{expression}-{take}-{name}.mp4"
    path.write_text(json.dumps(told))
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def random_of(*key: object) -> np.random.Generator:
    number = hashlib.sha256(repr(key).encode()).digest()[:8]
    return np.random.default_rng(int.from_bytes(number, "big"))


def face_of(person: str, take: int, count: int = 4) -> Floats:
    centre = random_of("face", person).normal(size=DLIB_RESNET.dimension)
    centre /= np.linalg.norm(centre)
    noise = 0.01 * random_of("turn", person, take).normal(size=(count, DLIB_RESNET.dimension))
    return (centre + noise).astype(np.float32)


def features_of(person: str, label: int, take: int, frames: int = 5) -> Floats:
    """Around a centre of the expression, moved for each person."""
    centre = random_of("centre", label).normal(size=DIMENSION)
    shift = random_of("shift", person).normal(size=DIMENSION)
    noise = 0.2 * random_of("noise", person, label, take).normal(size=(frames, DIMENSION))
    return (centre + shift + noise).astype(np.float32)


class FakeRecogniser:
    """What `client.recognition.recogniser.Recogniser` does, by reading `clip_file`s."""

    def __init__(self, feature_spec: str = SPEC, *, own: bool = True, **networks: str) -> None:
        self.feature_spec = feature_spec
        self.identity_spec = "dlib-resnet/1"
        self.looked = 0
        self.closed = False
        self.networks = networks
        self._own = own

    def _read(self, source: Path | BinaryIO, name: str) -> dict[str, Any]:
        content = source.read_bytes() if isinstance(source, Path) else source.read()
        self.looked += 1
        told: dict[str, Any] = {"faces": 1, "persons": 1, "frames": 5}
        try:
            told |= json.loads(content)
        except ValueError as error:
            raise WorkError(f"{name}: this is no video") from error
        if told.get("broken") or not told["faces"]:
            raise WorkError(f"{name}: no face was found in any frame")
        return told

    def look(self, source: Path | BinaryIO, *, name: str) -> Look:
        told = self._read(source, name)
        return Look(
            embeddings=face_of(told["person"], told["take"]),
            faces_at_once=told["faces"],
            persons=told["persons"],
            frames=told["frames"],
            with_face=told["frames"],
            warnings=tuple(told.get("warnings", ())),
        )

    def see(
        self,
        source: Path | BinaryIO,
        *,
        gallery: Sequence[GalleryEntry],
        readers: Readers,
        name: str,
        names: Mapping[str, str] | None = None,
        on_answer: Callable[[Answer], None] | None = None,
    ) -> Seen:
        told = self._read(source, name)
        label = EXPRESSIONS.index(told["expression"])
        features = features_of(told["person"], label, told["take"], told["frames"])
        own = self._own_logits(told) if self._own else None
        faces = face_of(told["person"], told["take"])
        near = [
            (float(np.median(distances(DLIB_RESNET, faces, entry.embeddings))), entry.user)
            for entry in gallery
        ]
        distance, user = min(near, default=(None, ""))
        if distance is None or distance >= 0.6:
            user = ""
        reader = readers.reader(user or None)
        known = (names or {}).get(user, user) if user else UNKNOWN
        answer = None
        for count in (1, told["frames"]):
            logits = reader.logits(features[:count], own).astype(np.float64)
            shares = tuple(np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum())
            moment = Moment(seconds=0.1 * count, probabilities=shares, box=(0.1, 0.1, 0.5, 0.5))
            answer = Answer(
                name=name,
                user=known,
                likeness=Likeness(
                    distance=distance, threshold=0.6, source="dlib", network=self.identity_spec
                ),
                expression=EXPRESSIONS[int(np.argmax(shares))],
                probabilities=tuple(float(share) for share in shares),
                head=reader.kind,
                reason=reader.reason,
                warnings=tuple(told.get("warnings", ())),
                frames=count,
                with_face=count,
                moments=(moment,) * count,
                seconds=0.01,
                final=count == told["frames"],
            )
            if on_answer is not None:
                on_answer(answer)
        assert answer is not None
        return Seen(
            answer=answer,
            user=user,
            arrays=ClipArrays(features=features, own=own),
            embeddings=faces,
            faces_at_once=told["faces"],
        )

    @staticmethod
    def _own_logits(told: dict[str, Any]) -> Floats:
        logits = np.zeros(8, dtype=np.float32)
        logits[EXPRESSIONS.index(told.get("own", told["expression"]))] = 2.0
        return logits

    def close(self) -> None:
        self.closed = True

    def __enter__(self) -> FakeRecogniser:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
