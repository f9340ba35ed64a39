"""Before any test imports NumPy: one BLAS thread, as the `mien` command sets it.

Test processes share the cores, and waiting BLAS threads take them away.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
