"""The demo's devices: real vaults and daemons, with **synthetic** clips that were never filmed."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from client.daemon.settings import load_settings
from client.device.budget import exposure_limits, set_exposure_limits
from client.device.due import keep_feature_spec, usable_personal
from client.device.place import write_device
from client.joining import join, read_bundle, signing_request
from client.membership import adopted
from client.vault.keys import KeyFile, make_key_file
from client.vault.records import CONSENT_VERSION, Clip, ClipArrays, Consent, Floats, User
from client.vault.vault import Vault, create_vault, new_id, unlock
from common.backbones.records import BackboneRecord, feature_spec
from common.enrolment.bundle import fingerprint_of
from common.expressions import EXPRESSIONS
from common.files import private_folder
from common.processes import QUIET, end_session, program, start
from common.randomness import generator
from server.authority.authority import Authority

TAKES: Final = 3
FRAMES: Final = 4
CENTRE_SPREAD, STYLE_SPREAD, NOISE = 1.0, 0.8, 0.4
GIVEN: Final = "2026-01-01T00:00:00+00:00"
EXPOSURE_SHARE: Final = 1.0
"""Of the budget: three actors' few drawn clips would be a quarter told after two rounds."""


def drawn_features(dimension: int, actor: int, label: int, take: int, seed: int) -> Floats:
    """A synthetic clip's features: the expression's place, moved by the actor's own style."""

    def draw(purpose: str, **key: int) -> Floats:
        drawn = generator(seed, f"fleet demo {purpose}", **key).normal(size=dimension)
        return np.asarray(drawn, dtype=np.float32)

    centre = CENTRE_SPREAD * draw("expression", round=label)
    style = STYLE_SPREAD * (draw("actor", user=actor) + draw("style", user=actor, round=label))
    noise = generator(seed, "fleet demo take", user=actor, client=take, round=label)
    frames = NOISE * noise.normal(size=(FRAMES, dimension))
    return np.asarray(centre + style + frames, dtype=np.float32)


class DemoDevice:
    """A device in a folder of its own, with a daemon in a process of its own.

    Args:
        root: for its folder and key file.
        number: from 0.
        record: of the backbone whose features are drawn.
        actors: synthetic actors on it.
        seed: of the drawings.
    """

    def __init__(
        self, root: Path, number: int, record: BackboneRecord, *, actors: int, seed: int
    ) -> None:
        self.name = f"device-{number}"
        self.folder = private_folder(root / self.name)
        self._key_file = root / f"{self.name}.key"
        self._log = root / f"{self.name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        make_key_file(self._key_file)
        create_vault(self.folder, KeyFile(self._key_file)).close()
        key = {"source": "file", "path": str(self._key_file)}
        write_device(self.folder, {"key": key, "backbone": record.id, "inboxes": []})
        self._fill(record, range(number * actors, (number + 1) * actors), seed)

    def _fill(self, record: BackboneRecord, actors: range, seed: int) -> None:
        """Labelled clips of actors who agree to help; SYNTHETIC, put in without a recogniser."""
        spec = feature_spec(record)
        consent = Consent(version=CONSENT_VERSION, given=GIVEN, federate=True)
        with self.vault() as vault, vault.transaction():
            keep_feature_spec(vault, spec)
            set_exposure_limits(vault, replace(exposure_limits(vault), share=EXPOSURE_SHARE))
            for actor in actors:
                user = User(
                    id=new_id(),
                    name=f"Synthetic actor {actor + 1}",
                    enrolled=GIVEN,
                    consent=consent,
                )
                vault.save_user(user)
                for label in range(len(EXPRESSIONS)):
                    for take in range(TAKES):
                        features = drawn_features(record.dimension, actor, label, take, seed)
                        self._add(vault, user, spec, label, features)

    def _add(self, vault: Vault, user: User, spec: str, label: int, features: Floats) -> None:
        clip = Clip(
            id=new_id(),
            user=user.id,
            name="synthetic",
            added=GIVEN,
            digest=hashlib.sha256(features.tobytes()).hexdigest(),
            spec=spec,
            answer={},
            guessed=label,
        )
        vault.add_clip(clip, ClipArrays(features=features))
        vault.label(clip.id, label)

    def vault(self) -> Vault:
        """The device's vault, opened anew with its key file."""
        return Vault(self.folder, unlock(self.folder, KeyFile(self._key_file)))

    def enrol(self, authority: Authority) -> None:
        """Join the fleet as a person would: request, bundle, fingerprint."""
        bundle = authority.add_device(self.name, signing_request(self.folder).encode())
        path = self.folder.parent / f"{self.name}.bundle.json"
        path.write_text(bundle.to_json())
        with self.vault() as vault:
            join(vault, read_bundle(path, fingerprint_of(authority.settings.operator_key)))
        load_settings(self.folder)

    def start(self) -> None:
        """Start the daemon, which starts the SuperNode."""
        self._process = start(
            [program("mien"), "device", "run", "--device", str(self.folder)],
            log=self._log,
            folder=self.folder.parent,
            environment=demo_environment(),
        )

    def end(self) -> None:
        """End the daemon and all that it started."""
        if self._process is not None:
            end_session(self._process)
            self._process = None

    @property
    def ended_early(self) -> bool:
        """Whether the daemon is gone though nobody ended it."""
        return self._process is not None and self._process.poll() is not None

    @property
    def log(self) -> Path:
        """What the daemon said."""
        return self._log

    def release(self) -> int:
        """Sequence number of the adopted release; 0 for none."""
        with self.vault() as vault:
            state = adopted(vault)
        return state.sequence if state else 0

    def personal_heads(self, spec: str) -> dict[str, bool]:
        """Users whose head is fitted on the adopted base, and whether it is one of their own."""
        with self.vault() as vault, vault.snapshot():
            found = {user.name: usable_personal(vault, user.id, spec) for user in vault.users()}
        return {
            name: bool(head.about.get("personal"))
            for name, head in found.items()
            if head is not None
        }


def demo_environment() -> Mapping[str, str]:
    """Of the demo's programs; none of them finds another device or fleet."""
    unwanted = ("MIEN_DEVICE", "MIEN_SERVER")
    kept = {name: value for name, value in os.environ.items() if name not in unwanted}
    return {**kept, **QUIET, "OPENBLAS_NUM_THREADS": "1"}
