"""All settings of a simulation: the same names in `[tool.flwr.app.config]` and on the command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from common.errors import UsageError
from common.identity.records import DLIB_RESNET, RECORDS
from common.strategies import CLIENTS_EXPECTED, STRATEGIES

WITH_THRESHOLD = tuple(name for name, record in RECORDS.items() if record.threshold is not None)
"""Identity networks that tell a stranger without being calibrated first."""


def _kebab(name: str) -> str:
    return name.replace("_", "-")


class SimulationSettings(BaseModel):
    """Settings with their defaults and ranges; a key that is not among them is an error."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=_kebab,
        populate_by_name=True,
        allow_inf_nan=False,
    )

    features: str = Field(
        "",
        description="feature table: CSV per clip, or Parquet per clip or frame, "
        "such as mien extract writes",
    )
    data: str = Field("", description="folder or .zip of RAVDESS videos, as downloaded")
    identify: bool = Field(
        False,
        description="test personal heads also where the device must find out whose clip it is, by "
        "the face (videos only)",
    )
    identity: str = Field(
        DLIB_RESNET.id,
        description="identity network, by its id: " + ", ".join(WITH_THRESHOLD),
    )
    users_per_device: int = Field(
        0,
        ge=0,
        description="users who share a device, where they are identified; 0 all of them: hardest",
    )
    protocol: Literal["by-take", "folds"] = Field(
        "by-take",
        description="which clips test which head: by-take or folds (RAVDESS's published five)",
    )
    head: Literal["logistic", "single-attention", "self-attention", "self-attention-literal"] = (
        Field(
            "logistic",
            description="kind: logistic, single-attention, self-attention, self-attention-literal",
        )
    )
    pooling: Literal["max", "mean"] = Field(
        "max",
        description="how the logistic head makes one descriptor of a clip's frames: max, mean",
    )
    key_dimension: int = Field(16, ge=1, le=4096, description="d_k of the self-attention heads")
    metric: Literal["scatter", "none"] = Field(
        "scatter",
        description="how personal heads weigh features: scatter (within expressions, told by the "
        "devices in round 0; at most 128 features) or none",
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="of every random choice")
    rounds: int = Field(30, ge=1, le=100_000, description="rounds per federation")
    local_epochs: int = Field(
        0, ge=0, le=10_000, description="passes over a device's clips; 0 takes the head's default"
    )
    learning_rate: float = Field(
        0.0, ge=0, description="of local training; 0 takes the head's own default"
    )
    memory: int = Field(
        10,
        ge=0,
        le=50,
        description="rounds that acceleration looks back (logistic, fedavg or fedprox); 0 none",
    )
    strategy: Literal[
        "fedavg",
        "fedprox",
        "fedavgm",
        "fedadam",
        "fedyogi",
        "fedadagrad",
        "fedmedian",
        "fedtrimmedavg",
    ] = Field("fedavg", description="how the server combines updates: " + ", ".join(STRATEGIES))
    proximal_mu: float = Field(
        0.0,
        ge=0,
        validate_default=True,
        description="weight of fedprox's proximal term; 0 with all other strategies",
    )
    server_learning_rate: float = Field(
        0.0,
        ge=0,
        description="of fedavgm, fedadam, fedyogi, fedadagrad; 0 takes the strategy's default",
    )
    trim: float = Field(
        0.2, ge=0, lt=0.5, description="share that fedtrimmedavg leaves out at each end"
    )
    clients_per_round: float = Field(
        0.0,
        ge=0,
        description="devices asked in a round, drawn anew: 0 all, below 1 a share, else a number",
    )
    dropout: float = Field(
        0.0, ge=0, lt=1, description="share of devices whose reply is lost in a round, drawn anew"
    )
    secure_aggregation: Literal["on", "off"] = Field(
        "off",
        description="on: devices mask their updates, the server learns sums alone; off: it learns "
        "each (engines grid and ray)",
    )
    smallest_sum: int = Field(
        10, ge=3, le=1024, description="devices without whom no secure sum is revealed"
    )
    clip_norm: float = Field(
        0.0,
        ge=0,
        description="norm that devices shorten updates to, and count alike; 0 none",
    )
    noise_multiplier: float = Field(
        0.0,
        ge=0,
        lt=1e6,
        validate_default=True,
        description="differential privacy: noise in clip norms, never seeded; needs --public-users "
        "for a reference, and --l2; 0 none (see mien privacy plan)",
    )
    accept_leak: bool = Field(
        False,
        description="federate a head that tells mixtures of raw features in one round; results "
        "say so",
    )
    projection: str = Field(
        "none",
        description="frozen and public, put before the head: none, logits (the backbone's own), "
        "random:W, pca:W, lda:W (W numbers, at most 32) or a file by mien privacy projection",
    )
    public_users: str = Field(
        "",
        description="users whose clips a pca or lda projection is learnt from, such as 1-5 or "
        "Ada,Ben; they are no devices and test nothing",
    )
    exposure_share: float = Field(
        0.0,
        ge=0,
        description="budget of the devices: exact mixtures per clip from which on they decline "
        "rounds; 0 no limit",
    )
    exposure_epsilon: float = Field(
        0.0,
        ge=0,
        description="budget of the devices: epsilon that noised rounds may cost; 0 no limit",
    )
    l2: float = Field(
        0.0,
        ge=0,
        validate_default=True,
        description="regularisation; 0 chooses it on training users (0.01 under 3 folds)",
    )
    user_folds: int = Field(
        6, ge=2, le=10_000, description="folds of users under by-take; at most one per user"
    )
    draws: int = Field(5, ge=1, le=1000, description="seeded draws of k own clips per expression")
    actors: int = Field(
        8, ge=2, le=24, description="synthetic actors, drawn where no data is named"
    )
    timeout: float = Field(600.0, gt=0, description="seconds to wait for devices and their replies")
    poll: float = Field(0.02, gt=0, description="seconds between looks for replies")
    out: str = Field("", description="folder for results.json and report.html")
    save_head: str = Field(
        "",
        description="file for a universal head of all users, federated beside the tested ones",
    )
    record: str = Field("", description="folder for every reply as the server got it, in bytes")
    state_root: str = Field(
        "", description="folder of the simulated devices; empty is a temporary or default one"
    )

    @field_validator("identity")
    @classmethod
    def _tells_strangers(cls, value: str) -> str:
        if value not in WITH_THRESHOLD:
            raise PydanticCustomError("identity", f"expected one of {', '.join(WITH_THRESHOLD)}")
        return value

    @field_validator("proximal_mu")
    @classmethod
    def _only_with_fedprox(cls, value: float, info: ValidationInfo) -> float:
        if "strategy" in info.data and (info.data["strategy"] == "fedprox") != (value > 0):
            raise PydanticCustomError("strategy", "expected above 0 with fedprox, else 0")
        return value

    @field_validator("noise_multiplier")
    @classmethod
    def _only_with_a_norm(cls, value: float, info: ValidationInfo) -> float:
        if value > 0 and info.data.get("clip_norm") == 0:
            raise PydanticCustomError("norm", "expected with clip-norm above 0, its unit")
        return value

    @field_validator("l2")
    @classmethod
    def _told_under_noise(cls, value: float, info: ValidationInfo) -> float:
        if value == 0 and info.data.get("noise_multiplier", 0) > 0:
            raise PydanticCustomError(
                "l2",
                "expected above 0 with noise-multiplier, since choosing it on the users whom the "
                "noise protects would tell of them without noise; name one, such as 0.01",
            )
        return value

    @field_validator("clients_per_round")
    @classmethod
    def _share_or_number(cls, value: float) -> float:
        if value >= 1 and value != int(value):
            raise PydanticCustomError("number", f"expected {CLIENTS_EXPECTED}")
        return value


def parse_settings(values: Mapping[str, Any]) -> SimulationSettings:
    """Settings from a flat mapping with kebab-case keys.

    Raises:
        UsageError: names the first key that is unknown or out of range, and what was found.
    """
    try:
        return SimulationSettings.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = ", ".join(sorted(_kebab(name) for name in SimulationSettings.model_fields))
            raise UsageError(f"setting {key!r} is unknown; the settings are {known}") from error
        raise UsageError(f"setting {_kebab(key)} is {first['input']!r}: {first['msg']}") from error
