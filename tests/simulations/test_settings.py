"""Settings of a simulation: defaults, names and ranges."""

from __future__ import annotations

import math
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from common.errors import UsageError
from common.heads.specification import KINDS, POOLINGS
from common.strategies import STRATEGIES
from simulations.protocols import PROTOCOLS
from simulations.settings import SimulationSettings, parse_settings
from simulations.simulate import _plan as plan_of


def test_nothing_set_gives_the_defaults() -> None:
    settings = parse_settings({})
    assert settings == SimulationSettings()
    assert (settings.protocol, settings.head, settings.pooling) == ("by-take", "logistic", "max")
    assert (settings.seed, settings.rounds, settings.memory, settings.user_folds) == (0, 30, 10, 6)
    assert (settings.local_epochs, settings.learning_rate, settings.l2) == (0, 0.0, 0.0)
    assert settings.draws == 5


def test_every_setting_says_what_it_is() -> None:
    assert all(field.description for field in SimulationSettings.model_fields.values())


def test_keys_are_written_with_hyphens() -> None:
    settings = parse_settings({"user-folds": 3, "local-epochs": 2, "learning-rate": 0.5})
    assert (settings.user_folds, settings.local_epochs, settings.learning_rate) == (3, 2, 0.5)


@pytest.mark.parametrize(
    ("key", "choices"), [("head", KINDS), ("pooling", POOLINGS), ("protocol", PROTOCOLS)]
)
def test_every_kind_can_be_chosen(key: str, choices: tuple[str, ...]) -> None:
    assert [getattr(parse_settings({key: value}), key) for value in choices] == list(choices)


@pytest.mark.parametrize("key", ["round", "Rounds", "num-rep-epochs", "", "user_fold"])
def test_an_unknown_key_is_named_and_the_known_ones_listed(key: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_settings({key: 1})
    text = str(caught.value)
    assert text.startswith(f"setting {key!r} is unknown; the settings are ")
    assert "local-epochs" in text
    assert "user_folds" not in text


def test_a_key_given_twice_is_an_error() -> None:
    with pytest.raises(UsageError, match="user_folds"):
        parse_settings({"user-folds": 3, "user_folds": 4})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("head", "linear"),
        ("protocol", "paper "),
        ("pooling", "sum"),
        ("key-dimension", 0),
        ("seed", -1),
        ("seed", 2**31),
        ("rounds", 0),
        ("rounds", 100_001),
        ("rounds", 1.5),
        ("rounds", "many"),
        ("rounds", None),
        ("local-epochs", -1),
        ("learning-rate", -0.1),
        ("learning-rate", math.nan),
        ("learning-rate", math.inf),
        ("memory", -1),
        ("memory", 51),
        ("l2", -1e-9),
        ("l2", math.nan),
        ("l2", math.inf),
        ("strategy", "FedAvg"),
        ("proximal-mu", 0.1),
        ("server-learning-rate", -1),
        ("trim", 0.5),
        ("clients-per-round", 1.5),
        ("clients-per-round", -1),
        ("dropout", 1),
        ("dropout", math.nan),
        ("user-folds", 1),
        ("draws", 0),
        ("draws", 1001),
        ("timeout", 0),
        ("timeout", math.inf),
        ("poll", 0),
        ("poll", math.nan),
    ],
)
def test_a_value_out_of_range_is_named(key: str, value: Any) -> None:
    with pytest.raises(UsageError) as caught:
        parse_settings({key: value})
    text = str(caught.value)
    assert text.startswith(f"setting {key} is {value!r}: ")
    assert "\n" not in text
    assert "http" not in text


def test_fedprox_needs_its_term() -> None:
    with pytest.raises(
        UsageError, match=r"^setting proximal-mu is 0\.0: expected above 0 with fed"
    ):
        parse_settings({"strategy": "fedprox"})
    assert parse_settings({"strategy": "fedprox", "proximal-mu": 0.1}).proximal_mu == 0.1


@pytest.mark.parametrize(
    ("changes", "memory"),
    [
        ({}, 10),
        ({"memory": 3}, 3),
        ({"strategy": "fedprox", "proximal_mu": 1.0, "dropout": 0.2}, 10),
        ({"strategy": "fedadam"}, 0),
        ({"clients_per_round": 4}, 0),
        ({"head": "single-attention"}, 0),
    ],
)
def test_only_a_convex_head_of_all_devices_is_accelerated(
    changes: dict[str, Any], memory: int
) -> None:
    settings = SimulationSettings(**changes)
    plan = plan_of(settings, "fold-1", SimpleNamespace(l2=0.01))  # type: ignore[arg-type]
    assert plan.memory == memory
    for name in ("strategy", "proximal_mu", "clients_per_round", "dropout", "trim"):
        assert getattr(plan, name) == getattr(settings, name)


def test_settings_do_not_change() -> None:
    settings = parse_settings({})
    with pytest.raises(ValidationError):
        settings.rounds = 5  # type: ignore[misc]


def test_the_projects_own_configuration_is_in_order() -> None:
    """What `flwr run` reads has no unknown key."""
    path = Path(__file__).resolve().parents[2] / "pyproject.toml"
    tool = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {})
    parse_settings(tool.get("flwr", {}).get("app", {}).get("config", {}))


def test_every_strategy_can_be_chosen() -> None:
    for name in STRATEGIES:
        mu = {"proximal-mu": 0.1} if name == "fedprox" else {}
        assert parse_settings({"strategy": name, **mu}).strategy == name


def test_noise_needs_a_regularisation_that_is_not_chosen_on_its_users() -> None:
    noised = {"clip-norm": 0.3, "noise-multiplier": 2.0}
    with pytest.raises(UsageError, match=r"setting l2 is 0\.0: expected above 0 with noise"):
        parse_settings(noised)
    assert parse_settings({**noised, "l2": 0.01}).l2 == 0.01
