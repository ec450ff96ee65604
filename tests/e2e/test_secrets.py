"""Secrets that stand in definitions, or come from variables, are nowhere under the root: after builds that work, fail
and are cancelled."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import pytest
from tests.support.conda_tools import http_channel
from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost

PASSWORD = "p4ss-of-somebody"
TOKEN = "tok-en"


def assert_nowhere(roost: Roost, *secrets: str) -> None:
    """Looks while the daemon lives (the write-ahead log) and after it has stopped."""
    for _ in range(2):
        found: list[str] = []
        for path in roost.root.rglob("*"):
            if path.is_file():
                data = path.read_bytes()
                found += [str(path) for secret in secrets if secret.encode() in data]
        assert not found
        roost.ok("daemon", "stop")


def credited(pip_index: PipIndex) -> str:
    return pip_index.origin.replace("http://", f"http://somebody:{PASSWORD}@")


@pytest.mark.parametrize("end", ["works", "fails", "is cancelled"])
def test_passwords_in_requirements(roost: Roost, pip_index: PipIndex, end: str) -> None:
    for name in ("greet", "direct", "below"):
        pip_index.wheel(name, "1.0")
    pip_index.password = PASSWORD
    pip_index.text["/below.txt"] = "below\n"
    lines = [
        f"--index-url {credited(pip_index)}/simple",
        f"-r {credited(pip_index)}/below.txt",
        f"direct @ {credited(pip_index)}/files/direct-1.0-py3-none-any.whl",
        "greet" if end == "works" else "greet\nabsent-from-everywhere" if end == "fails" else "greet",
    ]
    roost.write("requirements.txt", "\n".join(lines) + "\n")
    if end == "is cancelled":
        pip_index.hanging.add("greet-1.0-py3-none-any.whl")
        client = roost.start("build")
        deadline = time.monotonic() + 30
        while not any("greet-1.0" in path for path in pip_index.asked):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        client.send_signal(signal.SIGINT)
        said = "".join(client.communicate(timeout=30))
        assert client.returncode == 130
    else:
        done = roost.run("run", "--", "python", "-c", "import greet, direct, below")
        assert done.returncode == (0 if end == "works" else 125), done.stderr
        said = done.stdout + done.stderr
    commands = (
        "plan",
        "digest",
        "builds list",
        "events",
        "env register --name it",
        "env show it",
        "env list",
        "runs list",
    )
    for command in commands:
        said += roost.ok(*command.split(), "--json")
    said += roost.ok("env", "show", "it") + roost.ok("env", "export", "it", "--format", "roost", "-o", "-")
    said += roost.ok("daemon", "logs") + "".join(
        roost.ok("builds", "logs", build["id"]) for build in roost.json("builds", "list")["builds"]
    )
    assert PASSWORD not in said
    assert_nowhere(roost, PASSWORD)


@pytest.mark.parametrize("place", ["t/${TOKEN}", f"t/{TOKEN}"])
def test_a_token_in_the_path_of_an_index(roost: Roost, pip_index: PipIndex, place: str) -> None:
    """Given by a variable or written out, where conda's servers have it, which some indexes share."""
    pip_index.wheel("greet", "1.0")
    pip_index.below = "/" + place.replace("${TOKEN}", TOKEN)
    roost.write("requirements.txt", f"--index-url {pip_index.origin}/{place}/simple\ngreet\n")
    roost.variables["TOKEN"] = TOKEN
    said = roost.ok("run", "--", "python", "-c", "import greet") + roost.ok("lock") + roost.ok("builds", "list")
    assert TOKEN not in said
    assert_nowhere(roost, TOKEN)


