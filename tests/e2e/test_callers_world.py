"""Proxies, certificates, agents and PATH are those of who calls, whoever started the daemon."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.support.pip_index import PipIndex
from tests.support.proxy import RecordingProxy, recording_proxy
from tests.support.roost_process import Roost

from roost.daemon.engines.host_python.interpreters import list_interpreters, own_interpreter, probe_interpreter

pytestmark = pytest.mark.starts_daemon

OWN = f"{sys.version_info.major}.{sys.version_info.minor}"
SECRET = "hunter2-of-the-proxy"


@pytest.fixture
def two_proxies() -> Iterator[tuple[RecordingProxy, RecordingProxy]]:
    with recording_proxy() as first, recording_proxy() as second:
        yield first, second


@pytest.fixture
def far_roost(roost: Roost, pip_index: PipIndex) -> Roost:
    """roost whose index has a name that only a proxy knows."""
    port = pip_index.url.split(":")[2].split("/")[0]
    roost.config.write_text(f'[pip]\nindex_url = "http://index.test:{port}/simple"\n[network]\nretries = 0\n')
    for name in ("toy", "top", "toe"):
        pip_index.wheel(name, "1.0")
    return roost


def definition(roost: Roost, name: str) -> tuple[str, str]:
    return "-f", str(roost.write(f"{name}/requirements.txt", f"{name}\n"))


@pytest.mark.parametrize("spelling", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
def test_each_client_goes_through_its_own_proxy(
    far_roost: Roost, two_proxies: tuple[RecordingProxy, RecordingProxy], spelling: str
):
    first, second = two_proxies
    far_roost.ok("daemon", "start", variables={"http_proxy": "http://127.0.0.1:1"})
    far_roost.ok("build", *definition(far_roost, "toy"), variables={spelling: first.url})
    assert any("/toy/" in url for url in first.requested)
    assert second.requested == []
    far_roost.ok("build", *definition(far_roost, "top"), variables={spelling: second.url})
    assert any("/top/" in url for url in second.requested)
    assert not any("/top/" in url for url in first.requested)
    seen = len(first.requested), len(second.requested)
    failed = far_roost.failed(6, "build", *definition(far_roost, "toe"))
    assert failed["code"] == "index-unreachable"
    assert (len(first.requested), len(second.requested)) == seen, "without a proxy, nobody else's is used"


def test_a_remote_requirements_file_is_fetched_through_the_callers_proxy(
    far_roost: Roost, pip_index: PipIndex, two_proxies: tuple[RecordingProxy, RecordingProxy]
):
    first, second = two_proxies
    port = pip_index.url.split(":")[2].split("/")[0]
    page = f"http://files.test:{port}/simple/toy/"
    far_roost.ok("daemon", "start", variables={"http_proxy": first.url})
    path = far_roost.write("requirements.txt", f"-r {page}\n")
    far_roost.run("build", "-f", str(path), variables={"http_proxy": second.url})
    assert page in second.requested
    assert first.requested == []


@pytest.mark.parametrize("spelling", ["http_proxy", "HTTP_PROXY"])
def test_conda_packages_come_through_each_callers_own_proxy(
    roost: Roost, channel: Path, two_proxies: tuple[RecordingProxy, RecordingProxy], spelling: str
):
    handler = partial(SimpleHTTPRequestHandler, directory=str(channel))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        mirror = f"http://channel.test:{server.server_address[1]}"
        roost.config.write_text(f'[conda.mirrors]\n"conda-forge" = ["{mirror}"]\n[network]\nretries = 0\n')
        first, second = two_proxies
        roost.ok("daemon", "start", variables={spelling: "http://127.0.0.1:1"})
        for proxy, other, spec in ((first, second, "six=1.16"), (second, first, "six=1.17")):
            seen = len(other.requested)
            path = roost.write(f"{spec}/roost.toml", f'[conda]\ndependencies = ["{spec}"]\n')
            roost.ok("plan", "--solve", "-f", str(path), variables={spelling: proxy.url})
            assert any("repodata" in url for url in proxy.requested)
            assert len(other.requested) == seen
            roost.ok("cache", "df")
        server.shutdown()


def test_a_proxys_password_is_used_and_is_nowhere_afterwards(far_roost: Roost):
    with recording_proxy(SECRET) as proxy:
        far_roost.ok("build", *definition(far_roost, "toy"), variables={"http_proxy": proxy.url})
        assert any("/toy/" in url for url in proxy.requested)
        wrong = proxy.url.replace(SECRET, "wrong-" + SECRET)
        failed = far_roost.run("build", *definition(far_roost, "top"), "--json", variables={"http_proxy": wrong})
        assert failed.returncode != 0
        assert SECRET not in failed.stdout + failed.stderr
    dead = far_roost.run("build", *definition(far_roost, "toe"), variables={"http_proxy": proxy.url})
    assert dead.returncode == 6
    assert SECRET not in dead.stdout + dead.stderr
    far_roost.ok("daemon", "stop")
    holding = [path for path in far_roost.root.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert holding == []


def test_an_ssh_agent_and_gits_ssh_are_those_of_the_caller(roost: Roost, tmp_path: Path):
    ssh = tmp_path / "ssh"
    ssh.write_text(f'#!/bin/sh\necho "$SSH_AUTH_SOCK" >> {tmp_path}/agents\nexit 255\n')
    ssh.chmod(0o755)
    roost.ok("daemon", "start", variables={"SSH_AUTH_SOCK": "/starter", "GIT_SSH_COMMAND": "/bin/false"})
    for name in ("one", "two"):
        path = roost.write(f"{name}/requirements.txt", f"pkg @ git+ssh://git@git.invalid/{name}.git\n")
        variables = {"SSH_AUTH_SOCK": f"/{name}.sock", "GIT_SSH_COMMAND": str(ssh)}
        assert roost.run("build", "-f", str(path), variables=variables).returncode != 0
    agents = (tmp_path / "agents").read_text().split()
    assert list(dict.fromkeys(agents)) == ["/one.sock", "/two.sock"]


@pytest.fixture
def other_python(tmp_path: Path) -> tuple[Path, str]:
    """A folder with a Python of another version than roost's own and the system's, and its X.Y."""
    for path in list_interpreters():
        found = probe_interpreter(path)
        if found is None or not found.is_usable or path.startswith("/usr/bin/"):
            continue
        if found.minor not in (OWN, _system_version()):
            folder = tmp_path / "bin"
            folder.mkdir()
            (folder / f"python{found.minor}").symlink_to(path)
            return folder, found.minor
    if os.environ.get("ROOST_TEST_REQUIRE_ALL"):
        raise AssertionError("there is no other Python here, and ROOST_TEST_REQUIRE_ALL is set")
    raise pytest.skip.Exception("there is no other Python here")


def _system_version() -> str:
    found = probe_interpreter("/usr/bin/python3")
    return found.minor if found is not None else ""


def test_a_joined_builds_error_names_the_first_askers_world(
    far_roost: Roost, two_proxies: tuple[RecordingProxy, RecordingProxy]
):
    broken, good = two_proxies
    broken.failing = threading.Event()
    arguments = definition(far_roost, "toy")
    far_roost.ok("daemon", "start")
    far_roost.variables["http_proxy"] = broken.url
    first = far_roost.start("build", *arguments, "--json")
    deadline = time.monotonic() + 60
    while not any(url.endswith(".whl") for url in broken.requested):
        assert time.monotonic() < deadline
        assert first.poll() is None
        time.sleep(0.05)
    far_roost.variables["http_proxy"] = good.url
    second = far_roost.start("build", *arguments, "--json")
    assert second.stdout is not None
    assert "build" in second.stdout.readline()
    broken.failing.set()
    out, _ = second.communicate(timeout=60)
    assert good.requested == [], "it joined the first one's build"
    hint = json.loads(out.splitlines()[-1])["hint"]
    assert "with its own http_proxy, which differ here: run the command again" in hint
    own, _ = first.communicate(timeout=60)
    assert "Another request" not in own
    far_roost.ok("build", *arguments)
    assert any(url.endswith(".whl") for url in good.requested)


def test_an_interpreter_by_name_is_that_of_each_callers_path(roost: Roost, other_python: tuple[Path, str]):
    folder, version = other_python
    (folder / "mine").symlink_to((folder / f"python{version}").resolve())
    second = folder.with_name("second")
    second.mkdir()
    (second / "mine").symlink_to(own_interpreter())
    roost.write("roost.toml", '[python]\nuser_managed = true\ninterpreter = "mine"\n')
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    for _ in range(2):
        for place, expected in ((folder, version), (second, OWN)):
            variables = {"PATH": f"{place}:{os.environ['PATH']}"}
            assert roost.ok("exec", "--", "mine", "-c", code, variables=variables).strip() == expected


def test_pythons_are_those_on_the_callers_path(
    roost: Roost, pip_index: PipIndex, other_python: tuple[Path, str], tmp_path: Path
):
    folder, version = other_python
    pip_index.wheel("toy", "1.0")
    roost.variables |= {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}  # no installer's folders below this home
    path = roost.write("roost.toml", f'[python]\nrequires = "=={version}.*"\n[pip]\nrequirements = ["toy"]\n')
    roost.ok("daemon", "start", variables={"PATH": "/usr/bin:/bin"})
    refused = roost.failed(4, "build", "-f", str(path))
    assert refused["code"] == "no-interpreter"
    found = {"PATH": f"{folder}:/usr/bin:/bin"}
    roost.ok("build", "-f", str(path), variables=found)
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    assert roost.ok("exec", "--", "python", "-c", code, cwd=path.parent).strip() == version
