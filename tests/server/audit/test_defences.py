"""A8-A12 and their mutations: halved noise, a reused mask, no mask, numbers in clear, extras."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from server.audit.attacks import a08_canaries, a09_ceiling, a10_masks, a11_cohort, a12_metadata
from server.audit.finding import FINAL, INDIVIDUAL, SUM, Finding, Verdict
from server.audit.lab import Lab, play
from server.audit.run import audit, failed
from server.audit.subject import Subject
from server.audit.transcript import Claim, Received, Ring, Round, SecureSum, Vector
from tests.server.audit.conftest import SMALL, with_rounds

LENGTH = 2056
STEP = 2.0**-20
PRIVATE = replace(
    SMALL, secure=True, rounds=20, noise_multiplier=2.68, clip=1.0, canaries=200, dimension=600
)


@pytest.fixture(scope="module")
def private() -> Subject:
    """Epsilon 8 at delta 1e-5; the noise itself is never seeded."""
    return play(PRIVATE)


def claiming(subject: Subject, claim: Claim | None) -> Subject:
    transcript = replace(subject.transcript, claim=claim)
    return Subject(transcript, subject.candidates, subject.trainer, 0, subject.canaries)


def test_honest_noise_passes(private: Subject) -> None:
    outcome = a08_canaries.run(private, SUM)
    assert outcome.verdict is Verdict.PASS
    assert outcome.figure is not None
    assert 5 < outcome.figure < 10, "measured over runs: 7.1, standard deviation 0.4"
    assert 0 < outcome.details["lower_bound"] <= 8.1


def test_halved_noise_is_caught(private: Subject) -> None:
    halved = play(replace(PRIVATE, noise_multiplier=1.34))
    outcome = a08_canaries.run(claiming(halved, private.transcript.claim), SUM)
    assert outcome.verdict is Verdict.FAIL, "measured over runs: 14.7, standard deviation 0.5"
    assert "weaker than claimed" in outcome.change


def test_no_claim_and_no_canaries_are_no_pass(private: Subject, summed: Subject) -> None:
    assert a08_canaries.run(claiming(private, None), SUM).verdict is Verdict.NOT_MEASURABLE
    claimed = claiming(summed, private.transcript.claim)
    assert a08_canaries.run(claimed, SUM).verdict is Verdict.NOT_MEASURABLE


def test_no_attack_exceeds_the_ceiling_of_a_true_claim(private: Subject) -> None:
    findings = audit(private)
    ceilings = [f for f in findings if f.id == "A9"]
    assert [f.verdict for f in ceilings if f.view in (SUM, FINAL)] == [Verdict.PASS] * 2
    assert not failed(findings)


def test_a_false_claim_is_caught_by_the_ceiling(leaky: Subject) -> None:
    """Nothing was noised, and each device's update is said to be."""
    claim = Claim(16.68, 1.0, 1e-5, 1.0, 7, individual=True)
    findings = audit(claiming(leaky, claim), [INDIVIDUAL])
    found = next(f for f in findings if f.id == "A9")
    assert found.verdict is Verdict.FAIL
    assert found.details["above"][0] == "A3"
    assert "accounting" in found.change


def test_noise_on_the_sum_claims_nothing_for_single_updates(leaky: Subject) -> None:
    claim = Claim(16.68, 1.0, 1e-5, 1.0, 7)
    outcome = a09_ceiling.outcome(claiming(leaky, claim), INDIVIDUAL, [])
    assert outcome.verdict is Verdict.NOT_MEASURABLE


def encoded(plain: Vector) -> Ring:
    levels = np.rint(plain / STEP).astype(np.int64)
    return (levels & 0xFFFFFFFF).astype(np.uint32)


def masked_rounds(subject: Subject, count: int = 2) -> list[Round]:
    """The first head rounds, each with vectors under fresh masks, for three members."""
    random = np.random.default_rng(7)
    rounds = []
    for each in subject.transcript.head_rounds[:count]:
        plain = {f"0000{m}": random.normal(size=LENGTH) * 0.01 for m in range(3)}
        masked = {
            name: encoded(v) + random.integers(2**32, size=LENGTH, dtype=np.uint32)
            for name, v in plain.items()
        }
        total = np.sum(list(plain.values()), axis=0)
        rounds.append(
            replace(each, secure=SecureSum(tuple(plain), total, masked, plain, STEP), received=())
        )
    return rounds


