"""The audit's figures where they have to come out a certain way; long, so all of them slow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cli.simulate import run
from server.audit.attacks.a09_ceiling import ATTACK as CEILING
from server.audit.finding import FINAL, INDIVIDUAL, SUM, Finding, Verdict
from server.audit.lab import Lab, play
from server.audit.recorded import load_subject
from server.audit.run import ATTACKS, audit
from server.audit.statistics import ceiling
from server.audit.subject import Subject
from simulations.settings import SimulationSettings
from tests.support import shared_data

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def action_units(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """24 actors' real action units, 35 numbers a clip; 6 rounds show 42 combinations."""
    data = shared_data()
    if data is None or not (data / "ravdess-openface-au.csv").is_file():
        pytest.skip("needs the real table ../shared/data/ravdess-openface-au.csv")
    folder: Path = tmp_path_factory.mktemp("au")
    settings = SimulationSettings(
        features=str(data / "ravdess-openface-au.csv"),
        rounds=6,
        l2=0.01,
        user_folds=2,
        draws=1,
        record=str(folder / "run"),
        state_root=str(folder / "state"),
    )
    run(settings, engine="grid", workers=1)
    return load_subject(folder / "run")


def found(subject: Subject, attack: str, view: str = INDIVIDUAL) -> Finding:
    return next(a for a in ATTACKS if a.id == attack).find(subject, view)


def test_real_action_units_tell_who_it_is(action_units: Subject) -> None:
    assert found(action_units, "A6").verdict is Verdict.FAIL


def test_real_actors_all_have_the_same_counts(action_units: Subject) -> None:
    finding = found(action_units, "A1")
    assert finding.verdict is Verdict.NOT_MEASURABLE
    assert "same counts" in finding.meaning


def test_rounds_that_reach_the_dimension_are_not_measurable(action_units: Subject) -> None:
    finding = found(action_units, "A3")
    assert finding.verdict is Verdict.NOT_MEASURABLE
    assert "35 numbers" in finding.meaning
    assert [point["rounds"] for point in finding.details["curve"]] == [1, 2]


SUMS = Lab(clients=24, clips=40, other_takes=70, rounds=20, dimension=400, secure=True)


@pytest.mark.parametrize(("epsilon", "z"), [(1, 16.68), (8, 2.68)])
def test_no_figure_exceeds_the_ceiling_of_noised_sums(epsilon: float, z: float) -> None:
    private = play(replace(SUMS, noise_multiplier=z, clip=1.0))
    claim = private.transcript.claim
    assert claim is not None
    assert claim.epsilon == pytest.approx(epsilon, rel=0.06), "21 releases, not 20"
    _under_the_ceiling(private, [SUM, FINAL], z)


@pytest.mark.parametrize("z", [16.68, 2.68])
def test_no_figure_exceeds_the_ceiling_of_noised_updates(z: float) -> None:
    """Noise on each device's own update: the strongest view."""
    lab = replace(SUMS, secure=False, individual_noise=True, noise_multiplier=z, clip=1.0)
    _under_the_ceiling(play(lab), [INDIVIDUAL, SUM, FINAL], z)


def _under_the_ceiling(subject: Subject, views: list[str], z: float) -> None:
    findings = audit(subject, views)
    judged = [f for f in findings if f.id == CEILING.id]
    assert [f.verdict for f in judged] == [Verdict.PASS] * len(views)
    mu = 20**0.5 / z
    for finding in findings:
        for rate, key in ((0.001, "0.1 %"), (0.01, "1 %")):
            if "tpr_intervals" in finding.details:
                low = finding.details["tpr_intervals"][key][0]
                assert low <= ceiling(rate, mu), finding.id
    assert not [f.id for f in findings if f.verdict is Verdict.FAIL and f.id != "A12"]


def test_sums_leave_the_individual_view_with_nothing() -> None:
    findings = audit(play(SUMS), [INDIVIDUAL])
    assert all(f.figure is None for f in findings if f.id != "A12")
    assert not [f for f in findings if f.verdict is Verdict.FAIL]
