"""What several kinds of tests share."""

from __future__ import annotations

import atexit
import gc
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from tests.support.prepared_packages import prepared_packages
from tests.support.scheduling import spread_long

UNPRIVILEGED = "unprivileged"
_STATUS = pytest.StashKey[int]()
CHANNELS = "ROOST_TEST_CHANNELS"
"""The folder of the channels, if another account made them: this one may not see the Pythons that they are made of."""


def pytest_configure(config: pytest.Config) -> None:
    """No test fails for being slow, nor by chance: the same examples are tried each time, and others while soaking. A
    shell starts what runs in the background deaf to Ctrl-C and Ctrl-\\, and nohup to the end of the terminal, and so
    would be all that the tests start."""
    slow = [hypothesis.HealthCheck.too_slow]
    hypothesis.settings.register_profile("roost", deadline=None, suppress_health_check=slow, derandomize=True)
    soak = hypothesis.settings.get_profile("roost")
    hypothesis.settings.register_profile("soak", parent=soak, max_examples=10_000, derandomize=False)
    hypothesis.settings.load_profile("soak" if os.environ.get("ROOST_TEST_SOAK") else "roost")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect without the collector of garbage, which would walk again and again through tests that all stay: a third
    of the time of a large collection, in each worker. What was collected is not walked through later, either."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Pass by files without a test that is marked ``unprivileged`` if only these are wanted: importing all the others
    takes each worker several seconds."""
    only = config.getoption("markexpr") == UNPRIVILEGED and collection_path.suffix == ".py"
    return True if only and UNPRIVILEGED.encode() not in collection_path.read_bytes() else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Have each worker begin with its share of the tests that are marked ``long``, so that none of them is left to one
    processor at the end. A worker is given a part of the list as it stands (``--dist=worksteal``)."""
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    items[:] = spread_long(items, workers, lambda item: item.get_closest_marker("long") is not None)


def pytest_xdist_auto_num_workers() -> int:
    """``-n auto``: twice as many as processors. The tests mostly wait, for daemons, engines and registries."""
    return 2 * len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2 * (os.cpu_count() or 1)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Keep the status, and tell ``python -m tests`` which tests failed and how long each file took."""
    session.config.stash[_STATUS] = int(exitstatus)
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    path = os.environ.get("ROOST_TEST_RESULTS")
    if path and reporter is not None and not hasattr(session.config, "workerinput"):
        failed = [*reporter.stats.get("failed", []), *reporter.stats.get("error", [])]
        seconds: Counter[str] = Counter()
        for report in itertools.chain.from_iterable(reporter.stats.values()):
            if isinstance(report, pytest.TestReport):
                seconds[report.nodeid.partition("::")[0]] += report.duration
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"failed": [report.nodeid for report in failed], "seconds": seconds}, file)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave without the interpreter's own way out, where that goes wrong: rattler's threads may crash it, and a thread
    of a store that a failed test left open would be waited for for ever."""
    left = [each for each in threading.enumerate() if each is not threading.main_thread() and not each.daemon]
    if "rattler" in sys.modules or left:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.stash.get(_STATUS, pytest.ExitCode.INTERNAL_ERROR))


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """An empty folder with a short path, as prefixes and sockets need it."""
    folder = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def channels_folder() -> Path:
    """The folder of the two local channels, ``conda-forge`` and ``second``: real packages, made once and cached."""
    if made := os.environ.get(CHANNELS):
        return Path(made)
    command = [sys.executable, "-m", "tests.support.channel.build"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    if done.returncode != 0:
        # It ends in a sentence where this machine lacks something (a second Python, strip), in a traceback on a fault.
        lacking = "Traceback" not in done.stderr and not os.environ.get("ROOST_TEST_REQUIRE_ALL")
        (pytest.skip if lacking else pytest.fail)(f"no channel for the tests: {done.stderr.strip()[-2000:]}")
    return Path(done.stdout.strip())


@pytest.fixture(scope="session")
def channel(channels_folder: Path) -> Path:
    """The channel that tests use as their conda-forge: Python 3.11 and 3.12, numpy, pandas, scikit-learn, …"""
    return channels_folder / "conda-forge"


@pytest.fixture(scope="session")
def channel_url(channel: Path) -> str:
    """``file://`` URL of ``channel``, for the config's mirror of conda-forge or as a channel of its own."""
    return channel.as_uri()


@pytest.fixture(scope="session")
def second_channel_url(channels_folder: Path) -> str:
    """``file://`` URL of the small second channel (``dated`` 9.0, ``only-second``)."""
    return (channels_folder / "second").as_uri()


@pytest.fixture(scope="session")
def conda_packages(channel_url: str) -> Iterator[Path]:
    """The cache of conda packages, with byte-code, that most conda tests begin with; it is never written to."""
    run_id = os.environ.get("PYTEST_XDIST_TESTRUNUID") or uuid.uuid4().hex
    with prepared_packages(run_id, channel_url) as folder:
        yield folder
