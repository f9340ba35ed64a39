"""Enrolling a person: embeddings of the face from a few clips, with consent. Heavy.

Nothing is stored unless all clips show one person, the same in each, who is no other user.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from client.device.names import check_name, printable
from client.recognition.likeness import clip_distance, published_threshold
from client.recognition.recogniser import Look, Recogniser
from client.vault.records import CONSENT_VERSION, Consent, Floats, GalleryEntry, User
from client.vault.vault import Vault
from common.errors import UsageError, WorkError
from common.identity.records import identity_record

MOST_CLIPS: Final = 50


def enrol(
    vault: Vault,
    recogniser: Recogniser,
    name: str,
    sources: Sequence[Path | BinaryIO],
    consent: Consent,
    *,
    names: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Make a user known by the face, or known better; all of it is stored, or nothing.

    Args:
        vault: the device's.
        recogniser: its networks.
        name: of the user; one who is enrolled gets more embeddings and this consent.
        sources: clips of the user alone, at least one.
        consent: to the text of `client.device.texts.CONSENT_TEXT`.
        names: of the clips, for sentences about them.

    Returns:
        user, new, clips (taken now), known (taken before), embeddings, federate, warnings.

    Raises:
        UsageError: the name, the number of clips or the consent is not what it should be.
        WorkError: a clip shows nobody, several people, somebody else than the other clips or the
            user's earlier ones, or a face that is another user's.
    """
    check_name(name)
    _check_consent(consent)
    if not 0 < len(sources) <= MOST_CLIPS:
        raise UsageError(
            f"enrolling takes 1 to {MOST_CLIPS} clips of the person, found {len(sources)}"
        )
    called = names or [_called(source, place) for place, source in enumerate(sources, start=1)]
    if len(called) != len(sources):
        raise UsageError(f"{len(sources)} clips to enrol came with {len(called)} names")
    looks = [_look(recogniser, source, clip) for source, clip in zip(sources, called, strict=True)]
    faces = [look.embeddings for look in looks]
    spec = recogniser.identity_spec
    _check_one_person(spec, faces, called)
    warnings = [
        f"{clip}: {text}"
        for clip, look in zip(called, looks, strict=True)
        for text in look.warnings
    ]
    with vault.transaction():
        return _store(vault, spec, name, faces, consent) | {"warnings": warnings}


def _check_consent(consent: Consent) -> None:
    if consent.version != CONSENT_VERSION:
        raise UsageError(
            f"the consent given is to version {consent.version} of the text, and version "
            f"{CONSENT_VERSION} is what counts; show the person that one"
        )


def _called(source: Path | BinaryIO, place: int) -> str:
    return printable(source.name) if isinstance(source, Path) else f"clip {place}"


def _look(recogniser: Recogniser, source: Path | BinaryIO, clip: str) -> Look:
    look = recogniser.look(source, name=clip)
    if look.faces_at_once > 1:
        raise WorkError(
            f"{clip}: {look.faces_at_once} faces can be seen at once, so nothing was stored; "
            "enrol with clips that show the person alone"
        )
    if look.persons > 1:
        raise WorkError(
            f"{clip}: more than one person takes a turn, so nothing was stored; enrol with clips "
            "that show one person only"
        )
    if not np.isfinite(look.embeddings).all() or not len(look.embeddings):
        raise WorkError(f"{clip}: the face could not be measured; enrol with another clip")
    return look


def _check_one_person(spec: str, faces: Sequence[Floats], called: Sequence[str]) -> None:
    for one, first in zip(faces[1:], called[1:], strict=True):
        if not same_person(spec, faces[0], one):
            raise WorkError(
                f"{first}: shows another person than {called[0]}, so nothing was stored; enrol "
                "one person at a time"
            )


def same_person(spec: str, one: Floats, other: Floats) -> bool:
    """Whether two clips' embeddings count as one person's; see `client.recognition.likeness`.

    Raises:
        UsageError: nobody published a threshold for this network.
    """
    record = identity_record(spec.partition("/")[0])
    threshold = published_threshold(record)
    return clip_distance(record, one, other) < threshold


def _store(
    vault: Vault, spec: str, name: str, faces: Sequence[Floats], consent: Consent
) -> dict[str, Any]:
    """Check against the gallery as it is now, then write; inside a transaction."""
    found = vault.user(name)
    user = User(
        id=secrets.token_hex(16) if found is None else found.id,
        name=name,
        enrolled=_now() if found is None else found.enrolled,
        consent=consent,
    )
    own = _check_gallery(vault, spec, user, faces)
    fresh = [
        face for face in faces if not any(np.array_equal(face, entry.embeddings) for entry in own)
    ]
    vault.save_user(user)
    for face in fresh:
        vault.add_gallery(GalleryEntry(user=user.id, spec=spec, embeddings=face))
    return {
        "user": name,
        "new": found is None,
        "clips": len(fresh),
        "known": len(faces) - len(fresh),
        "embeddings": sum(len(face) for face in fresh),
        "federate": consent.federate,
    }


def _check_gallery(
    vault: Vault, spec: str, user: User, faces: Sequence[Floats]
) -> list[GalleryEntry]:
    """The user's own entries, once it is sure that the faces are the user's and nobody else's."""
    gallery = vault.gallery(spec)
    for entry in gallery:
        if entry.user != user.id and _any_like(spec, faces, entry):
            other = vault.user_by_id(entry.user)
            raise WorkError(
                f"this face is already enrolled as {other.name if other else 'another user'}, so "
                f"nothing was stored under {user.name}; add the clips to that user, or forget that "
                "user first"
            )
    own = [entry for entry in gallery if entry.user == user.id]
    if own and not any(_any_like(spec, faces, entry) for entry in own):
        raise WorkError(
            f"this is not the face that is enrolled as {user.name}, so nothing was stored; choose "
            "another name for another person"
        )
    return own


def _any_like(spec: str, faces: Sequence[Floats], entry: GalleryEntry) -> bool:
    return any(same_person(spec, face, entry.embeddings) for face in faces)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
