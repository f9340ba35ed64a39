"""Names of the ways in which a server combines updates; `server.strategies` has the ways."""

from __future__ import annotations

from typing import Final

STRATEGIES: Final = (
    *("fedavg", "fedprox", "fedavgm", "fedadam", "fedyogi", "fedadagrad"),
    *("fedmedian", "fedtrimmedavg"),
)
CLIENTS_EXPECTED: Final = "0 for all, a share below 1, or a whole number"
