"""Whole clips through the recogniser, played by coloured rectangles."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest

from client.recognition.answer import BACKBONE, PERSONAL, UNIVERSAL, UNKNOWN, Answer
from client.recognition.readers import OwnLabels
from client.recognition.recogniser import Recogniser, Seen
from client.vault.records import Floats, GalleryEntry
from common.errors import UsageError, WorkError
from common.expressions import EXPRESSIONS, expression_index
from common.video import Image
from common.video.decode import ClipError, Reason
from tests.client.recognition.fakes import (
    ANN,
    BOB,
    CARL,
    FixedReaders,
    clip,
    enrolled,
    frame,
    tools,
)
from tests.common.video.test_source import Trickle

See = Callable[..., Seen]
SAD = expression_index("sad")
GALLERY = (enrolled(ANN, "id-ann"), enrolled(BOB, "id-bob"))


@pytest.fixture(scope="module")
def recogniser() -> Recogniser:
    return Recogniser(tools=tools())


@pytest.fixture
def see(recogniser: Recogniser, tmp_path: Path) -> See:
    def seen(frames: Sequence[Image], **given: object) -> Seen:
        arguments = {"gallery": GALLERY, "readers": FixedReaders(), "name": "clip"} | given
        return recogniser.see(clip(tmp_path / "clip.mp4", frames), **arguments)  # type: ignore[arg-type]

    return seen


def test_a_user_is_known_and_the_own_head_answers(see: See) -> None:
    readers = FixedReaders({"id-ann": SAD})
    seen = see([frame(ANN)] * 30, readers=readers, names={"id-ann": "Ann"})
    assert (seen.user, seen.answer.user) == ("id-ann", "Ann")
    assert (seen.answer.head, seen.answer.reason) == (PERSONAL, "id-ann's own")
    assert seen.answer.expression == "sad"
    assert seen.answer.likeness.distance == pytest.approx(0.21, abs=0.05)
    assert seen.answer.likeness.threshold == 0.6
    assert "dlib" in seen.answer.likeness.source
    assert seen.arrays.features.shape == (30, 128)
    assert (seen.answer.frames, seen.answer.with_face, seen.faces_at_once) == (30, 30, 1)
    assert seen.answer.final
    assert seen.answer.warnings == ()
    assert len(seen.embeddings) >= 3


@pytest.mark.parametrize(
    "gallery", [(), GALLERY, (enrolled(CARL, "id-carl", spec="facenet/1"),)], ids=len
)
def test_a_stranger_is_a_guest(see: See, gallery: tuple[GalleryEntry, ...]) -> None:
    readers = FixedReaders({"id-ann": SAD})
    seen = see([frame(CARL)] * 12, gallery=gallery, readers=readers)
    assert (seen.user, seen.answer.user, seen.answer.head) == ("", UNKNOWN, UNIVERSAL)
    assert readers.asked == [None]
    assert (seen.answer.likeness.distance is None) == (gallery is not GALLERY)


def test_the_last_moment_is_the_clips(see: See) -> None:
    answer = see([frame(ANN)] * 30, readers=OwnLabels()).answer
    times = [moment.seconds for moment in answer.moments]
    assert answer.moments[-1].probabilities == answer.probabilities
    assert times == sorted(times)
    assert times[0] == 0
    assert times[-1] == pytest.approx(29 / 25)
    assert len(times) == 6
    assert sum(answer.probabilities) == pytest.approx(1)
    left, top, right, bottom = answer.moments[0].box
    assert (left, bottom) == pytest.approx((8 / 192, 88 / 96), abs=0.02)
    assert left < right
    assert top < bottom


def test_own_labels_answer_where_there_is_no_head(see: See) -> None:
    seen = see([frame(ANN, mood=240)] * 12, readers=OwnLabels())
    assert (seen.answer.expression, seen.answer.head) == ("happy", BACKBONE)
    assert seen.arrays.own is not None
    assert EXPRESSIONS[int(seen.arrays.own.argmax())] == "happy"


def test_the_largest_of_several_faces_is_read(see: See) -> None:
    seen = see([frame(ANN, BOB)] * 12)
    assert (seen.user, seen.faces_at_once) == ("id-ann", 2)
    assert any("2 faces" in warning for warning in seen.answer.warnings)


def test_a_face_that_goes_and_returns_is_one_person(see: See) -> None:
    away = [frame()] * 16
    seen = see([frame(ANN)] * 20 + away + [frame(ANN)] * 20)
    assert seen.user == "id-ann"
    assert len(seen.arrays.features) == seen.answer.with_face == 40
    assert seen.answer.frames == 56


def test_a_face_that_turns_away_is_still_who_it_was(see: See) -> None:
    seen = see([frame(ANN)] * 10 + [frame(ANN, turned=True)] * 25)
    assert seen.user == "id-ann"
    assert any("turned away" in warning for warning in seen.answer.warnings)


def test_who_takes_the_place_is_left_out(see: See) -> None:
    """Ann and Bob are never seen together; only the face tells that they are two."""
    gap = [frame()] * 16
    seen = see([frame(BOB)] * 12 + gap + [frame(ANN, mood=200)] * 25)
    assert seen.user == "id-ann"
    assert len(seen.arrays.features) == 25
    assert seen.arrays.features.min() > 130
    assert any("Another person" in warning for warning in seen.answer.warnings)


def test_answers_come_on_the_way(see: See) -> None:
    told: list[Answer] = []
    seen = see([frame(ANN)] * 30, on_answer=told.append)
    assert [len(answer.moments) for answer in told] == list(range(1, len(told) + 1))
    assert len(told) == 5
    assert not any(answer.final for answer in told)
    assert {answer.user for answer in told} == {"id-ann"}
    assert [answer.seconds for answer in told] == sorted(answer.seconds for answer in told)
    assert told[-1].seconds <= seen.answer.seconds
    assert Answer.from_json(told[0].to_json()) == told[0]


def test_the_first_answer_is_by_the_first_face(see: See) -> None:
    told: list[Answer] = []
    see([frame()] * 5 + [frame(ANN)] * 10, on_answer=told.append)
    assert (told[0].with_face, told[0].frames) == (1, 6)


def test_a_guess_about_the_user_may_change(see: See) -> None:
    """Bob passes by first; in the end all moments are by the head of the clip's person."""
    told: list[Answer] = []
    readers = FixedReaders({"id-ann": SAD, "id-bob": 6})
    frames = [frame(BOB)] * 9 + [frame()] * 16 + [frame(ANN)] * 40
    answer = see(frames, readers=readers, on_answer=told.append).answer
    assert (told[0].user, told[-1].user, answer.user) == ("id-bob", "id-ann", "id-ann")
    assert {int(np.argmax(moment.probabilities)) for moment in answer.moments} == {SAD}


