"""The order of labels is RAVDESS's order of codes."""

from __future__ import annotations

import pytest

from common.expressions import EXPRESSIONS, expression_index


def test_labels_are_ravdess_codes_less_one() -> None:
    codes = {1: "neutral", 2: "calm", 3: "happy", 4: "sad"}
    codes |= {5: "angry", 6: "fearful", 7: "disgust", 8: "surprised"}
    assert {index + 1: name for index, name in enumerate(EXPRESSIONS)} == codes
    assert [expression_index(name) for name in EXPRESSIONS] == list(range(8))


@pytest.mark.parametrize("name", ["", "Happy", "surprise", "happy "])
def test_other_names_are_unknown(name: str) -> None:
    with pytest.raises(KeyError):
        expression_index(name)
