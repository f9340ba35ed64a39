"""Releases: the universal head as it is published, signed, and adopted by devices.

`manifest` says what a release claims, `container` how it stands in a file, `signing` makes and
reads one, `adoption` is the device's rule of what it takes over.
"""

from __future__ import annotations

from common.releases.adoption import Adopted, Adoption
from common.releases.manifest import Manifest, PrivacySpent
from common.releases.signing import Draft, Release, link_of, read_release, sign_release

__all__ = [
    "Adopted",
    "Adoption",
    "Draft",
    "Manifest",
    "PrivacySpent",
    "Release",
    "link_of",
    "read_release",
    "sign_release",
]
