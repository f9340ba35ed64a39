"""How much a device with a vault is willing to tell, and what it has told. Loads no model.

Settings `exposure_share`, `exposure_epsilon` and `bare_updates` are
`client.exposure.ExposureLimits`', null for no limit; `accept_leak` allows heads that should not be
federated; `exposure_declined` is the newest round that was declined.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from client.device.due import feature_spec
from client.exposure import FLEET_LIMITS, ExposureLimits, exposure
from client.vault.notes import now
from client.vault.records import CONSENT_VERSION, Clip
from client.vault.vault import Vault

SHARE_SETTING: Final = "exposure_share"
EPSILON_SETTING: Final = "exposure_epsilon"
BARE_SETTING: Final = "bare_updates"
ACCEPT_LEAK_SETTING: Final = "accept_leak"
DECLINED_SETTING: Final = "exposure_declined"
PAUSED_SETTING: Final = "paused"


def exposure_limits(vault: Vault) -> ExposureLimits:
    """The device's limits; `FLEET_LIMITS` unless its owner set others."""
    return replace(
        FLEET_LIMITS,
        share=vault.setting(SHARE_SETTING, FLEET_LIMITS.share),
        epsilon=vault.setting(EPSILON_SETTING, FLEET_LIMITS.epsilon),
        bare_updates=vault.setting(BARE_SETTING, FLEET_LIMITS.bare_updates),
    )


def set_exposure_limits(vault: Vault, limits: ExposureLimits) -> None:
    """Change share, epsilon and bare updates; the rest of the limits is fixed."""
    with vault.transaction():
        vault.set_setting(SHARE_SETTING, limits.share)
        vault.set_setting(EPSILON_SETTING, limits.epsilon)
        vault.set_setting(BARE_SETTING, limits.bare_updates)


def accepts_leak(vault: Vault) -> bool:
    """Whether the owner accepts heads that tell raw features in one round."""
    return vault.setting(ACCEPT_LEAK_SETTING, False) is True


def set_accept_leak(vault: Vault, accepted: bool) -> None:
    """Accept such heads, or refuse them again."""
    vault.set_setting(ACCEPT_LEAK_SETTING, bool(accepted))


def note_declined(vault: Vault, about: str, text: str) -> None:
    """Remember the newest round that was declined, and why."""
    vault.set_setting(DECLINED_SETTING, {"at": now(), "about": about, "text": text})


def willing(vault: Vault) -> frozenset[str]:
    """Ids of users who agreed to this version's text, whether or not taking part is paused."""
    return frozenset(
        user.id
        for user in vault.users()
        if user.consent.federate is True and user.consent.version == CONSENT_VERSION
    )


def helping(vault: Vault, users: frozenset[str], features: str | None) -> list[Clip]:
    """Labelled clips with these features, of these users, oldest first."""
    labelled = reversed(vault.clips(labelled=True))
    return [clip for clip in labelled if clip.user in users and clip.spec == features]


def exposure_status(vault: Vault, entries: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What left this device could tell, and its limits, for people and as JSON.

    Clips are those that would help now, paused or not; with none, as many as once left.

    Args:
        vault: the device's.
        entries: of its ledger.

    Returns:
        rounds, references, clips, most_clips, combinations (told as they are), revealed (at most
        as many as clips), share (of what tells all), sum_combinations, noised, epsilon, limits
        (share, epsilon, delta, fewest_in_sum, bare_updates), accept_leak, declined (at, about,
        text, or None) and words, a sentence.
    """
    limits, kept = exposure_limits(vault), list(entries)
    clips = len(helping(vault, willing(vault), feature_spec(vault)))
    clips = clips or exposure(kept, 0, limits).most_clips
    found = exposure(kept, clips, limits)
    return {
        "rounds": found.rounds,
        "references": found.references,
        "clips": found.clips,
        "most_clips": found.most_clips,
        "combinations": found.open_combinations,
        "revealed": found.revealed,
        "share": found.share,
        "sum_combinations": found.sum_combinations,
        "noised": found.noised,
        "epsilon": found.epsilon,
        "limits": {
            "share": limits.share,
            "epsilon": limits.epsilon,
            "delta": limits.delta,
            "fewest_in_sum": limits.fewest_in_sum,
            "bare_updates": limits.bare_updates,
        },
        "accept_leak": accepts_leak(vault),
        "declined": vault.setting(DECLINED_SETTING),
        "words": found.in_words(),
    }
