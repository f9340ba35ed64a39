"""`fedprox`: FedAvg of devices that are held near the head they were sent (Li et al., MLSys 2020).

Device k minimises `F_k(w) + mu / 2 |w - w_t|^2` in round t. The term is the device's
(`common.heads.training`); it travels in the plan as `proximal_mu`, and the server averages as ever.
A single full-batch step starts at w_t, where the term's gradient is 0: it shows from the second
local epoch on.
"""

from __future__ import annotations

from dataclasses import dataclass

from server.strategies.fedavg import FedAvg


@dataclass(frozen=True)
class FedProx(FedAvg):
    """The server's half, which is FedAvg's."""
