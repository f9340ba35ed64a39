"""Does the avatar show what the person shows? One picture of each, read and compared.

Both faces are found by the project's own finder and cut out as the backbone wants them; where no
face is found in the avatar, which may look like none, the whole picture counts as one.  The face is
read by the user's personal head where there is one, else as everyone's; a detector
(`client.avatar.detectors`) then compares the two readings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from client.avatar.detectors.interface import Detector, MadeFor, Pair, Seen
from client.avatar.detectors.labels import Labels
from client.avatar.sources.generator import squared
from client.avatar.sources.interface import check_picture
from client.recognition.answer import PERSONAL
from client.recognition.readers import OwnLabels, Reader, Readers
from common.errors import UsageError, WorkError
from common.expressions import EXPRESSIONS
from common.video import Image
from common.video.crop import align_face
from common.video.faces import Detector as FaceDetector
from common.video.faces import largest

if TYPE_CHECKING:  # onnx comes with it
    from common.backbones.labelled import LabelledBackbone

Floats = npt.NDArray[np.float32]
Shares = npt.NDArray[np.float64]
AVATAR: Final = "avatar"
"""Kind of a head that was made for avatars."""
DRAWN: Final = "read by the labels of a network for avatars"
_AVATAR: Final = "the avatar's picture"
WHOLE: Final = "no face was found in the avatar's picture, so the whole picture was read as one"


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What one picture shows.

    Attributes:
        expression: the likeliest of `EXPRESSIONS`.
        probabilities: of `EXPRESSIONS`, sum 1.
        head: what read it: `PERSONAL`, `UNIVERSAL` or `BACKBONE` of `client.recognition.answer`,
            or `AVATAR`.
        reason: why that one.
    """

    expression: str
    probabilities: tuple[float, ...]
    head: str
    reason: str

    def to_json(self) -> dict[str, Any]:
        """A JSON document; probabilities stand by name."""
        return {
            "expression": self.expression,
            "probability": max(self.probabilities),
            "probabilities": dict(zip(EXPRESSIONS, self.probabilities, strict=True)),
            "head": self.head,
            "reason": self.reason,
        }


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a check comes to.

    Attributes:
        same: whether both count as the same expression.
        face: what the person shows: the real expression.
        avatar: what the avatar shows.
        score: the detector's; higher is more likely a mismatch.
        threshold: from which on it is one.
        detector: the detector's kind.
        warnings: one sentence each.
    """

    same: bool
    face: Shown
    avatar: Shown
    score: float
    threshold: float
    detector: str
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A JSON document."""
        return {
            "same": self.same,
            "real": self.face.expression,
            "face": self.face.to_json(),
            "avatar": self.avatar.to_json(),
            "detector": self.detector,
            "score": self.score,
            "threshold": self.threshold,
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True, eq=False)
class Read:
    """One picture through the backbone: (1, dimension) features and (8,) own logits or None."""

    features: Floats
    own: Floats | None


@dataclass(frozen=True)
class Readings:
    """What was read in two pictures.

    Attributes:
        pair: for detectors.
        face: the best reading of the person.
        avatar: the best reading of the avatar.
        whole: whether no face was found in the avatar's picture.
    """

    pair: Pair
    face: Shown
    avatar: Shown
    whole: bool