@pytest.mark.parametrize("place", ["t/${TOKEN}/"])
@pytest.mark.parametrize("spec", ["dated", "absent-from-everywhere"])
async def test_a_token_in_a_channel(roost: Roost, channels_folder: Path, spec: str, place: str) -> None:
    """Where conda's servers have it."""
    async with http_channel(channels_folder) as served:
        roost.write(
            "environment.yml",
            f"channels: ['{served.url}/{place}conda-forge']\ndependencies: [{spec}, post-linked]\n",
        )
        assert (await asyncio.to_thread(roost.failed, 3, "build"))["code"] == "variable-missing"
        roost.variables["TOKEN"] = TOKEN
        done = await asyncio.to_thread(roost.run, "build", "--json")
        assert done.returncode == (0 if spec == "dated" else 4), done.stderr + done.stdout
        assert TOKEN not in done.stdout + done.stderr
        assert served.requests
        assert all(
            request.path.startswith("/" + place.replace("${TOKEN}", TOKEN).replace("$TOKEN", TOKEN))
            for request in served.requests
        )
        lock = await asyncio.to_thread(roost.run, "lock")
        assert TOKEN not in lock.stdout + lock.stderr
        if spec == "dated":
            await asyncio.to_thread(roost.ok, "lock", "--format", "explicit", "-o", "again.txt")
            assert "TOKEN" not in (roost.folder / "again.txt").read_text()
            again = await asyncio.to_thread(roost.json, "build", "-f", "again.txt")
            assert again["build"]["state"] == "not-needed"
            lines = [line for line in (roost.folder / "again.txt").read_text().splitlines() if "dated" not in line]
            roost.write("less.txt", "\n".join(lines))
            less = await asyncio.to_thread(roost.json, "build", "-f", "less.txt")
            assert less["build"]["state"] == "succeeded"
    await asyncio.to_thread(assert_nowhere, roost, TOKEN)


@pytest.mark.parametrize("kind", ["Dockerfile", "context", "steps"])
def test_a_password_in_docker_steps(roost: Roost, kind: str) -> None:
    """It is told of where it stands, and kept nowhere; what a variable of the build holds is no password."""
    run = "RUN pip install -i https://somebody:{}@h.example/simple y"
    name = "roost.toml" if kind == "steps" else "Dockerfile"
    form = '[base]\nimage = "debian:12-slim"\nsteps = ["{}"]\n' if kind == "steps" else "FROM debian:12-slim\n\n{}\n"
    said = ""
    roost.write(name, form.format(run.format(PASSWORD)))
    path = "." if kind == "context" else name
    commands = ["plan", "digest", "build", "env register --name it", "env export --format azure-v2 -o out"]
    for command in commands:
        error = roost.failed(3, *command.split(), "-f", path)
        assert (error["code"], error["location"]["line"]) == ("credentials-written", 3)
        said += str(error)
    said += str(roost.failed(125, "run", "-f", path, "--", "true")) + str(roost.failed(3, "env", "import", path))
    roost.write(name, form.format(run.format("$TOKEN")))
    said += roost.ok("env", "register", "--name", "it", "-f", path) + roost.ok("env", "show", "it", "--json")
    assert PASSWORD not in said + roost.ok("events", "--json") + roost.ok("daemon", "logs")
    assert_nowhere(roost, PASSWORD)


PARTS = ("pa5s", "w0rd", "s1ash", "h4sh", "c0lon", "p3rc")
AWKWARD = "pa5s@w0rd/s1ash#h4sh:c0lon%p3rc"
"""A password of all the characters that end a part of a URL, and each of its parts."""


@pytest.mark.long
@pytest.mark.parametrize("answers", ["the server", "nobody"])
def test_no_part_of_an_awkward_password_is_shown_or_stored(roost: Roost, pip_index: PipIndex, answers: str) -> None:
    """A variable's value that breaks the URL around it: masked before anything parses the text with it."""
    pip_index.password = AWKWARD if answers == "the server" else None
    pip_index.wheel("greet", "1.0")
    origin = pip_index.origin if answers == "the server" else "http://127.0.0.1:9"
    url = origin.replace("http://", "http://somebody:${P}@")
    files = {
        "index.txt": f"--index-url {url}/simple\ngreet\nabsent-from-everywhere\n",
        "direct.txt": f"greet @ {url}/files/greet-2.0-py3-none-any.whl\n",
        "git.txt": f"greet @ git+{url}/greet.git@main\n",
        "remote.txt": f"-r {url}/absent.txt\n",
        "channel.yml": f"channels: ['{url}/c']\ndependencies: [python, greet]\n",
        "spec.yml": f"dependencies: [python, '{url}/c::greet']\n",
    }
    roost.variables["P"] = AWKWARD
    said = ""
    for name, text in files.items():
        roost.write(name, text)
        for command in ("build -f {}", "plan --solve --json -f {}", "run --detach -f {} -- true"):
            done = roost.run(*command.format(name).split())
            said += done.stdout + done.stderr
    for run in roost.json("runs", "list")["runs"]:
        roost.run("runs", "logs", "-f", run["id"])
        said += roost.ok("runs", "show", run["id"], "--json")
    builds = roost.json("builds", "list")["builds"]
    assert {build["state"] for build in builds} == {"failed"}
    for build in builds:
        said += roost.ok("builds", "show", build["id"], "--json") + roost.ok("builds", "logs", build["id"], "--json")
    said += roost.ok("events", "--json") + roost.ok("daemon", "logs", "-n", "1000")
    assert [part for part in PARTS if part in said] == []
    assert_nowhere(roost, *PARTS)


