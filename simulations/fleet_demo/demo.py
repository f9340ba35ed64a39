"""The demo's course: start, wait for rounds and adoption, end, and look at everything from outside.

What is checked is read from the disk after all programs have ended: the registry of releases, the
devices' vaults and ledgers, the server's reports, the list of processes.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from client.adoption import adopt
from client.membership import refusals
from common.backbones.records import MINI_XCEPTION, feature_spec
from common.errors import WorkError
from common.processes import end_session, free_port, last_words, program, start
from common.releases.errors import RollBack
from server.authority.authority import Authority
from server.fleet.begin import Protection, default_settings
from server.fleet.folder import FleetFolder, Wanted
from server.fleet.rounds import RoundRules, reports
from simulations.fleet_demo.devices import TAKES, DemoDevice, demo_environment

ROUNDS: Final = 3
DEVICES: Final = 3
ACTORS: Final = 3
PATIENCE: Final = 300.0
"""Seconds for the whole demo before it gives up; it takes about a third."""
LOOK_SECONDS: Final = 0.5
END_SECONDS: Final = 10.0
Tell = Callable[[str], None]


@dataclass(frozen=True)
class DemoResult:
    """What was seen from outside.

    Attributes:
        releases: published and adopted by every device.
        personal: users with a head of their own, of all users.
        users: of all devices.
        clips: that each device's updates were made of.
        seconds: from start to the last check.
    """

    releases: int
    personal: int
    users: int
    clips: int
    seconds: float


@contextmanager
def _without_sockets() -> Iterator[None]:
    """Remove the folder for sockets of devices with long paths, if it was not there before."""
    place = Path(tempfile.gettempdir()) / f"mien-{os.getuid()}"
    there = place.exists()
    try:
        yield
    finally:
        if not there:
            with suppress(OSError):
                place.rmdir()


def run_demo(tell: Tell, *, seed: int = 0, patience: float = PATIENCE) -> DemoResult:
    """Run a fleet with **synthetic** actors on this computer, and check all that it left.

    TLS, node authentication, proxy, vaults, daemons and SuperNodes are the real ones; only the
    clips' features are drawn. Everything is in a temporary folder, which is removed.

    Args:
        tell: told one line of progress after another.
        seed: of the drawings.
        patience: seconds, all in all.

    Raises:
        WorkError: something did not hold; says what.
    """
    began = time.monotonic()
    with _without_sockets(), tempfile.TemporaryDirectory(prefix="mien-fleet-") as name:
        demo = _Demo(Path(name).resolve(), seed, began + patience, tell)
        try:
            demo.prepare()
            with demo.running():
                demo.await_rounds()
                demo.await_adoption()
                demo.await_heads()
        finally:
            left = _left_running(Path(name).resolve())
        if left:
            raise WorkError(f"processes were left behind: {', '.join(left)}")
        tell("all programs have ended, none was left behind")
        result = demo.check()
    if Path(name).exists():
        raise WorkError(f"{name} was left behind")
    tell("no file was left behind")
    return replace(result, seconds=time.monotonic() - began)


class _Demo:
    def __init__(self, root: Path, seed: int, deadline: float, tell: Tell) -> None:
        self._root = root
        self._seed = seed
        self._deadline = deadline
        self._tell = tell
        self._server_log = root / "server.log"
        self._server: subprocess.Popen[bytes] | None = None
        self._devices: list[DemoDevice] = []
        self._spec = feature_spec(MINI_XCEPTION)

    def prepare(self) -> None:
        """Fleet, federation and devices on the disk; nothing runs yet."""
        self._authority = Authority.create(self._root / "fleet", address=f"localhost:{free_port()}")
        self._folder = FleetFolder(self._authority.folder)
        settings = default_settings(
            backbone=MINI_XCEPTION.id,
            head="logistic",
            strategy="fedavg",
            quorum=DEVICES,
            deadline=90.0,
            protection=Protection(smallest_sum=DEVICES),
        )
        rules = RoundRules(quorum=DEVICES, tries=20, patience=1.0)
        self._folder.begin(replace(settings, rules=rules))
        self._folder.want(Wanted(ROUNDS))
        for number in range(DEVICES):
            device = DemoDevice(self._root, number, MINI_XCEPTION, actors=ACTORS, seed=self._seed)
            device.enrol(self._authority)
            self._devices.append(device)
        self._tell(
            f"{DEVICES} devices with {ACTORS} synthetic actors each have joined fleet "
            f"{self._authority.settings.fleet}; each made its own key"
        )

    @contextmanager
    def running(self) -> Iterator[None]:
        """The server and the devices' daemons, ended whatever happens."""
        with ExitStack() as ending:
            self._server = start(
                [program("mien"), "server", "run", "--folder", str(self._authority.folder)],
                log=self._server_log,
                folder=self._root,
                environment=demo_environment(),
            )
            ending.callback(end_session, self._server)
            self._await("the server let the devices in", self._all_registered)
            for device in self._devices:
                ending.callback(device.end)
                device.start()
            yield

    def await_rounds(self) -> None:
        """Each round is told of once it is done."""
        for number in range(1, ROUNDS + 1):
            done = f"round {number} of {ROUNDS} is done"
            self._await(done, lambda n=number: self._folder.rounds_done() >= n)  # type: ignore[misc]

    def await_adoption(self) -> None:
        """Every device has the last release."""
        text = f"release {ROUNDS} is adopted by every device"
        self._await(text, lambda: all(each.release() == ROUNDS for each in self._devices))

    def await_heads(self) -> None:
        """Every user's head is fitted on the last release."""

        def made() -> bool:
            return all(len(each.personal_heads(self._spec)) == ACTORS for each in self._devices)

        self._await("every user's head is fitted anew on it", made)

    def _all_registered(self) -> bool:
        return all(each.node is not None for each in self._authority.devices.all())

    def _await(self, what: str, there: Callable[[], bool]) -> None:
        while not there():
            self._check_alive(what)
            time.sleep(LOOK_SECONDS)
        self._tell(what)

    def _check_alive(self, what: str) -> None:
        """Raises WorkError once it is certain, or late, that nothing will come."""
        logs = {"the server": self._server_log} | {d.name: d.log for d in self._devices}
        told = "; ".join(f"{name}: {last_words(log)}" for name, log in logs.items() if log.exists())
        if self._server is not None and self._server.poll() is not None:
            raise WorkError(f"the server ended before {what!r} held; {told}")
        if ended := [device.name for device in self._devices if device.ended_early]:
            raise WorkError(f"{ended[0]} ended before {what!r} held; {told}")
        if time.monotonic() > self._deadline:
            raise WorkError(f"the time is over and {what!r} does not hold; {told}")

    def check(self) -> DemoResult:
        """Look at what is on the disk, with nothing running.

        Raises:
            WorkError: says what does not hold.
        """
        history = self._authority.registry.history()
        _hold(len(history) == ROUNDS, f"{len(history)} releases were published, not {ROUNDS}")
        for report in reports(self._folder.federation):
            counted, refused = report["accepted"], report["refused"]
            fair = counted == DEVICES and not refused
            _hold(fair, f"round {report['round']} counted {counted} updates, refused {refused}")
        personal = sum(self._check_device(device) for device in self._devices)
        _hold(personal > 0, "no actor got a head of their own")
        self._tell(f"registry, vaults and ledgers agree; {personal} heads are users' own")
        clips = ACTORS * TAKES * 8
        return DemoResult(ROUNDS, personal, DEVICES * ACTORS, clips, 0.0)

    def _check_device(self, device: DemoDevice) -> int:
        """How many of its users have a head of their own."""
        release = self._authority.registry.read(ROUNDS)
        with device.vault() as vault:
            head = vault.universal()
            _hold(head is not None, f"{device.name} has no universal head")
            same = head is not None and set(head.arrays) == set(release.arrays)
            same = (
                same
                and head is not None
                and all(
                    np.array_equal(head.arrays[name], release.arrays[name])
                    for name in release.arrays
                )
            )
            _hold(same, f"{device.name} has another head than release {ROUNDS}")
            left = [entry for entry in vault.ledger.entries() if "arrays" in entry]
            sent = ((entry["stage"], entry["round"]) for entry in left)
            stages = list(dict.fromkeys(sent))  # a round that is asked again is sent again
            bare = [entry["round"] for entry in left if not entry["secure_sum"]]
            _hold(not bare, f"{device.name} sent updates without a mask in rounds {bare}")
            wanted = [("reference", 0), *(("head", n) for n in range(1, ROUNDS + 1))]
            _hold(stages == wanted, f"the ledger of {device.name} tells of {stages}")
            _hold(not refusals(vault), f"{device.name} refused: {refusals(vault)}")
            self._check_roll_back(device, vault)
        heads = device.personal_heads(self._spec)
        _hold(len(heads) == ACTORS, f"{device.name} fitted {len(heads)} heads, not {ACTORS}")
        return sum(heads.values())

    def _check_roll_back(self, device: DemoDevice, vault: Any) -> None:
        """Release 1, genuine and signed, is refused now, and the head stays."""
        first = self._authority.registry.path(1).read_bytes()
        try:
            adopt(vault, first)
        except RollBack:
            noted = [each["about"] for each in refusals(vault)]
            _hold(noted == ["release 1"], f"{device.name} did not note the roll-back: {noted}")
            _hold(device.release() == ROUNDS, f"{device.name} went back")
            return
        raise WorkError(f"{device.name} took release 1 after release {ROUNDS}")


def _hold(fact: bool, otherwise: str) -> None:
    if not fact:
        raise WorkError(otherwise)


def _left_running(root: Path) -> list[str]:
    """Processes that know the demo's folder from their command line or environment."""
    deadline = time.monotonic() + END_SECONDS
    while (found := _knowing(str(root))) and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
    return found


def _knowing(text: str) -> list[str]:
    listed = subprocess.run(
        ["ps", "eww", "-eo", "pid=,stat=,args="], capture_output=True, text=True, check=True
    ).stdout
    own = {str(os.getpid()), str(os.getppid())}
    rows = [line.split(maxsplit=2) for line in listed.splitlines() if text in line]
    return [pid for pid, state, _ in rows if pid not in own and not state.startswith("Z")]
