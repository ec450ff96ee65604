"""Two machines, one workspace registry, the installed command: the second takes the first one's lock, and never a newer
package; what is poisoned is refused; a registry that is down stops nobody."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from tests.support.images.fault_registry import fault_registry, status
from tests.support.images.registries import Registries, RegistryProcess
from tests.support.pip_index import PipIndex, wheel_bytes
from tests.support.roost_process import Roost, clone, new_roost
from tests.support.trees import link_or_copy

from roost.daemon.engines.registry.engine import RegistryClient
from roost.daemon.engines.registry.values import RegistryConfig
from roost.daemon.locks.artifact import SharedLock, decode, encode, lock_descriptor, lock_repository, lock_tag
from roost.daemon.oci.answers import Yes
from roost.daemon.oci.manifests import OCI_MANIFEST, Manifest, parse_manifest
from roost.daemon.oci.references import Reference
from roost.model.locks.lock import Lock, digest_lock

ENVIRONMENT = """name: shared
channels: [conda-forge]
dependencies:
  - python=3.11
  - six
  - pip
  - pip:
      - greet
"""
VERSIONS = "import six, greet; print(six.__version__, greet.value)"

Machine = Callable[..., Roost]


@pytest.fixture
def pip_index() -> Iterator[PipIndex]:
    index = PipIndex()
    index.wheel("greet", "1.0")
    yield index
    index.close()


@pytest.fixture(scope="session")
def older_channel(channel: Path) -> Iterator[Path]:
    """The same channel before six 1.17 came."""
    folder = Path(tempfile.mkdtemp(prefix="rch-", dir="/tmp"))
    shutil.copytree(channel, folder / "c", copy_function=link_or_copy)
    index = folder / "c" / "noarch" / "repodata.json"
    content = json.loads(index.read_bytes())
    index.unlink()  # a hard link until now
    for packages in (content["packages"], content["packages.conda"]):
        for file in [f for f, record in packages.items() if record["name"] == "six" and record["version"] > "1.17"]:
            del packages[file]
    index.write_text(json.dumps(content))
    yield folder / "c"
    shutil.rmtree(folder)


@pytest.fixture
def machine(pip_index: PipIndex, channel: Path, conda_packages: Path) -> Iterator[Machine]:
    """Makes machines, each with a root of its own, which has the usual conda packages unless it is ``bare``."""
    made: list[Roost] = []

    def make(workspace: str, *catalogues: str, mirror: Path = channel, bare: bool = False) -> Roost:
        roost = new_roost()
        if not bare:
            clone(conda_packages, roost.root / "packages")
        named = f'workspace = "{workspace}"\n' if workspace else ""
        roost.config.write_text(
            f'[pip]\nindex_url = "{pip_index.url}"\n[conda.mirrors]\n"conda-forge" = ["{mirror.as_uri()}"]\n'
            f"[network]\nretries = 0\n[registries]\n{named}catalogues = {json.dumps(catalogues)}\n"
        )
        roost.write("environment.yml", ENVIRONMENT)
        made.append(roost)
        return roost

    yield make
    for roost in made:
        roost.end()


def team(registry: RegistryProcess) -> str:
    return f"{registry.host}/team"


def codes(reasons: list[dict[str, str]]) -> list[str]:
    return [reason["code"] for reason in reasons]


def kinds(roost: Roost) -> list[str]:
    lines = roost.ok("events", "--json").splitlines()  # NDJSON, all that was kept
    return [json.loads(line)["kind"] for line in lines]


def test_a_second_machine_gets_the_first_one_s_lock_though_everything_moved_on(
    machine: Machine, registries: Registries, older_channel: Path, pip_index: PipIndex
) -> None:
    first = machine(team(registries.workspace), mirror=older_channel)
    built = first.json("build")["build"]
    assert "lock-pushed" in codes(built["reasons"])
    pip_index.wheel("greet", "2.0")
    second = machine(team(registries.workspace))  # its channel has six 1.17
    plan = second.json("plan")
    assert plan["lock_digest"] == built["lock_digest"]
    assert codes(plan["plans"][0]["reasons"]) == ["lock-shared-registry", "prefix-missing"]
    taken = second.json("build")["build"]
    assert (taken["lock_digest"], taken["generation"]) == (built["lock_digest"], 1)
    versions = second.ok("exec", "--", "python", "-c", VERSIONS).split()
    assert versions[0] == "1.16.0", versions
    assert versions[1] == "1.0"
    assert first.ok("exec", "--", "python", "-c", VERSIONS).split() == versions
    _a_rebuild_is_for_those_who_ask(machine, registries, first, second, built["lock_digest"])


def _a_rebuild_is_for_those_who_ask(
    machine: Machine, registries: Registries, first: Roost, second: Roost, digest: str
) -> None:
    rebuilt = second.json("build", "--rebuild")["build"]
    assert rebuilt["lock_digest"] != digest
    assert "lock-pushed" in codes(rebuilt["reasons"])
    assert second.ok("exec", "--", "python", "-c", VERSIONS).split()[1] == "2.0"
    kept = first.json("build")["build"]
    assert (kept["lock_digest"], "lock-elsewhere" in codes(kept["reasons"])) == (digest, False)
    said = second.run("build").stderr
    assert f"`roost build --lock {digest}` uses it" in said, "who reads no JSON is told as well"
    own = second.json("build")["build"]
    assert (own["lock_digest"], codes(own["reasons"])[-1]) == (rebuilt["lock_digest"], "lock-elsewhere")
    assert digest.removeprefix("sha256:")[:12] in own["reasons"][-1]["message"]
    outdated = second.json("env", "outdated")["outdated"]
    assert (outdated["outdated"], codes(outdated["reasons"])) == (False, ["lock-elsewhere"])
    [elsewhere] = second.json("env", "outdated", "-f", "environment.yml")["outdated"]["reasons"]
    assert elsewhere["code"] == "lock-elsewhere"
    registries.workspace.stop()  # what is remembered is told, and nobody is asked
    assert "lock-elsewhere" in codes(second.json("plan")["plans"][0]["reasons"])
    registries.workspace.start()
    back = second.json("build", "--lock", digest)["build"]
    assert (back["lock_digest"], back["generation"]) == (digest, 1)
    asked = first.json("build", "--lock", rebuilt["lock_digest"])["build"]
    assert (asked["lock_digest"], asked["generation"]) == (rebuilt["lock_digest"], 2)
    assert first.ok("exec", "--", "python", "-c", VERSIONS).split()[1] == "2.0", "because it was asked for"
    assert first.failed(7, "build", "--lock", "sha256:" + "0" * 64)["code"] == "not-found"
    third = machine(team(registries.workspace))
    assert third.json("plan")["lock_digest"] == digest


def test_two_machines_at_once_come_to_one_lock(machine: Machine, registries: Registries, older_channel: Path) -> None:
    one, two = machine(team(registries.workspace), mirror=older_channel), machine(team(registries.workspace))
    started = [roost.start("build") for roost in (one, two)]
    for process in started:
        _, errors = process.communicate(timeout=200)
        assert process.returncode == 0, errors
    digests = {roost.json("build")["build"]["lock_digest"] for roost in (one, two)}
    assert digests == {machine(team(registries.workspace)).json("plan")["lock_digest"]}


def test_a_lock_that_a_mirror_has_not_got_yet_is_taken_and_never_written_over(
    machine: Machine, registries: Registries, older_channel: Path
) -> None:
    first = machine(team(registries.workspace), mirror=older_channel)
    built = first.json("build")["build"]
    second = machine(team(registries.workspace))
    mirrors = f'[registries.mirrors]\n"{registries.workspace.host}" = ["{registries.catalogue.host}"]\n'
    second.config.write_text(second.config.read_text() + mirrors)
    taken = second.json("build")["build"]
    assert taken["lock_digest"] == built["lock_digest"]
    assert "lock-shared-registry" in codes(taken["reasons"])
    assert second.ok("exec", "--", "python", "-c", VERSIONS).split()[0] == "1.16.0"
    third = machine(team(registries.workspace))
    assert third.json("plan")["lock_digest"] == built["lock_digest"], "it is the first one's as before"


def test_a_catalogue_is_asked_after_the_workspace_and_only_read(machine: Machine, registries: Registries) -> None:
    curator = machine(team(registries.catalogue))
    built = curator.json("build")["build"]
    user = machine(team(registries.workspace), team(registries.catalogue))
    assert user.json("build")["build"]["lock_digest"] == built["lock_digest"]
    reader = machine("", team(registries.catalogue))
    reader.write("environment.yml", ENVIRONMENT.replace("six", "dated"))
    own = reader.json("build")["build"]
    assert "lock-pushed" not in codes(own["reasons"])
    assert len(list((registries.catalogue.folder / "data").rglob("_manifests/tags/*"))) == 1
    assert "lock-fetched" in kinds(user)
    assert "lock-pushed" in kinds(curator)


def test_a_version_that_got_another_file_meanwhile_is_still_the_first_one_s(
    machine: Machine, registries: Registries, pip_index: PipIndex
) -> None:
    text = ENVIRONMENT.replace("  - six\n", "")
    first = machine(team(registries.workspace))
    first.write("environment.yml", text)
    built = first.json("build")["build"]
    name, content = wheel_bytes("greet", "1.0", code="value = 'another file'\n")
    pip_index.add("greet", (name.replace("1.0-", "1.0-7-"), content))  # a build number: preferred from now on
    second = machine(team(registries.workspace))
    second.write("environment.yml", text)
    assert second.json("build")["build"]["lock_digest"] == built["lock_digest"]
    assert second.ok("exec", "--", "python", "-c", "import greet; print(greet.value)").strip() == "1.0"


def test_a_registry_that_is_down_stops_nobody_and_is_told(machine: Machine, registries: Registries) -> None:
    registries.workspace.stop()
    roost = machine(team(registries.workspace))
    roost.write("environment.yml", "channels: [conda-forge]\ndependencies: [dated=1]\n")
    plan = roost.json("plan")["plans"][0]
    assert plan["action"] == "build-prefix"
    assert codes(plan["reasons"])[-1] == "registry-unknown"
    assert team(registries.workspace) in plan["reasons"][-1]["message"]
    built = roost.json("build")["build"]
    assert built["state"] == "succeeded"
    assert "registry-unknown" in codes(built["reasons"])
    warm = roost.json("plan")["plans"][0]
    assert codes(warm["reasons"]) == ["definition-known", "prefix-ready"], "nobody is asked where all is here"
    assert kinds(roost).count("lock-not-pushed") == 1
    registries.workspace.start()
    warm = roost.json("build")["build"]
    assert (warm["state"], codes(warm["reasons"])[-1]) == ("not-needed", "lock-pushed"), "given as soon as it can be"
    other = machine(team(registries.workspace))
    other.write("environment.yml", "channels: [conda-forge]\ndependencies: [dated=1]\n")
    assert other.json("plan")["lock_digest"] == built["lock_digest"]
    assert "lock-pushed" not in codes(roost.json("build")["build"]["reasons"])


async def test_a_registry_whose_repositories_must_be_made_first_stops_nobody_and_is_told(machine: Machine) -> None:
    async with fault_registry() as registry:
        registry.faults["POST /blobs/uploads/"] = status(404)
        roost = machine(f"{registry.host}/team")
        roost.write("environment.yml", "channels: [conda-forge]\ndependencies: [dated=1]\n")
        built = (await asyncio.to_thread(roost.json, "build"))["build"]
    assert (built["state"], built["generation"]) == ("succeeded", 1)
    [told] = [reason["message"] for reason in built["reasons"] if reason["code"] == "lock-not-shared"]
    assert "stays on this machine" in told
    assert f"{registry.host}/team/locks" in told, "what to make"


def test_a_definition_with_an_editable_folder_is_shared_with_nobody(machine: Machine, registries: Registries) -> None:
    roost = machine(team(registries.workspace))
    (roost.folder / "environment.yml").unlink()
    roost.write("mine/pyproject.toml", '[project]\nname = "mine"\nversion = "1"\n')
    roost.write("requirements.txt", "-e ./mine\n")
    plan = roost.json("plan")["plans"][0]
    assert codes(plan["reasons"]) == ["definition-unknown"]
    assert not (registries.workspace.folder / "data").exists()


@pytest.fixture
async def client() -> object:
    made = RegistryClient(RegistryConfig(retries=0))
    yield made
    await made.close()


async def fetch(client: RegistryClient, reference: Reference) -> SharedLock:
    found = await client.manifest(reference)
    assert isinstance(found, Yes)
    manifest = parse_manifest(found.value.data)
    assert isinstance(manifest, Manifest)
    return decode(await client.read_blob(reference, lock_descriptor(manifest), 1 << 26))


async def push(client: RegistryClient, reference: Reference, shared: SharedLock) -> None:
    artifact = encode(shared)
    for descriptor, data in artifact.blobs:
        await client.push_blob(reference, data, descriptor)
    await client.push_manifest(reference, artifact.manifest, OCI_MANIFEST)


def decode_digest(shared: SharedLock) -> str:
    return digest_lock(shared.lock)


def _elsewhere(lock: Lock) -> Lock:
    bad = [msgspec.structs.replace(p, url=p.url.replace("conda.anaconda.org", "evil.example")) for p in lock.conda]
    return msgspec.structs.replace(lock, conda=tuple(bad))


def _other_bytes(lock: Lock) -> Lock:
    bad = [msgspec.structs.replace(p, sha256="0" * 64, record={**p.record, "sha256": "0" * 64}) for p in lock.conda]
    return msgspec.structs.replace(lock, conda=tuple(bad))


def _other_wheel(lock: Lock) -> Lock:
    return msgspec.structs.replace(
        lock, wheels=tuple(msgspec.structs.replace(wheel, sha256="0" * 64) for wheel in lock.wheels)
    )


@pytest.mark.parametrize("poison", [_elsewhere, _other_bytes, _other_wheel])
async def test_a_poisoned_lock_is_refused_and_nothing_of_it_is_used(
    machine: Machine, registries: Registries, client: RegistryClient, poison: Callable[[Lock], Lock]
) -> None:
    text = ENVIRONMENT.replace("  - six\n", "")
    first = machine(team(registries.workspace))
    first.write("environment.yml", text)
    built = first.json("build")["build"]
    tag = lock_tag(built["definition_digest"], first.json("plan")["plans"][0]["platform"])
    reference = lock_repository(team(registries.workspace)).with_tag(tag)
    good = await fetch(client, reference)
    await push(client, reference, msgspec.structs.replace(good, lock=poison(good.lock)))
    second = machine(team(registries.workspace), bare=True)
    second.write("environment.yml", text)
    refused = second.failed(4, "build")
    assert refused.get("error", refused)["code"] == "lock-poisoned"
    assert str(reference) in refused["hint"], "whoever looks after the registry must find it"
    assert refused["fields"]["reference"] == str(reference)
    assert not [path for path in (second.root / "prefixes").glob("*") if path.is_dir()]
    # the way out that the hint names
    rebuilt = second.json("build", "--rebuild")["build"]
    assert rebuilt["state"] == "succeeded"
    warm = second.json("build")["build"]
    told = "lock-poisoned" if poison is _elsewhere else "lock-elsewhere"  # by the look of it, or when it is asked for
    assert (warm["state"], codes(warm["reasons"])[-1]) == ("not-needed", told)
    if poison is _elsewhere:
        assert str(reference) in warm["reasons"][-1]["message"]
        assert "lock-poisoned" in codes(rebuilt["reasons"])
    else:
        bad = decode_digest(await fetch(client, reference))
        assert second.failed(4, "build", "--lock", bad)["code"] == "lock-poisoned"
        assert second.json("build")["build"]["lock_digest"] == rebuilt["lock_digest"]
