"""Watching: what is saved becomes ready by itself, once, and only what was saved last.

One daemon serves all cases; each has a folder of its own.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.following import EventFollower
from tests.support.pip_index import PipIndex, sdist_bytes
from tests.support.roost_process import Roost, new_roost

SETTINGS = "[watch]\nmax_load = 0\non_battery = true\n"
"""The machine that runs the tests is busy."""


@pytest.fixture(scope="module")
def index() -> Iterator[PipIndex]:
    made = PipIndex()
    for version in ("1.0", "2.0", "3.0", "4.0", "5.0"):
        made.wheel("greet", version)
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared(index: PipIndex) -> Iterator[Roost]:
    made = new_roost(forks_daemon=False)
    made.config.write_text(f'[pip]\nindex_url = "{index.url}"\n{SETTINGS}')
    made.ok("daemon", "start")
    yield made
    made.end()


@pytest.fixture(scope="module")
def events(shared: Roost) -> EventFollower:
    return EventFollower(shared)


@pytest.fixture
def project(shared: Roost, request: pytest.FixtureRequest) -> Path:
    """A folder of its own, with an environment file."""
    path = shared.folder / request.node.name[:60]
    path.mkdir()
    (path / "requirements.txt").write_text("greet==1.0\n")
    return path


def state_of(roost: Roost, path: Path) -> dict[str, object]:
    (found,) = [each for each in roost.json("watch", "list")["watches"] if each["path"] == str(path)]
    assert isinstance(found, dict)
    return found


def add_warm(roost: Roost, events: EventFollower, path: Path) -> int:
    """Watch a file until its environment is ready; return the number of the last event then."""
    roost.ok("watch", "add", str(path))
    events.wait("watch-ready", where=lambda fields: fields["path"] == str(path))
    return events.seq


def wait_ready(roost: Roost, events: EventFollower, path: Path, since: int) -> None:
    """Wait until the content that the file has now is ready."""
    digest = roost.json("digest", "-f", str(path))["definition_digest"]
    events.wait(
        "watch-ready",
        since=since,
        where=lambda fields: (fields["path"], fields["definition_digest"]) == (str(path), digest),
    )


def test_every_way_to_save_a_file_is_seen(shared: Roost, events: EventFollower, project: Path) -> None:
    """D1: three times by renaming another file over it, once by truncating it, and after a link was turned."""
    file = project / "requirements.txt"
    seen = add_warm(shared, events, file)
    for version in ("2.0", "3.0", "4.0"):
        (project / "4913.tmp").write_text(f"greet=={version}\n")
        os.replace(project / "4913.tmp", file)
        wait_ready(shared, events, file, seen)
    file.write_text("greet==5.0\n")
    wait_ready(shared, events, file, seen)
    (project / "other.txt").write_text("greet>=2,<4\n")
    file.unlink()
    file.symlink_to("other.txt")
    wait_ready(shared, events, file, seen)
    (project / "other.txt").write_text("greet>=2,<5\n")
    wait_ready(shared, events, file, seen)


def test_an_included_file_mends_a_failed_build(shared: Roost, events: EventFollower, project: Path) -> None:
    """D2: the first build fails, and its inputs are watched nevertheless."""
    file, included = project / "requirements.txt", project / "other.txt"
    file.write_text("-r other.txt\n")
    included.write_text("greet==9.9\n")
    shared.ok("watch", "add", str(file))
    events.wait("watch-failed", where=lambda fields: fields["path"] == str(file))
    assert state_of(shared, file)["state"] == "failed"
    seen = events.seq
    included.write_text("greet==2.0\n")
    wait_ready(shared, events, file, seen)


def test_nothing_is_built_for_what_changes_no_content(shared: Roost, events: EventFollower, project: Path) -> None:
    """D3: modes, times, the same content again, and the lock of a git index that comes and goes."""
    file, other = project / "requirements.txt", project / "other.txt"
    other.write_text("greet==1.0\n")
    add_warm(shared, events, other)
    seen = add_warm(shared, events, file)
    (project / ".git").mkdir()
    for number in range(20):
        os.utime(file)
        file.chmod(0o600 if number % 2 else 0o644)
        file.write_text("greet==1.0\n" if number % 2 else "greet==1.0\n# a comment\n")
        (project / ".git" / "index.lock").touch()
        (project / ".git" / "index.lock").unlink()
    other.write_text("greet>=1,<2.5\n")  # what is seen after all of that
    wait_ready(shared, events, other, seen)
    assert events.count("build-started", since=seen) == 1
    assert events.count("watch-ready", since=seen) == 1
    assert state_of(shared, file)["state"] == "warm"


def test_two_projects_do_not_trigger_each_other(shared: Roost, events: EventFollower, project: Path) -> None:
    """D4: both are saved while the other builds, and each is built once."""
    files = [project / "one" / "requirements.txt", project / "two" / "requirements.txt"]
    for number, file in enumerate(files):
        file.parent.mkdir()
        file.write_text(f"greet>=1,<6.{number}.1\n")
        seen = add_warm(shared, events, file)
    for number, file in enumerate(files):
        file.write_text(f"greet>=1,<6.{number}.2\n")
    for file in files:
        wait_ready(shared, events, file, seen)
    digests = [each["fields"]["definition_digest"] for each in events.events if each["seq"] > seen]
    started = [each for each in events.events if each["seq"] > seen and each["kind"] == "build-started"]
    assert len(started) == 2
    assert len(set(digests)) == 2


def test_a_newer_save_takes_the_place_of_what_is_being_built(
    shared: Roost, events: EventFollower, index: PipIndex, project: Path
) -> None:
    """D6: the build of the first save can't end; that of the last one does."""
    file = project / "requirements.txt"
    seen = add_warm(shared, events, file)
    index.wheel("slow", "1.0")
    index.hanging.add("/simple/slow/")
    file.write_text("slow==1.0\n")
    hanging = shared.json("digest", "-f", str(file))["definition_digest"]
    events.wait("build-started", since=seen, where=lambda fields: fields["definition_digest"] == hanging)
    assert state_of(shared, file)["state"] == "building"
    file.write_text("greet==2.0\n")
    wait_ready(shared, events, file, seen)
    index.hanging.clear()
    ended = events.wait("build-ended", since=seen, where=lambda fields: fields["definition_digest"] == hanging)
    assert ended["fields"]["state"] == "cancelled"
    assert state_of(shared, file)["state"] == "warm"


