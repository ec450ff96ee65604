"""The workspace with many environments: goal 50 ms in the daemon and 100 ms with the client, for the first 100 rows.

    python -m tests.bench.bench_workspace [--environments 10000] [--versions 100] [--asks 15] [--folder DIR]

Fills an index with that many environments of that many versions, each of another definition, and with locks of 200
packages for one of them. Then lists, shows and compares, over the daemon's socket and by the command. Last, 8 clients
register 1,000 versions of one environment at once: none may be lost, and the numbers have no gap. Prints median and
99th percentile. A --folder is kept and used again by the next run (1.5 GB for 1,000,000 versions).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import subprocess
import sys
import sysconfig
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import msgspec
from tests.bench.bench_index import NOW, PLATFORM
from tests.bench.bench_who import new_lock
from tests.bench.measuring import Served, folder, in_turns, line, served

from roost.model.canonical.form import canonicalise_definition, canonicalise_settings, digest_bytes
from roost.model.definition import Conda, Defaults, Definition, Pip, PipItem, Settings
from roost.model.records import EnvironmentBody, NewGeneration
from roost.store.store import Store

CLIENTS = 8
REGISTERED = 1000
ROOST = os.path.join(sysconfig.get_path("scripts"), "roost")
GOAL, CLIENT_GOAL = 50, 100


def definition(environment, version):
    """What changes from one version to the next: a package's version, and one package more or less."""
    conda = ("python=3.11", f"numpy>=1.{environment % 26}", *(f"package-{n}" for n in range(15 + version % 5)))
    pip = (PipItem(kind="requirement", text=f"six=={environment}.{version}"),)
    return Definition(conda=Conda(channels=("conda-forge",), dependencies=conda), pip=Pip(requirements=pip))


def name_of(environment):
    return f"environment-{environment:05}"


