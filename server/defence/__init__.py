"""Defence against devices that send what they should not: before anything is averaged.

`validation` looks at each reply of a round and names why one is refused; `quarantine` leaves out a
device that keeps failing. What passes both is combined by a strategy, of which some are robust
against what can't be told from an honest update (`server.strategies`).
"""

from __future__ import annotations

from common.heads.digest import digest_of
from server.defence.quarantine import Case, Quarantine, Rule
from server.defence.seen import Seen
from server.defence.validation import Arrival, Examined, Limits, Question, Refusal, Refused, examine

__all__ = [
    "Arrival",
    "Case",
    "Examined",
    "Limits",
    "Quarantine",
    "Question",
    "Refusal",
    "Refused",
    "Rule",
    "Seen",
    "digest_of",
    "examine",
]
