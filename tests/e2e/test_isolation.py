"""roost itself does not follow what its caller's Python follows: variables, working folder, user site."""

from __future__ import annotations

import atexit
import functools
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

import pytest
from tests.support.installed import Installed

from roost.wire.installation import OPTIONS

REPOSITORY = Path(__file__).parents[2]
HOSTILE = {
    "PYTHONHOME": "/nowhere",
    "PYTHONPATH": "src",
    "PYTHONIOENCODING": "ascii",
    "PYTHONINSPECT": "1",
    "PYTHONSTARTUP": "src/types.py",
    "PYTHONWARNINGS": "error",
    "PYTHONOPTIMIZE": "2",
    "PYTHONSAFEPATH": "1",
    "PYTHONUTF8": "0",
    "PYTHONCASEOK": "1",
    "PYTHONPLATLIBDIR": "nowhere",
    "PYTHONEXECUTABLE": "/nowhere",
    "PYTHONBREAKPOINT": "nowhere",
    "PYTHONVERBOSE": "1",
    "PYTHONDEVMODE": "1",
    "PYTHONPROFILEIMPORTTIME": "1",
    "PYTHONMALLOC": "debug",
    "PYTHONTRACEMALLOC": "5",
    "PYTHONUSERBASE": "/nowhere",
    "PYTHONPYCACHEPREFIX": "/nowhere",
    "__PYVENV_LAUNCHER__": "/nowhere",
    "LC_ALL": "C",
    "LC_CTYPE": "C",
}
"""Values that change or end a Python process."""


@pytest.fixture(scope="module")
def roost():
    made = Installed()
    _add_traps(made)
    assert made("daemon", "start").returncode == 0
    yield made
    made.remove()


def _add_traps(made: Installed) -> None:
    """Modules of the working folder with names of the standard library."""
    (made.work / "src").mkdir()
    for name in ("types", "json", "asyncio", "socket", "sitecustomize", "usercustomize"):
        for folder in (made.work, made.work / "src"):
            (folder / f"{name}.py").write_text("raise SystemExit('imported from the working folder')\n")


@pytest.mark.parametrize("name", [*HOSTILE, "all"])
def test_every_command_ignores_the_variables_of_python(roost: Installed, name: str) -> None:
    environ = HOSTILE if name == "all" else {name: HOSTILE[name]}
    help_text = roost("run", "--help", environ=environ)
    assert (help_text.returncode, help_text.stderr) == (0, "")
    done = roost("cache", "df", "--json", environ=environ)
    assert (done.returncode, done.stderr) == (0, "")
    missing = roost("runs", "show", "ünknown", environ=environ)
    assert missing.returncode == 7
    assert "ünknown" in missing.stderr


@pytest.mark.parametrize("name", ["PYTHONHOME", "PYTHONPATH", "all"])
def test_a_daemon_that_is_started_ignores_them(roost: Installed, name: str) -> None:
    roost("daemon", "stop")
    environ = HOSTILE if name == "all" else {name: HOSTILE[name]}
    done = roost("daemon", "start", environ=environ)
    assert (done.returncode, roost.json("daemon", "status")["running"]) == (0, True), done.stderr


def test_roostd_ignores_them(roost: Installed) -> None:
    roost("daemon", "stop")
    with roost.start(program="roostd", environ=HOSTILE) as daemon:
        deadline = time.monotonic() + 60
        while roost("daemon", "status").returncode != 0 and time.monotonic() < deadline:  # until it answers
            time.sleep(0.1)
        assert roost.json("daemon", "status")["pid"] == daemon.pid
        assert roost("daemon", "stop").returncode == 0
    assert roost("daemon", "start").returncode == 0  # others look at standard error, which may have a line on a start


def test_a_detached_run_is_supervised_without_them(roost: Installed) -> None:
    done = roost("run", "--detach", "--", "sh", "-c", "echo $PYTHONHOME$PYTHONPATH-$PYTHONINSPECT", environ=HOSTILE)
    assert done.returncode == 0, done.stderr
    run = done.stdout.strip()
    assert roost("runs", "logs", "-f", run).stdout.endswith("src-1\n")
    assert roost.json("runs", "show", run)["state"] == "succeeded"


def test_the_client_alone_starts_itself_isolated(roost: Installed) -> None:
    (roost.work / "late").mkdir()
    shutil.copy(roost.work / "json.py", roost.work / "late")
    environ = {"PYTHONPATH": "late", "PYTHONIOENCODING": "ascii", "PYTHONINSPECT": "1"}
    done = roost("cache", "df", "--json", program="roost-client", environ=environ)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("locale", [{}, {"LC_CTYPE": "C"}, {"LC_CTYPE": ""}, {"LC_ALL": "C"}, {"LANG": "C.UTF-8"}])
