"""The recogniser: what loads the networks once and turns clips into answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Self

from client.recognition.answer import Answer
from client.recognition.clip import Answers, Tools, Watched
from client.recognition.likeness import published_threshold
from client.recognition.quality import faces_at_once, quality_warnings
from client.recognition.readers import Floats
from client.recognition.readers import Reader as Reader
from client.recognition.readers import Readers as Readers
from client.recognition.reading import Reading
from client.recognition.watch import ENROLLING
from client.vault.records import ClipArrays, GalleryEntry
from common.backbones.labelled import load_labelled
from common.backbones.records import MINI_XCEPTION
from common.identity.network import FramedFace, identity_spec
from common.identity.records import DLIB_RESNET, IdentityRecord, identity_record
from common.identity.registry import load_identity
from common.video import Image
from common.video.decode import ClipError, Reason
from common.video.faces import largest
from common.video.mtcnn.detector import FastMtcnn
from common.video.tracking import Tracker

DEFAULT_THREADS: Final = 2


def load_tools(backbone: str, identity: str, threads: int) -> Tools:
    """Load the networks.

    Raises:
        UsageError: no such network, or the identity network has no published threshold.
        WorkError: weights are missing or wrong.
    """
    published_threshold(identity_record(identity))
    return Tools(
        Tracker(FastMtcnn(threads=1)),
        load_labelled(backbone, threads=threads),
        load_identity(identity, threads=threads),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """A clip that was recognised.

    Attributes:
        answer: the final one; `clip` is empty, `user` the name or `UNKNOWN`.
        user: the user's id; empty for a guest.
        arrays: features of the subject's frames, and the backbone's own logits.
        embeddings: (n, dimension) float32 of the subject's face, at least one.
        faces_at_once: most faces that were seen together for more than a moment.
    """

    answer: Answer
    user: str
    arrays: ClipArrays
    embeddings: Floats
    faces_at_once: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Look:
    """A clip that was looked at for enrolment.

    Attributes:
        embeddings: (n, dimension) float32 of the subject's face over the clip, at least one.
        faces_at_once: most faces that were seen together for more than a moment.
        persons: how many persons took turns as the clip's subject: more than 1 where a face came
            that is not that of the main one.
        frames: that were looked at.
        with_face: of these, frames with the subject's face.
        warnings: what may have spoilt the embeddings, one sentence each.
    """

    embeddings: Floats
    faces_at_once: int
    persons: int
    frames: int
    with_face: int
    warnings: tuple[str, ...] = ()


class Recogniser:
    """Face finder, backbone and identity network, loaded once; not for several threads at once."""

    def __init__(
        self,
        *,
        backbone: str = MINI_XCEPTION.id,
        identity: str = DLIB_RESNET.id,
        threads: int = DEFAULT_THREADS,
        tools: Tools | None = None,
    ) -> None:
        """Load the networks (torch is not among what is imported), or take over `tools`.

        Raises:
            UsageError: no such network, or the identity network has no published threshold.
            WorkError: weights are missing or wrong.
        """
        self._tools = tools or load_tools(backbone, identity, threads)
        self.feature_spec = self._tools.backbone.spec
        self.identity_spec = identity_spec(self._tools.identity.record)

    @property
    def identity_record(self) -> IdentityRecord:
        """Of the identity network."""
        return self._tools.identity.record

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
        """Recognise a clip's user and expression.

        Args:
            source: a file, or a binary stream from its start; a stream may arrive in pieces and
                need not be seekable (WebM and fragmented MP4 are read as they come).
            gallery: enrolled users' embeddings; those of another `spec` are left out.
            readers: gives the head for a user's id, or for None.
            name: of the file or recording, for the answer and for sentences about it.
            names: a user's name by id, for `Answer.user`; ids without one are shown as they are.
            on_answer: called in this thread with partial answers (`final` false), the first as
                soon as the first face has been read.

        Raises:
            ClipError: the clip is unusable, or shows no face.
            WorkError: what a reader raises.
        """
        watched = Watched(self._tools, name)
        reading = Reading(name=name, backbone=self._tools.backbone, names=names or {})
        answers = Answers(watched, reading, gallery, readers)
        # Closed also where a head or `on_answer` fails: a thread decodes ahead.
        with closing(watched.through(source)) as rows_to_come:
            for row in rows_to_come:
                if on_answer is not None and answers.is_due(row):
                    on_answer(answers.so_far())
        answer, found, who, rows = answers.final()
        return Seen(
            answer=answer,
            user=found.user or "",
            arrays=reading.arrays(rows),
            embeddings=who.embeddings,
            faces_at_once=faces_at_once(watched.glances),
        )

    def look(self, source: Path | BinaryIO, *, name: str) -> Look:
        """Embeddings of the face that a clip is about, for enrolment.

        Raises:
            ClipError: the clip is unusable, or shows no face.
        """
        watched = Watched(self._tools, name, ENROLLING)
        for _ in watched.through(source):
            pass
        who, rows = watched.subject()
        frames, glances = watched.frames, [row.glance for row in rows]
        return Look(
            embeddings=who.embeddings,
            faces_at_once=faces_at_once(watched.glances),
            persons=who.persons,
            frames=frames,
            with_face=len(rows),
            warnings=quality_warnings(glances, frames=frames, persons=who.persons),
        )

    def look_at(self, picture: Image, *, name: str) -> Floats:
        """Embedding of the largest face in one picture, (1, dimension).

        Args:
            picture: RGB, (height, width, 3) uint8.
            name: of it, for sentences about it.

        Raises:
            ClipError: it shows no face.
        """
        (tracked,) = self._tools.finder.follow().faces([picture])
        if not tracked:
            raise ClipError(Reason.NO_FACE, name)
        face = largest([each.face for each in tracked])
        return self._tools.identity.embed([FramedFace(picture, face)])

    def close(self) -> None:
        """Stop the engines' threads; it must not be used afterwards."""
        self._tools.backbone.close()
        self._tools.identity.close()

    def __enter__(self) -> Self:
        """For `with`: closed at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
