"""Images between machines: pushed with and without an engine, pulled by others, and what can go wrong on the way."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from tests.support.images.machines import Machine, forget, machine, of_this_test, write_definition
from tests.support.images.registries import Registries
from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost

VERSION = "import six, sys; print(six.__version__, sys.prefix)"


@pytest.fixture
def new_machine(
    channel_url: str, pip_index: PipIndex, docker_host: str, registries: Registries, prepared_root: Path
) -> Iterator[Machine]:
    with contextlib.ExitStack() as stack:

        def make(*, engine: bool = True, **options) -> Roost:
            options = {"registries": registries, "prepared": prepared_root, **options}
            return stack.enter_context(machine(channel_url, pip_index, docker_host if engine else None, **options))

        yield make


def codes(plan: dict) -> list[str]:
    return [reason["code"] for reason in plan["reasons"]]


def test_a_machine_without_an_engine_pushes_and_another_one_pulls_and_runs(
    new_machine: Machine, client: docker.DockerClient, shared_base: str, registries: Registries
):
    builder, runner = new_machine(engine=False), new_machine()
    for roost in (builder, runner):
        write_definition(roost, shared_base)
    assert builder.failed(6, "build", "-t", "docker")["code"] == "engine-unreachable"
    pushed = builder.json("image", "push")["build"]["artifacts"][0]
    assert pushed["reference"].startswith(f"{registries.workspace.host}/team/images:")
    again = builder.json("image", "push")["build"]["artifacts"][0]
    assert again == pushed
    [plan] = runner.json("plan")["plans"]
    assert plan["action"] == "pull-image", plan
    assert (plan["artifact"]["digest"], plan["artifact"]["manifest_digest"]) == (
        pushed["digest"],
        pushed["manifest_digest"],
    )
    assert plan["steps"][0]["bytes"] > 10_000_000
    pulled = runner.json("image", "pull")["build"]["artifacts"][0]
    assert pulled["digest"] == pushed["digest"]
    assert runner.ok("run", "--", "python", "-c", VERSION).split() == ["1.16.0", "/opt/roost/env"]
    shown = runner.json("image", "show")
    assert (shown["exists_in_registry"], shown["exists_in_engine"]) == (True, True)
    assert shown["registry"] == registries.workspace.host
    assert shown["repository"] == "team/images"
    assert any("six 1.16.0" in layer.get("packages", []) for layer in shown["layers"])
    forget(client, pulled["digest"])
    assert runner.json("plan")["plans"][0]["action"] == "pull-image"
    assert runner.ok("run", "--", "python", "-c", VERSION).split() == ["1.16.0", "/opt/roost/env"]
    forget(client, pulled["digest"])


def test_two_machines_make_the_same_image_byte_for_byte(
    new_machine: Machine, client: docker.DockerClient, shared_base: str
):
    digests = []
    for _ in range(2):
        roost = new_machine(registries=None)
        write_definition(roost, shared_base)
        artifact = roost.json("build")["build"]["artifacts"][0]
        digests.append(artifact["digest"])
        forget(client, artifact["reference"])
    assert digests[0] == digests[1]


def test_a_registry_that_is_down_is_named_and_stops_no_local_build(
    new_machine: Machine, client: docker.DockerClient, base_image: str, registries: Registries
):
    roost = new_machine()
    write_definition(roost, base_image)
    registries.workspace.stop()
    assert roost.json("image", "show")["exists_in_registry"] is None, "of a lock that is not known here, too"
    [plan] = roost.json("plan")["plans"]
    assert plan["action"] == "build-image"
    assert "registry-unknown" in codes(plan)
    built = roost.json("build")["build"]
    assert built["state"] == "succeeded"
    refused = roost.failed(6, "image", "push")
    assert refused["code"] == "registry-unknown"
    assert roost.json("image", "show")["exists_in_registry"] is None
    registries.workspace.start()
    pushed = roost.json("image", "push")["build"]["artifacts"][0]
    assert pushed["digest"] == built["artifacts"][0]["digest"], "also of a base that no registry has"
    forget(client, built["artifacts"][0]["reference"])


@pytest.mark.long
def test_the_base_tags_policy(new_machine: Machine, client: docker.DockerClient, shared_base: str, python_image: str):
    roost = new_machine(registries=None)
    write_definition(roost, shared_base)
    first = roost.json("build")["build"]
    repository, _, tag = shared_base.rpartition(":")
    client.images.get(python_image).tag(repository, tag)
    assert "error" not in client.images.push(repository, tag)
    forget(client, shared_base)
    assert roost.json("build")["build"]["state"] == "not-needed", "pin"
    config = roost.config.read_text()
    _hear_of_the_move(roost, shared_base)
    assert roost.json("build")["build"]["state"] == "not-needed", "what was reported is not adopted"
    roost.config.write_text(config.replace("[docker]", '[docker]\nbase_policy = "warn"'))
    [plan] = roost.json("plan")["plans"]
    assert plan["action"] == "reuse-image"
    assert "base-moved" in codes(plan)
    roost.config.write_text(config.replace("[docker]", '[docker]\nbase_policy = "follow"'))
    second = roost.json("build")["build"]
    assert (second["generation"], second["lock_digest"]) == (2, first["lock_digest"])
    assert second["artifacts"][0]["digest"] != first["artifacts"][0]["digest"]
    assert roost.ok("run", "--", "/usr/bin/python3", "-c", "print(6*7)").strip() == "42"
    forget(client, first["artifacts"][0]["reference"], second["artifacts"][0]["reference"])


def _hear_of_the_move(roost: Roost, base: str) -> None:
    """Wait for the daily look at the bases of watched definitions, which begins as soon as the daemon is idle."""
    roost.config.write_text(roost.config.read_text() + "[daemon]\nidle_work_seconds = 0\n")
    roost.ok("watch", "add", ".")
    moved: list[str] = []
    while not moved:
        time.sleep(0.3)
        lines = roost.ok("events", "--json").splitlines()
        moved = [each["fields"]["image"] for each in map(json.loads, lines) if each["kind"] == "base-moved"]
    assert moved == [base]


@pytest.mark.long
@pytest.mark.usefixtures("known_layers")
def test_a_machine_that_pulled_keeps_the_base_of_its_generation_wherever_its_tag_went(
    new_machine: Machine, client: docker.DockerClient, base_image: str, python_image: str, registries: Registries
):
    base = _base_of_its_own(client, f"{registries.catalogue.host}/base", base_image)
    builder, runner, late = new_machine(engine=False), new_machine(), new_machine()
    for roost in (builder, runner, late):
        write_definition(roost, base)
    pushed = builder.json("image", "push")["build"]["artifacts"][0]
    _move(client, base, python_image)
    pulled = runner.json("build")["build"]
    assert pulled["generation"] == 1
    again = runner.json("image", "push")["build"]
    assert (again["generation"], again["artifacts"][0]["digest"]) == (1, pushed["digest"]), "everything is in place"
    forget(client, pushed["digest"])
    registries.workspace.stop()
    assert runner.failed(6, "build")["code"].startswith("registry-")
    registries.workspace.start()
    tags = registries.workspace.folder / "data/docker/registry/v2/repositories/team/images/_manifests/tags"
    for each in (pushed["reference"].rpartition(":")[2], *[path.name for path in tags.glob("*-*")]):
        shutil.rmtree(tags / each)
    made = runner.json("build")["build"]
    assert (made["generation"], made["artifacts"][0]["digest"]) == (1, pushed["digest"]), "on the base that was beside"
    forget(client, pushed["digest"])
    _without_the_base(builder, late, client, registries, tags, pushed["digest"])


def _without_the_base(
    builder: Roost, late: Roost, client: docker.DockerClient, registries: Registries, tags: Path, digest: str
) -> None:
    """As from a roost that put no base beside its images."""
    builder.json("image", "push")
    [base] = [path for path in tags.iterdir() if len(path.name) == 64 and not _is_image(builder, path.name)]
    shutil.rmtree(base)
    assert late.json("build")["build"]["generation"] == 1
    forget(client, digest)
    for path in tags.iterdir():
        shutil.rmtree(path)
    registries.workspace.stop()
    assert late.failed(6, "build")["code"] == "registry-unknown"
    registries.workspace.start()
    assert [reason["code"] for reason in late.json("plan")["plans"][0]["reasons"]][-1] == "base-gone"
    gone = late.failed(7, "build")
    assert (gone["code"], "docker steps" in gone["message"]) == ("generation-gone", False)
    moved = late.json("build", "--rebuild")["build"]
    assert moved["generation"] == 2
    forget(client, moved["artifacts"][0]["digest"])


def _base_of_its_own(client: docker.DockerClient, repository: str, below: str) -> str:
    """One that the engine does not have afterwards, as it has all others."""
    container = client.containers.create(below, ["sh", "-c", "date +%N > /own"])
    container.start()
    container.wait()
    image = container.commit(repository, "1")
    container.remove()
    assert "error" not in client.images.push(repository, "1")
    forget(client, image.id)
    return f"{repository}:1"


def _move(client: docker.DockerClient, reference: str, image: str) -> None:
    """The registry's tag names another image from now on."""
    repository, _, tag = reference.rpartition(":")
    client.images.get(image).tag(repository, tag)
    assert "error" not in client.images.push(repository, tag)
    forget(client, reference)


