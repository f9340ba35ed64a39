"""The bench of secure sums: both ways give the mean; figures have their names."""

from __future__ import annotations

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from simulations.bench.secure_sum import MOST_SECONDS, measure, secure_sum


def test_the_whole_exchange_gives_the_sum() -> None:
    random = np.random.default_rng(0)
    vectors = {n: random.uniform(-1, 1, 40) for n in range(1, 6)}
    keys = {n: Ed25519PrivateKey.generate() for n in vectors}
    expected = np.sum(list(vectors.values()), axis=0)
    np.testing.assert_allclose(secure_sum(vectors, keys), expected, atol=1e-6)


def test_both_ways_are_measured_and_right() -> None:
    figures = measure(1, 0, members=4, length=30)
    assert figures["limit_s"] == MOST_SECONDS
    assert figures["ratio"] == pytest.approx(figures["mien_s"] / figures["stock_s"])
    assert figures["largest_error"]["mien"] < 1e-6
    assert figures["largest_error"]["stock"] < 1e-4