class Checker:
    """Face finder, backbone, heads and detector, loaded once; not for several threads at once."""

    def __init__(
        self,
        finder: FaceDetector,
        backbone: LabelledBackbone,
        *,
        avatar_backbone: LabelledBackbone | None = None,
        readers: Readers | None = None,
        avatars: Reader | None = None,
        detector: Detector | None = None,
    ) -> None:
        """Put the parts together.

        Args:
            finder: finds faces.
            backbone: reads them.
            avatar_backbone: reads avatars; without it the same one does.
            readers: heads for people; without them the backbone's own labels answer.
            avatars: the head for avatars; without it they are read as a guest's face is, or by
                the labels of `avatar_backbone` where there is one.
            detector: compares; without it the two likeliest expressions are compared.

        Raises:
            UsageError: the detector was trained on another backbone's features.
        """
        self._finder, self._backbone = finder, backbone
        self._drawn = avatar_backbone or backbone
        self._readers: Readers = readers or OwnLabels()
        self._avatars = avatars or (None if avatar_backbone is None else OwnLabels(DRAWN))
        self._detector = detector
        if detector is not None:
            _check_made_for(detector, self.made_for)

    def check(
        self,
        face: Image,
        avatar: Image,
        *,
        user: str | None = None,
        own_avatar: Reader | None = None,
    ) -> Verdict:
        """Compare two pictures.

        Args:
            face: RGB, of the person.
            avatar: RGB, of the avatar.
            user: the user's id; None reads the face as a guest's.
            own_avatar: the head that was made of this user's own avatar, where there is one.

        Raises:
            UsageError: a picture is none, or shows no face (`face` only).
            WorkError: a head can't be used.
        """
        found = self.readings(face, avatar, user=user, own_avatar=own_avatar)
        if self._detector is None:
            return self._by_labels(found.face, found.avatar, found.whole)
        score, threshold = float(self._detector.score(found.pair)), self._detector.threshold
        return Verdict(
            same=score < threshold,
            face=found.face,
            avatar=found.avatar,
            score=score,
            threshold=threshold,
            detector=self._detector.name,
            warnings=(WHOLE,) if found.whole else (),
        )

    def readings(
        self,
        face: Image,
        avatar: Image,
        *,
        user: str | None = None,
        own_avatar: Reader | None = None,
        whole: bool = False,
    ) -> Readings:
        """What all heads read in two pictures; what a detector is given, and trained on.

        Args:
            face, avatar, user, own_avatar: as of `check`.
            whole: whether a person's picture without a face is read as one, too.

        Raises:
            UsageError, WorkError: as `check`.
        """
        seen, _ = self._read(face, "the person's picture", self._backbone, whole=whole)
        drawn, no_face = self._read(avatar, _AVATAR, self._drawn, whole=True)
        universal, personal = self._readers.reader(None), self._readers.reader(user)
        common = shares(universal, seen)
        real = common if user is None else shares(personal, seen)
        head = self._avatars or universal
        shown = shares(head, drawn)
        own = None if own_avatar is None else shares(own_avatar, drawn)
        pair = Pair(
            Seen(seen.features[0], common),
            Seen(drawn.features[0], shown),
            real if personal.kind == PERSONAL else None,
            own,
        )
        return Readings(
            pair, _shown(real, personal), _best(shown, head, own, own_avatar), whole=no_face
        )

    def compare(self, face: Shown, avatar: Image, *, own_avatar: Reader | None = None) -> Verdict:
        """Hold an avatar's picture against what is known already of the person, by the labels.

        Args:
            face: what the person shows: a clip's answer, or the person's own word.
            avatar: RGB, of the avatar.
            own_avatar: as of `check`.

        Raises:
            UsageError: the picture is none.
            WorkError: a head can't be used.
        """
        drawn, whole = self._read(avatar, _AVATAR, self._drawn, whole=True)
        reader = own_avatar or self._avatars or self._readers.reader(None)
        return self._by_labels(face, _shown(shares(reader, drawn), reader), whole)

    def _by_labels(self, face: Shown, avatar: Shown, whole: bool) -> Verdict:
        """Whether both best readings name the same expression; no detector was given."""
        labels, nothing = Labels(self.made_for), np.zeros(1, np.float32)
        person, drawn = (Seen(nothing, np.array(each.probabilities)) for each in (face, avatar))
        score = float(labels.score(Pair(person, drawn)))
        return Verdict(
            same=score < labels.threshold,
            face=face,
            avatar=avatar,
            score=score,
            threshold=labels.threshold,
            detector=labels.name,
            warnings=(WHOLE,) if whole else (),
        )

    @property
    def spec(self) -> str:
        """Of the features that avatars are read by."""
        return self._drawn.spec

    @property
    def made_for(self) -> MadeFor:
        """What a detector for this checker has to read."""
        return MadeFor(self._backbone.spec, self._drawn.spec)

    def read_avatar(self, avatar: Image) -> Read:
        """An avatar's picture through the backbone, for a head of the user's own avatar."""
        return self._read(avatar, _AVATAR, self._drawn, whole=True)[0]

    def close(self) -> None:
        """Stop the engines' threads."""
        self._backbone.close()
        if self._drawn is not self._backbone:
            self._drawn.close()

    def _read(
        self, picture: Image, what: str, backbone: LabelledBackbone, *, whole: bool
    ) -> tuple[Read, bool]:
        """What a backbone makes of a picture, and whether the whole picture was taken."""
        record = backbone.record
        (faces,) = self._finder.detect([check_picture(picture, what)])
        if faces:
            crop = align_face(picture, largest(faces), record.input_size, margin=record.margin)
        elif whole:
            crop = squared(picture, record.input_size)
        else:
            raise UsageError(f"{what} shows no face; give one with the whole face, from the front")
        rows = backbone.submit(crop[None]).result()
        return Read(backbone.features(rows), backbone.own(rows)), not faces