def _is_image(roost: Roost, tag: str) -> bool:
    return roost.json("image", "show")["reference"].endswith(f":{tag}")


def test_an_image_on_an_image_of_roost_is_pushed_and_pulled(
    new_machine: Machine, client: docker.DockerClient, base_image: str, registries: Registries
):
    builder, runner = new_machine(), new_machine()
    builder.write(
        "roost.toml", f'[base]\nimage = "{base_image}"\nsteps = ["RUN date +%N > /made # {of_this_test()}"]\n'
    )
    below = builder.json("build")["build"]["artifacts"][0]["digest"]
    assert "org.roost.steps" in client.images.get(below).labels
    client.images.get(below).tag(f"{registries.catalogue.host}/below", "1")
    assert "error" not in client.images.push(f"{registries.catalogue.host}/below", "1")
    for roost in (builder, runner):
        write_definition(roost, f"{registries.catalogue.host}/below:1")
    pushed = builder.json("image", "push")["build"]["artifacts"][0]["digest"]
    pulled = runner.json("build")["build"]["artifacts"][0]
    assert pulled["digest"] == pushed
    assert "org.roost.steps" not in client.images.get(pushed).labels
    assert runner.ok("run", "--", "python", "-c", VERSION).split()[0] == "1.16.0"
    forget(client, pushed, below)