def test_a_broken_file_is_an_event_with_its_place(shared: Roost, events: EventFollower, project: Path) -> None:
    file = project / "requirements.txt"
    seen = add_warm(shared, events, file)
    file.write_text("greet==1.0\n\nsix==\n")
    broken = events.wait("watch-broken", since=seen)["fields"]
    assert broken["place"] == f"{file}:3:4"
    assert broken["code"] == "requirement-invalid"
    assert shared.failed(125, "run", "-f", str(file), "--", "true")["code"] == "requirement-invalid", (
        "never the last good"
    )
    assert events.count("build-started", since=seen) == 0
    file.write_text("greet==1.0\n")
    wait_ready(shared, events, file, seen)


@pytest.mark.parametrize("hostile", ["fifo", "link-loop", "large", "folder"])
def test_what_is_no_environment_file_is_broken(
    shared: Roost, events: EventFollower, project: Path, hostile: str
) -> None:
    file = project / "requirements.txt"
    seen = add_warm(shared, events, file)
    file.unlink()
    if hostile == "fifo":
        os.mkfifo(file)
    elif hostile == "link-loop":
        file.symlink_to(file.name)
    elif hostile == "folder":
        file.mkdir()
    else:
        with file.open("wb") as stream:
            stream.truncate(1 << 30)
    events.wait("watch-broken", since=seen, where=lambda fields: fields["path"] == str(file))
    (project / "new").write_text("greet==2.0\n")
    if hostile == "folder":
        file.rmdir()
    os.replace(project / "new", file)
    wait_ready(shared, events, file, seen)


