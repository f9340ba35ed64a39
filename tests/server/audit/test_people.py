"""A1, A2, A5, A6, A7: what is told of a person; planted leaks, noise, sums."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.training import reference_update
from common.heads.universal import initial_head
from server.audit.attacks import (
    a01_labels,
    a02a_ratio,
    a02b_class_means,
    a05_linkability,
    a06_reidentification,
    a06b_reference,
    a07_properties,
)
from server.audit.attacks.a01_labels import agreement, ridge, sign_rule
from server.audit.attacks.a02a_ratio import found_clips, ratios
from server.audit.finding import INDIVIDUAL, SUM, Verdict
from server.audit.lab import CLASSES, Lab, play, sgd_trainer
from server.audit.subject import Step, Subject
from server.audit.transcript import Received
from server.audit.truth import Candidates
from tests.server.audit.conftest import SMALL, with_rounds

PEOPLE = (a01_labels, a02b_class_means, a05_linkability, a06_reidentification)


@pytest.mark.parametrize("attack", PEOPLE)
def test_the_leak_is_found(leaky: Subject, attack: object) -> None:
    assert attack.ATTACK.find(leaky, INDIVIDUAL).verdict is Verdict.FAIL  # type: ignore[attr-defined]


@pytest.mark.parametrize("attack", [*PEOPLE, a02a_ratio])
def test_noise_gives_chance(noise: Subject, attack: object) -> None:
    finding = attack.ATTACK.find(noise, INDIVIDUAL)  # type: ignore[attr-defined]
    assert finding.verdict is Verdict.PASS
    assert finding.figure is not None
    assert finding.chance is not None
    assert finding.figure <= finding.chance + 0.15


@pytest.mark.parametrize("attack", [a01_labels, a02a_ratio, a02b_class_means])
def test_a_sum_hides_the_person(summed: Subject, attack: object) -> None:
    assert attack.ATTACK.find(summed, SUM).verdict is Verdict.PASS  # type: ignore[attr-defined]


def test_even_counts_have_nothing_to_tell(leaky: Subject) -> None:
    known = leaky.known
    labels = np.array([int(name.rsplit("/", 1)[1]) % CLASSES for name in known.clips.names])
    even = replace(known, clips=replace(known.clips, labels=labels))
    outcome = a01_labels.run(Subject(leaky.transcript, even, leaky.trainer), INDIVIDUAL)
    assert outcome.verdict is Verdict.NOT_MEASURABLE
    assert "same counts" in outcome.meaning


def test_the_sign_tells_a_single_clips_expression() -> None:
    random = np.random.default_rng(0)
    train = sgd_trainer(Lab(epochs=1))
    for label in range(CLASSES):
        inputs = random.normal(size=(1, 12))
        _, bias = train(
            np.zeros((CLASSES, 12)), np.zeros(CLASSES), inputs, np.array([label]), random
        )
        assert sign_rule(bias).tolist() == [label]


@settings(deadline=None)
@given(st.lists(st.integers(1, 9), min_size=2, max_size=8))
def test_agreement_is_1_with_the_truth_and_less_with_all_else(counts: list[int]) -> None:
    truth = np.array(counts) / sum(counts)
    assert agreement(truth, truth) == pytest.approx(1)
    assert 0 <= agreement(np.eye(len(counts))[0], truth) < 1


def test_ridge_by_leaving_each_out() -> None:
    random = np.random.default_rng(1)
    features, wanted = random.normal(size=(12, 3)), random.normal(size=(12, 2))
    weights, error = ridge(features, wanted)
    slow = []
    for penalty in a01_labels.PENALTIES:
        missed = []
        for out in range(12):
            rest = np.delete(np.arange(12), out)
            inner = features[rest].T @ features[rest] + 12 * penalty * np.eye(3)
            fitted = np.linalg.solve(inner, features[rest].T @ wanted[rest])
            missed.append(wanted[out] - features[out] @ fitted)
        slow.append(float(np.square(missed).mean()))
    assert error == pytest.approx(min(slow))
    assert weights.shape == (3, 2)


def test_one_clip_is_read_off_a_row() -> None:
    """Phong et al.: exact, whatever the number of epochs."""
    random = np.random.default_rng(2)
    clip, other = random.uniform(size=(2, 1, 30))
    for epochs in (1, 5, 20):
        train = sgd_trainer(Lab(epochs=epochs))
        moved = train(np.zeros((CLASSES, 30)), np.zeros(CLASSES), clip, np.array([3]), random)
        rows = ratios([Step(1, *moved)])
        assert rows[0] == pytest.approx(clip[0])
        assert found_clips(rows, clip, np.full(30, 0.5)) == 1
        assert found_clips(rows, other, np.full(30, 0.5)) == 0


def test_devices_of_one_clip_each_fail_by_ratio() -> None:
    subject = play(replace(SMALL, clips=1, other_takes=3, rounds=1, clients=4))
    outcome = a02a_ratio.run(subject, INDIVIDUAL)
    assert outcome.verdict is Verdict.FAIL
    assert outcome.figure == 1


def test_a_larger_gallery_finds_no_fewer(leaky: Subject) -> None:
    ranks = a06_reidentification.run(leaky, INDIVIDUAL).details["rank_1"]
    assert ranks["32"] >= ranks["8"] >= ranks["1"]
    assert ranks["32"] >= 0.9


def with_references(subject: Subject, *, scatter: bool = False) -> Subject:
    """Round 0 as devices would have answered it: each tells its own people's reference."""
    head = subject.transcript.final
    specification = replace(head.specification, scatter=scatter)
    start = initial_head(specification, 0)
    received = []
    for name in subject.members:
        told = reference_update(start, subject.known.clips.select(subject.own(name)))
        arrays = {n: a.astype(np.float64) for n, a in told.arrays.items()}
        received.append(Received(name, arrays, {}))
    first, *others = subject.transcript.rounds
    changed = with_rounds(subject, [replace(first, received=tuple(received)), *others])
    final = replace(head, specification=specification)
    transcript = replace(changed.transcript, final=final)
    return Subject(transcript, subject.candidates, subject.trainer)