def test_an_environment_on_an_image_that_has_one_is_its_lock_alone(
    new_machine: Machine, client: docker.DockerClient, shared_base: str, registries: Registries
):
    builder, runner, blind = new_machine(), new_machine(), new_machine(engine=False)
    write_definition(builder, shared_base)
    below = builder.json("image", "push")["build"]["artifacts"][0]
    for roost in (builder, runner, blind):
        write_definition(roost, below["reference"], package="greeting")
    pushed = blind.json("image", "push")["build"]["artifacts"][0]["digest"]
    made = builder.json("build", "--rebuild")["build"]["artifacts"][0]["digest"]
    assert made == pushed, "the same on each machine"
    own = builder.json("image", "show")["layers"]
    forget(client, pushed)
    pulled = runner.json("build")["build"]["artifacts"][0]
    assert pulled["digest"] == pushed
    layers = runner.json("image", "show")["layers"]
    assert [layer.get("packages") for layer in layers] == [layer.get("packages") for layer in own]
    named = [package for layer in layers for package in layer.get("packages", [])]
    assert ("greeting 1.0" in named, "six 1.16.0" in named) == (True, False)
    assert len(named) == len(set(named)), "layers that both have name packages once"
    check = "import greeting, importlib.util as u, json, os; print(json.dumps([u.find_spec('six') is None, "
    check += "[name for name in os.listdir('/opt/roost/env/conda-meta') if name.endswith('.json')]]))"
    gone, records = json.loads(runner.ok("run", "--", "python", "-c", check))
    assert gone, "the package of the environment below"
    assert sorted(name.rpartition("-")[0].replace("-", " ") for name in records) == sorted(named)
    forget(client, pushed, below["digest"])


