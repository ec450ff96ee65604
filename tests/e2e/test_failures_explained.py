"""A failed build says where it is written what failed, what the tool said line by line, and which log has more."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost

BACKEND = """
def prepare_metadata_for_build_wheel(directory, config_settings=None):
    return build_wheel(directory)

def build_wheel(directory, config_settings=None, metadata_directory=None):
    def compile_it():
        raise RuntimeError("no compiler\\x1b[2J for it")
    compile_it()
"""


def lines_of(roost: Roost, command: str, status: int) -> list[str]:
    done = roost.run(*command.split())
    assert done.returncode == status, done.stderr
    assert "\x1b" not in done.stderr
    lines = done.stderr.splitlines()
    first = max(number for number, line in enumerate(lines) if line.startswith("roost: "))
    return lines[first:]


def test_where_and_what_failed(roost: Roost, pip_index: PipIndex, channels_folder: Path) -> None:
    """One daemon for all kinds: git, pip's conflicts, a backend, conda's conflicts, a post-link script."""
    repository = roost.folder / "repository"
    repository.mkdir()
    git = ["git", "-c", "user.name=n", "-c", "user.email=e@x", "-C", str(repository)]
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "x"]):
        subprocess.run([*git, *words], check=True)
    pip_index.wheel("greet", "1.0")
    pip_index.wheel("wants", "1.0", "greet>=2")

    roost.write("git.txt", f"# a comment\n\ngreet @ git+file://{repository}@nope\n")
    first, *said, hint = lines_of(roost, "build -f git.txt", 4)
    assert first == (
        f"roost: git.txt:3:1: git can't fetch greet from file://{repository}@nope: it has no such branch, tag or commit"
    )
    assert said == ["  | fatal: couldn't find remote ref refs/tags/nope"]
    build = roost.json("builds", "list")["builds"][0]
    assert f"`roost builds logs {build['id']}`" in hint
    shown = roost.json("builds", "show", build["id"])["build"]["error"]
    assert (shown["code"], shown["location"]["line"]) == ("git-failed", 3)
    assert shown["message"].split("\n")[1:] == ["fatal: couldn't find remote ref refs/tags/nope"]

    roost.write("conflict.txt", "greet==1.0\nwants\n")
    first, *said, _ = lines_of(roost, "build -f conflict.txt", 4)
    assert first.startswith("roost: conflict.txt:1:1: The pip requirements can't be satisfied: Because ")
    assert any("unsatisfiable" in line for line in [first, *said])

    source = roost.folder / "source"
    source.mkdir()
    (source / "backend.py").write_text(BACKEND)
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "sourced"\ndynamic = ["version"]\n'
    )
    roost.write("source.txt", "# a comment\n./source\n")
    first, *said, hint = lines_of(roost, "build -f source.txt", 4)
    assert "source" in first
    trace = "\n".join(said)
    assert "in compile_it" in trace
    assert "RuntimeError: no compiler" in trace
    assert "`roost builds logs b" in hint

    channel = f"file://{channels_folder}/conda-forge"
    dependencies = "[python=3.11, wants-numpy1, wants-numpy2]"
    roost.write("conda.yml", f"channels: ['{channel}']\ndependencies: {dependencies}\n")
    first, *said, _ = lines_of(roost, "build -f conda.yml", 4)
    assert first.endswith("No set of packages satisfies the conda dependencies:")
    assert any("─" in line and "wants-numpy" in line for line in said), said
    document = json.loads(roost.run("build", "-f", "conda.yml", "--json").stdout.splitlines()[-1])
    assert document["message"].count("\n") == len(said)

    roost.write("linked.yml", f"channels: ['{channel}']\ndependencies: [post-linked]\n")
    done = roost.run("build", "-f", "linked.yml")
    assert "roost: post-linked: post-linked says hello\n" in done.stderr
    latest = roost.json("builds", "list")["builds"][0]["id"]
    log = map(json.loads, roost.ok("builds", "logs", latest, "--json").splitlines())
    notes = [message for message in log if message.get("note")]
    assert len(notes) == 1
    roost.write("fails.yml", f"channels: ['{channel}']\ndependencies: [post-link-fails]\n")
    first, *said, hint = lines_of(roost, "build -f fails.yml", 4)
    assert said == ["  | no luck"]
    assert "`roost builds logs b" in hint
