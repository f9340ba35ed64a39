"""Identification in the loop with embeddings whose outcome is known beforehand."""

from __future__ import annotations

from typing import Any

import pytest

from client.evaluation import draw_own_clips
from client.personalisation import METHODS
from client.personalisation.interface import Fitting, get_acquainted
from client.personalisation.maximum_a_posteriori import Prior
from common.ravdess import ClipName
from tests.simulations.identification.whole import Ran, perfect, ran, user_of

SWAPPED = {"actor-02": "actor-09", "actor-09": "actor-02"}
Record = dict[str, Any]


def is_test(name: ClipName) -> bool:
    """By protocol by-take."""
    return name.repetition == 2


def swap(name: ClipName) -> str:
    user = user_of(name)
    return SWAPPED.get(user, user) if is_test(name) else user


@pytest.fixture(scope="module")
def swapped() -> Ran:
    return ran(swap)


def in_all_draws(made: list[list[int]], draws: int) -> list[list[int]]:
    return made * draws if len(made) == 1 else made


def test_who_is_always_found_is_read_as_if_given() -> None:
    for user, record in perfect().records:
        for found, given in zip(record["personal_identified"], record["personal"], strict=True):
            assert found == in_all_draws(given, len(found))
        assert {n for draws in record["identified"] for d in draws for n in d} == {user}
        assert {n for draws in record["stranger"] for d in draws for n in d} == {None}
    figures = perfect().results["identification"]
    assert figures["accuracy"]["identified"] == figures["accuracy"]["given"]
    assert figures["accuracy"]["given"] == perfect().results["accuracy"]["personal"]
    assert figures["uar"]["identified"] == perfect().results["uar"]["personal"]
    assert figures["intervals"]["identified"] == perfect().results["intervals"]["personal"]
    assert figures["loss"] == [0.0] * len(figures["own_clips"])
    assert figures["strangers_taken"] == [0.0] * len(figures["own_clips"])


@pytest.mark.parametrize("face", ["a stranger", None])
def test_who_is_never_found_is_read_by_the_universal_head(face: str | None) -> None:
    found = ran(lambda name: face if is_test(name) else user_of(name))
    for _, record in found.records:
        for draws in record["personal_identified"]:
            assert draws == [record["universal_raw"]] * len(draws)
    figures = found.results["identification"]
    universal = found.results["accuracy"]["universal_raw"]
    assert figures["accuracy"]["identified"] == pytest.approx([universal] * len(figures["right"]))
    assert figures["unknown"] == [1.0] * len(figures["right"])
    clips = len({name for _, record in found.records for name in record["test_clips"]})
    assert figures["test_clips_without_face"] == (0 if face else clips)


def expected(found: Ran, record: Record, other: str, index: int, draw: int) -> list[int]:
    """What the other user's head says of the record's clips, built from scratch."""
    clips = found.prepared.source.clips
    place = {name: index for index, name in enumerate(clips.names)}
    (theirs,) = found.results["predictions"][other]
    adaptation = clips.select([place[name] for name in theirs["adaptation_clips"]])
    test = clips.select([place[name] for name in record["test_clips"]])
    known = get_acquainted(found.heads[record["federation"]], adaptation)
    count = found.results["accuracy"]["own_clips"][index]
    rows = draw_own_clips(adaptation.labels, count, seed=0, draw=draw, user=other)
    evidence = found.prepared.choices[record["federation"]].evidence
    assert evidence
    fitting = Fitting(prior=Prior(evidence=evidence), user=other)
    view = known.view(adaptation).select([*rows])
    head = METHODS["map"](view, adaptation.labels[[*rows]], fitting)
    answers: list[int] = head.logits(known.view(test)).argmax(axis=1).tolist()
    return answers


@pytest.mark.parametrize("user", sorted(SWAPPED))
def test_swapped_users_are_read_by_each_others_heads(swapped: Ran, user: str) -> None:
    (record,) = swapped.results["predictions"][user]
    differs = False
    for index, draws in enumerate(record["personal_identified"]):
        assert record["identified"][index] == [[SWAPPED[user]] * len(record["labels"])] * len(draws)
        for draw, made in enumerate(draws):
            assert made == expected(swapped, record, SWAPPED[user], index, draw)
            differs |= made not in record["personal"][index]
    assert differs


