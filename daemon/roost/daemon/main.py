"""`roostd`: opens the root, recovers it, serves it on its socket, and stops in order.

    roostd              in the foreground, its log on standard error too
    roostd --start      as a client starts it: quiet; ends with 0 where another daemon has the root already

A refusal is one line of JSON, an error body, on standard error, and the exit status is the error's.
"""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import logging
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from aiohttp import web

from roost.daemon.config.config import Config, load_config
from roost.daemon.config.paths import find_root, sanitize_environment, socket_path
from roost.daemon.jobs.lifecycle import Lifecycle
from roost.daemon.routes.table import build_app
from roost.daemon.server.app import error_line
from roost.daemon.server.keys import EVENTS
from roost.daemon.server.logs import start_logging, stop_logging
from roost.daemon.server.peers import door_factory
from roost.daemon.server.sockets import BACKLOG, bind_socket, inherited_socket, listens, notifier, remove_socket
from roost.model.errors import CodedError, StoreRefusedError
from roost.store.disk.root import RootInUseError
from roost.store.store import Store

log = logging.getLogger(__name__)
OPEN_FILES = 8192
"""A thousand clients at once need more than the usual 1,024 descriptors."""
PATIENCE_SECONDS = 8.0
KEEP_NAME: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
"""The name goes while the root is still held, and never if it is systemd's: asyncio would take it away itself."""


class SocketElsewhereError(StoreRefusedError):
    """The root has a daemon, but on another socket than this one was to serve."""

    code = "socket-elsewhere"


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the daemon and end the process. It never returns: a native thread of rattler may crash an interpreter that
    shuts down, so nothing is left to do after the flush but to go."""
    options = _options(arguments)
    status = _run(quiet=options.start)
    stop_logging()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="roostd", description="The daemon of roost.", epilog="Example: roostd")
    parser.add_argument("--start", action="store_true", help="as a client starts it: quiet, and no error if one runs")
    return parser.parse_args(arguments)


def _run(*, quiet: bool) -> int:
    os.umask(0o077)
    faulthandler.enable()  # a crash in a native library says where, on standard error
    logging.getLogger().addHandler(logging.NullHandler())  # standard error carries the error body and nothing else
    try:
        gone = sanitize_environment(os.environ)
        os.environ["NETRC"] = os.devnull  # what counts of a netrc is read by ``auth_files``, and by no library
        notify, passed = notifier(os.environ), inherited_socket(os.environ)
        root, config = find_root(), load_config()
        path = socket_path(root)
        _raise_open_files()
        asyncio.run(_daemon(root, path, config, passed, notify, quiet=quiet, scrubbed=gone))
    except CodedError as error:
        return _refused(error, quiet=quiet)
    except Exception as error:
        log.exception("The daemon failed")
        print(error_line(error), file=sys.stderr)
        return 5
    return 0


def _refused(error: CodedError, *, quiet: bool) -> int:
    """The loser of a race between two starts has nothing to say: the winner serves its client."""
    if quiet and error.code == "root-in-use":
        return 0
    log.error("%s", error.message)
    print(error_line(error), file=sys.stderr)
    return error.exit_status


def _raise_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _daemon(
    root: str,
    path: str,
    config: Config,
    passed: socket.socket | None,
    notify: Callable[[str], None],
    *,
    quiet: bool,
    scrubbed: list[str],
) -> None:
    store = await _open_store(root, path, patient=quiet)
    try:
        await asyncio.to_thread(start_logging, root, config.daemon, echo=not quiet)
        log.info("Opened %s (pid %d); left out of the environment: %s", root, os.getpid(), ", ".join(scrubbed) or "-")
        log.info("Recovered: %s", store.recovery)
        await _serve(store, path, config, passed, notify)
    finally:
        await store.close()
        log.info("Stopped")


async def _open_store(root: str, path: str, *, patient: bool) -> Store:
    """Open it, or with ``patient`` wait a while for a daemon that has the root but does not listen: it may be on its
    way out, and the client that asked for this one would find nobody. Raises ``RootInUseError``."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return await Store.open(root, path)
        except RootInUseError as error:
            if error.fields.get("address") not in (None, path):
                raise _elsewhere(error) from error
            if not patient or time.monotonic() > deadline or await asyncio.to_thread(listens, path):
                raise
        await asyncio.sleep(0.05)


def _elsewhere(error: RootInUseError) -> SocketElsewhereError:
    address = error.fields["address"]
    return SocketElsewhereError(
        f"{error.message}, and serves it on {address}",
        hint=f"Set ROOST_SOCKET={address} here too, or stop that daemon: its process is {error.fields['pid']}.",
        fields=error.fields,
    )


async def _serve(
    store: Store, path: str, config: Config, passed: socket.socket | None, notify: Callable[[str], None]
) -> None:
    lifecycle = Lifecycle(config.daemon.idle_exit_seconds)
    runner = web.AppRunner(
        build_app(store, config, lifecycle),
        handler_cancellation=True,
        access_log=None,
        shutdown_timeout=config.daemon.stop_timeout_seconds,
    )
    await runner.setup()
    await runner.app[EVENTS].begin()
    _stop_on_signals(lifecycle)
    own = not os.environ.get("ROOST_SOCKET")
    listener = passed if passed is not None else await asyncio.to_thread(bind_socket, path, own_folder=own)
    try:
        await _accept(runner, listener, lifecycle, config, notify)
    finally:
        if passed is None:
            await asyncio.to_thread(remove_socket, path)


async def _accept(
    runner: web.AppRunner,
    listener: socket.socket,
    lifecycle: Lifecycle,
    config: Config,
    notify: Callable[[str], None],
) -> None:
    assert runner.server is not None
    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(door_factory(runner.server), sock=listener, backlog=BACKLOG, **KEEP_NAME)
    log.info("Serving on %s", listener.getsockname())
    notify("READY=1")
    lifecycle.touch()
    await lifecycle.wait()
    notify("STOPPING=1")
    server.close()
    await lifecycle.run_hooks(config.daemon.stop_timeout_seconds)
    await runner.cleanup()


def _stop_on_signals(lifecycle: Lifecycle) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lifecycle.stop, signal.Signals(number).name)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the terminal that happened to start it may close


if __name__ == "__main__":
    main()
