"""From updates to the mean of a noised secure sum and back to arrays, against a plain mean."""

from __future__ import annotations

import numpy as np
import pytest

from common.errors import UsageError
from common.privacy.clipping import clip_update
from common.privacy.noise import room_for
from common.privacy.release import flat, mean_of_sum, private_vector, sharing_of
from tests.common.secure_aggregation.parties import secure_sum, session_of
from tests.common.updates import specification, update_for

NORM, MULTIPLIER = 0.5, 0.05


@pytest.mark.parametrize("stage", ["head", "reference"])
@pytest.mark.parametrize("kind", ["logistic", "single-attention", "self-attention"])
def test_a_mean_of_clipped_updates_with_noise(kind: str, stage: str) -> None:
    spec = specification(kind, dimension=30)
    updates = {n: update_for(spec, stage, seed=n, clips=n) for n in range(1, 6)}
    length = sum(array.size for array in updates[1].arrays.values())
    threshold = session_of(5).threshold
    session = session_of(5, length=length, clip=room_for(NORM, MULTIPLIER, threshold))
    sharing = sharing_of(session, norm=NORM, multiplier=MULTIPLIER)
    assert sharing.stay == threshold
    sent = {n: private_vector(update, sharing, session.clip) for n, update in updates.items()}
    total, there, _ = secure_sum(session, sent)
    found = mean_of_sum(spec, stage, total, len(there))
    clipped = [clip_update(update, NORM) for update in updates.values()]
    assert {name: array.shape for name, array in found.items()} == spec.shapes(stage)
    for name, array in found.items():
        expected = np.mean([update.arrays[name] for update in clipped], axis=0)
        most = 8 * MULTIPLIER * NORM * np.sqrt(5 / threshold) / 5
        np.testing.assert_allclose(array, expected, atol=most)


def test_arrays_survive_being_flat() -> None:
    spec = specification("self-attention", dimension=4)
    update = update_for(spec)
    back = mean_of_sum(spec, "head", flat(spec, "head", update.arrays), 1)
    for name, array in update.arrays.items():
        np.testing.assert_array_equal(back[name], array)


def test_a_sum_that_does_not_fit_is_refused() -> None:
    spec = specification()
    with pytest.raises(UsageError, match="expected \\(16,\\)"):
        mean_of_sum(spec, "head", np.zeros(3), 2)
    with pytest.raises(UsageError, match=r"0 member\(s\)"):
        mean_of_sum(spec, "head", np.zeros(16), 0)