def test_the_others_are_as_they_were(swapped: Ran) -> None:
    figures = {user["user"]: user for user in swapped.results["identification"]["users"]}
    for user, one in figures.items():
        assert one["another"] == [float(user in SWAPPED)] * len(one["right"])
        if user not in SWAPPED:
            assert one["identified"] == one["given"]
    assert swapped.results["accuracy"] == perfect().results["accuracy"]
    mistakes = swapped.results["identification"]["mistakes"]
    assert [(m["user"], m["taken_for"], m["share"]) for m in mistakes] == [
        (user, other, 1.0) for user, other in sorted(SWAPPED.items())
    ]


def test_users_of_different_devices_are_not_mistaken_for_each_other() -> None:
    """02 and 05 share a device, 09 and 10 another: 02 and 09 are strangers to each other's."""
    apart = ran(swap, users_per_device=2)
    figures = apart.results["identification"]
    assert figures["devices"] == [["actor-02", "actor-05"], ["actor-09", "actor-10"]]
    assert figures["another"] == [0.0] * len(figures["another"])
    assert figures["unknown"] == [0.5] * len(figures["unknown"])


def test_nobody_is_a_stranger_to_a_device_of_one() -> None:
    figures = ran(user_of, users_per_device=1).results["identification"]
    assert figures["strangers_taken"] is None
    assert figures["right"] == [1.0] * len(figures["right"])


def test_strangers_who_look_like_a_user_are_counted() -> None:
    alike = {"actor-05": "actor-02"}
    figures = ran(lambda n: alike.get(user_of(n), user_of(n)) if is_test(n) else user_of(n))
    users = {each["user"]: each for each in figures.results["identification"]["users"]}
    assert {u: set(each["strangers_taken"]) for u, each in users.items()} == {
        "actor-02": {0.0},
        "actor-05": {1.0},
        "actor-09": {0.0},
        "actor-10": {0.0},
    }


def test_no_test_clip_is_in_a_gallery() -> None:
    """Adaptation clips show strangers, test clips the user: found only if they had enrolled."""
    found = ran(lambda name: user_of(name) if is_test(name) else f"twin of {user_of(name)}")
    figures = found.results["identification"]
    assert figures["right"] == [0.0] * len(figures["right"])


def test_messages_or_none_give_the_same(swapped: Ran) -> None:
    grid = ran(swap, engine="grid").results
    assert grid["identification"] == swapped.results["identification"]
    assert grid["transmitted"]
    assert all("identi" not in str(sent["arrays"]) for sent in grid["transmitted"])


def test_the_published_folds_test_each_half_with_the_other() -> None:
    found = ran(user_of, protocol="folds")
    assert all(len(records) == 2 for records in found.results["predictions"].values())
    figures = found.results["identification"]
    assert figures["accuracy"]["identified"] == found.results["accuracy"]["personal"]


def odd(name: ClipName) -> str:
    """Actor 10 looks like actor 02 in a quarter of the clips of repetition 1."""
    is_odd = (name.actor, name.repetition, name.expression) == (10, 1, 3)
    return "actor-02" if is_odd else user_of(name)


def test_each_half_is_identified_by_the_other() -> None:
    found = ran(odd, protocol="folds").results
    shares = {user["user"]: user["another"] for user in found["identification"]["users"]}
    counts = len(found["accuracy"]["own_clips"])
    assert shares.pop("actor-10") == [0.125] * counts
    assert set(map(tuple, shares.values())) == {(0.0,) * counts}


def test_without_identification_results_are_the_same_but_for_it() -> None:
    plain, found = ran(user_of, identify=False).results, perfect().results
    assert set(found) - set(plain) == {"identification"}
    for key in ("accuracy", "uar", "intervals", "users", "users_harmed", "chosen", "in_memory"):
        assert plain[key] == found[key]
    for user, records in plain["predictions"].items():
        for record, more in zip(records, found["predictions"][user], strict=True):
            added = {"identified", "stranger", "personal_identified"}
            assert record == {key: more[key] for key in more.keys() - added}
