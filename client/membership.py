"""A device's place in a fleet, kept in its vault: what it trusts, what it adopted, what it refused.

Setting `fleet` is the membership, `adopted` the state of `common.releases.adoption.Adopted`, and
`fleet_refusals` the newest releases and requests that the device said no to. Loads neither torch
nor Flower.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Final

from client.device.due import feature_spec
from client.device.place import DEVICE_FILE, read_device
from client.vault.notes import now
from client.vault.vault import Vault
from common.backbones.records import DEFAULT_BACKBONE, RECORDS, BackboneRecord
from common.backbones.records import feature_spec as spec_of_backbone
from common.errors import UsageError, WorkError
from common.heads.specification import HeadSpecification
from common.releases.adoption import Adopted

MEMBERSHIP_SETTING: Final = "fleet"
ADOPTED_SETTING: Final = "adopted"
PREVIOUS_SETTING: Final = "previous_universal"
REFUSALS_SETTING: Final = "fleet_refusals"
MOST_REFUSALS: Final = 20
LONGEST_TEXT: Final = 400
Refusal = dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Membership:
    """What the enrolment bundle pinned.

    Attributes:
        fleet: id.
        device: name of this device in the fleet.
        operator_key: hex; renewals must be signed by it.
        key: hex of the key that signed release `floor`.
        floor: least sequence number of a first release.
    """

    fleet: str
    device: str
    operator_key: str
    key: str
    floor: int


@dataclass(frozen=True)
class OwnFeatures:
    """What this device makes of a frame; the dimension is None where only clips tell the spec."""

    spec: str
    dimension: int | None

    def fit(self, specification: HeadSpecification) -> bool:
        """Whether a head reads such features."""
        widths = (None, specification.dimension)
        return specification.features == self.spec and self.dimension in widths


def membership(vault: Vault) -> Membership | None:
    """The fleet that the device joined; None for none.

    Raises:
        WorkError: the setting is of another version of Mien.
    """
    told = vault.setting(MEMBERSHIP_SETTING)
    if told is None:
        return None
    try:
        return Membership(**told)
    except TypeError as error:
        raise WorkError(
            "what the vault holds of this device's fleet is of another version of Mien; leave the "
            "fleet and join it again"
        ) from error


def keep_membership(vault: Vault, member: Membership | None) -> None:
    """Keep a membership, or that there is none."""
    told = None if member is None else dataclasses.asdict(member)
    vault.set_setting(MEMBERSHIP_SETTING, told)


def adopted(vault: Vault) -> Adopted | None:
    """The state of adoption; None before the first release."""
    told = vault.setting(ADOPTED_SETTING)
    return None if told is None else Adopted.from_json(str(told))


def keep_adopted(vault: Vault, state: Adopted | None) -> None:
    """Keep the state of adoption, or forget it."""
    vault.set_setting(ADOPTED_SETTING, None if state is None else state.to_json())


def own_features(vault: Vault) -> OwnFeatures:
    """What the device's recogniser made last, or will make by its settings.

    Raises:
        UsageError, WorkError: device.json is missing, damaged or names no backbone.
    """
    made = feature_spec(vault)
    if made is not None and not (vault.folder / DEVICE_FILE).is_file():
        return OwnFeatures(made, None)
    name = str(read_device(vault.folder).get("backbone") or DEFAULT_BACKBONE)
    record = RECORDS[name] if name in RECORDS else _trained_record(name)
    configured = spec_of_backbone(record)
    if made is None or made == configured:
        return OwnFeatures(configured, record.dimension)
    return OwnFeatures(made, None)


def _trained_record(name: str) -> BackboneRecord:
    """Of a backbone that was trained here; only such a one needs more than the records."""
    from common.backbones.registry import backbone_record

    return backbone_record(name)


def fleet_specification(vault: Vault, asked: str) -> HeadSpecification | None:
    """The head for which a member takes part; None for a device that is in no fleet.

    The first release settles it. Before there is one, it is what the server asks for, if it reads
    this device's features.

    Raises:
        WorkError: what is asked for is no head for this device's features.
    """
    if membership(vault) is None:
        return None
    state = adopted(vault)
    if state is not None:
        return state.specification
    own = own_features(vault)
    try:
        specification = HeadSpecification.from_json(asked)
    except UsageError as error:
        raise WorkError(f"the server's request can't be read: {error}") from error
    if not own.fit(specification):
        raise WorkError(
            f"the server asks for a head that reads {specification.dimension} numbers of "
            f"{specification.features}; this device makes {own.spec}"
        )
    return specification


def note_refusal(vault: Vault, about: str, text: str) -> None:
    """Remember that the device said no; the same twice in a row is kept once, with its last time.

    Args:
        vault: the device's.
        about: what was refused, such as `release 12`.
        text: why.
    """
    told = {"at": now(), "about": about, "text": " ".join(text.split())[:LONGEST_TEXT]}
    with vault.transaction():
        kept = list(refusals(vault))
        if kept and (kept[-1]["about"], kept[-1]["text"]) == (told["about"], told["text"]):
            kept.pop()
        vault.set_setting(REFUSALS_SETTING, [*kept, told][-MOST_REFUSALS:])


def refusals(vault: Vault) -> tuple[Refusal, ...]:
    """What was refused, oldest first: at, about, text."""
    return tuple(vault.setting(REFUSALS_SETTING, ()))


def fleet_status(vault: Vault) -> dict[str, Any] | None:
    """The device's place in its fleet, for people; None for a device that is in none.

    Returns:
        fleet, device, release and round (0 before one was adopted), refusals (at, about, text).
    """
    member, state = membership(vault), adopted(vault)
    if member is None:
        return None
    return {
        "fleet": member.fleet,
        "device": member.device,
        "release": state.sequence if state else 0,
        "round": state.round if state else 0,
        "refusals": list(refusals(vault)),
    }
