"""Pages whose pictures are empty: drawing them takes nearly all the time that a page takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

EMPTY = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"></svg>'


@contextmanager
def empty_pictures() -> Iterator[None]:
    """For tests of words and tables; the drawings have tests of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("simulations.report.figures.as_svg", lambda *_, **__: EMPTY)
        patch.setattr("simulations.report.figures.as_png", lambda *_, **__: b"")
        yield
