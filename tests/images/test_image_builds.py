"""From ``roost.toml`` to a container: the decision and its execution for images, with a real engine and channel."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import docker
import pytest
from tests.support.images.apt import install_step
from tests.support.images.machines import Machine, forget, of_this_test, write_definition
from tests.support.pip_index import PipIndex

from roost.daemon.engines.docker.archive import docker_archive
from roost.daemon.engines.docker.values import LayerFile
from roost.daemon.images.config import empty_base, image_config
from roost.daemon.jobs.progress import Silent
from roost.daemon.layers.grouping import Layer, LayerContent
from roost.daemon.layers.tar import LayerEntry, pack_layer

VERSION = "import six, sys; print(six.__version__, sys.prefix)"


def test_a_definition_with_a_base_becomes_an_image_that_runs_and_is_reused(
    new_machine: Machine, client: docker.DockerClient, base_image: str
):
    roost = new_machine()
    write_definition(roost, base_image)
    [first] = roost.json("plan")["plans"]
    assert (first["target"], first["action"]) == ("docker", "build-image")
    assert [step["kind"] for step in first["steps"]] == ["solve", "base", "download", "layers", "load"]
    built = roost.json("build")["build"]
    [artifact] = built["artifacts"]
    assert (built["state"], built["generation"], artifact["kind"]) == ("succeeded", 1, "image")
    image = client.images.get(artifact["reference"])
    assert image.id == artifact["digest"]
    assert image.labels["org.roost.definition"] == built["definition_digest"]
    assert image.labels["org.roost.lock"] == built["lock_digest"]
    assert roost.ok("run", "--", "python", "-c", VERSION).split() == ["1.16.0", "/opt/roost/env"]
    [again] = roost.json("plan")["plans"]
    assert (again["action"], again["artifact"]["digest"]) == ("reuse-image", image.id)
    assert roost.json("build")["build"]["state"] == "not-needed"
    [run] = roost.json("runs", "list")["runs"]
    assert (run["lock_digest"], run["generation"]) == (built["lock_digest"], 1)
    forget(client, artifact["reference"])


def test_an_addition_is_solved_for_the_image_and_built_without_another_solve(
    new_machine: Machine, client: docker.DockerClient, base_image: str, pip_index: PipIndex
):
    pip_index.wheel("greet", "1.0")
    roost = new_machine()
    write_definition(roost, base_image)
    added = roost.json("add", "pip:greet")
    assert [(each["section"], each["version"]) for each in added["items"]] == [("pip", "1.0")]
    built = roost.json("build")["build"]
    assert (built["lock_digest"], built["generation"]) == (added["lock_digest"], 1)
    said = roost.ok("run", "--", "python", "-c", "import greet; print(greet.__name__)")
    assert said.split() == ["greet"]
    forget(client, built["artifacts"][0]["reference"])


STEPS = 'steps = ["RUN echo made by a step > /made"]'
READ = "print(open('/made').read().strip()); import six; print(six.__version__)"


@pytest.mark.long
def test_docker_steps_run_once_and_a_pruned_image_comes_back_as_it_was(
    new_machine: Machine, client: docker.DockerClient, base_image: str
):
    roost = new_machine()
    write_definition(roost, base_image, f'steps = ["RUN date +%N > /made # {of_this_test()}"]')
    first = roost.json("build")["build"]
    said = roost.ok("run", "--", "python", "-c", READ)
    made = client.images.get(first["artifacts"][0]["digest"]).labels["org.roost.steps"]
    forget(client, first["artifacts"][0]["reference"], made)
    [plan] = roost.json("plan")["plans"]
    assert plan["action"] == "build-image"
    assert "image-missing" in [reason["code"] for reason in plan["reasons"]]
    assert roost.ok("run", "--", "python", "-c", READ) == said, "the steps did not run again"
    again = roost.json("build")["build"]
    assert (again["generation"], again["artifacts"][0]["digest"]) == (1, first["artifacts"][0]["digest"])
    other = roost.json("build", "--rebuild")["build"]
    assert other["generation"] == 2
    assert roost.ok("run", "--", "python", "-c", READ) != said
    assert roost.ok("run", "--generation", "1", "--", "python", "-c", READ) == said
    forget(client, first["artifacts"][0]["reference"], other["artifacts"][0]["reference"])


def test_pip_only_gets_condas_python_and_the_same_definition_keeps_its_own_generation_on_local(
    new_machine: Machine, client: docker.DockerClient, base_image: str, pip_index: PipIndex
):
    pip_index.wheel("greet", "1.0")
    roost = new_machine(extra=f'[base]\nimage = "{base_image}"')
    roost.write("requirements.txt", "greet\n")
    plans = roost.json("plan", "-t", "local", "-t", "docker")["plans"]
    assert [(plan["target"], plan["action"]) for plan in plans] == [
        ("local", "build-prefix"),
        ("docker", "build-image"),
    ]
    where = "import greet, sys; print(greet.value, sys.version_info[:2], sys.prefix)"
    local = roost.ok("run", "--", "python", "-c", where)
    inside = roost.ok("run", "-t", "docker", "--", "python", "-c", where)
    assert inside.split()[-1] == "/opt/roost/env"
    assert inside.rsplit(" ", 1)[0] == local.rsplit(" ", 1)[0], "the same minor version"
    plans = roost.json("plan", "-t", "local", "-t", "docker")["plans"]
    assert [plan["action"] for plan in plans] == ["reuse-prefix", "reuse-image"]
    forget(client, plans[1]["artifact"]["reference"])


def test_a_prefix_and_an_image_of_one_definition_share_lock_and_generation(
    new_machine: Machine, client: docker.DockerClient, base_image: str
):
    roost = new_machine(extra=f'[base]\nimage = "{base_image}"')
    roost.write("environment.yml", "name: both\ndependencies: [python=3.11]\n")
    prefix = roost.json("build")["build"]
    image = roost.json("build", "-t", "docker")["build"]
    assert (prefix["lock_digest"], prefix["generation"]) == (image["lock_digest"], image["generation"])
    assert [artifact["kind"] for artifact in prefix["artifacts"] + image["artifacts"]] == ["prefix", "image"]
    listed, found = roost.json("list", "-t", "docker"), roost.json("which", "-t", "docker")
    assert (listed["lock_digest"], listed["base"]) == (image["lock_digest"], base_image)
    assert (found["path"], found["from"]) == (f"{found['prefix']}/bin/python", "image")
    assert "command -v sh" in roost.failed(7, "which", "-t", "docker", "sh")["hint"]
    roost.ok("env", "register")
    (both,) = [each for each in roost.json("cache", "df", "--by", "environment")["groups"] if each["name"]]
    assert (both["name"], both["prefixes"], both["images"]) == ("both", 1, 1)
    assert both["image_bytes"] > 0
    forget(client, image["artifacts"][0]["reference"])


def test_a_user_managed_definition_with_steps_gets_no_layers_and_its_interpreter_is_looked_for(
    new_machine: Machine, client: docker.DockerClient, base_image: str, python_image: str
):
    text = '[base]\nimage = "{}"\n{}\n[python]\nuser_managed = true\ninterpreter = "{}"\n'
    roost = new_machine()
    roost.write("roost.toml", text.format(base_image, STEPS, "/usr/bin/python3"))
    refused = roost.failed(3, "build")
    assert refused["code"] == "interpreter-missing"
    assert roost.json("image", "list")["images"] == []
    roost.write("roost.toml", text.format(python_image, STEPS, "/usr/bin/python3"))
    assert roost.ok("run", "--", "python", "-c", "print(open('/made').read())").strip() == "made by a step"
    [image] = roost.json("image", "list")["images"]
    forget(client, image["name"])


def test_a_base_for_another_platform_and_one_that_is_nowhere_are_refused(new_machine: Machine, base_image: str):
    roost = new_machine()
    write_definition(roost, base_image, 'platform = "linux/arm64"')
    roost.write("roost.toml", f'[base]\nimage = "{base_image}"\nplatform = "linux/arm64"\nsteps = ["RUN true"]\n')
    assert roost.failed(3, "build")["code"] == "base-platform"
    write_definition(roost, "127.0.0.1:1/nobody/nothing:1")
    lost = roost.failed(6, "build")
    assert lost["code"] == "base-unreachable"
    assert roost.json("builds", "list")["builds"][0]["state"] == "failed"
    write_definition(roost, base_image, 'steps = ["RUN true\\nUSER root"]')
    assert roost.failed(3, "plan")["code"] == "docker-step-invalid"


@pytest.mark.long
def test_a_base_of_too_many_layers_is_refused_before_any_is_written(
    new_machine: Machine, client: docker.DockerClient, tmp_path: Path
):
    packed = pack_layer(
        [LayerEntry(name="word", data=of_this_test().encode())], str(tmp_path / "layer"), threading.Event()
    )
    layer = Layer(diff_id=packed.diff_id, digest=packed.digest, size=packed.size, path=str(tmp_path / "layer"))
    config = image_config(empty_base("linux/amd64"), LayerContent(layers=(layer,) * 123))
    name = f"roost-test/deep:{of_this_test()}"
    files = [LayerFile(diff_id=layer.diff_id, path=layer.path)] * 123
    client.images.load(b"".join(docker_archive(config, files, (), [name], Silent())()))
    roost = new_machine(prepared=None)
    write_definition(roost, name)
    refused = roost.failed(4, "build")
    assert refused["code"] == "too-many-layers"
    assert "123 layers" in refused["message"]
    assert list((roost.root / "layers").iterdir()) == []
    forget(client, name)


def test_a_dockerfile_is_built_whole_and_packages_go_on_top(
    new_machine: Machine, client: docker.DockerClient, base_image: str
):
    roost = new_machine()
    roost.write("Dockerfile", f"FROM {base_image}\nRUN echo made by a step > /made\n")
    roost.write("roost.toml", '[base]\ndockerfile = "Dockerfile"\n[conda]\ndependencies = ["python=3.11", "six"]\n')
    assert roost.ok("run", "--", "python", "-c", READ).startswith("made by a step")
    shown = roost.json("image", "show")
    assert shown["dockerfile"].startswith(f"FROM {base_image}")
    assert (shown["exists_in_engine"], shown["exists_in_registry"]) == (True, False)
    assert shown["interpreter_path"] == "/opt/roost/env/bin/python"
    assert any("six 1.17" in package for layer in shown["layers"] for package in layer.get("packages", []))
    forget(client, shown["image"])


def test_a_run_is_run_again_in_its_own_generation(new_machine: Machine, client: docker.DockerClient, base_image: str):
    roost = new_machine()
    write_definition(roost, base_image, f'steps = ["RUN date +%N > /made # {of_this_test()}"]')
    said = roost.ok("run", "--", "python", "-c", READ)
    [run] = roost.json("runs", "list")["runs"]
    (roost.folder / "roost.toml").unlink()
    assert roost.ok("runs", "rerun", run["id"]) == said
    row = next(row for row in roost.json("cache", "df")["artifacts"] if row["kind"] == "image")
    assert row["id"] == run["artifact"]
    [image] = roost.json("image", "list")["images"]
    forget(client, image["name"])


def test_packages_with_link_scripts_run_them_in_the_engine_and_without_one_are_refused_by_name(
    new_machine: Machine, client: docker.DockerClient, base_image: str
):
    roost = new_machine()
    text = f'[base]\nimage = "{base_image}"\nsteps = ["USER nobody"]\n'
    roost.write("roost.toml", text + '[conda]\ndependencies = ["python=3.11", "post-linked"]\n')
    assert roost.json("build")["build"]["state"] == "succeeded"
    said = roost.ok("run", "--", "cat", "/opt/roost/env/share/post-linked.txt")
    assert said.strip() == "/opt/roost/env|post-linked|1.2|0"
    [image] = roost.json("image", "list")["images"]
    assert client.images.get(image["digest"]).attrs["Config"]["User"] == "nobody"
    forget(client, image["name"])
    assert roost.ok("run", "--", "cat", "/opt/roost/env/share/post-linked.txt") == said, "what they left was kept"
    forget(client, image["name"])
    roost.write("roost.toml", text.partition("steps")[0] + '[conda]\ndependencies = ["post-link-fails"]\n')
    failed = roost.failed(4, "build")
    assert "no luck" in failed["message"] or failed["code"] == "engine-failed"


def test_apt_packages_are_there_for_conda_packages(
    new_machine: Machine, client: docker.DockerClient, base_image: str, apt_repository: str
):
    """What steps are for: a library of the distribution, in the same image as conda's Python."""
    roost = new_machine()
    step = install_step(apt_repository, "libgomp1")
    write_definition(roost, base_image, f'steps = ["{step}"]', package="numpy=1.26")
    code = "import ctypes, numpy; ctypes.CDLL('libgomp.so.1'); print(numpy.__version__)"
    assert roost.ok("run", "--", "python", "-c", code).strip() == "1.26.4"
    [image] = roost.json("image", "list")["images"]
    forget(client, image["name"])