def test_a_folder_that_vanishes_and_returns(shared: Roost, events: EventFollower, project: Path) -> None:
    folder, file = project / "inner", project / "inner" / "requirements.txt"
    folder.mkdir()
    file.write_text("greet==1.0\n")
    seen = add_warm(shared, events, folder)
    file.unlink()
    folder.rmdir()
    events.wait("watch-missing", since=seen)
    seen = events.seq
    folder.mkdir()
    file.write_text("greet==3.0\n")
    digest = shared.json("digest", "-f", str(file))["definition_digest"]
    events.wait("watch-ready", since=seen, where=lambda fields: fields["definition_digest"] == digest)
    assert state_of(shared, folder)["definition"] == str(file)


def test_a_file_that_takes_precedence_is_noticed(shared: Roost, events: EventFollower, project: Path) -> None:
    shared.ok("watch", "add", str(project))
    events.wait("watch-ready", where=lambda fields: fields["path"] == str(project))
    seen = events.seq
    (project / "roost.toml").write_text('[pip]\nrequirements = ["greet==4.0"]\n')
    digest = shared.json("digest", "-f", str(project / "roost.toml"))["definition_digest"]
    events.wait("watch-ready", since=seen, where=lambda fields: fields["definition_digest"] == digest)


def test_what_was_run_is_watched_from_then_on(shared: Roost, events: EventFollower, project: Path) -> None:
    """No `watch add`: the next run finds the new environment ready, since its file was saved before."""
    file = project / "requirements.txt"
    shared.ok("run", "--", "python", "-c", "import greet", cwd=project)
    seen = events.seq
    shared.ok("watch", "add", str(project / "elsewhere.txt"))  # the use is noted a while after its answer
    while not any(each["path"] == str(file) for each in shared.json("watch", "list")["watches"]):
        time.sleep(0.05)
    found = state_of(shared, file)
    assert (found["origin"], found["state"]) == ("used", "warm")
    file.write_text("greet==5.0\n")
    wait_ready(shared, events, file, seen)
    assert shared.json("plan", cwd=project)["plans"][0]["action"] == "reuse-prefix"
    seen, winner = events.seq, project / "roost.toml"  # what the next command would find instead
    winner.write_text('[pip]\nrequirements = ["greet<4.5"]\n')
    events.wait("watch-passed-over", since=seen, where=lambda fields: fields["path"] == str(file))
    wait_ready(shared, events, winner, seen)
    assert shared.json("plan", cwd=project)["plans"][0]["action"] == "reuse-prefix"


def test_a_file_that_was_broken_at_its_first_use_is_watched(
    shared: Roost, events: EventFollower, project: Path
) -> None:
    (project / "requirements.txt").write_text("greet==\n")
    assert shared.failed(3, "build", cwd=project)["code"] == "requirement-invalid"
    file = project / "requirements.txt"
    events.wait("watch-broken", where=lambda fields: fields["path"] == str(file))
    file.write_text("greet>1\n")
    wait_ready(shared, events, file, 0)


def test_a_paused_watch_builds_nothing_until_it_is_resumed(shared: Roost, events: EventFollower, project: Path) -> None:
    file, other = project / "requirements.txt", project / "other.txt"
    other.write_text("greet==1.0\n")
    add_warm(shared, events, file)
    seen = add_warm(shared, events, other)
    shared.ok("watch", "pause", str(file))
    for each in (file, other):
        each.write_text("greet==3.0\n# again\ngreet>=1\n")
    wait_ready(shared, events, other, seen)
    assert state_of(shared, file)["state"] == "paused"
    assert "no longer watched" in shared.ok("watch", "remove", str(other))
    file.write_text("greet==2.0\n")
    shared.ok("watch", "resume", str(file))
    wait_ready(shared, events, file, seen)
    body = shared.failed(7, "watch", "remove", str(other))
    assert body["code"] == "watch-unknown"


