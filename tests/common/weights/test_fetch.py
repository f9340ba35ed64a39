"""Downloads from a real server on this machine, also when processes are killed in them."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from common.errors import UsageError, WorkError
from common.weights.fetch import fetch, mirrored
from common.weights.files import WeightsFile
from common.weights.store import WeightsStore
from tests.common.weights.records import SOURCE, listing, recorded
from tests.common.weights.server import PATIENCE, Site, serving

ROOT = Path(__file__).resolve().parents[3]
CONTENT = bytes(range(256)) * 1000
PROGRAM = """
import sys
from pathlib import Path
from common.weights.fetch import fetch
from common.weights.store import WeightsStore
from tests.common.weights.test_fetch import FILE
fetch(FILE, WeightsStore(Path(sys.argv[1])), mirrors=[sys.argv[2]])
"""
FILE = recorded(CONTENT)


@pytest.fixture
def store(tmp_path: Path) -> WeightsStore:
    return WeightsStore(tmp_path / "weights")


def part_of(store: WeightsStore, content: bytes | None = None) -> Path:
    """The part file; with `content`, as an earlier download left it."""
    path = store.folder / f".{FILE.name}.part"
    if content is not None:
        store.folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return path


def check_fetched(store: WeightsStore, file: WeightsFile = FILE) -> None:
    assert store.find(file).read_bytes() == CONTENT
    assert listing(store.folder) == [".b0.onnx.lock", "b0.onnx"]


def test_a_file_is_fetched_once_with_progress(store: WeightsStore) -> None:
    told: list[tuple[int, int]] = []
    with serving(CONTENT) as site:
        place = fetch(FILE, store, mirrors=[site.url], progress=lambda *pair: told.append(pair))
        assert fetch(FILE, store, mirrors=[site.url]) == place == store.path(FILE)
    assert site.asked == [("/models/sub/b0.onnx", None)]
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert told == sorted(told)
    check_fetched(store)


@pytest.mark.parametrize(
    ("ranges", "left", "asked"),
    [
        ("yes", CONTENT[:1000], ["bytes=1000-"]),
        ("ignored", CONTENT[:1000], ["bytes=1000-"]),
        ("wrong", CONTENT[:1000], ["bytes=1000-", None]),
        ("yes", CONTENT, [f"bytes={len(CONTENT)}-"]),
        ("yes", b"x" * 1000, ["bytes=1000-", None]),
        ("yes", CONTENT + b"x", [f"bytes={len(CONTENT) + 1}-", None]),
    ],
    ids=["range", "no range", "wrong range", "complete", "wrong start", "too long"],
)
def test_what_was_left_is_taken_up(
    store: WeightsStore, ranges: str, left: bytes, asked: list[str | None]
) -> None:
    part_of(store, left)
    with serving(CONTENT, ranges=ranges) as site:
        fetch(FILE, store, mirrors=[site.url])
    assert [wanted for _, wanted in site.asked] == asked
    check_fetched(store)


def test_a_part_beyond_the_recorded_size_is_dropped(store: WeightsStore) -> None:
    part_of(store, CONTENT + b"x")
    with serving(CONTENT + b"xyz") as bad, serving(CONTENT) as good:
        file = recorded(CONTENT, size=len(CONTENT))
        fetch(file, store, mirrors=[bad.url, good.url])
    check_fetched(store, file)


def test_a_connection_that_ends_early_is_gone_on_with(store: WeightsStore) -> None:
    with serving(CONTENT, stop_after=100_000) as site:
        with pytest.raises(WorkError, match="ended after 100000 of 256000 bytes"):
            fetch(FILE, store, mirrors=[site.url])
        assert part_of(store).read_bytes() == CONTENT[:100_000]
        site.stop_after = None
        fetch(FILE, store, mirrors=[site.url])
    assert site.asked[-1][1] == "bytes=100000-"
    check_fetched(store)


def test_a_wrong_file_is_not_kept(store: WeightsStore) -> None:
    with serving(b"something else") as site, pytest.raises(WorkError) as told:
        fetch(FILE, store, mirrors=[site.url])
    assert site.url in str(told.value)
    assert str(FILE.git_blob_sha1) in str(told.value)
    assert listing(store.folder) == [".b0.onnx.lock"]


def test_a_right_file_in_place_survives_a_wrong_server(store: WeightsStore) -> None:
    store.folder.mkdir(parents=True)
    store.path(FILE).write_bytes(CONTENT)
    with serving(b"something else") as site:
        fetch(FILE, store, mirrors=[site.url])
    assert site.asked == []


def test_mirrors_are_tried_in_their_order(store: WeightsStore) -> None:
    with (
        serving(b"", status=404) as gone,
        serving(b"wrong") as wrong,
        serving(CONTENT) as right,
        serving(CONTENT) as unused,
    ):
        sites = [gone, wrong, right, unused]
        fetch(FILE, store, mirrors=[f"{site.url}/base/" for site in sites])
    paths = [[path for path, _ in site.asked] for site in sites]
    assert paths == [["/base/models/sub/b0.onnx"]] * 3 + [[]]
    check_fetched(store)


@pytest.mark.parametrize("length", [True, False])
def test_no_more_than_the_recorded_size_is_taken(store: WeightsStore, length: bool) -> None:
    file = recorded(CONTENT, size=len(CONTENT))
    with (
        serving(CONTENT * 2, length=length) as site,
        pytest.raises(WorkError, match=r"at most 256000|more than 256000"),
    ):
        fetch(file, store, mirrors=[site.url])
    assert not part_of(store).exists()


def test_a_server_that_tells_no_length_is_served_too(store: WeightsStore) -> None:
    with serving(CONTENT, length=False) as site:
        fetch(FILE, store, mirrors=[site.url])
    check_fetched(store)


@pytest.mark.parametrize("status", [404, 503])
def test_a_refusal_is_told_with_its_address(store: WeightsStore, status: int) -> None:
    with serving(b"", status=status) as site, pytest.raises(WorkError) as told:
        fetch(FILE, store, mirrors=[site.url])
    assert f"{site.url}/models/sub/b0.onnx answered {status}" in str(told.value)


def test_without_network_the_host_and_the_way_out_are_told(store: WeightsStore) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(WorkError) as told:
            fetch(FILE, store, mirrors=[url])
    for part in ("b0.onnx was not fetched", "127.0.0.1 can't be reached", "mien weights import"):
        assert part in str(told.value)


def test_a_silent_server_is_given_up(store: WeightsStore) -> None:
    with serving(CONTENT, pause_after=1000) as site, pytest.raises(WorkError, match="timed out"):
        fetch(FILE, store, mirrors=[site.url], timeout=0.2)
    assert part_of(store).read_bytes() == CONTENT[:1000]


def test_redirects_are_followed_but_not_off_https(store: WeightsStore) -> None:
    with serving(CONTENT) as end, serving(b"", status=302) as start:
        start.location = f"{end.url}/elsewhere"
        fetch(FILE, store, mirrors=[start.url])
        assert end.asked == [("/elsewhere", None)]
    check_fetched(store)
    for location in ("http://mirror.example/file", "file:///etc/hostname", "ftp://127.0.0.1/file"):
        store.path(FILE).unlink(missing_ok=True)
        site = serving(b"", status=302, location=location)
        with site as start, pytest.raises(WorkError, match=r"not https|not allowed"):
            fetch(FILE, store, mirrors=[start.url])


@pytest.mark.parametrize(
    "mirror",
    [
        "http://mirror.example",
        "ftp://mirror.example",
        "file:///srv",
        "mirror.example",
        "https://",
        "https://user:secret@mirror.example",
        "https://mirror.example/?token=secret",
        "https://mirror.example:port",
        "http://127.0.0.1.mirror.example",
    ],
)
def test_unusable_mirrors_are_refused_before_anything(store: WeightsStore, mirror: str) -> None:
    with pytest.raises(UsageError, match="https URL") as told:
        fetch(FILE, store, mirrors=[mirror])
    assert "secret" not in str(told.value)
    assert not store.folder.exists()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (SOURCE, "https://mirror.example/a/models/sub/b0.onnx"),
        (
            "https://github.com/owner/name/releases/download/v2/f.pt",
            "https://mirror.example/a/f.pt",
        ),
        (
            "https://storage.googleapis.com/mediapipe-models/a/a/float16/1/f.task",
            "https://mirror.example/a/f.task",
        ),
        ("https://other.example/deep/f.pt", "https://mirror.example/a/deep/f.pt"),
    ],
)
def test_a_mirror_stands_for_a_commit_or_a_release(source: str, expected: str) -> None:
    assert mirrored(source, "https://mirror.example/a/") == expected


def test_a_full_disk_is_told(store: WeightsStore, monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    store.folder.mkdir(parents=True)
    part_of(store).symlink_to("/dev/full")
    with serving(CONTENT) as site, pytest.raises(WorkError, match="No space left on device"):
        fetch(FILE, store, mirrors=[site.url])


def start_fetch(store: WeightsStore, site: Site) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", PROGRAM, store.folder, site.url], cwd=ROOT)


def wait_for(path: Path, size: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while not path.exists() or path.stat().st_size < size:
        assert time.monotonic() < deadline, f"{path} did not grow to {size} bytes"
        time.sleep(0.01)


def test_after_a_kill_the_next_fetch_ends_right(store: WeightsStore) -> None:
    half = len(CONTENT) // 2
    with serving(CONTENT, pause_after=half) as site:
        process = start_fetch(store, site)
        try:
            wait_for(part_of(store), half)
        finally:
            process.kill()
            process.wait(PATIENCE)
        assert not store.path(FILE).exists()
        site.go_on.set()
        fetch(FILE, store, mirrors=[site.url])
    assert [wanted for _, wanted in site.asked] == [None, f"bytes={half}-"]
    check_fetched(store)


def test_of_two_at_once_one_downloads(store: WeightsStore) -> None:
    with serving(CONTENT, pause_after=1000) as site:
        process = start_fetch(store, site)
        try:
            wait_for(part_of(store), 1000)
            second = threading.Thread(
                target=fetch, args=(FILE, store), kwargs={"mirrors": [site.url]}
            )
            second.start()
            site.go_on.set()
            second.join(PATIENCE)
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
    assert len(site.asked) == 1
    check_fetched(store)
