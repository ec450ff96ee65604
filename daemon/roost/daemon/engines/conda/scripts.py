"""Post-link scripts, as conda runs them: by bash, sourced in the activated prefix, in the order of dependencies.

rattler can run them too, but gives neither their output nor, to the caller, their failure, and can't be cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Mapping, Sequence

from roost.daemon.engines.conda.errors import PostLinkError
from roost.daemon.jobs.progress import Progress
from roost.model.errors import BuildError
from roost.model.locks.lock import CondaPackage

_PASSED = ("HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")
_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_SOURCED = """\
for script in "$PREFIX"/etc/conda/activate.d/*.sh; do [ -r "$script" ] && . "$script"; done
. "$1"
"""


def scrubbed(ambient: Mapping[str, str]) -> dict[str, str]:
    """What code that runs in a prefix sees of ``ambient``: who and where it is, and how to reach the network."""
    kept = {name: value for name, value in ambient.items() if name in _PASSED or name.lower() in _PROXIES}
    return {**kept, "PATH": SYSTEM_PATH}


async def run_post_link(packages: Sequence[CondaPackage], prefix: str, progress: Progress) -> None:
    """Run the post-link script of each of ``packages`` (ordered by dependency) that has one.

    Raises :class:`PostLinkError` with the end of the script's output. What a script leaves in ``.messages.txt`` for
    the user goes into the log.
    """
    scripts = await asyncio.to_thread(_present, packages, prefix)
    if not scripts:
        return
    progress.start("scripts", len(scripts))
    for number, (package, script) in enumerate(scripts, 1):
        await _run(package, script, prefix, progress)
        await asyncio.to_thread(_tell_messages, prefix, progress)
        progress.advance("scripts", number, len(scripts))
    progress.finish("scripts")


def _present(packages: Sequence[CondaPackage], prefix: str) -> list[tuple[CondaPackage, str]]:
    named = [(package, os.path.join(prefix, "bin", f".{package.name}-post-link.sh")) for package in packages]
    return [(package, script) for package, script in named if os.path.isfile(script)]


def _environment(package: CondaPackage, prefix: str) -> dict[str, str]:
    base = scrubbed(os.environ)
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


async def _run(package: CondaPackage, script: str, prefix: str, progress: Progress) -> None:
    shell = await asyncio.to_thread(lambda: shutil.which("bash", path=SYSTEM_PATH) or "/bin/sh")
    try:
        output, status = await run_captured(
            [shell, "-c", _SOURCED, shell, script], prefix, _environment(package, prefix)
        )
    except OSError as error:
        raise BuildError(f"The post-link script of {package.name} could not be started: {error}") from error
    lines = output.decode(errors="replace").splitlines()
    for line in lines:
        progress.log(f"{package.name} post-link: {line}")
    if status != 0:
        raise PostLinkError(
            f"The post-link script of {package.name} {package.version} ended with status {status}: "
            + ("; ".join(lines[-5:]) or "it printed nothing"),
            hint="`roost builds logs` has its output. Leave the package out, or take another version of it.",
            fields={"package": package.name, "status": status},
        )


async def run_captured(command: Sequence[str], cwd: str, environ: Mapping[str, str]) -> tuple[bytes, int]:
    """Output (both streams) and exit status of ``command``; with its children it dies when the task is cancelled."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, env=dict(environ), start_new_session=True,
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


def _tell_messages(prefix: str, progress: Progress) -> None:
    path = os.path.join(prefix, ".messages.txt")
    with contextlib.suppress(FileNotFoundError):
        with open(path, encoding="utf-8", errors="replace") as stream:
            for line in stream:
                progress.log(line.rstrip("\n"))
        os.unlink(path)