@pytest.mark.parametrize("command", ["exec", "run"])
def test_commands_get_the_locale_of_the_caller(roost: Installed, locale: dict[str, str], command: str) -> None:
    environ = {name: value for name, value in roost.environ.items() if name != "LANG"} | locale
    show = [roost.bin / "roost", command, "--ignore-image", "--", "sh", "-c", "env | grep -E '^L(C_|ANG)' || true"]
    done = subprocess.run(show, cwd=roost.work, env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [f"{name}={value}" for name, value in locale.items()]


def test_the_launcher_has_the_options_of_the_other_starts() -> None:
    launcher = (REPOSITORY / "client/bin/roost").read_text()
    options = " ".join(OPTIONS).replace("-I", "-I -S", 1)  # `site` is for the command line, which loads it
    assert launcher.count(f'exec "$_roost_first" {options} "$@"') == 2


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
    subprocess.run(build, cwd=REPOSITORY, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


@functools.cache
def _venv_with_pip() -> Path:
    """A venv, made once for each worker: installing pip into it takes most of the time."""
    base = Path(tempfile.mkdtemp(prefix="v", dir="/tmp"))
    atexit.register(shutil.rmtree, base)
    subprocess.run([sys.executable, "-m", "venv", base / "venv"], check=True)
    return base / "venv"


def _venv(folder: Path) -> Path:
    """A venv with pip at ``folder``: its interpreter and its packages know their place by where they lie."""
    return shutil.copytree(_venv_with_pip(), folder, symlinks=True)


def _with_pip(wheel: Path, base: Path, *options: str, python: str | Path = sys.executable, **environ: str) -> None:
    """Install with pip, which compiles in ``_in_venv`` only: that takes two thirds of the time, and every interpreter
    of roost that finds no byte-code compiles what it imports."""
    command = [python, "-m", "pip", "install", "--no-deps", "--no-index", "--no-warn-script-location", *options, wheel]
    subprocess.run(command, check=True, capture_output=True, env={"PATH": "/usr/bin:/bin", **environ})


def _in_venv(wheel: Path, base: Path) -> tuple[Path, Path]:
    venv = _venv(base / "venv")
    _with_pip(wheel, base, python=venv / "bin/python")
    return venv / "bin", next(venv.glob("lib/*/site-packages"))


def _in_folder_with_space(wheel: Path, base: Path) -> tuple[Path, Path]:
    venv = _venv(base / "my venv")
    _with_pip(wheel, base, "--no-compile", python=venv / "bin/python")
    return venv / "bin", next(venv.glob("lib/*/site-packages"))


def _by_uv_in_long_folder(wheel: Path, base: Path) -> tuple[Path, Path]:
    return _by_uv(wheel, base / ("x" * 60) / ("y z" * 25))


def _by_uv(wheel: Path, folder: Path, *options: str) -> tuple[Path, Path]:
    uv = Path(sysconfig.get_path("scripts")) / "uv"
    subprocess.run([uv, "venv", "-q", *options, "--python", sys.executable, folder], check=True)
    install = [uv, "pip", "install", "-q", "--no-deps", "--offline", "--python", folder / "bin/python", wheel]
    subprocess.run(install, check=True)
    return folder / "bin", next(folder.glob("lib/*/site-packages"))


def _relocatable(wheel: Path, base: Path) -> tuple[Path, Path]:
    return _by_uv(wheel, base / "relocatable", "--relocatable")


def _by_links(wheel: Path, base: Path) -> tuple[Path, Path]:
    """As pipx and `uv tool` do it: a venv of its own, and links in the user's folder of programs."""
    venv_bin, packages = _by_uv(wheel, base / "tools/roost")
    (base / "local").mkdir()
    for name in ("roost", "roostd"):
        (base / "local" / name).symlink_to(venv_bin / name)
    return base / "local", packages


def _for_user(wheel: Path, base: Path) -> tuple[Path, Path]:
    pip_venv = _venv(base / "pip")
    python = Path(sys._base_executable)  # type: ignore[attr-defined]
    folder = next(pip_venv.glob("lib/*/site-packages"))
    _with_pip(
        wheel, base, "--no-compile", "--user", python=python, PYTHONPATH=str(folder), PYTHONUSERBASE=str(base / "user")
    )
    return base / "user/bin", next((base / "user").glob("lib/*/site-packages"))


def _to_prefix(wheel: Path, base: Path) -> tuple[Path, Path]:
    venv = _venv(base / "pip")
    _with_pip(wheel, base, "--no-compile", "--prefix", str(base / "prefix"), python=venv / "bin/python")
    return base / "prefix/bin", next((base / "prefix").glob("lib/*/site-packages"))


def _to_target(wheel: Path, base: Path) -> tuple[Path, Path]:
    venv = _venv(base / "pip")
    _with_pip(wheel, base, "--no-compile", "--target", str(base / "target"), python=venv / "bin/python")
    return base / "target/bin", base / "target"


@pytest.mark.long
@pytest.mark.parametrize(
    "install",
    [
        _in_venv,
        _in_folder_with_space,
        _by_uv_in_long_folder,
        _relocatable,
        _by_links,
        _for_user,
        _to_prefix,
        _to_target,
    ],
)
def test_every_way_to_install_it_is_isolated(wheel: Path, install, tmp_path: Path) -> None:
    programs, packages = install(wheel, tmp_path)
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    made = Installed()
    _add_traps(made)
    shutil.rmtree(made.bin)
    made.bin = programs
    made.environ["PATH"] = f"{programs}:/usr/bin:/bin"
    try:
        done = made("exec", "--", "python", "-I", "-c", "print('ran')", environ=HOSTILE)
        assert (done.stdout, done.returncode) == ("ran\n", 0), done.stderr
        detached = made("run", "--detach", "--", "true", environ=HOSTILE)
        assert detached.returncode == 0, detached.stderr
        assert made.json("daemon", "status")["running"] is True
    finally:
        made.remove()