def masks(subject: Subject, rounds: list[Round]) -> Finding:
    return a10_masks.ATTACK.find(with_rounds(subject, rounds), SUM)


def changed(rounds: list[Round], number: int, name: str, vector: Ring) -> list[Round]:
    secure = rounds[number].secure
    assert secure is not None
    new = replace(secure, masked={**secure.masked, name: vector})
    return [replace(r, secure=new) if i == number else r for i, r in enumerate(rounds)]


def secure_of(each: Round) -> SecureSum:
    assert each.secure is not None
    return each.secure


def test_fresh_masks_pass(summed: Subject) -> None:
    found = masks(summed, masked_rounds(summed))
    assert found.verdict is Verdict.PASS, found.meaning


def test_an_unmasked_vector_is_caught_by_name(summed: Subject) -> None:
    rounds = masked_rounds(summed)
    bare = encoded(secure_of(rounds[1]).plain["00002"])
    found = masks(summed, changed(rounds, 1, "00002", bare))
    assert found.verdict is Verdict.FAIL
    assert "00002 in round 2 is not uniform" in found.meaning
    assert "correlates with the plain update" in found.meaning


def test_a_mask_of_the_round_before_is_caught_by_name(summed: Subject) -> None:
    rounds = masked_rounds(summed)
    first, second = secure_of(rounds[0]), secure_of(rounds[1])
    again = first.masked["00001"] - encoded(first.plain["00001"]) + encoded(second.plain["00001"])
    found = masks(summed, changed(rounds, 1, "00001", again))
    assert found.verdict is Verdict.FAIL
    assert found.details["problems"] == ["00001 used the mask of round 1 again in 2"]


def test_one_mask_for_two_members_is_caught_by_name(summed: Subject) -> None:
    rounds = masked_rounds(summed)
    only = secure_of(rounds[0])
    shared = only.masked["00000"] - encoded(only.plain["00000"]) + encoded(only.plain["00002"])
    found = masks(summed, changed(rounds, 0, "00002", shared))
    assert found.details["problems"] == ["00002 and 00000 used the same mask in round 1"]


def test_a_wrong_sum_is_caught(summed: Subject) -> None:
    rounds = masked_rounds(summed)
    secure = secure_of(rounds[0])
    wrong = replace(secure, total=secure.total + 4 * STEP)
    found = masks(summed, [replace(rounds[0], secure=wrong), rounds[1]])
    assert "the sum in round 1 is off by" in found.meaning


def test_without_masked_vectors_nothing_is_measurable(summed: Subject) -> None:
    assert a10_masks.run(summed, SUM).verdict is Verdict.NOT_MEASURABLE


@pytest.mark.parametrize(
    ("clients", "clips", "rounds", "verdict"),
    [
        (12, 60, 20, Verdict.PASS),
        (12, 20, 20, Verdict.NOT_MEASURABLE),
        (5, 10, 20, Verdict.FAIL),
        (8, 90, 2, Verdict.NOT_MEASURABLE),
    ],
)
def test_cohorts(clients: int, clips: int, rounds: int, verdict: Verdict) -> None:
    lab = Lab(clients=clients, clips=clips, rounds=rounds, dimension=8, public=1, epochs=1)
    assert a11_cohort.run(play(lab), SUM).verdict is verdict


def test_a_cohort_that_is_summed_twice_is_caught_by_name(summed: Subject) -> None:
    rounds = list(summed.transcript.rounds)
    secure = secure_of(rounds[2])
    fewer = replace(secure, members=secure.members[1:])
    replayed = replace(rounds[2], number=3, secure=fewer)
    outcome = a11_cohort.run(with_rounds(summed, [*rounds[:3], replayed]), SUM)
    assert outcome.verdict is Verdict.FAIL
    assert "differ in 1 device(s): 00000" in outcome.meaning


