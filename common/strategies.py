"""Names of the ways in which a server combines updates; `server.strategies` has the ways."""

from __future__ import annotations

from typing import Final

AVERAGING: Final = ("fedavg", "fedprox", "fedavgm", "fedadam", "fedyogi", "fedadagrad")
"""Those that need the updates' mean alone, so that a secure sum or noise suits them."""
STRATEGIES: Final = (*AVERAGING, "fedmedian", "fedtrimmedavg")
"""What simulations and experiments offer."""
ROBUST_STRATEGIES: Final = ("krum", "multikrum", "normclip")
FLEET_STRATEGIES: Final = (*STRATEGIES, *ROBUST_STRATEGIES)
"""What a federation's plan may name."""
CLIENTS_EXPECTED: Final = "0 for all, a share below 1, or a whole number"