@pytest.mark.parametrize("text", ["FROM {}\n", "FROM {}\nFROM {}\nCOPY --from=0 /opt/roost/env /opt/roost/env\n"])
def test_an_environment_on_a_dockerfiles_image_that_has_one_is_its_lock_alone(
    new_machine: Machine, client: docker.DockerClient, base_image: str, text: str
):
    roost = new_machine(registries=None)
    write_definition(roost, base_image)
    below = roost.json("build")["build"]["artifacts"][0]["reference"]
    dockerfile = text.format(*[below, base_image][: text.count("{}")]) + f"LABEL of={of_this_test()}\n"
    roost.write("Dockerfile", dockerfile)
    roost.write(
        "roost.toml",
        '[base]\ndockerfile = "Dockerfile"\n[conda]\ndependencies = ["python=3.11", "greeting"]\n',
    )
    made = roost.json("build")["build"]["artifacts"][0]["reference"]
    check = "import greeting, importlib.util as u; print(u.find_spec('six'))"
    assert roost.ok("run", "--", "python", "-c", check) == "None\n"
    forget(client, made, below)


@pytest.mark.long
@pytest.mark.usefixtures("known_layers")
def test_an_image_that_brings_its_python_is_pushed_unseen_and_its_python_is_found_where_it_was_pulled(
    new_machine: Machine, client: docker.DockerClient, python_image: str, registries: Registries
):
    shelf = f"{registries.catalogue.host}/python"
    client.images.get(python_image).tag(shelf, "1")
    assert "error" not in client.images.push(shelf, "1")
    forget(client, f"{shelf}:1")
    text = '[base]\nimage = "{}"\n{}\n[python]\nuser_managed = true\ninterpreter = "{}"\n'
    builder, runner, blind = new_machine(), new_machine(), new_machine(engine=False)
    steps = f'steps = ["RUN date +%N > /made # {of_this_test()}"]'
    for roost in (builder, runner):
        roost.write("roost.toml", text.format(f"{shelf}:1", steps, "/usr/bin/python3"))
    pushed = builder.json("image", "push")["build"]
    assert "interpreter-unchecked" in codes(pushed)
    assert runner.json("build")["build"]["artifacts"][0]["digest"] == pushed["artifacts"][0]["digest"]
    forget(client, pushed["artifacts"][0]["digest"])
    assert runner.json("plan")["plans"][0]["action"] == "pull-image"
    assert runner.ok("run", "--", "python", "-c", "import sys; print(sys.executable)") == "/usr/bin/python3\n"
    blind.write("roost.toml", text.format(f"{shelf}:1", "", "/opt/none/python"))
    assert blind.json("image", "push")["build"]["state"] == "succeeded"
    runner.write("roost.toml", text.format(f"{shelf}:1", "", "/opt/none/python"))
    assert runner.failed(125, "run", "--", "python", "-c", "")["code"] == "interpreter-missing"
    forget(client, pushed["artifacts"][0]["digest"])


