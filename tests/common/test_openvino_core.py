"""Signals after networks were let go of."""

from __future__ import annotations

import signal
import subprocess
import sys

NETWORK_COMES_AND_GOES = """
import faulthandler, gc, os, signal, threading
faulthandler.enable()  # gives signals a stack of their own, as pytest and many services do
from common.video.mtcnn.networks import P_NET, Network
from common.video.mtcnn.weights import mtcnn_weights

kept = [Network("pnet", P_NET, mtcnn_weights(), 1)]
other = threading.Thread(target=kept.clear)
other.start()
other.join()
gc.collect()
signal.signal(signal.SIGUSR1, lambda *_: print("handled", flush=True))
os.kill(os.getpid(), signal.SIGUSR1)
"""


def test_signals_are_handled_after_networks_have_gone() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", NETWORK_COMES_AND_GOES], capture_output=True, text=True, timeout=120
    )
    died = signal.Signals(-ran.returncode).name if ran.returncode < 0 else ""
    assert (died, ran.stdout) == ("", "handled\n"), ran.stderr
