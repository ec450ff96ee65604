"""Commands that would change an environment, and those that look alike and would not."""

from __future__ import annotations

import shlex

import pytest

from roost.daemon.launch.installers import InstallerRefusedError, find_installation, refuse_installation
from roost.wire.plans import SourceView

PREFIX = "/root/prefixes/ab-cd"
CWD = "/home/ann/project"


def judge(command: str) -> str | None:
    found = find_installation(shlex.split(command), CWD, PREFIX)
    return found and found.command


@pytest.mark.parametrize(
    ("command", "what"),
    [
        ("pip install six", "pip install"),
        ("pip3 install -r requirements.txt", "pip install"),
        ("pip3.11 --proxy http://p --timeout 5 install -U six", "pip install"),
        (f"{PREFIX}/bin/pip uninstall -y six", "pip uninstall"),
        (f"pip install --target {PREFIX}/lib/python3.11/site-packages six", "pip install"),
        (f"pip install --prefix={PREFIX} six", "pip install"),
        ("python -m pip install six==1.15.0", "python -m pip install"),
        ("python3 -I -W ignore -m pip install .", "python -m pip install"),
        ("python3.11 -Im pip uninstall six", "python -m pip uninstall"),
        ("python -mpip install six", "python -m pip install"),
        (f"{PREFIX}/bin/python -m pip install six", "python -m pip install"),
        ("python -m ensurepip", "python -m ensurepip"),
        ("python -m ensurepip --upgrade", "python -m ensurepip"),
        ("python -m uv pip install six", "python -m uv pip install"),
        ("uv pip install six", "uv pip install"),
        ("uv pip sync requirements.txt", "uv pip sync"),
        ("/opt/tools/uv --no-cache pip uninstall six", "uv pip uninstall"),
        ("uv --directory /x pip install six", "uv pip install"),
        ("uv pip install --python 3.11 six", "uv pip install"),
        ("uv pip install -p python3.12 six", "uv pip install"),
        (f"uv pip install --python {PREFIX} six", "uv pip install"),
        ("uv pip install --system six", "uv pip install"),
        ("uv sync --active", "uv sync"),
        ("uv add --active six", "uv add"),
        ("conda install -y -c conda-forge six", "conda install"),
        ("mamba update --all", "mamba update"),
        ("micromamba remove six", "micromamba remove"),
        ("micromamba -r /mamba install six", "micromamba install"),
        ("/opt/conda/bin/conda env update -f environment.yml", "conda env update"),
        (f"conda install -p {PREFIX} six", "conda install"),
        (f"conda create -p {PREFIX} six", "conda create"),
    ],
)
def test_what_changes_the_environment(command: str, what: str) -> None:
    assert judge(command) == what


@pytest.mark.parametrize(
    "command",
    [
        "pip list",
        "pip --version",
        "pip download six",
        "pip wheel install",
        "pip install --dry-run six",
        "pip install --help",
        "pip install --target libs six",
        "pip install -tlibs six",
        "pip install --prefix /elsewhere six",
        "pip install --user six",
        "pip --python .venv install six",
        "pip freeze install",
        "/usr/bin/pip install six",
        ".venv/bin/python -m pip install six",
        "/usr/bin/python3 -m pip install six",
        "python -c 'import pip' -m pip install",
        "python script.py -m pip install six",
        "python -m pytest -m pip install",
        "python -m venv .venv",
        "python -W ignore train.py",
        "python",
        "python -",
        "uv",
        "uv --version",
        "uv tool install ruff",
        "uv venv",
        "uv sync",
        "uv add six",
        "uv run pip install six",
        "uv pip list",
        "uv pip compile requirements.in",
        "uv pip install --target libs six",
        "uv pip install --python .venv six",
        "uv pip install -p ../other/bin/python six",
        "uv pip install --dry-run six",
        "uv python install 3.12",
        "conda list",
        "conda create -n new python",
        "conda create -p ./env python",
        "conda env create -f environment.yml",
        "conda install -n other six",
        "conda install --name=other six",
        "conda install -p /elsewhere six",
        "conda install --dry-run six",
        "conda install -d six",
        "conda run -n x pip install six",
        "conda search install",
        "pipx install ruff",
        "pytest install",
        "apt install pip",
    ],
)
def test_what_does_not(command: str) -> None:
    assert judge(command) is None


def test_a_prefix_that_is_not_built_yet() -> None:
    assert find_installation(["pip", "install", "six"], CWD, None) is not None
    assert find_installation(["/usr/bin/pip", "install", "six"], CWD, None) is None


def refused(command: str, source: SourceView) -> InstallerRefusedError:
    with pytest.raises(InstallerRefusedError) as raised:
        refuse_installation(shlex.split(command), CWD, PREFIX, source)
    assert (raised.value.code, raised.value.exit_status) == ("environment-shared", 2)
    return raised.value


@pytest.mark.parametrize(
    ("command", "source", "hint"),
    [
        (
            "pip install six 'idna>3'",
            SourceView(path="/p/requirements.txt", format="requirements"),
            "`roost add six 'idna>3'` adds them to /p/requirements.txt instead.",
        ),
        (
            "conda remove six",
            SourceView(path="/p/environment.yml", format="conda"),
            "`roost remove --conda six` removes it from /p/environment.yml instead.",
        ),
        (
            "pip install six",
            SourceView(path="/p/environment.yml", format="conda"),
            "`roost add --pip six` adds it to /p/environment.yml instead.",
        ),
        (
            "pip install six",
            SourceView(path="/p/train.py", format="pep723"),
            "`roost add --script /p/train.py six` adds it to /p/train.py instead.",
        ),
        (
            "pip install six",
            SourceView(path="/p/job.yml", format="azure-v2"),
            "Add six to /p/job.yml instead; the next `roost run` has it.",
        ),
        (
            "pip install -r more.txt",
            SourceView(path="/p/train.py", format="pep723"),
            "Make the change in the `# /// script` block of /p/train.py instead; the next `roost run` has it.",
        ),
        (
            "pip install six",
            SourceView(path=None, format="environment", name="train"),
            "Add six to environment train instead; `roost env edit train` opens its definition.",
        ),
        (
            "pip install six",
            SourceView(path=None, format="run"),
            "Add six to its definition instead; the next run has it.",
        ),
    ],
)
def test_it_says_what_to_do_instead(command: str, source: SourceView, hint: str) -> None:
    assert refused(command, source).hint == hint


def test_a_file_that_was_named_is_named_for_the_edit() -> None:
    source = SourceView(path="/p/requirements.txt", format="requirements")
    with pytest.raises(InstallerRefusedError) as raised:
        refuse_installation(["pip", "install", "six"], CWD, PREFIX, source, is_named=True)
    assert raised.value.hint == "`roost add -f /p/requirements.txt six` adds it to /p/requirements.txt instead."


def test_a_shell_has_no_command() -> None:
    refuse_installation([], CWD, PREFIX, SourceView(path=None, format="run"))
