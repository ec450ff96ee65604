"""Run code of packages in a subprocess: sanitized environment, captured output; and conda's post-link scripts.

Post-link scripts run as conda runs them: by bash, sourced in the activated prefix, dependencies first. rattler can run
them too, but it returns neither their output nor their failure, and can't be cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Mapping, Sequence

from roost.daemon.background.priority import niced_command
from roost.daemon.background.work import is_background
from roost.daemon.engines.conda.errors import PostLinkError
from roost.daemon.jobs.progress import Progress
from roost.model.errors import BuildError
from roost.model.locks.lock import CondaPackage

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PASSED = ("HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")
_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")

_POST_LINK_SCRIPT = """\
for script in "$PREFIX"/etc/conda/activate.d/*.sh; do [ -r "$script" ] && . "$script"; done
. "$1"
"""


def sanitize_environment(ambient: Mapping[str, str]) -> dict[str, str]:
    """Return the part of ``ambient`` that code in a prefix may see: the user, the locale and the network access.

    ``PATH`` is always :data:`SYSTEM_PATH`.
    """
    passed = {name: value for name, value in ambient.items() if name in _PASSED or name.lower() in _PROXIES}
    return {**passed, "PATH": SYSTEM_PATH}


async def find_shell() -> str:
    """Return the path of the system's bash, or of ``sh`` if there is none."""
    return await asyncio.to_thread(lambda: shutil.which("bash", path=SYSTEM_PATH) or "/bin/sh")


async def run_captured(command: Sequence[str], cwd: str, environ: Mapping[str, str]) -> tuple[bytes, int]:
    """Run ``command``, in background work at the lowest priority; return its output (both streams) and its exit status.

    Cancelling the task kills the command with all its children. Raises ``OSError`` if it can't be started.
    """
    process = await asyncio.create_subprocess_exec(
        *(niced_command(command) if is_background() else command),
        cwd=cwd, env=dict(environ), start_new_session=True,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await asyncio.shield(process.wait())
    return output, process.returncode or 0


async def run_post_link(packages: Sequence[CondaPackage], prefix: str, progress: Progress) -> None:
    """Run the post-link script of each of ``packages`` (dependencies first) that has one.

    What a script writes to ``.messages.txt`` is for the user, and shown with the package's name.

    Raises:
        PostLinkError: if a script fails; the message ends with the last lines of its output.
    """
    scripts = await asyncio.to_thread(_find_scripts, packages, prefix)
    if not scripts:
        return
    progress.start("scripts", len(scripts))
    for number, (package, script) in enumerate(scripts, 1):
        await _run_script(package, script, prefix, progress)
        await asyncio.to_thread(_show_messages, package, prefix, progress)
        progress.advance("scripts", number, len(scripts))
    progress.finish("scripts")


def _find_scripts(packages: Sequence[CondaPackage], prefix: str) -> list[tuple[CondaPackage, str]]:
    paths = [(package, os.path.join(prefix, "bin", f".{package.name}-post-link.sh")) for package in packages]
    return [(package, path) for package, path in paths if os.path.isfile(path)]


def _script_environment(package: CondaPackage, prefix: str) -> dict[str, str]:
    base = sanitize_environment(os.environ)
    return base | {
        "PATH": f"{os.path.join(prefix, 'bin')}:{base['PATH']}",
        "PREFIX": prefix,
        "ROOT_PREFIX": prefix,
        "CONDA_PREFIX": prefix,
        "CONDA_DEFAULT_ENV": prefix,
        "CONDA_SHLVL": "1",
        "PKG_NAME": package.name,
        "PKG_VERSION": package.version,
        "PKG_BUILDNUM": str(package.record.get("build_number", 0)),
    }


async def _run_script(package: CondaPackage, script: str, prefix: str, progress: Progress) -> None:
    shell = await find_shell()
    try:
        output, status = await run_captured(
            [shell, "-c", _POST_LINK_SCRIPT, shell, script], prefix, _script_environment(package, prefix)
        )
    except OSError as error:
        raise BuildError(f"The post-link script of {package.name} could not be started: {error}") from error
    lines = output.decode(errors="replace").splitlines()
    for line in lines:
        progress.log(f"{package.name} post-link: {line}")
    if status != 0:
        raise PostLinkError(
            f"The post-link script of {package.name} {package.version} ended with status {status}: "
            + ("".join(f"\n{line}" for line in lines[-10:]) or "it printed nothing"),
            hint="Remove the package, or use another version of it.",
            fields={"package": package.name, "status": status},
        )


def _show_messages(package: CondaPackage, prefix: str, progress: Progress) -> None:
    path = os.path.join(prefix, ".messages.txt")
    with contextlib.suppress(FileNotFoundError):
        with open(path, encoding="utf-8", errors="replace") as stream:
            for line in filter(str.strip, stream):
                progress.note(f"{package.name}: {line.rstrip()}")
        os.unlink(path)