def test_heads_that_differ_in_the_sign_of_0_alone_are_one_head(summed: Subject) -> None:
    rounds = list(summed.transcript.rounds)
    weight = rounds[2].head.arrays["user.weight"]
    assert not weight.any(), "the lab does not train the user branch"
    arrays = {**rounds[2].head.arrays, "user.weight": np.where(np.eye(*weight.shape), -0.0, weight)}
    secure = secure_of(rounds[2])
    fewer = replace(secure, members=secure.members[1:])
    replayed = replace(
        rounds[2], number=3, secure=fewer, head=replace(rounds[2].head, arrays=arrays)
    )
    outcome = a11_cohort.run(with_rounds(summed, [*rounds[:3], replayed]), SUM)
    assert outcome.verdict is Verdict.FAIL
    assert "over the same head with cohorts that differ in 1 device(s): 00000" in outcome.meaning


def test_two_references_are_differenced_whatever_the_head(summed: Subject) -> None:
    rounds = list(summed.transcript.rounds)
    told = replace(rounds[0], secure=SecureSum(summed.members, np.zeros(512)))
    fewer = replace(rounds[1].head, arrays={n: a + 1 for n, a in rounds[1].head.arrays.items()})
    again = replace(told, head=fewer, secure=SecureSum(summed.members[1:], np.zeros(512)))
    assert (
        a11_cohort.run(with_rounds(summed, [told, *rounds[1:]]), SUM).details["differenced"] == []
    )
    outcome = a11_cohort.run(with_rounds(summed, [told, again, *rounds[1:]]), SUM)
    assert outcome.verdict is Verdict.FAIL
    assert "summed over the same features with cohorts that differ in 1" in outcome.meaning


def test_a_sum_before_of_the_same_round_is_not_forgotten(summed: Subject) -> None:
    rounds = list(summed.transcript.rounds)
    secure = secure_of(rounds[2])
    before = replace(secure, members=secure.members[:-1])
    rounds[2] = replace(rounds[2], secure=replace(secure, earlier=(before,)))
    outcome = a11_cohort.run(with_rounds(summed, rounds), SUM)
    assert outcome.verdict is Verdict.FAIL
    assert "Round 2 was summed twice over the same head" in outcome.meaning
    assert outcome.details["combinations"] == 7 * (len(rounds) - 1 + 1)


def test_the_number_of_examples_in_clear_is_caught_by_name(leaky: Subject) -> None:
    outcome = a12_metadata.run(leaky, INDIVIDUAL)
    assert outcome.verdict is Verdict.FAIL
    assert "'num-examples'" in outcome.meaning
    assert set(outcome.details["found"]) == {"number 'num-examples'"}


def test_a_personal_head_in_a_reply_is_caught_by_name(leaky: Subject) -> None:
    rounds = list(leaky.transcript.rounds)

    def more(reply: Received) -> Received:
        return replace(reply, arrays={**reply.arrays, "personal.weight": np.zeros((8, 256))})

    rounds[3] = replace(rounds[3], received=tuple(map(more, rounds[3].received[:1])))
    outcome = a12_metadata.run(with_rounds(leaky, rounds), INDIVIDUAL)
    assert outcome.details["found"]["array 'personal.weight'"] == 1
    assert "egress gate" in outcome.change


def test_one_update_beside_the_sum_is_caught(summed: Subject, leaky: Subject) -> None:
    rounds = list(summed.transcript.rounds)
    stray = replace(leaky.transcript.rounds[2].received[0], numbers={})
    rounds[2] = replace(rounds[2], received=(stray,))
    outcome = a12_metadata.run(with_rounds(summed, rounds), SUM)
    assert outcome.verdict is Verdict.FAIL
    assert "a single update in 1 replies" in outcome.meaning


def test_sums_alone_tell_nothing_in_clear(summed: Subject) -> None:
    assert a12_metadata.run(summed, SUM).verdict is Verdict.PASS
