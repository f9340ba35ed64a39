"""Adopting a fleet's releases: one transaction from a signed release to the device's head.

The head before stays in the vault, so that a person can go back to it; the chain of releases never
goes back. Loads neither torch nor Flower.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from client.membership import (
    ADOPTED_SETTING,
    PREVIOUS_SETTING,
    Membership,
    adopted,
    keep_adopted,
    membership,
    note_refusal,
    own_features,
)
from client.vault.encoding import decode_head, encode_arrays, encode_json
from client.vault.errors import RowDamaged
from client.vault.records import StoredHead
from client.vault.vault import Vault
from common.errors import UsageError, WorkError
from common.expressions import EXPRESSIONS
from common.heads.specification import HeadSpecification
from common.releases.adoption import Adopted, Adoption
from common.releases.container import opened
from common.releases.errors import NotARelease, ReleaseRefused
from common.releases.manifest import Manifest

SOURCE: Final = "fleet"
UNKNOWN_RELEASE: Final = "a release"


@dataclass(frozen=True)
class Outcome:
    """What became of a release: its sequence number, and whether the head is a new one."""

    sequence: int
    changed: bool


def adopt(vault: Vault, release: bytes, links: Sequence[bytes] = ()) -> Outcome:
    """Make a release the device's universal head, if the device's rule accepts it.

    Head and state change in one transaction; personal heads are due again afterwards (see
    `client.device.due`). A refusal is remembered in the vault and changes nothing else.

    Args:
        vault: the device's.
        release: its bytes.
        links: of releases before it, oldest first; those that the device needs are picked out.

    Raises:
        UsageError: the device is in no fleet.
        ReleaseRefused: the subclass names the reason.
        WorkError: the device left or joined a fleet meanwhile.
    """
    member = membership(vault)
    if member is None:
        raise UsageError("this device is in no fleet; join one: mien device join")
    before = vault.setting(ADOPTED_SETTING)
    try:
        state = adopted(vault) or _first_state(vault, member, release)
        found = state.accept(release, _needed(links, state, release))
    except ReleaseRefused as error:
        note_refusal(vault, _named(release), str(error))
        raise
    if not found.repeated:
        _keep(vault, found, member, before)
    return Outcome(found.adopted.sequence, not found.repeated)


def _first_state(vault: Vault, member: Membership, release: bytes) -> Adopted:
    """What a device without a release trusts: any head for its features, from the floor on."""
    own = own_features(vault)
    fallback = HeadSpecification(
        kind="logistic", dimension=own.dimension or 1, features=own.spec, scatter=False
    )
    told = _manifest(release).specification
    return Adopted(
        fleet=member.fleet,
        key=member.key,
        specification=told if own.fit(told) else fallback,
        expressions=EXPRESSIONS,
        floor=member.floor,
    )


def _needed(links: Sequence[bytes], state: Adopted, release: bytes) -> list[bytes]:
    """The links between what the device has (or its floor) and the release."""
    first = state.sequence + 1 if state.sequence else state.floor
    end = _manifest(release).sequence
    return [link for link in links if first <= _manifest(link).sequence < end]


def _manifest(content: bytes) -> Manifest:
    """What a release says of itself; nothing of it is believed before its signature is checked."""
    try:
        return Manifest.from_bytes(opened(content).manifest)
    except UsageError as error:
        raise NotARelease(str(error)) from error


def _named(release: bytes) -> str:
    try:
        return f"release {_manifest(release).sequence}"
    except NotARelease:
        return UNKNOWN_RELEASE


def _keep(vault: Vault, found: Adoption, member: Membership, before: object) -> None:
    manifest = found.release.manifest
    about = {
        "specification": manifest.specification.to_json(),
        "source": SOURCE,
        "fleet": manifest.fleet,
        "release": manifest.sequence,
        "round": manifest.round,
        "sha256": manifest.sha256,
    }
    with vault.transaction():
        if membership(vault) != member or vault.setting(ADOPTED_SETTING) != before:
            raise WorkError("the device's fleet changed while a release was looked at; try again")
        _set_aside(vault)
        vault.save_universal(StoredHead(arrays=dict(found.release.arrays), about=about))
        keep_adopted(vault, found.adopted)


def _set_aside(vault: Vault) -> None:
    """Keep the head in use as the previous one; a damaged one can't be."""
    try:
        head = vault.universal()
    except RowDamaged:
        head = None
    if head is None:
        return
    arrays = base64.b64encode(encode_arrays(head.arrays)).decode()
    vault.set_setting(PREVIOUS_SETTING, {"about": dict(head.about), "arrays": arrays})


def previous_head(vault: Vault) -> StoredHead | None:
    """The universal head that was in use before the last one was adopted; None if none was."""
    told = vault.setting(PREVIOUS_SETTING)
    if told is None:
        return None
    return decode_head(encode_json(told["about"]), base64.b64decode(told["arrays"]))


def use_previous(vault: Vault) -> StoredHead:
    """Make the previous head the device's again; the two change places.

    The next release of the fleet takes its place as ever.

    Raises:
        UsageError: there is none.
    """
    with vault.transaction():
        head = previous_head(vault)
        if head is None:
            raise UsageError("there is no universal head from before on this device")
        _set_aside(vault)
        vault.save_universal(head)
    return head
