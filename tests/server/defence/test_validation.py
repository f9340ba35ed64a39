"""Each reply of a round is accepted or refused for a named reason."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import UsageError, WorkError
from common.heads.specification import KINDS, STAGES, HeadSpecification
from common.secure_aggregation.rounds import MOST_WEIGHT
from common.wire import Expected
from server.defence import (
    Arrival,
    Examined,
    Limits,
    Question,
    Refusal,
    Seen,
    digest_of,
    examine,
)
from server.defence.validation import largest_reply
from tests.server.defence.replies import arrival, of_update, question, wire, with_numbers
from tests.server.fakes import SPECIFICATION, update

LIMITS = Limits()


def examined(
    *arrivals: Arrival,
    asked: Question | None = None,
    seen: Seen | None = None,
    limits: Limits = LIMITS,
) -> Examined:
    return examine(arrivals, asked or question(), seen or Seen(), limits)


def reasons(found: Examined) -> dict[str, Refusal]:
    return {refused.device: refused.refusal for refused in found.refused}


def poisoned(value: float) -> Arrival:
    given_arrival = arrival("bad", 1.0)
    content = bytearray(given_arrival.reply.arrays["user.bias"].data)
    content[-4:] = np.float32(value).tobytes()
    arrays = dict(given_arrival.reply.arrays)
    arrays["user.bias"] = replace(arrays["user.bias"], data=bytes(content))
    return replace(given_arrival, reply=replace(given_arrival.reply, arrays=arrays))


def test_honest_updates_are_accepted_in_their_order() -> None:
    found = examined(arrival("b", 1.0, clips=3), arrival("a", 2.0), arrival("c", 1.5))
    assert [device for device, _ in found.accepted] == ["b", "a", "c"]
    assert [update.clips for _, update in found.accepted] == [3, 1, 1]
    assert (found.refused, found.repeated) == ((), 0)
    assert found.outcomes == {"a": None, "b": None, "c": None}


@pytest.mark.parametrize(
    ("bad", "refusal"),
    [
        (poisoned(math.nan), Refusal.NOT_FINITE),
        (poisoned(math.inf), Refusal.NOT_FINITE),
        (arrival("bad", 1.0, round=0), Refusal.ROUND),
        (arrival("bad", 1.0, round=2), Refusal.ROUND),
        (with_numbers(arrival("bad", 1.0), round="1"), Refusal.FORM),
        (with_numbers(arrival("bad", 1.0), round=True), Refusal.FORM),
        (with_numbers(arrival("bad", 1.0), clips=0), Refusal.FORM),
        (with_numbers(arrival("bad", 1.0), clips=100_001), Refusal.CLIPS),
        (with_numbers(arrival("bad", 1.0), specification=1), Refusal.FORM),
        (with_numbers(arrival("bad", 1.0), secret=1), Refusal.FORM),
        (replace(arrival("bad", 1.0), bytes=100 << 20), Refusal.OVERSIZE),
        (arrival("bad", 1e6), Refusal.NORM),
        (arrival("bad", -40.0), Refusal.NORM),
        (
            of_update("bad", update(1.0, specification=replace(SPECIFICATION, dimension=2))),
            Refusal.FORM,
        ),
    ],
)
def test_a_bad_reply_is_refused_by_name_and_the_others_count(
    bad: Arrival, refusal: Refusal
) -> None:
    honest = [arrival(f"dev-{n}", 1.0 + n / 10) for n in range(3)]
    found = examined(honest[0], bad, *honest[1:])
    assert reasons(found) == {"bad": refusal}
    assert [device for device, _ in found.accepted] == ["dev-0", "dev-1", "dev-2"]
    assert found.outcomes["bad"] == str(refusal)


def test_reasons_repeat_nothing_that_was_sent() -> None:
    bad = with_numbers(arrival("bad", 1.0), **{"anna-at-home": 1})
    (refused,) = examined(bad).refused
    assert "anna" not in refused.detail


def test_one_update_per_device() -> None:
    one, other = arrival("a", 1.0), arrival("a", 1.25)
    found = examined(one, one, other, arrival("b", 1.0), one)
    assert [(d, float(u.arrays["user.bias"][0])) for d, u in found.accepted] == [
        ("a", 1.0),
        ("b", 1.0),
    ]
    assert found.repeated == 2
    assert reasons(found) == {"a": Refusal.SECOND}


def test_an_old_update_is_refused_whatever_round_it_claims() -> None:
    first = examined(arrival("a", 1.0), arrival("b", 2.0), asked=question(1))
    second = examined(
        arrival("a", 1.0, round=2), arrival("b", 2.5, round=2), asked=question(2), seen=first.seen
    )
    assert reasons(second) == {"a": Refusal.OLD}
    third = examined(
        arrival("c", 2.0, round=3), arrival("b", 3.0, round=3), asked=question(3), seen=second.seen
    )
    assert reasons(third) == {"c": Refusal.OLD}  # another device's too
    assert [device for device, _ in third.accepted] == ["b"]


def test_a_round_that_is_tried_again_takes_the_same_updates() -> None:
    arrivals = arrival("a", 1.0), arrival("b", 2.0)
    first = examined(*arrivals)
    again = examined(*arrivals, seen=first.seen)
    assert again.seen == first.seen
    assert again.outcomes == first.outcomes == {"a": None, "b": None}
    skipped = examined(
        arrival("a", 1.0, round=2), asked=question(2, head="head 1"), seen=first.seen
    )
    assert skipped.refused == ()


def test_updates_of_zeros_may_come_again() -> None:
    found = examined(arrival("a", 0.0))
    assert found.seen == Seen()
    assert not examined(arrival("a", 0.0, round=2), asked=question(2), seen=found.seen).refused


def test_what_was_refused_is_not_remembered() -> None:
    found = examined(*(arrival(f"d{n}", 1.0) for n in range(3)), arrival("bad", 1e6))
    assert len(found.seen.heads) == 1  # three equal updates


@settings(max_examples=50)
@given(
    values=st.lists(st.floats(-1e4, 1e4, width=32), max_size=9),
    factor=st.floats(1, 20),
    floor=st.sampled_from([0.0, 3.0]),
)
def test_the_norm_bound_is_that_of_the_slow_way(
    values: list[float], factor: float, floor: float
) -> None:
    """An update of `v` in each of its entries has the norm `|v|` times the root of their number."""
    arrivals = [arrival(f"d{n}", value) for n, value in enumerate(values)]
    found = examined(*arrivals, limits=Limits(norm_factor=factor, norm_floor=floor))
    entries = sum(array.size for array in update(1.0).arrays.values())
    norms = [math.sqrt(entries) * abs(float(np.float32(v))) for v in values]
    median = statistics.median(norms) if len(norms) >= 3 else 0.0
    for place, length in enumerate(norms):
        bound = max(factor * median if median else LIMITS.norm_at_rest, floor)
        if abs(length - bound) <= 1e-9 * bound:
            continue  # on the edge, where rounding decides
        expected = len(norms) >= 3 and length > bound
        assert (reasons(found).get(f"d{place}") is Refusal.NORM) == expected
    assert len(found.accepted) + len(found.refused) == len(values)


@settings(max_examples=50)
@given(st.data())
def test_a_minority_gets_no_long_update_in_and_throws_no_honest_one_out(
    data: st.DataObject,
) -> None:
    honest = data.draw(st.lists(st.floats(0.5, 2.0, width=32), min_size=3, max_size=8))
    bad = data.draw(
        st.lists(st.floats(-(2.0**99), 2.0**99, width=32), max_size=(len(honest) - 1) // 2)
    )
    arrivals = [arrival(f"h{n}", v) for n, v in enumerate(honest)]
    arrivals += [arrival(f"b{n}", v) for n, v in enumerate(bad)]
    found = examined(*data.draw(st.permutations(arrivals)))
    accepted = dict(found.accepted)
    assert {device for device in accepted if device[0] == "h"} == {
        f"h{n}" for n in range(len(honest))
    }
    for device, sent in accepted.items():
        assert abs(float(sent.arrays["user.bias"][0])) <= 10 * 2.0 * (1 + 1e-6), device


def test_a_long_update_is_refused_where_all_others_rest() -> None:
    resting = [arrival(f"d{n}", 0.0) for n in range(3)]
    assert reasons(examined(*resting, arrival("bad", 1e30))) == {"bad": Refusal.NORM}
    assert not examined(*resting, arrival("new", 1.0)).refused


def weights(found: Examined) -> dict[str, int]:
    return {device: update.clips for device, update in found.accepted}


def test_nobody_counts_as_more_than_thrice_the_median_clips() -> None:
    honest = [arrival(f"d{n}", 1.0, clips=20) for n in range(9)]
    found = examined(*honest, arrival("more", 2.0, clips=100_000))
    assert weights(found) == {**{f"d{n}": 20 for n in range(9)}, "more": 60}
    assert found.capped == ("more",)
    assert examined(*honest, arrival("more", 1.0, clips=60)).capped == ()


@settings(max_examples=50)
@given(st.floats(-(2.0**20), 2.0**20, width=32), st.integers(1, 100_000))
def test_nobody_pulls_the_average_more_than_ten_times_as_far_as_others(
    value: float, clips: int
) -> None:
    honest = [arrival(f"d{n}", 1.0, clips=20) for n in range(9)]
    found = examined(*honest, arrival("bad", value, clips=clips))
    sent = dict(found.accepted)
    assert {f"d{n}" for n in range(9)} <= set(sent)
    if "bad" in sent:
        pull = sent["bad"].clips * abs(float(sent["bad"].arrays["user.bias"][0]))
        assert 1 <= sent["bad"].clips <= 60
        assert pull <= 10 * 20 * (1 + 1e-6)


def test_nobody_counts_as_more_clips_than_in_a_secure_sum() -> None:
    many = [arrival(f"d{n}", 1.0, clips=5000) for n in range(4)]
    for count in (1, 4):  # one alone has no median to be held against
        found = examined(*many[:count])
        assert set(weights(found).values()) == {MOST_WEIGHT}
        assert found.capped == tuple(f"d{n}" for n in range(count))


def under_noise(round: int = 1) -> Question:
    """The server is to put noise on the sum of updates of norm 1."""
    return replace(question(round), norm=1.0)


INSIDE = float(np.float32(1 / math.sqrt(8) * (1 - 1e-6)))
"""In every entry: just within norm 1."""


@settings(max_examples=50)
@given(
    st.lists(st.floats(-INSIDE, INSIDE, width=32), min_size=1, max_size=9),
    st.floats(-INSIDE, INSIDE, width=32),
)
def test_before_noise_one_update_decides_on_no_other(values: list[float], instead: float) -> None:
    """Whatever one device sends within the norm, all count, and as the clips they say."""
    for first in (values[0], instead):
        sent = [arrival(f"d{n}", v) for n, v in enumerate([first, *values[1:]])]
        found = examined(*sent, asked=under_noise())
        assert [device for device, _ in found.accepted] == [each.device for each in sent]
        assert (found.refused, found.capped, found.seen) == ((), (), Seen())


def test_before_noise_an_update_beyond_the_norm_is_refused() -> None:
    found = examined(arrival("a", INSIDE), arrival("bad", 1.01 * INSIDE), asked=under_noise())
    assert reasons(found) == {"bad": Refusal.NORM}
    assert reasons(examined(poisoned(math.nan), asked=under_noise())) == {"bad": Refusal.NOT_FINITE}


def test_before_noise_an_update_may_be_as_one_before() -> None:
    first = examined(arrival("a", 0.1), arrival("b", 0.2))
    again = examined(arrival("a", 0.1, round=2), asked=under_noise(2), seen=first.seen)
    assert (weights(again), again.seen) == ({"a": 1}, first.seen)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("dimension", [1, 64, 1280])
def test_honest_sizes_are_below_the_limit_and_hundred_megabytes_are_not(
    kind: str, stage: str, dimension: int
) -> None:
    spec = HeadSpecification(kind=kind, dimension=dimension, features="made-up")
    sent = wire(update(1.0, stage=stage, round=1, specification=spec))
    size = sum(len(array.data) + len(name) for name, array in sent.arrays.items())
    assert size < largest_reply(spec, stage) < 2 * size + 10_000
    asked = Question(Expected(specification=spec, stage=stage, round=1), "head")
    assert not examined(Arrival("a", sent, size), asked=asked).refused
    assert reasons(examined(Arrival("a", sent, 100 << 20), asked=asked)) == {"a": Refusal.OVERSIZE}


@pytest.mark.parametrize(
    "limits",
    [
        {"bytes": -1},
        {"bytes": 1.5},
        {"clips": 0},
        {"clips": 10**9},
        {"norm_factor": 0.5},
        {"norm_factor": math.nan},
        {"norm_floor": -1.0},
        {"norm_at_rest": 0.0},
        {"weight": 0},
        {"weight_factor": 0.9},
        {"fewest": 2},
    ],
)
def test_limits_that_can_not_be(limits: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Limits(**limits)  # type: ignore[arg-type]


def test_the_memory_is_kept_bounded_and_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.defence.seen.MOST", 3)
    seen = Seen()
    for round in range(1, 6):
        seen = examined(
            arrival("a", float(round), round=round), asked=question(round), seen=seen
        ).seen
    assert list(seen.heads.values()) == ["head 3", "head 4", "head 5"]
    assert Seen.from_json(seen.to_json()) == seen
    assert list(Seen.from_json(seen.to_json()).heads) == list(seen.heads)


@pytest.mark.parametrize("text", ["", "{", "[1]", '[["a", 1]]', "null", '[["a"]]'])
def test_a_damaged_memory_is_told(text: str) -> None:
    with pytest.raises(WorkError):
        Seen.from_json(text)


def test_a_heads_digest_tells_heads_apart() -> None:
    one = update(1.0).arrays
    swapped = {**one, "user.bias": one["population.bias"] + np.float32(1)}
    assert digest_of(one) == digest_of(dict(reversed(list(one.items()))))
    assert digest_of(one) != digest_of(swapped)
    assert digest_of(one) != digest_of({n: a for n, a in one.items() if n != "user.bias"})
