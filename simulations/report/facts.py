"""What the report says of accuracy: rows, users and differences, read out of the results."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from common.errors import UsageError
from common.expressions import EXPRESSIONS
from simulations.projecting import in_words
from simulations.results import CURVES, SCHEMA, SINGLE

Results = Mapping[str, Any]

TITLES: Final = {
    "universal": "universal, federated",
    "universal_raw": "universal, without user normalisation",
    "pooled": "universal, all data pooled",
    "local_only": "own clips alone",
    "personal": "personal",
}
CHANCE: Final = 1 / len(EXPRESSIONS)
"""Expected accuracy of a guess among all expressions, however often each occurs."""
NEEDED: Final = (
    *("schema", "command", "seed", "versions", "protocol", "source", "synthetic", "head"),
    *("features", "clients", "rounds", "accuracy", "uar", "intervals", "spread", "users"),
    *("resting_stream", "users_harmed", "chosen", "transmitted", "left_out", "predictions"),
    "seconds",
)
_REPLACED: Final = frozenset({"Cc", "Cs", "Cn", "Zl", "Zp"})


@dataclass(frozen=True)
class Row:
    """One head at one number of own clips per expression; all figures are shares, 0..1."""

    key: str
    own_clips: int
    accuracy: float
    low: float
    high: float
    uar: float
    worst: float
    median: float
    best: float

    @property
    def title(self) -> str:
        """The head's name for people."""
        return TITLES[self.key]


@dataclass(frozen=True)
class UserRow:
    """One user's accuracies, 0..1; personal and local-only at the most own clips."""

    user: str
    clips: int
    universal: float
    universal_raw: float
    pooled: float
    local_only: float
    personal: float

    @property
    def harmed(self) -> bool:
        """Whether the personal head is below the universal one (by the rule of the results)."""
        return self.personal < self.universal - 1e-12


def check_results(results: Results) -> None:
    """Refuse what is no complete results dict.

    Raises:
        UsageError: another schema, or parts are missing; names them.
    """
    if results.get("schema") != SCHEMA:
        raise UsageError(
            f"results have schema {results.get('schema')!r}, expected {SCHEMA!r}; "
            "make them anew with `mien simulate`"
        )
    missing = [key for key in NEEDED if key not in results]
    if missing:
        raise UsageError(f"results lack {', '.join(missing)}; make them anew with `mien simulate`")
    if not results["users"] or not results["accuracy"]["own_clips"]:
        raise UsageError("results hold no users or no numbers of own clips: nothing to report")


def visible(text: object) -> str:
    """Text for people: what can't be shown or stored (controls, lone surrogates) becomes U+FFFD.

    >>> visible("a\\x00b")
    'a\ufffdb'
    """
    return "".join(
        "\ufffd" if unicodedata.category(letter) in _REPLACED else letter for letter in str(text)
    )


def federation_words(results: Results) -> tuple[str, ...]:
    """What the head's updates tell, what stands before it, and which limits devices had.

    Results of before these were recorded have none.
    """
    told = results.get("federation")
    if not told:
        return ()
    mixtures, share = told["combinations_per_round"], told["exposure_limits"]["share"]
    sentences = [f"An update that leaves as it is tells {mixtures} exact mixtures of its clips."]
    if told["accepted_leak"]:
        sentences.insert(
            0,
            "LEAK ACCEPTED: this head should not be federated, since its "
            f"{' and '.join(told['mixing_arrays'])} tell mixtures of raw features in one round.",
        )
    if told["projection"]:
        sentences.append(in_words(told["projection"]))
    if share is not None:
        sentences.append(f"Devices declined rounds from {share:g} mixtures per clip on.")
    sentences += _privacy_words(results.get("privacy") or {})
    return tuple(visible(sentence) for sentence in sentences)


def _privacy_words(privacy: Mapping[str, Any]) -> list[str]:
    """Epsilon of one federation, and of all that a user was in."""
    if "per_user" not in privacy:
        return []
    user, each = privacy["per_user"], privacy["per_federation"].values()
    if user["epsilon"] is None:
        return [f"Differential privacy: void, since {'; '.join(user['void'])}."]
    largest = max(told["epsilon"] for told in each if told["epsilon"] is not None)
    return [
        f"Differential privacy at delta {user['delta']:g}: epsilon {largest:.3g} per federation, "
        f"{user['epsilon']:.3g} for a user, who was in {user['federations']} of {len(each)}."
    ]


def accuracy_rows(results: Results) -> tuple[Row, ...]:
    """Universal heads at 0 own clips, then each curve by number of own clips."""
    single = [_row(results, name, None) for name in SINGLE]
    counts = range(len(results["accuracy"]["own_clips"]))
    return (*single, *(_row(results, name, i) for name in reversed(CURVES) for i in counts))


def _row(results: Results, key: str, index: int | None) -> Row:
    def pick(value: Any) -> Any:
        return value if index is None else value[index]

    low, high = pick(results["intervals"][key])
    spread = results["spread"][key]
    return Row(
        key=key,
        own_clips=0 if index is None else results["accuracy"]["own_clips"][index],
        accuracy=pick(results["accuracy"][key]),
        low=low,
        high=high,
        uar=pick(results["uar"][key]),
        worst=pick(spread["worst"]),
        median=pick(spread["median"]),
        best=pick(spread["best"]),
    )


def last_rows(rows: Sequence[Row]) -> dict[str, Row]:
    """Each head's row at its most own clips."""
    return {row.key: row for row in rows}


def user_rows(results: Results) -> tuple[UserRow, ...]:
    """All users, the lowest universal accuracy first; equal ones by name."""
    rows = [
        UserRow(
            user=visible(entry["user"]),
            clips=entry["clips"],
            **{name: entry[name] for name in SINGLE},
            **{name: entry[name][-1] for name in CURVES},
        )
        for entry in results["users"]
    ]
    return tuple(sorted(rows, key=lambda row: (row.universal, row.personal, row.user)))


def percent(share: float) -> str:
    """Share as percent with one decimal.

    >>> percent(0.7375)
    '73.8'
    """
    return f"{100 * share:.1f}"


def difference(share: float, other: float) -> str:
    """How far `share` is from `other`, as it stands between rounded percentages.

    >>> difference(0.9042, 0.7375), difference(0.5, 0.5), difference(0.25, 0.5)
    ('16.6 points above', 'level with', '25.0 points below')
    """
    points = round(float(percent(share)) - float(percent(other)), 1)
    if not points:
        return "level with"
    return f"{abs(points):.1f} point{'' if abs(points) == 1 else 's'} " + (
        "above" if points > 0 else "below"
    )


def kilobytes(count: float) -> str:
    """Bytes for people, in decimal units.

    >>> kilobytes(732), kilobytes(3110), kilobytes(11283840)
    ('732 B', '3.1 kB', '11.3 MB')
    """
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f} B"