def test_many_ask_at_once_and_an_engine_that_went_away_is_not_one_without_the_image(
    new_machine: Machine, client: docker.DockerClient, base_image: str
):
    roost = new_machine()
    write_definition(roost, base_image)
    askers = [roost.start("build", "--json") for _ in range(4)]
    said = [process.communicate(timeout=240) for process in askers]
    assert [process.returncode for process in askers] == [0] * 4, said
    results = [json.loads(out.splitlines()[-1])["build"] for out, _ in said]
    assert len({result["artifacts"][0]["digest"] for result in results}) == 1
    assert len(roost.json("builds", "list")["builds"]) == 1
    config = roost.config.read_text()
    host = next(line for line in config.splitlines() if line.startswith("host = "))
    roost.config.write_text(config.replace(host, 'host = "unix:///tmp/gone.sock"'))
    [plan] = roost.json("plan")["plans"]
    assert "engine-unknown" in [reason["code"] for reason in plan["reasons"]]
    assert roost.failed(125, "run", "--", "true")["code"] == "engine-unreachable"
    assert roost.json("image", "list")["images"][0]["in_engine"] is None
    roost.config.write_text(config)
    assert roost.json("plan")["plans"][0]["action"] == "reuse-image"
    forget(client, results[0]["artifacts"][0]["reference"])