def test_what_needs_credentials_or_runs_code_waits_and_says_for_what(
    shared: Roost, events: EventFollower, index: PipIndex, project: Path
) -> None:
    secret, code = project / "secret.txt", project / "code.txt"
    secret.write_text(f"--index-url {index.url.replace('://', '://me:${SECRET_OF_THE_TEST}@')}\ngreet==1.0\n")
    index.add("coded", sdist_bytes("coded", "1.0", str(project / "it-ran")))
    code.write_text("coded\n")
    shared.ok("watch", "add", str(secret), str(code))
    waits = [
        events.wait("watch-waiting", where=lambda fields, file=file: fields["path"] == str(file))["fields"]
        for file in (secret, code)
    ]
    assert [each["code"] for each in waits] == ["credentials", "code"]
    assert "SECRET_OF_THE_TEST" in waits[0]["message"]
    assert state_of(shared, code)["state"] == "waiting"
    assert not (project / "it-ran").exists()


def test_twenty_saves_in_two_seconds_are_two_builds_at_most(
    shared: Roost, events: EventFollower, project: Path
) -> None:
    """D7: an editor that saves by itself."""
    file = project / "requirements.txt"
    seen = add_warm(shared, events, file)
    for number in range(20):
        file.write_text(f"greet>=1,<7.{number}\n")
        time.sleep(0.1)
    wait_ready(shared, events, file, seen)
    assert events.count("build-started", since=seen) <= 2


def test_what_changed_while_no_daemon_ran_is_noticed_by_the_next(pip_index: PipIndex) -> None:
    """After a stop in order, a kill, and a kill while the state of watches is written."""
    pip_index.wheel("greet", "1.0")
    roost = new_roost(forks_daemon=False)
    try:
        roost.config.write_text(f'[pip]\nindex_url = "{pip_index.url}"\n{SETTINGS}')
        file, used = roost.write("requirements.txt", "greet\n"), roost.write("used/requirements.txt", "greet\n")
        roost.ok("run", "--", "true", cwd=used.parent)
        roost.ok("watch", "add", str(file))
        while roost.ok("watch", "list").count("warm") < 2:
            time.sleep(0.05)
        ends: list[tuple[str, dict[str, str]]] = [
            ("stop", {}),
            ("kill", {}),
            ("kill", {"ROOST_FAILPOINT": "watches.in-transaction"}),
        ]
        for number, (end, variables) in enumerate(ends):
            if variables:  # the next daemon dies of what it writes about this change
                roost.ok("daemon", "stop")
                roost.ok("daemon", "start", variables=variables)
                pid = roost.daemon_pid()
                file.write_text(f"greet>=0.{number}\n# dies\n")
                while pid is not None and os.path.exists(f"/proc/{pid}") and _is_running(pid):
                    time.sleep(0.05)
            elif end == "kill":
                pid = roost.daemon_pid()
                assert pid is not None
                os.kill(pid, signal.SIGKILL)
            else:
                roost.ok("daemon", "stop")
            for each in (file, used):
                each.write_text(f"greet>=0.{number}.5\n")
            roost.ok("daemon", "start")
            digests = {str(each): roost.json("digest", "-f", str(each))["definition_digest"] for each in (file, used)}
            while True:
                found = {each["path"]: each for each in roost.json("watch", "list")["watches"]}
                assert found.keys() == digests.keys()
                states = [(found[path]["state"], found[path]["definition_digest"]) for path in digests]
                if states == [("warm", digest) for digest in digests.values()]:
                    break
                time.sleep(0.05)
        assert {each["origin"] for each in found.values()} == {"added", "used"}
    finally:
        roost.end()


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
