"""What activation changes: worked out once in a scrubbed shell, right for every environment it is replayed on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from tests.support.conda_tools import close_workers, engine, solve

from roost.daemon.engines.conda.activation import compute_activation
from roost.daemon.engines.conda.errors import ActivationError
from roost.model.records import VariableChange


@pytest.fixture(autouse=True)
async def workers_end() -> AsyncIterator[None]:
    yield
    await close_workers()


def replay(changes: tuple[VariableChange, ...], environ: Mapping[str, str]) -> dict[str, str]:
    """The changes made on an environment, as clients make them."""
    result = dict(environ)
    for change in changes:
        old = result.get(change.name)
        if change.action == "unset":
            result.pop(change.name, None)
        elif change.action == "set" or not old:
            result[change.name] = change.value
        elif change.action == "prepend":
            result[change.name] = change.value + change.separator + old
        else:
            result[change.name] = old + change.separator + change.value
    return result


def prefix_with(folder: Path, **scripts: str) -> Path:
    (folder / "etc/conda/activate.d").mkdir(parents=True)
    for name, text in scripts.items():
        (folder / f"etc/conda/activate.d/{name}.sh").write_text(text)
    return folder


async def test_a_linked_package_with_scripts(short_folder: Path, channels_folder: Path) -> None:
    conda = engine(short_folder, channels_folder)
    prefix = short_folder / "p"
    await conda.link(await solve(conda, "activated"), str(prefix))
    changes = await compute_activation(str(prefix))
    home = f"{prefix}/share/activated"
    clean = replay(changes, {"PATH": "/usr/bin"})
    assert clean == {
        "PATH": f"{home}/bin:{prefix}/bin:/usr/bin",
        "CONDA_PREFIX": str(prefix),
        "CONDA_DEFAULT_ENV": str(prefix),
        "CONDA_SHLVL": "1",
        "ACTIVATED_LEVEL": "3",
        "ACTIVATED_HOME": home,
        "ACTIVATED_PATH": home,
    }
    full = replay(changes, {"PATH": "/usr/bin", "ACTIVATED_PATH": "/mine", "ACTIVATED_OFF": "1", "OTHER": "x"})
    assert full["ACTIVATED_PATH"] == f"{home}:/mine"
    assert "ACTIVATED_OFF" not in full
    assert full["OTHER"] == "x"


@pytest.mark.parametrize(
    ("script", "before", "after"),
    [
        ('export A="x"', {}, {"A": "x"}),
        ('export A="x"', {"A": "mine"}, {"A": "x"}),
        ('export LD="$CONDA_PREFIX/lib:$LD"', {"LD": "/mine"}, {"LD": "PREFIX/lib:/mine"}),
        ('export LD="${LD}${LD:+:}$CONDA_PREFIX/lib"', {}, {"LD": "PREFIX/lib"}),
        ('export LD="${LD}${LD:+:}$CONDA_PREFIX/lib"', {"LD": "/mine"}, {"LD": "/mine:PREFIX/lib"}),
        ('export FLAGS="$FLAGS -O2"', {"FLAGS": "-g"}, {"FLAGS": "-g -O2"}),
        ("unset PYTHONPATH PYTHONHOME", {"PYTHONPATH": "/x", "PYTHONHOME": "/y"}, {}),
        ('if [ -n "${CC:-}" ]; then export CONDA_BACKUP_CC="$CC"; fi; export CC=gcc', {}, {"CC": "gcc"}),
        ("export A='two\nlines = here'", {}, {"A": "two\nlines = here"}),
        ("echo a word; echo another >&2; false", {}, {}),
        ("f() { :; }; export -f f; export A=1", {}, {"A": "1"}),
        ("export PATH=/only/this", {"PATH": "/usr/bin"}, {"PATH": "/only/this"}),
    ],
)
async def test_what_scripts_do_is_seen(
    short_folder: Path, script: str, before: dict[str, str], after: dict[str, str]
) -> None:
    prefix = prefix_with(short_folder / "p", a=script)
    result = replay(await compute_activation(str(prefix)), before)
    ours = {"CONDA_PREFIX", "CONDA_DEFAULT_ENV", "CONDA_SHLVL"} | ({"PATH"} - after.keys())
    assert {name: value for name, value in result.items() if name not in ours} == {
        name: value.replace("PREFIX", str(prefix)) for name, value in after.items()
    }


async def test_nothing_ambient_gets_in(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = (
        'export SEEN="${AMBIENT:-}${CONDA_SHLVL}${BASH_ENV:-}"\n'
        '[ -z "${SSL_CERT_FILE:-}" ] && export SSL_CERT_FILE=ours'
    )
    prefix = prefix_with(short_folder / "p", a=script)
    before = await compute_activation(str(prefix))
    (short_folder / "rc").write_text("export AMBIENT=rc\n")
    for name, value in {"AMBIENT": "yes", "CONDA_SHLVL": "3", "SSL_CERT_FILE": "/x", "BASH_ENV": "rc"}.items():
        monkeypatch.setenv(name, str(short_folder / value) if name == "BASH_ENV" else value)
    assert await compute_activation(str(prefix)) == before
    assert replay(before, {})["SEEN"] == "1"
    assert replay(before, {})["SSL_CERT_FILE"] == "ours"


async def test_scripts_run_in_order_of_name_and_see_the_variables(short_folder: Path) -> None:
    prefix = prefix_with(short_folder / "p", b='export B="$A$STATE"', a="export A=a")
    (prefix / "conda-meta").mkdir()
    state = {"env_vars": {"STATE": "s", "GONE": "***unset***"}}
    (prefix / "conda-meta/state").write_text(json.dumps(state))
    result = replay(await compute_activation(str(prefix)), {})
    assert result["B"] == "as"
    assert result["STATE"] == "s"
    assert "GONE" not in result


async def test_a_script_that_leaves_the_shell_is_an_error(short_folder: Path) -> None:
    prefix = prefix_with(short_folder / "p", a="echo good bye; exit 7")
    with pytest.raises(ActivationError, match="good bye") as caught:
        await compute_activation(str(prefix))
    assert "activate.d" in caught.value.hint


async def test_a_virtual_environment(short_folder: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", short_folder / "v"], check=True)
    result = replay(await compute_activation(str(short_folder / "v")), {"PATH": "/usr/bin", "PYTHONHOME": "/x"})
    assert result == {"PATH": f"{short_folder}/v/bin:/usr/bin", "VIRTUAL_ENV": f"{short_folder}/v"}


async def test_a_prefix_without_scripts_starts_no_shell(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asyncio.create_subprocess_exec", None)
    assert [change.name for change in await compute_activation(str(short_folder))] == [
        "PATH", "CONDA_PREFIX", "CONDA_DEFAULT_ENV", "CONDA_SHLVL",
    ]  # fmt: skip
