"""What a definition that can't be solved says: the place of the requirement, and what may be meant instead."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost


def write_channel(folder: Path, packages: dict[str, list[tuple[str, str]]]) -> str:
    """A channel of records alone; ``packages``: platform to names and versions."""
    for subdir in {"linux-64", "noarch", *packages}:
        records = {
            f"{name}-{version}-0.conda": {
                "name": name,
                "version": version,
                "build": "0",
                "build_number": 0,
                "subdir": subdir,
                "depends": [],
                "sha256": "0" * 64,
            }
            for name, version in packages.get(subdir, [])
        }
        (folder / subdir).mkdir(parents=True)
        document = {"info": {"subdir": subdir}, "packages": {}, "packages.conda": records, "repodata_version": 1}
        (folder / subdir / "repodata.json").write_text(json.dumps(document))
    return folder.as_uri()


def test_unmet_requirements_are_placed_and_explained(roost: Roost, pip_index: PipIndex) -> None:
    """One daemon for all: misspelt and missing names, versions, platforms, the other ecosystem, every format."""
    for name, version in (("greet", "1.0"), ("greet", "1.5"), ("only-pip", "1.0")):
        pip_index.wheel(name, version)
    pip_index.wheel("wants", "1.0", "greet>=2")
    records = [("python", "3.11.7"), ("numpy", "1.26.4"), ("numpy", "2.1.3"), ("pip", "24.0"), ("only-conda", "3.0")]
    channel = write_channel(roost.folder / "channel", {"linux-64": records, "win-64": [("pywin32", "306")]})
    roost.config.write_text(f"{roost.config.read_text()}\n[conda]\nchannels = ['{channel}']\n")

    def refusal(name: str, text: str, *command: str) -> tuple[str, str]:
        """The place that is named, and the hint."""
        roost.write(name, text)
        done = roost.run(*(command or ("plan", "--solve", "-f", name)))
        assert done.returncode == 4, done.stderr
        lines = [line for line in done.stderr.splitlines() if "using" not in line]
        first = next(line for line in reversed(lines) if line.startswith("roost: "))
        return first.removeprefix("roost: ").partition(": ")[0], lines[-1].strip()

    # 1. pip's own: versions, misspelling, conflicts, platforms, nested files, scripts, projects.
    assert refusal("a.txt", "greet==1.2\n") == ("a.txt:1:1", "pip's index has greet 1.0 and 1.5.")
    assert refusal("b.txt", "# c\n  gret\n") == ("b.txt:2:3", "Did you mean greet?")
    place, hint = refusal("c.txt", "greet==1.0\nwants\n")
    assert (place, hint) == ("c.txt:1:1", "greet==1.0 and wants (c.txt:2:1) exclude each other: loosen one of them.")
    roost.write("n/nested.txt", "\ngreet\ngreet>4\n")
    assert refusal("e.txt", "-r n/nested.txt\n") == ("n/nested.txt:3:1", "pip's index has greet 1.5.")
    script = "# /// script\n# dependencies = ['greet', 'sklearn']\n# ///\n"
    assert refusal("s.py", script) == ("s.py:2:29", "sklearn is called scikit-learn in pip's index: require that.")

    # 2. conda's own, and what is in the other ecosystem.
    head = "dependencies:\n- python=3.11\n"
    assert refusal("a.yml", f"{head}- numpi\n") == ("a.yml:3:3", "Did you mean numpy?")
    assert refusal("b.yml", f"{head}- numpy>=99\n") == ("b.yml:3:3", f"{channel} has numpy 1.26.4 and 2.1.3.")
    assert refusal("c.yml", f"{head}- only-pip\n") == (
        "c.yml:3:3",
        "pip's index has only-pip: `roost add --pip only-pip` requires it there, "
        "`--with pip:only-pip` for one command.",
    )
    assert refusal("d.yml", f"{head}- pywin32\n") == (
        "d.yml:3:3",
        f"{channel} has it for win-64 only, not for linux-64.",
    )
    assert refusal("f.txt", "greet\nonly-conda\n") == (
        "f.txt:2:1",
        f"conda has it ({channel}: only-conda 3.0): an environment.yml requires it under `dependencies:`.",
    )
    text = "[conda]\ndependencies = ['python=3.11', 'sklearn']\n"
    assert refusal("r/roost.toml", text)[0] == "r/roost.toml:2:33"

    # 3. Wherever a solve is: a build, JSON, an edit that stays undone, and a version, which has no file.
    assert refusal("g.txt", "greet>8\n", "build", "-f", "g.txt")[0] == "g.txt:1:1"
    body = roost.failed(4, "plan", "--solve", "-f", "a.yml")
    assert (body["location"]["line"], body["location"]["column"]) == (3, 3)
    assert body["fields"]["requirement"] == "numpi"
    assert roost.ok("env", "register", "-f", "g.txt", "--name", "g") == "g:1\n"
    assert roost.failed(4, "plan", "--solve", "-e", "g")["location"] is None
    roost.write("h/requirements.txt", "only-pip\n")
    done = roost.run("add", "gret", cwd=roost.folder / "h")
    assert "Did you mean greet? requirements.txt stays as it was." in done.stderr
