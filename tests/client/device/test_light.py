"""What the page and the daemon import starts without models, and without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
HEAVY = ("torch", "openvino", "onnxruntime", "dlib", "cv2", "av", "scipy", "flwr")


@pytest.mark.parametrize(
    "module",
    ["client.device.device", "client.device.unlock", "client.device.texts", "cli.people"],
)
def test_nothing_heavy_is_loaded(module: str) -> None:
    program = f"import sys, {module}; print([n for n in {HEAVY} if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
