"""What every identity network promises: inherit, and give a fixture `network`."""

from __future__ import annotations

import numpy as np
import pytest

from common.identity.network import FramedFace, IdentityNetwork
from common.video.faces import Box
from tests.common.video.fakes import upright_face


def framed(count: int, seed: int = 1) -> list[FramedFace]:
    """Faces drawn by hand, of different sizes, in frames of different sizes."""
    random = np.random.default_rng(seed)
    found = []
    for index in range(count):
        frame = random.integers(90, 110, (200 + 10 * index, 260, 3)).astype(np.uint8)
        left, top, side = 30 + 5 * index, 20.4, 120 + 20 * index
        frame[20 : 20 + side, left : left + side] = random.integers(120, 220, 3)
        frame[20 + side // 3 : 30 + side // 3, left + 20 : left + side - 20] = 40
        found.append(FramedFace(frame, upright_face(left, top, left + side, top + side)))
    return found


class IdentityContract:
    @pytest.mark.parametrize("count", [0, 1, 3])
    def test_shape_type_and_length(self, network: IdentityNetwork, count: int) -> None:
        found = network.embed(framed(count))
        assert found.shape == (count, network.record.dimension)
        assert found.dtype == np.float32
        assert np.isfinite(found).all()
        if network.record.unit_length:
            assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)

    def test_each_face_counts_for_itself_to_the_byte(self, network: IdentityNetwork) -> None:
        faces = framed(3)
        together = network.embed(faces)
        alone = np.concatenate([network.embed([face]) for face in faces])
        assert together.tobytes() == alone.tobytes()
        assert np.abs(together[0] - together[1]).max() > 1e-4

    def test_frames_stay_as_they_are(self, network: IdentityNetwork) -> None:
        faces = framed(1)
        before = faces[0].frame.copy()
        first = network.embed(faces)
        assert np.array_equal(faces[0].frame, before)
        turned = FramedFace(np.asfortranarray(faces[0].frame), faces[0].face)
        assert np.array_equal(network.embed([turned]), first)

    def test_a_box_may_reach_outside(self, network: IdentityNetwork) -> None:
        ((frame, _),) = framed(1)
        found = network.embed([FramedFace(frame, upright_face(-20, -10, 150, 180))])
        assert np.isfinite(found).all()

    @pytest.mark.parametrize(
        "box", [Box(300, 20, 400, 120), Box(10, 10, 10, 90), Box(10, 10, float("nan"), 90)]
    )
    def test_boxes_without_area_in_the_frame_are_refused(
        self, network: IdentityNetwork, box: Box
    ) -> None:
        ((frame, _),) = framed(1)
        with pytest.raises(ValueError, match="the box"):
            network.embed([FramedFace(frame, upright_face(*box))])

    def test_other_frames_are_refused(self, network: IdentityNetwork) -> None:
        ((frame, face),) = framed(1)
        for bad in (frame[..., 0], frame.astype(np.float32), frame[..., :2], frame[:0]):
            with pytest.raises(ValueError, match="a frame is"):
                network.embed([FramedFace(bad, face)])

    def test_provenance_names_id_and_version(self, network: IdentityNetwork) -> None:
        record = network.record
        assert network.provenance.startswith(f"{record.id}/{record.version} ")
