"""Checks: who reads which picture, and what is said where they differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from client.avatar.check import AVATAR, WHOLE, Shown
from client.avatar.detectors.interface import MadeFor, Pair
from client.avatar.own import fit_own_avatar, own_avatar_from
from client.avatar.sources.sheet import LEVELS
from client.recognition.answer import BACKBONE, PERSONAL
from common.errors import UsageError, WorkError
from common.expressions import EXPRESSIONS
from tests.client.avatar.fakes import SPEC, checker, coloured_sheet, flat


@dataclass(frozen=True)
class Says:
    """A head that says one thing of everything."""

    expression: str
    kind: str = PERSONAL
    reason: str = "made up"

    def logits(self, features: np.ndarray, own: Any) -> np.ndarray:
        return 3 * np.eye(8, dtype=np.float32)[EXPRESSIONS.index(self.expression)]


class Heads:
    """A personal head for Ada, none for guests but the backbone's labels."""

    def __init__(self, personal: Says) -> None:
        self._personal = personal

    def reader(self, user: str | None) -> Any:
        from client.recognition.readers import OwnLabels

        return self._personal if user == "ada" else OwnLabels()


class Keeps:
    """A detector that keeps the pair and answers with a fixed score."""

    name, threshold = "kept", 0.5

    def __init__(self, score: float, made_for: MadeFor | None = None) -> None:
        self.made_for = made_for or MadeFor(SPEC, SPEC)
        self.pairs: list[Pair] = []
        self._score = score

    def score(self, pair: Pair) -> float:
        self.pairs.append(pair)
        return self._score

    def arrays(self) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize("face", EXPRESSIONS)
@pytest.mark.parametrize("avatar", ["happy", "angry"])
def test_the_same_expression_is_the_same(face: str, avatar: str) -> None:
    found = checker().check(flat(face), flat(avatar))
    assert found.same == (face == avatar)
    assert (found.face.expression, found.avatar.expression) == (face, avatar)
    assert (found.face.head, found.detector) == (BACKBONE, "labels")


def test_a_users_own_head_reads_the_face_only() -> None:
    one = checker(readers=Heads(Says("sad")))
    mine = one.check(flat("neutral"), flat("sad"), user="ada")
    assert (mine.same, mine.face.head, mine.avatar.head) == (True, PERSONAL, BACKBONE)
    assert not one.check(flat("neutral"), flat("sad")).same


def test_a_detector_gets_all_readings_and_decides() -> None:
    detector = Keeps(0.7)
    one = checker(readers=Heads(Says("sad")), detector=detector)
    found = one.check(
        flat("neutral"), flat("calm"), user="ada", own_avatar=Says("happy", kind=AVATAR)
    )
    (pair,) = detector.pairs
    assert pair.personal is not None
    assert pair.own_avatar is not None
    told = [pair.face.probabilities, pair.avatar.probabilities, pair.personal, pair.own_avatar]
    assert [EXPRESSIONS[int(each.argmax())] for each in told] == ["neutral", "calm", "sad", "happy"]
    assert (found.same, found.score, found.detector) == (False, 0.7, "kept")
    assert (found.face.expression, found.avatar.expression) == ("sad", "happy")


def test_a_guest_has_no_personal_reading() -> None:
    detector = Keeps(0.1)
    assert checker(detector=detector).check(flat("sad"), flat("happy")).same
    assert detector.pairs[0].personal is None


def test_a_detector_for_other_features_is_refused() -> None:
    with pytest.raises(UsageError, match=r"avatars read by 'other/1'"):
        checker(detector=Keeps(0.0, MadeFor(SPEC, "other/1")))


def test_an_avatar_without_a_face_is_read_whole_a_person_is_not() -> None:
    one = checker(faces=False)
    told = one.compare(known("happy"), flat("happy"))
    assert (told.same, told.warnings) == (True, (WHOLE,))
    with pytest.raises(UsageError, match=r"the person's picture shows no face"):
        one.check(flat("happy"), flat("happy"))


def test_what_is_known_of_the_person_is_not_read_again() -> None:
    found = checker().compare(known("fearful"), flat("disgust"))
    assert (found.same, found.face.expression) == (False, "fearful")
    assert found.to_json()["real"] == "fearful"


def test_a_head_that_gives_nonsense_is_named() -> None:
    class Broken(Says):
        def logits(self, features: np.ndarray, own: Any) -> np.ndarray:
            return np.full(8, np.nan, np.float32)

    with pytest.raises(WorkError, match="not all finite"):
        checker(readers=Heads(Broken("sad"))).check(flat("sad"), flat("sad"), user="ada")


def test_an_own_avatars_head_learns_its_drawings() -> None:
    """The backbone takes half of the expressions for neutral; the sheet says what they are."""
    sheet, one = coloured_sheet(), checker(confused=EXPRESSIONS[4:])
    head = fit_own_avatar(one, sheet)
    again = own_avatar_from(head.spec, head.arrays())
    for label, name in enumerate(EXPRESSIONS):
        picture = sheet.pictures[LEVELS - 1, label]
        assert one.compare(known(name), picture, own_avatar=again).avatar.expression == name
    assert one.compare(known("disgust"), flat("disgust")).avatar.expression == "neutral"


def test_an_own_avatars_head_that_is_not_whole_is_refused() -> None:
    arrays = dict(fit_own_avatar(checker(), coloured_sheet()).arrays())
    with pytest.raises(WorkError, match="not whole"):
        own_avatar_from(SPEC, {**arrays, "bias": np.zeros(3)})
    del arrays["mean"]
    with pytest.raises(WorkError, match="not whole"):
        own_avatar_from(SPEC, arrays)


def known(expression: str) -> Shown:
    shares = np.full(8, 0.1 / 7)
    shares[EXPRESSIONS.index(expression)] = 0.9
    return Shown(expression=expression, probabilities=tuple(shares), head=PERSONAL, reason="")