def test_a_build_context_and_azures_files_become_images(
    new_machine: Machine, client: docker.DockerClient, base_image: str
):
    roost = new_machine()
    roost.write("context/Dockerfile", f"FROM {base_image}\nCOPY word /made\nCOPY . /all\n")
    roost.write("context/word", "made by a step")
    roost.write("context/left-out", "x")
    roost.write("context/.dockerignore", "left-*\n")
    said = roost.ok("run", "-f", "context", "--", "sh", "-c", "cat /made; ls /all")
    assert said == "made by a stepDockerfile\nword\n"
    before = roost.json("digest", "-f", "context")["definition_digest"]
    roost.write("context/left-out", "y")
    assert roost.json("digest", "-f", "context")["definition_digest"] == before
    roost.write("context/word", "made by another")
    assert roost.ok("run", "-f", "context", "--", "cat", "/made") == "made by another"
    azure = {
        "name": "az",
        "python": {"condaDependencies": {"dependencies": ["python=3.11"]}},
        "docker": {"baseImage": base_image, "shmSize": "128m"},
    }
    roost.write("saved/azureml_environment.json", json.dumps(azure))
    code = "import sys, os; s = os.statvfs('/dev/shm'); print(sys.prefix, s.f_blocks * s.f_frsize >> 20)"
    assert roost.ok("run", "-f", "saved", "--", "python", "-c", code).split() == ["/opt/roost/env", "128"]
    forget(client, *(image["name"] for image in roost.json("image", "list")["images"]))


def test_a_version_goes_on_with_the_default_base_that_it_was_digested_with(
    new_machine: Machine, client: docker.DockerClient, base_image: str, python_image: str
):
    roost = new_machine(extra=f'[base]\nimage = "{base_image}"')
    roost.write("environment.yml", "name: defaulted\ndependencies: [python=3.11]\n")
    roost.ok("env", "register")
    roost.config.write_text(roost.config.read_text().replace(base_image, python_image))
    image = roost.json("build", "-e", "defaulted:1", "-t", "docker")["build"]["artifacts"][0]
    assert client.images.get(image["reference"]).labels["org.roost.base"] == client.images.get(base_image).id
    assert roost.json("image", "show", "-e", "defaulted:1")["dockerfile"].split()[:2] == ["FROM", base_image]
    other = roost.json("build", "-t", "docker")["build"]["artifacts"][0]
    assert client.images.get(other["reference"]).labels["org.roost.base"] == client.images.get(python_image).id
    forget(client, image["reference"], other["reference"])