def test_an_awkward_password_opens_what_it_is_for(roost: Roost, pip_index: PipIndex) -> None:
    pip_index.wheel("greet", "1.0")
    pip_index.password = AWKWARD
    roost.variables["P"] = AWKWARD
    roost.write("requirements.txt", f"-i {pip_index.origin.replace('//', '//somebody:${P}@')}/simple\ngreet\n")
    assert roost.run("run", "--", "python", "-c", "import greet").returncode == 0
    assert_nowhere(roost, *PARTS)


def test_credentials_of_runs_are_recorded_nowhere_and_runs_repeat_with_them(roost: Roost) -> None:
    """In words of commands and in variables: with the terminal, detached, repeated."""
    roost.write("requirements.txt", "\n")
    show = "import os, sys; print(sys.argv[1:], os.environ.get('MY_TOKEN'), os.environ.get('EPOCHS'))"
    variables = ["--var", f"MY_TOKEN={PASSWORD}", "--var", "EPOCHS=3"]
    wanted = f"['--api-key', '{PASSWORD}', 'https://u:{PASSWORD}@h'] {PASSWORD} 3\n"
    words = ["--", "python", "-c", show, "--api-key", PASSWORD, f"https://u:{PASSWORD}@h"]
    assert roost.run("run", "-q", *variables, *words[:4]).stdout == f"[] {PASSWORD} 3\n"
    assert roost.run("run", "-q", *words).returncode == 0
    roost.variables["HF_TOKEN"] = roost.variables["MY_TOKEN"] = PASSWORD
    assert roost.run("run", "-q", *variables, *words).stdout == wanted
    detached = roost.run("run", "-q", "--detach", *variables, *words).stdout.strip()
    assert roost.ok("runs", "logs", "-f", detached) == wanted
    latest, hidden, own = (roost.json("runs", "list")["runs"][n] for n in (0, 2, 3))
    assert latest["command"][-2:] == ["${MY_TOKEN}", "https://u:${MY_TOKEN}@h"]
    assert (latest["variables"].get("EPOCHS"), latest["secrets"]) == ("3", ["MY_TOKEN"])
    assert latest["word_variables"] == ["MY_TOKEN"]
    assert hidden["command"][-2:] == ["***", "https://***@h"]
    assert roost.run("runs", "rerun", latest["id"]).stdout == wanted
    again = roost.run("runs", "rerun", "--detach", latest["id"]).stdout.strip()
    assert roost.ok("runs", "logs", "-f", again) == wanted
    assert roost.run("runs", "rerun", own["id"]).stdout == f"[] {PASSWORD} 3\n"
    refused = roost.run("runs", "rerun", hidden["id"])
    assert refused.returncode == 125 or refused.returncode == 7
    assert "`--api-key ***`, `https://***@h`" in refused.stderr
    del roost.variables["MY_TOKEN"], roost.variables["HF_TOKEN"]
    assert "MY_TOKEN" in roost.run("runs", "rerun", latest["id"]).stderr
    said = roost.ok("runs", "list") + roost.ok("events", "--json") + roost.ok("daemon", "logs", "-n", "1000")
    for run in roost.json("runs", "list")["runs"]:
        said += roost.ok("runs", "show", run["id"]) + roost.ok("runs", "show", run["id"], "--json")
        (roost.root / "runs" / run["id"] / "output").unlink(missing_ok=True)
    assert PASSWORD not in said
    assert_nowhere(roost, PASSWORD)
