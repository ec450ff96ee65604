"""Diffs, lists of changes and rollbacks over the socket: nothing of it blocks, and each platform is its own."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

from roost.daemon.oci.target_platforms import local_platform
from roost.model.locks.lock import CondaPackage, CondaPython, HostPython, Lock, Provider, digest_lock
from roost.model.records import Generation, NewGeneration

HERE = local_platform({})
CONDA: Provider = CondaPython()
HOST: Provider = HostPython(version="3.11.7", executable="/usr/bin/python3")


def lock_of(platform: str = HERE, provider: Provider = CONDA, **versions: str) -> Lock:
    packages = tuple(
        CondaPackage(
            name=name,
            version=version,
            build="0",
            subdir="noarch",
            file_name=f"{name}-{version}-0.conda",
            url=f"https://example.org/c/noarch/{name}-{version}-0.conda",
            sha256=hashlib.sha256(f"{name}{version}".encode()).hexdigest(),
            size=1000,
        )
        for name, version in versions.items()
    )
    return Lock(platform=platform, provider=provider, conda=packages)


async def registered(served: Any, name: str, *dependencies: str, **variables: str) -> str:
    """The definition digest of a version that was registered just now."""
    document = {"name": name, "conda": {"dependencies": list(dependencies)}, "variables": variables}
    body = {"what": {"cwd": "/tmp", "document": document}}
    status, answer = await served.request("POST", "/v1/environments", json=body)
    assert status == 200, answer
    digest: str = answer["environment"]["definition_digest"]
    return digest


async def add(served: Any, digest: str, lineage: str, lock: Lock, **fields: str) -> Generation:
    new = NewGeneration(definition_digest=digest, platform=lineage, **fields)
    generation: Generation = await served.store.index.generations.add(new, lock)
    return generation


async def diff(served: Any, before: str, after: str, **fields: str) -> Any:
    status, answer = await served.request(
        "POST", "/v1/diffs", json={"cwd": "/tmp", "before": before, "after": after, **fields}
    )
    assert status == 200, answer
    return answer


async def test_conda_versions_in_conda_s_own_order(served: Any) -> None:
    one = await registered(served, "train", "tz=2021.9")
    two = await registered(served, "train", "tz=2021.10")
    await add(served, one, HERE, lock_of(tz="2021.9", a="1.0.4a3"))
    await add(served, two, HERE, lock_of(tz="2021.10", a="1.0.4"))
    answer = await diff(served, "train:1", "train:2")
    assert [(p["name"], p["change"]) for p in answer["lock"]["packages"]] == [("a", "up"), ("tz", "up")]
    assert (answer["lock"]["bytes"], answer["lock"]["unchanged"]) == (2000, 0)
    assert answer["definition"] == [{"field": "conda.dependencies[0]", "before": "tz=2021.9", "after": "tz=2021.10"}]


async def test_locks_are_compared_for_one_platform(served: Any) -> None:
    one, two = await registered(served, "train", "a=1"), await registered(served, "train", "a=2")
    for platform, versions in ((HERE, "12"), ("osx-arm64", "34")):
        await add(served, one, platform, lock_of(platform, a=versions[0]))
        await add(served, two, platform, lock_of(platform, a=versions[1]))
    await add(served, two, "win-64", lock_of("win-64", a="5"))
    for asked, found in ((None, "1"), ("osx-arm64", "3")):
        answer = await diff(served, "train:1", "train:2", **({"platform": asked} if asked else {}))
        assert answer["lock"]["platform"] == (asked or HERE)
        assert answer["lock"]["packages"][0]["before"]["version"] == found
    answer = await diff(served, "train:1", "train:2", platform="win-64")
    assert answer["lock"] is None
    assert answer["before"]["lock_missing"] == (
        "train:1 has no generation for win-64 on this machine: `roost build` creates the first one"
    )
    assert answer["after"]["lock_missing"] is None


async def test_another_python_of_this_machine_is_a_difference(served: Any) -> None:
    one, two = await registered(served, "train", A="1"), await registered(served, "train", A="2")
    assert one == two
    await add(served, one, HERE + "+host", lock_of(provider=HOST))
    answer = await diff(served, "train:1", "train:2")
    assert (answer["definition"], answer["lock"]["provider"], answer["differ"]) == ([], None, True)
    other = await registered(served, "other", "python")
    await add(served, other, HERE, lock_of())
    answer = await diff(served, "train", "other")
    assert answer["lock"]["provider"] == {
        "field": "python", "before": "3.11.7 (/usr/bin/python3)", "after": "conda",
    }  # fmt: skip


async def test_two_generations_of_one_version(served: Any) -> None:
    digest = await registered(served, "train", "a")
    for version in ("1", "2"):
        await add(served, digest, HERE, lock_of(a=version))
    old = {"cwd": "/tmp", "environment": "train", "generation": 1}
    for side in (old, {"cwd": "/tmp", "environment": "train", "lock": digest_lock(lock_of(a="1"))}):
        body = {"cwd": "/tmp", "before": side, "after": "train"}
        status, answer = await served.request("POST", "/v1/diffs", json=body)
        assert (status, answer["definition"], answer["before"]["generation"]) == (200, [], 1)
        assert [(p["name"], p["change"]) for p in answer["lock"]["packages"]] == [("a", "up")]
    status, answer = await served.request(
        "POST", "/v1/diffs", json={"cwd": "/tmp", "before": {**old, "generation": 9}, "after": "train"}
    )
    assert answer["lock"] is None
    assert answer["before"]["lock_missing"]


async def roll_back(served: Any, name: str, **fields: object) -> tuple[int, Any]:
    body = {"what": {"cwd": "/tmp", "environment": name}, **fields}
    answer: tuple[int, Any] = await served.request("POST", "/v1/rollbacks", json=body)
    return answer


async def test_each_platform_goes_back_by_itself(served: Any) -> None:
    """A definition without conda packages has its prefixes on this machine's Python, and conda's in its images."""
    digest = await registered(served, "train")
    for version in ("1", "2"):
        await add(served, digest, HERE + "+host", lock_of(provider=HOST, a=version))
        await add(served, digest, HERE, lock_of(a=version), base_digest="sha256:" + "b" * 64)
        await add(served, digest, "osx-64", lock_of("osx-64", a=version))
    status, answer = await roll_back(served, "train")
    assert (status, answer["platform"], answer["after"]["host"]) == (200, HERE, True)
    assert (answer["after"]["number"], answer["ready"]) == (1, False)
    status, answer = await roll_back(served, "train", platform=HERE)
    assert (answer["after"]["number"], answer["after"]["host"], answer["ready"]) == (1, False, None)
    status, answer = await roll_back(served, "train", platform=HERE + "+host", to=2)
    assert (answer["before"]["number"], answer["after"]["number"]) == (1, 2)
    current = {
        g.platform: g.number for g in await served.store.index.generations.list_by_definition(digest) if g.current
    }
    assert current == {HERE: 1, HERE + "+host": 2, "osx-64": 2}
    status, shown = await served.get("/v1/environments/train")
    assert [(g["platform"], g["host"], g["number"]) for g in shown["generations"] if g["current"]] == [
        (HERE, False, 1), (HERE, True, 2), ("osx-64", False, 2),
    ]  # fmt: skip


async def test_which_platform_is_asked_where_it_is_not_clear(served: Any) -> None:
    digest = await registered(served, "train", "a")
    for version in ("1", "2"):
        await add(served, digest, "osx-64", lock_of("osx-64", a=version))
    status, answer = await roll_back(served, "train")
    assert (status, answer["platform"], answer["after"]["number"]) == (200, "osx-64", 1)
    await add(served, digest, "win-64", lock_of("win-64", a="1"))
    status, answer = await roll_back(served, "train")
    assert (status, answer["code"]) == (400, "platform-unclear")
    assert "osx-64, win-64" in answer["hint"]


async def test_two_who_go_back_at_once_go_back_twice(served: Any) -> None:
    digest = await registered(served, "train", "a")
    for version in ("1", "2", "3"):
        await add(served, digest, HERE, lock_of(a=version))
    answers = await asyncio.gather(roll_back(served, "train"), roll_back(served, "train"))
    moves = sorted((answer["before"]["number"], answer["after"]["number"]) for _, answer in answers)
    assert moves == [(2, 1), (3, 2)]
    kinds = [event.kind for event in await served.store.index.events.list_since(0)]
    assert kinds.count("generation-promoted") == 2
    current = await served.store.index.generations.find_current(digest, HERE)
    assert current.lock_digest == digest_lock(lock_of(a="1"))


async def test_pages_of_versions_know_what_the_last_one_shown_changed(served: Any) -> None:
    for number in range(1, 6):
        await registered(served, "train", f"a={number}")
    status, page = await served.get("/v1/environments/train/versions?limit=2")
    assert status == 200
    told = [(each["version"], each["changes"][0]["before"]) for each in page["versions"]]
    assert told == [(5, "a=4"), (4, "a=3")]
    _, last = await served.get(f"/v1/environments/train/versions?limit=4&before={page['next']}")
    assert [each["changes"] is None for each in last["versions"]] == [False, False, True]