def test_a_reference_tells_whose_it_is(leaky: Subject) -> None:
    outcome = a06b_reference.run(with_references(leaky), INDIVIDUAL)
    assert outcome.verdict is Verdict.FAIL
    assert outcome.details["rank_1"]["32"] >= 0.9
    assert outcome.details["by_scatter"] is None


def test_a_scatter_is_judged_too() -> None:
    narrow = play(replace(SMALL, dimension=20, public=2, rounds=1))
    outcome = a06b_reference.run(with_references(narrow, scatter=True), INDIVIDUAL)
    assert 0 <= outcome.details["by_scatter"] <= 1
    assert "by how its features move together" in outcome.meaning


def test_a_reference_that_all_share_tells_nothing(leaky: Subject) -> None:
    told = with_references(leaky)
    first, *others = told.transcript.rounds
    same = tuple(replace(r, arrays=first.received[0].arrays) for r in first.received)
    outcome = a06b_reference.run(
        with_rounds(told, [replace(first, received=same), *others]), INDIVIDUAL
    )
    assert outcome.verdict is Verdict.PASS
    assert a06b_reference.run(leaky, INDIVIDUAL).verdict is Verdict.NOT_MEASURABLE


def with_trait(subject: Subject, strength: float) -> Subject:
    """Half of the devices' updates get a direction of their own."""
    known = subject.known
    random = np.random.default_rng(4)
    traits = {name: bool(random.integers(2)) for name in subject.members}
    push = random.normal(size=(CLASSES, subject.dimension))
    rounds = []
    for each in subject.transcript.rounds:
        received = []
        for reply in each.received:
            weight = reply.arrays["population.weight"]
            extra = strength * np.linalg.norm(weight) / np.linalg.norm(push) * push
            sign = 1 if traits[reply.pseudonym] else -1
            arrays = {**reply.arrays, "population.weight": weight + sign * extra}
            received.append(replace(reply, arrays=arrays))
        rounds.append(replace(each, received=tuple(received)))
    changed = with_rounds(subject, rounds)
    told = Candidates(known.clips, known.owners, known.trained, "planted", traits)
    return Subject(changed.transcript, told, subject.trainer)


def test_a_planted_trait_is_found(leaky: Subject) -> None:
    outcome = a07_properties.run(with_trait(leaky, 1.0), INDIVIDUAL)
    assert outcome.verdict is Verdict.FAIL
    assert outcome.figure == 1
    assert "'planted'" in outcome.meaning


def test_a_trait_that_updates_do_not_have_is_not_found(noise: Subject) -> None:
    assert a07_properties.run(with_trait(noise, 0.0), INDIVIDUAL).verdict is not Verdict.FAIL


def test_without_a_known_trait_nothing_is_measurable(leaky: Subject) -> None:
    assert a07_properties.run(leaky, INDIVIDUAL).verdict is Verdict.NOT_MEASURABLE
