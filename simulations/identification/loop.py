"""Test clips on devices that several users share: who each is taken for, and which head reads it.

The head of the user whom a clip is taken for, with that user's statistics; the universal head
without any statistics where nobody on the device is near enough. Whomever a clip is taken for, that
head corrects a universal head in which the clip's own user had no part. As with the pooled ceiling,
the researcher does this with the clips of all devices; no message has a part in it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from client.evaluation import evaluate_part
from client.store import DeviceSettings, Part
from common.clips import ClipSet
from common.heads.universal import UniversalHead
from simulations.identification.galleries import Enrolment, Gallery, Likenesses

Record = dict[str, Any]
Records = Mapping[str, Sequence[Record]]
Taken = list[str | None]
"""Per test clip a user's name, None for unknown."""


@dataclass(frozen=True, eq=False)
class Loop:
    """What identification in the loop is computed from.

    Attributes:
        clips: of all users.
        likenesses: of the clips.
        devices: users who share a device.
        own_clips: numbers of own clips per expression that were tried.
        seed: of the simulation.
        draws: of so many own clips.
        head: gives a federation's universal head.
        evidence: by federation, see `client.store.Part`.
    """

    clips: ClipSet
    likenesses: Likenesses
    devices: tuple[tuple[str, ...], ...]
    own_clips: tuple[int, ...]
    seed: int
    draws: int
    head: Callable[[str], UniversalHead]
    evidence: Mapping[str, tuple[float, ...]]

    @cached_property
    def place(self) -> Mapping[str, int]:
        """Index of each clip by name."""
        return {name: index for index, name in enumerate(self.clips.names)}


def close_loop(by_user: Records, loop: Loop, progress: Callable[[int, int], None]) -> None:
    """Add to each record whom its clips are taken for, and what the heads then in use say.

    Args:
        by_user: records as `client.evaluation` makes them. Each gets `identified` and `stranger`
            (the same without the user's own gallery): per number of own clips and draw, per test
            clip a user's name or None for unknown; and `personal_identified`, like `personal`.
        loop: see there.
        progress: told (done, total) records.
    """
    total = sum(len(records) for records in by_user.values())
    done = 0
    for device in loop.devices:
        for turn in range(max(len(by_user[user]) for user in device)):
            records = {user: by_user[user][turn] for user in device if turn < len(by_user[user])}
            _identify(records, loop)
            _answer(records, loop)
            done += len(records)
            progress(done, total)


def _identify(records: Mapping[str, Record], loop: Loop) -> None:
    enrolments = [_enrolment(user, record, loop) for user, record in records.items()]
    for record in records.values():
        record["identified"], record["stranger"] = [], []
    for index, count in enumerate(loop.own_clips):
        draws = range(max(len(record["personal"][index]) for record in records.values()))
        galleries = [loop.likenesses.enrolled(enrolments, count, draw) for draw in draws]
        for user, record in records.items():
            clips = record["test_clips"]
            found = [_taken_for(clips, user, gallery, loop.likenesses) for gallery in galleries]
            record["identified"].append([taken for taken, _ in found])
            record["stranger"].append([strange for _, strange in found])


def _enrolment(user: str, record: Record, loop: Loop) -> Enrolment:
    names = tuple(record["adaptation_clips"])
    labels = loop.clips.select([loop.place[name] for name in names]).labels
    return Enrolment(user, names, tuple(labels.tolist()), loop.seed)


def _taken_for(
    names: Sequence[str], user: str, gallery: Gallery, likenesses: Likenesses
) -> tuple[Taken, Taken]:
    """Whom each of the user's clips is taken for, with the user in the gallery and without."""
    others = {name: clips for name, clips in gallery.items() if name != user}
    taken = [likenesses.nearest(name, gallery) for name in names]
    # Who is not taken for themselves is taken for the same, enrolled or not.
    strange = [
        likenesses.nearest(name, others) if found == user else found
        for name, found in zip(names, taken, strict=True)
    ]
    return taken, strange


def _answer(records: Mapping[str, Record], loop: Loop) -> None:
    swapped = _swapped(records, loop)
    for user, record in records.items():
        record["personal_identified"] = [
            [_answers(record, user, swapped, index, draw) for draw in range(len(draws))]
            for index, draws in enumerate(record["identified"])
        ]


def _answers(
    record: Record, user: str, swapped: Mapping[tuple[str, str], Record], index: int, draw: int
) -> list[int]:
    """What the head in use says of each test clip of a user, at one draw of own clips."""
    own = _drawn(record["personal"][index], draw)
    made = []
    for place, taken in enumerate(record["identified"][index][draw]):
        if taken is None:
            made.append(record["universal_raw"][place])
        elif taken == user:
            made.append(own[place])
        else:
            other = swapped[record["federation"], taken]
            among = other["test_clips"].index(record["test_clips"][place])
            made.append(_drawn(other["personal"][index], draw)[among])
    return made


def _drawn(made: Sequence[list[int]], draw: int) -> list[int]:
    """Where draws take every clip, one stands for all."""
    return made[draw if len(made) > 1 else 0]


def _swapped(records: Mapping[str, Record], loop: Loop) -> dict[tuple[str, str], Record]:
    """What other users' heads say of clips that were taken for theirs, by federation and user."""
    wanted: dict[tuple[str, str], set[str]] = defaultdict(set)
    for user, record in records.items():
        for taken in (taken for draws in record["identified"] for taken in draws):
            for name, other in zip(record["test_clips"], taken, strict=True):
                if other is not None and other != user:
                    wanted[record["federation"], other].add(name)
    return {
        (federation, other): _evaluated(federation, other, records[other], sorted(names), loop)
        for (federation, other), names in sorted(wanted.items())
    }


def _evaluated(
    federation: str, user: str, record: Record, names: Sequence[str], loop: Loop
) -> Record:
    """The record of a user's heads, corrections of a federation's head, on the named clips."""
    head = loop.head(federation)
    part = Part(
        federation=federation,
        user=user,
        adaptation=tuple(loop.place[name] for name in record["adaptation_clips"]),
        test=tuple(loop.place[name] for name in names),
        evidence=loop.evidence[federation],
    )
    settings = DeviceSettings(
        specification=head.specification,
        seed=loop.seed,
        own_clips=loop.own_clips,
        draws=loop.draws,
    )
    return evaluate_part(head, loop.clips, part, settings)[0]