def test_an_image_of_the_same_lock_on_another_base_is_not_taken_for_the_one_that_was_asked_for(
    new_machine: Machine, client: docker.DockerClient, shared_base: str, registries: Registries
):
    runner, other = new_machine(), new_machine()
    write_definition(runner, shared_base)
    write_definition(other, shared_base, f'steps = ["RUN echo {of_this_test()} > /made"]')
    asked, wrong = (roost.json("image", "push")["build"] for roost in (runner, other))
    assert asked["lock_digest"] == wrong["lock_digest"]
    tags = registries.workspace.folder / "data/docker/registry/v2/repositories/team/images/_manifests/tags"
    links = [tags / each["artifacts"][0]["reference"].rpartition(":")[2] / "current/link" for each in (asked, wrong)]
    forget(client, asked["artifacts"][0]["digest"])
    links[0].write_text(links[1].read_text())
    assert runner.json("plan")["plans"][0]["action"] == "pull-image"
    assert runner.failed(4, "build")["code"] == "image-wrong"
    forget(client, wrong["artifacts"][0]["digest"])


@pytest.mark.long
def test_an_image_whose_layers_files_are_gone_is_pushed(
    new_machine: Machine, client: docker.DockerClient, shared_base: str, registries: Registries
):
    roost, blind = new_machine(), new_machine(engine=False)
    write_definition(roost, shared_base)
    write_definition(blind, shared_base, package="greeting")

    def lose_layers(of: Roost) -> None:
        for path in (of.root / "layers").iterdir():
            path.unlink()

    built = roost.json("build")["build"]["artifacts"][0]["digest"]
    lose_layers(roost)
    assert roost.json("image", "push")["build"]["artifacts"][0]["digest"] == built, "the engine's"
    forget(client, built)
    assert roost.ok("run", "--", "python", "-c", VERSION).split()[0] == "1.16.0"
    forget(client, built)
    first = blind.json("image", "push")["build"]["artifacts"][0]["digest"]
    lose_layers(roost)
    lose_layers(blind)
    shutil.rmtree(registries.workspace.folder / "data/docker/registry/v2/repositories/team/images/_manifests/tags")
    assert roost.json("image", "push")["build"]["artifacts"][0]["digest"] == built, "written again"
    assert blind.json("image", "push")["build"]["artifacts"][0]["digest"] == first, "without an engine too"


def test_an_image_is_found_by_each_definition_that_pushed_it(
    new_machine: Machine, client: docker.DockerClient, shared_base: str, python_image: str
):
    machines = [new_machine(engine=False), new_machine(engine=False), new_machine()]
    for roost in machines:
        write_definition(roost, shared_base)
    for roost in machines[1:]:
        text = (roost.folder / "roost.toml").read_text()
        roost.write("roost.toml", text.replace('"python=3.11", "six=1.16"', '"six=1.16", "python=3.11"'))
    first, second = (roost.json("image", "push")["build"] for roost in machines[:2])
    assert first["definition_digest"] != second["definition_digest"]
    assert first["artifacts"] == second["artifacts"]
    _move(client, shared_base, python_image)
    [plan] = machines[2].json("plan")["plans"]
    assert (plan["action"], plan["artifact"]["digest"]) == ("pull-image", first["artifacts"][0]["digest"])


def test_a_base_whose_registry_can_not_say_is_not_followed_into_the_engine(
    new_machine: Machine, client: docker.DockerClient, shared_base: str, python_image: str, registries: Registries
):
    roost = new_machine(registries=None, extra='base_policy = "follow"')
    write_definition(roost, shared_base)
    first = roost.json("build")["build"]
    repository, _, tag = shared_base.rpartition(":")
    client.images.get(python_image).tag(repository, tag)  # as an old one that nobody pulled again
    registries.catalogue.stop()
    [plan] = roost.json("plan")["plans"]
    assert (plan["action"], "base-unknown" in codes(plan), "base-moved" in codes(plan)) == ("reuse-image", True, False)
    assert roost.json("build")["build"]["generation"] == 1
    write_definition(roost, shared_base, 'steps = ["RUN echo new > /new"]')
    other = roost.json("build")["build"]
    [told] = [reason["message"] for reason in other["reasons"] if reason["code"] == "registry-unknown"]
    assert "the engine's is used" in told
    registries.catalogue.start()
    forget(client, shared_base, first["artifacts"][0]["reference"], other["artifacts"][0]["reference"])