@pytest.mark.parametrize("make", [io.BytesIO, Trickle])
def test_a_stream_gives_what_its_file_gives(
    see: See, recogniser: Recogniser, tmp_path: Path, make: Callable[[bytes], BinaryIO]
) -> None:
    expected = see([frame(ANN)] * 12).answer
    content = (tmp_path / "clip.mp4").read_bytes()
    seen = recogniser.see(make(content), gallery=GALLERY, readers=FixedReaders(), name="clip")
    assert seen.answer.moments == expected.moments
    assert seen.user == "id-ann"


def test_no_face_and_no_video_are_told(see: See, recogniser: Recogniser) -> None:
    with pytest.raises(ClipError, match="holiday: no face") as caught:
        see([frame()] * 3, name="holiday")
    assert caught.value.reason is Reason.NO_FACE
    with pytest.raises(ClipError, match="from the camera: this is no MP4"):
        recogniser.look(io.BytesIO(b"no video at all"), name="from the camera")


def test_a_head_that_gives_nonsense_is_refused(see: See) -> None:
    class Broken(OwnLabels):
        def logits(self, features: Floats, own: Floats | None) -> Floats:
            return np.full(8, np.nan, np.float32)

    with pytest.raises(WorkError, match="not all finite"):
        see([frame(ANN)] * 3, readers=Broken())


def test_no_thread_is_left_where_the_caller_fails(see: See) -> None:
    class CallerError(Exception):
        pass

    def fail(_: Answer) -> None:
        raise CallerError

    with pytest.raises(CallerError) as caught:
        see([frame(ANN)] * 40, on_answer=fail)
    assert caught.value is not None
    assert not [each for each in threading.enumerate() if each.name == "mien-prefetch"]


def test_a_look_spreads_its_embeddings(recogniser: Recogniser, tmp_path: Path) -> None:
    look = recogniser.look(clip(tmp_path / "a.mp4", [frame(ANN)] * 60), name="a")
    assert (look.persons, look.faces_at_once, look.frames, look.with_face) == (1, 1, 60, 60)
    assert len(look.embeddings) >= 4
    two = [frame(ANN)] * 20 + [frame()] * 16 + [frame(BOB)] * 20
    assert recogniser.look(clip(tmp_path / "b.mp4", two), name="b").persons == 2
    together = recogniser.look(clip(tmp_path / "c.mp4", [frame(ANN, BOB)] * 9), name="c")
    assert together.faces_at_once == 2


def test_a_short_look_has_something_to_say(recogniser: Recogniser, tmp_path: Path) -> None:
    look = recogniser.look(clip(tmp_path / "a.mp4", [frame(ANN, mood=10)] * 4), name="a")
    assert any("4 frame" in warning for warning in look.warnings)
    assert any("dark" in warning for warning in look.warnings)


def test_a_network_without_a_threshold_is_refused_before_it_is_loaded() -> None:
    with pytest.raises(UsageError, match="no published threshold"):
        Recogniser(identity="vggface2-enet0")
    with pytest.raises(UsageError, match="no backbone"):
        Recogniser(backbone="none")


def test_torch_stays_out() -> None:
    code = (
        "import sys; from client.recognition.recogniser import Recogniser; Recogniser(); "
        "assert not {'torch', 'scipy', 'onnxruntime'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
