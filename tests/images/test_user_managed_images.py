"""User-managed environments by name in an engine: the image's own Python, recorded with the run."""

from __future__ import annotations

from tests.support.roost_process import Roost

USER_MANAGED = """name = "served"
[base]
image = "{image}"
{more}
[python]
user_managed = true
interpreter = "{interpreter}"
[variables]
COLOUR = "red"
"""
AZURE = """{{"name": "bare", "python": {{"userManagedDependencies": true, "interpreterPath": "python"}},
"docker": {{"baseImage": "{image}"}}}}"""
WHERE = "import os, sys; print(sys.executable, os.environ['COLOUR'])"


def register(roost: Roost, image: str, interpreter: str = "/usr/bin/python3", more: str = "") -> None:
    """Register it, and take the file away: the name is all that is left."""
    path = roost.write("roost.toml", USER_MANAGED.format(image=image, interpreter=interpreter, more=more))
    roost.ok("env", "register")
    path.unlink()


def test_a_registered_one_runs_in_its_image_and_the_run_records_its_python(
    docker_roost: Roost, python_image: str
) -> None:
    register(docker_roost, python_image)
    shown = docker_roost.json("env", "show", "served")
    assert (shown["kind"], shown["version"]) == ("user-managed", 1)
    [plan] = docker_roost.json("plan", "-e", "served")["plans"]
    assert (plan["target"], plan["action"]) == ("docker", "reuse-image")
    assert docker_roost.ok("run", "-e", "served", "--", "python", "-c", WHERE) == "/usr/bin/python3 red\n"
    run = docker_roost.json("runs", "list")["runs"][0]
    assert (run["target"], run["environment"]) == ("docker", {"name": "served", "version": 1})
    assert run["interpreter"]["path"] == "/usr/bin/python3"
    assert run["interpreter"]["image"] == plan["artifact"]["digest"], "whose content never changes"
    assert "path=/usr/bin/python3" in docker_roost.ok("runs", "show", run["id"])


def test_one_with_steps_is_built_and_gets_no_layers(docker_roost: Roost, python_image: str) -> None:
    register(docker_roost, python_image, more='steps = ["RUN echo made > /made"]')
    built = docker_roost.json("build", "-e", "served")["build"]
    assert built["state"] == "succeeded"
    assert docker_roost.ok("run", "-e", "served", "--", "cat", "/made") == "made\n"
    assert docker_roost.ok("run", "-e", "served", "--", "python", "-c", WHERE) == "/usr/bin/python3 red\n"
    assert docker_roost.run("run", "-e", "served", "--", "ls", "/opt/roost").returncode != 0


def test_one_whose_interpreter_is_not_in_the_image_is_refused(docker_roost: Roost, base_image: str) -> None:
    register(docker_roost, base_image, interpreter="/opt/none/bin/python")
    body = docker_roost.failed(3, "plan", "-e", "served")
    assert body["code"] == "interpreter-missing"
    assert "/opt/none/bin/python" in body["message"]
    assert docker_roost.run("run", "-e", "served", "--", "python", "-c", "pass").returncode == 125


def test_an_image_without_a_python_runs_what_it_has_by_every_name(docker_roost: Roost, base_image: str) -> None:
    docker_roost.write("azure/azureml_environment.json", AZURE.format(image=base_image))
    docker_roost.write("roost.toml", f'[base]\nimage = "{base_image}"\n[python]\nuser_managed = true\n')
    docker_roost.ok("env", "register", "-f", "azure", "--name", "bare")
    for way in (["-e", "bare"], ["-f", "azure"], ["-f", "roost.toml"], ["--image", base_image]):
        assert docker_roost.ok("run", *way, "--", "sh", "-c", "echo ran") == "ran\n"
    assert docker_roost.run("run", "-e", "bare", "--", "python", "-V").returncode == 127


def test_its_interpreter_is_a_setting_that_is_looked_for_in_the_image_that_is_there(
    docker_roost: Roost, python_image: str
) -> None:
    steps = 'steps = ["RUN mkdir -p /opt/own/bin && ln -s /usr/bin/python3 /opt/own/bin/python && echo set > /set"]'

    def named(interpreter: str) -> None:
        text = USER_MANAGED.format(image=python_image, interpreter=interpreter, more=steps)
        docker_roost.write("roost.toml", text)

    named("/usr/bin/python3")
    built = docker_roost.json("build")["build"]
    assert docker_roost.ok("run", "--", "python", "-c", WHERE) == "/usr/bin/python3 red\n"
    named("/opt/own/bin/python")
    [plan] = docker_roost.json("plan")["plans"]
    assert (plan["action"], plan["artifact"]["digest"]) == ("reuse-image", built["artifacts"][0]["digest"])
    assert docker_roost.ok("run", "--", "python", "-c", WHERE) == "/opt/own/bin/python red\n"
    assert docker_roost.json("image", "show")["interpreter_path"] == "/opt/own/bin/python"
    named("/opt/none/bin/python")
    for command in (["plan"], ["build"]):
        assert docker_roost.failed(3, *command)["code"] == "interpreter-missing"
    refused = docker_roost.failed(125, "run", "--", "python", "-c", WHERE)
    assert "/opt/none/bin/python" in refused["message"]
