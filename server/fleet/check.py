"""How right each published head is, measured by the server on the operator's own test clips.

Devices send no accuracy and are never asked for one: what a head does on their clips stays with
them. An operator who has labelled clips, such as a public data set's features, may name them, and
every release is then tested on them:

federation/check.safetensors   the clips' features, users and expressions
federation/check.json          what made the features, where they are from, whether they are drawn
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from common.clips import ClipSet, load_clips, save_clips
from common.errors import MienError, UsageError, WorkError
from common.files import private_folder, write_atomically
from common.heads.kinds import pools_first
from common.heads.specification import HeadSpecification
from common.heads.universal import UniversalHead, inputs_of, statistics_of, universal_logits

CLIPS: Final = "check.safetensors"
ABOUT: Final = "check.json"
MOST_BYTES: Final = 512 * 2**20
SPREAD: Final = ("worst_user", "median_user", "best_user")
ROUND_FIGURES: Final = ("accuracy", "macro_recall", *SPREAD)
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class About:
    """What a table of test clips says of itself.

    Attributes:
        features: id of what made the features.
        source: the file's name, for people.
        synthetic: whether the faces are drawn.
        clips, users: how many.
    """

    features: str
    source: str
    synthetic: bool
    clips: int
    users: int


@dataclass(frozen=True)
class CheckTable:
    """The operator's test clips."""

    clips: ClipSet
    about: About


def check_table(
    clips: ClipSet, *, features: str, source: str, synthetic: bool = False
) -> CheckTable:
    """A table of at least one clip.

    Raises:
        UsageError: it is empty or larger than a server holds.
    """
    if not len(clips):
        raise UsageError(f"{source} has no clip to test heads on; name a table with some")
    if clips.frames.nbytes > MOST_BYTES:
        raise UsageError(
            f"{source} holds {clips.frames.nbytes / 2**20:.0f} MiB of features, a server takes "
            f"{MOST_BYTES / 2**20:.0f}; make a smaller table, such as one by --pooling max"
        )
    about = About(features, source, synthetic, len(clips), len(clips.user_names()))
    return CheckTable(clips, about)


def check_fits(table: CheckTable, specification: HeadSpecification) -> None:
    """Whether heads of a specification read the table's features.

    Raises:
        UsageError: they do not.
    """
    about, clips = table.about, table.clips
    read = {specification.features}
    if pools_first(specification.kind):
        read.add(f"{specification.features}/{specification.pooling}")
    if about.features not in read or clips.dimension != specification.dimension:
        raise UsageError(
            f"{about.source} holds {clips.dimension} numbers of {about.features}, the fleet's "
            f"head reads {specification.dimension} of {' or '.join(sorted(read))}"
        )
    if int(clips.labels.max()) >= specification.classes:
        raise UsageError(
            f"{about.source} has expressions that the fleet's head does not tell apart "
            f"({specification.classes} classes)"
        )


def checked(head: UniversalHead, table: CheckTable) -> dict[str, float]:
    """Figures of a head on test clips, for a release's metrics.

    A user's own mean and spread come from clips that are not being tested: each user's clips are
    halved, expression by expression, and each half is tested with what the other one tells,
    without labels. A user with a single clip is unknown to the head.

    Returns:
        accuracy and macro_recall (mean over expressions) over all clips; worst_user, median_user
        and best_user, the accuracy of these users; test_clips and test_users.
    """
    right = chosen_by(head, table.clips) == table.clips.labels
    owners, labels = np.array(table.clips.users), table.clips.labels
    by_user = [float(right[owners == user].mean()) for user in table.clips.user_names()]
    recalls = [float(right[labels == label].mean()) for label in np.unique(labels)]
    figures = {
        "accuracy": float(right.mean()),
        "macro_recall": float(np.mean(recalls)),
        "worst_user": min(by_user),
        "median_user": float(np.median(by_user)),
        "best_user": max(by_user),
    }
    rounded = {name: round(value, 6) for name, value in figures.items()}
    return {**rounded, "test_clips": float(len(right)), "test_users": float(len(by_user))}


def chosen_by(head: UniversalHead, clips: ClipSet) -> Integers:
    """The expression that a head chooses for each clip; see `checked`."""
    chosen = np.empty(len(clips), dtype=np.int64)
    owners, half = np.array(clips.users), halves(clips)
    for user in clips.user_names():
        for number in (0, 1):
            asked = np.flatnonzero((owners == user) & (half == number))
            if not len(asked):
                continue
            other = np.flatnonzero((owners == user) & (half != number))
            statistics = statistics_of(head, clips.select(other))
            inputs = inputs_of(head, clips.select(asked), statistics)
            logits = universal_logits(head, inputs, statistics.trust)
            chosen[asked] = logits.argmax(dim=1).numpy()
    return chosen


def halves(clips: ClipSet) -> Integers:
    """0 or 1 for each clip: by turns among a user's clips, sorted by expression, then name."""
    half = np.zeros(len(clips), dtype=np.int64)
    turns: dict[str, int] = {}
    for place in sorted(range(len(clips)), key=lambda n: (clips.labels[n], clips.names[n])):
        user = clips.users[place]
        half[place] = turns.get(user, 0) % 2
        turns[user] = turns.get(user, 0) + 1
    return half


def keep_table(folder: Path, table: CheckTable) -> None:
    """Put a table into a federation's folder, in place of the one before."""
    private_folder(folder)
    save_clips(folder / CLIPS, table.clips)
    write_atomically(folder / ABOUT, json.dumps(asdict(table.about)).encode())


def remove_table(folder: Path) -> bool:
    """Test no head any more; whether there was a table."""
    there = (folder / ABOUT).exists()
    for name in (ABOUT, CLIPS):
        (folder / name).unlink(missing_ok=True)
    return there


def about_table(folder: Path) -> About | None:
    """What the table in a federation's folder says of itself; None without one.

    Raises:
        WorkError: the file is damaged.
    """
    path = folder / ABOUT
    try:
        return About(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise WorkError(
            f"{path} can't be read ({error}); name the table anew: mien server set --check-features"
        ) from error


def load_table(folder: Path) -> CheckTable | None:
    """The table in a federation's folder; None without one.

    Raises:
        WorkError: it is damaged.
    """
    about = about_table(folder)
    return None if about is None else CheckTable(load_clips(folder / CLIPS), about)


def release_metrics(folder: Path, head: UniversalHead) -> dict[str, float]:
    """A release's metrics: of the operator's table where there is one, else none.

    A table that can't be used is told of and stops no round.
    """
    try:
        table = load_table(folder)
        if table is None:
            return {}
        check_fits(table, head.specification)
        return checked(head, table)
    except MienError as error:
        print(f"mien: the release is not tested: {error}", flush=True)
        return {}


def accuracy_by_round(releases: Iterable[Mapping[str, Any]]) -> tuple[dict[str, float], ...]:
    """Round and `ROUND_FIGURES` of the releases that were tested; of a round, the newest one."""
    rounds: dict[int, dict[str, float]] = {}
    for release in releases:
        metrics = release["metrics"]
        if all(name in metrics for name in ROUND_FIGURES):
            figures = {name: float(metrics[name]) for name in ROUND_FIGURES}
            rounds[int(release["round"])] = {"round": int(release["round"]), **figures}
    return tuple(rounds[number] for number in sorted(rounds))
