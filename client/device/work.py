"""What needs models or training: recognise, enrol, personalise. Heavy: imports torch.

Each changes the vault in one transaction at its end, or not at all.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

from client.device.due import keep_feature_spec
from client.device.enrolment import enrol
from client.device.fitting import personalise
from client.device.readers import VaultReaders
from client.recognition.answer import UNKNOWN, Answer, Moment
from client.recognition.readers import Readers
from client.recognition.recogniser import Recogniser, Seen
from client.vault.records import Clip
from client.vault.vault import Vault
from common.expressions import EXPRESSIONS

__all__ = ["enrol", "personalise", "readers", "recognise"]

OnAnswer = Callable[[Answer], None]
Digest = str | Callable[[], str]
MOST_MOMENTS: Final = 50
"""Of an answer over time so many are kept; a listing of hundreds of clips stays quick."""


def readers(vault: Vault, feature_spec: str) -> Readers:
    """Which head reads whose clips, as the vault is now.

    Raises:
        WorkError: the stored universal head can't be used.
    """
    return VaultReaders(vault, feature_spec)


def recognise(
    vault: Vault,
    recogniser: Recogniser,
    source: Path | BinaryIO,
    *,
    name: str,
    digest: Digest,
    keep: bool = True,
    on_answer: OnAnswer | None = None,
) -> Answer:
    """Recognise a clip; a known user's is kept, of a guest's nothing is.

    Args:
        vault: the device's.
        recogniser: its networks.
        source: a file, or a stream from its start.
        name: of the file or recording.
        digest: hexadecimal SHA-256 of the content; of a stream, what gives it once the stream was
            read to its end.
        keep: false keeps nothing of a known user's clip either.
        on_answer: called with partial answers and the final one.

    Returns:
        The final answer; of a clip that was kept before, the one that is kept, unless its features
        are another backbone's: then it is seen anew and keeps its label.

    Raises:
        ClipError: the clip is unusable, or shows no face.
        WorkError: the vault or a head in it can't be used.
    """
    spec = recogniser.feature_spec
    if isinstance(digest, str):
        held = vault.clip_by_digest(digest)
        if held is not None and held.spec == spec:
            return _told(Answer.from_json(held.answer), on_answer)
    seen = recogniser.see(
        source,
        gallery=vault.gallery(recogniser.identity_spec),
        readers=readers(vault, spec),
        name=name,
        names={user.id: user.name for user in vault.users()},
        on_answer=None if on_answer is None else _partial(on_answer),
    )
    content = digest if isinstance(digest, str) else digest()
    answer = _keep(vault, seen, content, spec) if keep and seen.user else seen.answer
    return _told(answer, on_answer)


def _partial(on_answer: OnAnswer) -> OnAnswer:
    """Passes on all but the final answer, which is told once it is kept."""

    def tell(answer: Answer) -> None:
        if not answer.final:
            on_answer(answer)

    return tell


def _told(answer: Answer, on_answer: OnAnswer | None) -> Answer:
    if on_answer is not None:
        on_answer(answer)
    return answer


def _keep(vault: Vault, seen: Seen, digest: str, spec: str) -> Answer:
    """Store a known user's clip and give its answer; a user forgotten meanwhile is a guest."""
    with vault.transaction():
        if vault.user_by_id(seen.user) is None:
            return replace(seen.answer, user=UNKNOWN)
        held = vault.clip_by_digest(digest)
        if held is not None and held.spec == spec:
            return Answer.from_json(held.answer)
        if held is not None:
            vault.delete_clip(held.id)
        clip = _clip(seen, digest, spec)
        vault.add_clip(clip, seen.arrays)
        if held is not None and held.label is not None and held.user == clip.user:
            vault.label(clip.id, held.label)
        keep_feature_spec(vault, spec)
    return Answer.from_json(clip.answer)


def _clip(seen: Seen, digest: str, spec: str) -> Clip:
    id = secrets.token_hex(16)
    answer = replace(seen.answer, clip=id, moments=_thinned(seen.answer.moments))
    return Clip(
        id=id,
        user=seen.user,
        name=answer.name,
        added=datetime.now(UTC).isoformat(timespec="seconds"),
        digest=digest,
        spec=spec,
        answer=answer.to_json(),
        guessed=EXPRESSIONS.index(answer.expression),
    )


def _thinned(moments: tuple[Moment, ...]) -> tuple[Moment, ...]:
    """Evenly spaced moments, the last among them."""
    if len(moments) <= MOST_MOMENTS:
        return moments
    step = len(moments) / MOST_MOMENTS
    return tuple(moments[int((place + 1) * step) - 1] for place in range(MOST_MOMENTS))