def environments(connection, start, stop, versions):
    settings = Settings(variables={"OMP_NUM_THREADS": "4"})
    form = canonicalise_settings(settings)
    digest = digest_bytes(form)
    connection.execute("INSERT OR IGNORE INTO settings VALUES (?, ?, ?)", (digest, zlib.compress(form), NOW))
    for environment in range(start, stop):
        row = (environment + 1, name_of(environment), NOW)
        connection.execute("INSERT INTO environments VALUES (?, ?, ?, 0)", row)
        for version in range(1, versions + 1):
            add_version(connection, environment, version, settings, digest, environment * versions + version)
        connection.execute("INSERT INTO labels VALUES (?, 'production', ?)", (environment + 1, (versions + 1) // 2))


def add_version(connection, environment, version, settings, settings_digest, number):
    content = definition(environment, version)
    form = canonicalise_definition(content, Defaults())
    body = msgspec.json.encode(EnvironmentBody(definition=content, settings=settings), order="sorted")
    connection.execute(
        "INSERT INTO definitions (digest, canonical, created) VALUES (?, ?, ?)",
        (digest_bytes(form), zlib.compress(form, 1), NOW),
    )
    connection.execute(
        "INSERT INTO bodies VALUES (?, ?, ?, ?, ?)",
        (number, digest_bytes(body), digest_bytes(form), settings_digest, zlib.compress(body, 1)),
    )
    row = (environment + 1, version, number, NOW)
    connection.execute("INSERT INTO versions VALUES (?, ?, ?, 'system-managed', ?, 0, NULL)", row)


async def fill(root, count, versions):
    store = await Store.open(root)
    if not await store.index.environments.list_page(1):
        began = time.perf_counter()
        for start in range(0, count, 50):
            await store.index.database.write(environments, start, min(count, start + 50), versions)
        for version in (1, versions):
            digest = digest_bytes(canonicalise_definition(definition(count // 2, version), Defaults()))
            new = NewGeneration(definition_digest=digest, platform=PLATFORM)
            await store.index.generations.add(new, new_lock(random.Random(version), version, 200))
        print(f"filled {count:,} environments in {time.perf_counter() - began:.0f} s", file=sys.stderr)
    await store.close()


def in_daemon(daemon, count, versions, asks):
    """Lists, shows and diffs over one connection."""
    middle = name_of(count // 2)
    first = daemon.get("/v1/environments?limit=100")["environments"]
    assert [row["versions"] for row in first] == [versions] * min(100, count)
    diff = {"cwd": "/", "before": f"{middle}:1", "after": f"{middle}:{versions}", "platform": PLATFORM}
    found = daemon.ask("POST", "/v1/diffs", diff)
    assert found["definition"]
    assert found["lock"]["packages"]
    actions = {
        "list, first 100": lambda: daemon.get("/v1/environments?limit=100"),
        "list, 100 in the middle": lambda: daemon.get(f"/v1/environments?limit=100&after={middle}"),
        "versions": lambda: daemon.get(f"/v1/environments/{middle}/versions?limit=100"),
        "show": lambda: daemon.get(f"/v1/environments/{middle}?version=1"),
        "show @production": lambda: daemon.get(f"/v1/environments/{middle}?label=production"),
        "diff": lambda: daemon.ask("POST", "/v1/diffs", diff),
    }
    for name, seconds in in_turns(actions, asks).items():
        line(name, seconds, GOAL)


def with_client(root, count, versions, asks):
    """The installed command, from its start to its end."""
    middle = name_of(count // 2)
    environ = {**os.environ, "ROOST_HOME": root, "ROOST_CONFIG": f"{root}.toml"}

    def command(*words):
        return lambda: subprocess.run([ROOST, *words], env=environ, capture_output=True, check=True)

    actions = {
        "roost --version": command("--version"),
        "roost env list": command("env", "list", "--limit", "100"),
        "roost env versions": command("env", "versions", middle),
        "roost env show": command("env", "show", f"{middle}:1"),
        "roost env diff": command("env", "diff", f"{middle}:1", f"{middle}:{versions}"),
    }
    for name, seconds in in_turns(actions, asks).items():
        line(name, seconds, CLIENT_GOAL if name != "roost --version" else None)


def register_at_once(root, process):
    """``REGISTERED`` versions of one environment by ``CLIENTS`` clients; the numbers that they were told."""
    salt = int(time.time())  # a kept folder has those of the last run

    def one_client(client):
        daemon, told = Served(root, process), []
        for place in range(client, REGISTERED, CLIENTS):
            document = {"pip": {"requirements": [f"six=={salt}.{place}"]}}
            what = {"cwd": "/", "document": document}
            answer = daemon.ask("POST", "/v1/environments", {"what": what, "name": "many"})
            assert answer["created"]
            told.append(answer["environment"]["version"])
        daemon.close()
        return told

    began = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        told = [number for numbers in pool.map(one_client, range(CLIENTS)) for number in numbers]
    return time.perf_counter() - began, sorted(told)


def main(count, versions, asks, kept):
    with folder(kept) as place:
        root = os.path.join(place, f"w{count}x{versions}")
        os.makedirs(root, mode=0o700, exist_ok=True)
        asyncio.run(fill(root, count, versions))
        print(f"index.db {os.path.getsize(os.path.join(root, 'index.db')) / 1e6:.0f} MB")
        with served(root) as daemon:
            print(f"daemon's memory before: {daemon.resident():.1f} MiB")
            in_daemon(daemon, count, versions, asks)
            with_client(root, count, versions, asks)
            seconds, told = register_at_once(root, daemon.process)
            last = numbers(daemon)[-1]
            assert told == list(range(last - REGISTERED + 1, last + 1)), "a number is missing, or was given twice"
            assert numbers(daemon) == list(range(1, last + 1))
            print(f"{CLIENTS} clients registered {REGISTERED:,} versions in {seconds:.1f} s, none lost, no gap")
            print(f"daemon's memory after: {daemon.resident():.1f} MiB")


def numbers(daemon):
    """The versions of ``many``, by pages."""
    found, before = [], ""
    while True:
        page = daemon.get(f"/v1/environments/many/versions?limit=1000{before}")["versions"]
        found += [row["version"] for row in page]
        if len(page) < 1000:
            return sorted(found)
        before = f"&before={page[-1]['version']}"


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--environments", type=int, default=10_000)
parser.add_argument("--versions", type=int, default=100)
parser.add_argument("--asks", type=int, default=15)
parser.add_argument("--folder", help="where to put the index, to keep it")

if __name__ == "__main__":
    arguments = parser.parse_args()
    main(arguments.environments, arguments.versions, arguments.asks, arguments.folder)