@pytest.mark.parametrize("point", ["image.assembled", "image.brought", "image.loaded", "image.in-transaction"])
def test_a_daemon_that_is_killed_while_it_loads_leaves_nothing_recorded_and_the_next_try_goes_on(
    new_machine: Machine, client: docker.DockerClient, base_image: str, point: str
):
    roost = new_machine(registries=None)
    write_definition(roost, base_image)
    broken = roost.run("build", variables={"ROOST_FAILPOINT": point})
    assert broken.returncode == 5, broken.stderr
    assert roost.json("image", "list")["images"] == []
    assert roost.json("plan")["plans"][0]["action"] == "build-image"
    layers = sorted(path.name for path in (roost.root / "layers").iterdir())
    assert len(layers) > 5
    built = roost.json("build")["build"]
    assert (built["state"], built["generation"]) == ("succeeded", 1)
    assert sorted(path.name for path in (roost.root / "layers").iterdir()) == layers, "no layer was written again"
    assert roost.ok("run", "--", "python", "-c", VERSION).split()[0] == "1.16.0"
    forget(client, built["artifacts"][0]["reference"])


def test_a_daemon_that_is_killed_while_it_pushes_leaves_nothing_tagged_and_the_next_try_goes_on(
    new_machine: Machine, shared_base: str, registries: Registries
):
    roost = new_machine(engine=False)
    write_definition(roost, shared_base)
    assert roost.run("image", "push", variables={"ROOST_FAILPOINT": "image.pushing"}).returncode == 5
    shown = roost.json("image", "show")
    assert shown["exists_in_registry"] is False
    pushed = roost.json("image", "push")["build"]["artifacts"][0]
    assert pushed["manifest_digest"]
    assert roost.json("image", "show")["exists_in_registry"] is True


def test_two_machines_that_push_the_same_definition_at_the_same_time_agree(new_machine: Machine, shared_base: str):
    machines = [new_machine(engine=False) for _ in range(2)]
    for roost in machines:
        write_definition(roost, shared_base)
    running = [roost.start("image", "push", "--json") for roost in machines]
    said = [process.communicate(timeout=240)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0], said
    artifacts = [json.loads(text.splitlines()[-1])["build"]["artifacts"][0] for text in said]
    for field in ("reference", "digest", "manifest_digest"):
        assert artifacts[0][field] == artifacts[1][field]


def test_there_is_nothing_to_push_without_a_workspace(new_machine: Machine, base_image: str):
    alone = new_machine(registries=None)
    write_definition(alone, base_image)
    assert alone.failed(2, "image", "push")["code"] == "workspace-missing"
    assert alone.failed(7, "image", "pull")["code"] == "image-missing"
    assert alone.json("image", "show")["exists_in_registry"] is False


def test_an_image_is_built_from_the_lock_file_and_is_current_with_it_only(
    new_machine: Machine, client: docker.DockerClient, shared_base: str
):
    writer, builder = new_machine(engine=False), new_machine()
    for roost in (writer, builder):
        write_definition(roost, shared_base)
    (section,) = writer.json("lock", "--write", "-t", "docker")["sections"]
    shutil.copy(writer.folder / "roost.lock", builder.folder)
    assert "lock-file" in codes(builder.json("plan", "--locked")["plans"][0])
    built = builder.json("build", "--locked")["build"]
    assert (built["lock_digest"], built["generation"]) == (section["lock_digest"], 1)
    assert builder.json("plan", "--locked")["plans"][0]["action"] == "reuse-image"
    assert builder.ok("run", "--", "python", "-c", VERSION).split() == ["1.16.0", "/opt/roost/env"]
    (builder.folder / "roost.lock").unlink()
    assert builder.json("plan")["lock_digest"] is None, "no machine has a lock of its own, nor a registry"
    forget(client, built["artifacts"][0]["digest"])
