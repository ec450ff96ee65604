"""The search for an environment file, by command: what ends it, and that a launch plan notices what would."""

from __future__ import annotations

from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost

SAY = ("--", "python", "-c", "import secret; print(secret.value)")


def test_what_ends_the_search_is_noticed_by_a_command_that_is_ready(roost: Roost, pip_index: PipIndex) -> None:
    pip_index.wheel("secret", "1.0")
    roost.write("requirements.txt", "secret\n")
    sub = roost.folder / "sub"
    sub.mkdir()
    ends = {
        ".git": "definition-not-found",
        "pixi.toml": "definition-format-unread",
        "uv.lock": "definition-unusable",
        "environment.yml": "definition-unusable",
    }
    for _ in range(3):
        assert roost.ok("exec", *SAY, cwd=sub).strip() == "1.0"
    for name, code in ends.items():
        if name == ".git":
            (sub / name).mkdir()
        elif name == "environment.yml":
            (sub / name).symlink_to("nowhere")
        else:
            (sub / name).write_text("[workspace]\nchannels = []\n")
        done = roost.run("exec", *SAY, cwd=sub)
        assert done.returncode == 125, (name, done.stdout, done.stderr)
        assert roost.failed(7 if name == ".git" else 3, "digest", cwd=sub)["code"] == code
        (sub / name).rmdir() if name == ".git" else (sub / name).unlink()
        assert roost.ok("exec", *SAY, cwd=sub).strip() == "1.0"


def test_a_dockerfile_on_the_way_is_passed_by_with_one_line(roost: Roost, pip_index: PipIndex) -> None:
    pip_index.wheel("secret", "1.0")
    roost.write("requirements.txt", "secret\n")
    sub = roost.folder / "sub"
    sub.mkdir()
    (sub / "Dockerfile").write_text("FROM a\n")
    done = roost.run("run", *SAY, cwd=sub)
    assert done.stdout.strip() == "1.0"
    (line,) = [line for line in done.stderr.splitlines() if "Dockerfile" in line]
    assert "passed by" in line
    assert f"-f {sub}/Dockerfile" in line


def test_a_nested_file_s_editable_is_the_project_that_is_meant(roost: Roost) -> None:
    """As pip has it: `-e .` in requirements/dev.txt is the project around it, by whichever file it is read."""
    roost.write("pyproject.toml", '[project]\nname = "mine"\nversion = "1"\n[build-system]\nrequires = []\n')
    roost.write("requirements/dev.txt", "-e .\n")
    roost.write("requirements.txt", "-r requirements/dev.txt\n")
    (roost.folder / ".git").mkdir()
    plans = [roost.run("plan", "-f", name) for name in ("requirements.txt", "requirements/dev.txt")]
    for done in plans:
        assert done.returncode == 0
        assert f"'.' is taken relative to {roost.folder}" in done.stderr
