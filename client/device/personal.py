"""A user's personal head, chosen by evidence and held against what was there before.

The head is `client.personalisation.maximum_a_posteriori`'s. What it gains is measured on the user's
own clips, each read by a head that was chosen and fitted without it (leave one clip out; above
`MOST_LEFT_OUT` clips, `FOLDS` groups of them), so that the figure is that of the procedure and not
of its memory. Two things keep a head out of use beside missing evidence: clips of one expression
only, which a head that always says the same would fit best, and fewer right answers than before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy.stats import binomtest

from client.device.bases import CLASSES, Sight
from client.personalisation.heads import PersonalHead, no_correction
from client.personalisation.maximum_a_posteriori import Chosen, Prior, choose_personal
from client.personalisation.solver import Labels, Rows
from common.expressions import EXPRESSIONS

MOST_LEFT_OUT: Final = 40
FOLDS: Final = 20
FEWEST_TO_COMPARE: Final = 2
CHANCE: Final = 0.05
"""A difference is called chance while a sign test gives it at least this probability."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Right answers on a user's own clips before and after, by heads that had not seen them.

    Attributes:
        clips: that were compared.
        before: right answers of the base.
        after: right answers with what was learnt.
        better, worse: clips that only the one or the other has right.
    """

    clips: int
    before: int
    after: int
    better: int
    worse: int

    @property
    def chance(self) -> float:
        """Probability of a difference this large if neither were better (two-sided sign test)."""
        differing = self.better + self.worse
        return float(binomtest(self.better, differing).pvalue) if differing else 1.0

    @property
    def sentence(self) -> str:
        """What that says, and how sure it is."""
        if self.clips < FEWEST_TO_COMPARE:
            return f"too few clips to say what learning gains: {self.clips} can be compared"
        figures = (
            f"of {self.clips} of your own clips, each read without having learnt from it, "
            f"{self.before} were right before and {self.after} are right now"
        )
        if not self.better + self.worse:
            return f"{figures}: no difference yet"
        differing = f"{self.better} better, {self.worse} worse"
        if self.chance < CHANCE:
            return f"{figures} ({differing})"
        return f"{figures} ({differing}: too few clips to tell that from chance)"

    def to_json(self) -> dict[str, Any]:
        """A JSON document."""
        return {
            "clips": self.clips,
            "before": self.before,
            "after": self.after,
            "better": self.better,
            "worse": self.worse,
            "chance": round(self.chance, 4),
            "sentence": self.sentence,
        }


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A user's head, whether it is in use and why, and what it gains."""

    head: PersonalHead
    personal: bool
    reason: str
    comparison: Comparison


def fit(sight: Sight, labels: Labels) -> Fitted:
    """Choose and measure a user's head.

    Args:
        sight: the user's labelled clips; there may be none.
        labels: (clips,) in 0..7.
    """
    chosen = _choose(sight, labels)
    comparison = compare(sight, labels)
    if chosen.personal and comparison.after < comparison.before:
        reason = (
            f"without learning more of your own clips are right ({comparison.before} of "
            f"{comparison.clips}, with it {comparison.after}), so nothing learnt is in use"
        )
        return Fitted(head=_nothing(sight), personal=False, reason=reason, comparison=comparison)
    return Fitted(
        head=chosen.head, personal=chosen.personal, reason=chosen.reason, comparison=comparison
    )


def compare(sight: Sight, labels: Labels) -> Comparison:
    """Hold the base against the whole procedure, on clips left out of it."""
    if len(labels) < FEWEST_TO_COMPARE:
        return Comparison(clips=len(labels), before=0, after=0, better=0, worse=0)
    before = sight.logits.argmax(axis=1) == labels
    after = held_out(sight, labels).argmax(axis=1) == labels
    return Comparison(
        clips=len(labels),
        before=int(before.sum()),
        after=int(after.sum()),
        better=int((after & ~before).sum()),
        worse=int((before & ~after).sum()),
    )


def held_out(sight: Sight, labels: Labels) -> Rows:
    """(clips, 8) logits of each clip by the head chosen and fitted without its group."""
    found = np.empty_like(sight.logits)
    for group in groups(labels):
        rest = np.setdiff1d(np.arange(len(labels)), group)
        head = _choose(sight.select(rest.tolist()), labels[rest]).head
        found[group] = head.logits(sight.logits[group], sight.descriptors[group])
    return found


def groups(labels: Labels) -> list[Labels]:
    """Indices of the clips that are left out together: one each, or `FOLDS` alike ones."""
    order = np.argsort(labels, kind="stable")
    count = len(labels) if len(labels) <= MOST_LEFT_OUT else FOLDS
    return [order[start::count] for start in range(count)]


def _choose(sight: Sight, labels: Labels) -> Chosen:
    shown = {EXPRESSIONS[label] for label in labels}
    if len(shown) > 1:
        return choose_personal(
            sight.logits, sight.descriptors, labels, Prior(), whitener=sight.whitener
        )
    reason = "none of your clips is confirmed or corrected yet"
    if shown:
        reason = (
            f"your {len(labels)} labelled clip(s) all show {shown.pop()!r}; learning needs at "
            "least two different expressions"
        )
    return Chosen(_nothing(sight), Prior().candidates[0], False, reason)


def _nothing(sight: Sight) -> PersonalHead:
    return no_correction(CLASSES, sight.descriptors.shape[1])


def head_arrays(head: PersonalHead) -> dict[str, Rows]:
    """A personal head's arrays by name, for the vault."""
    return {"weight": head.weight, "bias": head.bias, "scale": np.array([head.scale])}


def head_from(arrays: Any) -> PersonalHead:
    """Inverse of `head_arrays`; other arrays are left alone."""
    return PersonalHead(arrays["weight"], arrays["bias"], float(arrays["scale"][0]))


def as_sentence(text: Sequence[str]) -> str:
    """Parts of a reason as one sentence."""
    return "; ".join(part for part in text if part)