def load_checker(
    backbone: str,
    *,
    avatar_backbone: str = "",
    avatars: Reader | None = None,
    readers: Readers | None = None,
    detector: Detector | None = None,
    threads: int = 2,
) -> Checker:
    """Load a checker's networks; torch is not among what is imported.

    Args:
        backbone: id of what reads faces.
        avatar_backbone: id of what reads avatars; empty for the same.
        avatars, readers, detector: as of `Checker`.
        threads: of each engine.

    Raises:
        UsageError: there is no such backbone, or the detector is not for it.
        WorkError: weights are missing or wrong.
    """
    from common.backbones.labelled import load_labelled
    from common.video.mtcnn.detector import FastMtcnn

    loaded = [load_labelled(id, threads=threads) for id in (backbone, avatar_backbone) if id]
    try:
        finder = FastMtcnn(threads=threads)
        drawn = loaded[1] if len(loaded) > 1 else None
        return Checker(finder, loaded[0], avatar_backbone=drawn, readers=readers, detector=detector)
    except BaseException:
        for each in loaded:
            each.close()
        raise


def shares(reader: Reader, read: Read) -> Shares:
    """(8,) probabilities by one head.

    Raises:
        WorkError: the head can't read the features, or gives what is no answer.
    """
    logits = np.asarray(reader.logits(read.features, read.own), dtype=np.float64)
    if logits.shape != (len(EXPRESSIONS),) or not np.isfinite(logits).all():
        raise WorkError(
            f"a head answers with {logits.shape} numbers that are not all finite, expected "
            f"{len(EXPRESSIONS)} logits; make it anew with `mien personalise NAME`"
        )
    odds = np.exp(logits - logits.max())
    return np.asarray(odds / odds.sum())


def _shown(probabilities: Shares, reader: Reader) -> Shown:
    return Shown(
        expression=EXPRESSIONS[int(np.argmax(probabilities))],
        probabilities=tuple(float(share) for share in probabilities),
        head=reader.kind,
        reason=reader.reason,
    )


def _best(shown: Shares, head: Reader, own: Shares | None, own_head: Reader | None) -> Shown:
    """What the avatar shows, by the head of the user's own avatar where there is one."""
    if own is None or own_head is None:
        return _shown(shown, head)
    return _shown(own, own_head)


def _check_made_for(detector: Detector, here: MadeFor) -> None:
    for what in ("face", "avatar"):
        made_for, spec = getattr(detector.made_for, what), getattr(here, what)
        if made_for != spec:
            raise UsageError(
                f"the detector was trained on {what}s read by {made_for!r}, but here {spec!r} "
                "reads them; train one on its features, or leave the detector out"
            )
