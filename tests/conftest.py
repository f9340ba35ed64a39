"""Before any test imports NumPy: one BLAS thread, as the `mien` command sets it.

Test processes share the cores, and waiting BLAS threads take them away. Tests with drawn examples
draw fewer by default than `HYPOTHESIS_PROFILE=thorough` asks for, and are never timed.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
for _profile, _examples in (("quick", 40), ("thorough", 150)):
    settings.register_profile(
        _profile,
        max_examples=_examples,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
