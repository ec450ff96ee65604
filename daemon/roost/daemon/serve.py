"""One daemon: opens the store, serves it on its socket, and stops in order."""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Coroutine
from functools import partial

from aiohttp import web

from roost.daemon.background.threads import PriorityThreads
from roost.daemon.caller.current import remove_own_variables
from roost.daemon.config.config import Config, load_config
from roost.daemon.config.paths import find_root, sanitize_environment, settle_home, socket_path
from roost.daemon.jobs.lifecycle import Lifecycle
from roost.daemon.routes.table import build_app
from roost.daemon.server.accepting import accept_connections, connection_limit, raise_file_limit
from roost.daemon.server.app import error_line
from roost.daemon.server.keys import CONNECTION_USE, EVENTS
from roost.daemon.server.logs import redirect_output, start_logging
from roost.daemon.server.peers import create_peer_check
from roost.daemon.server.sockets import (
    BACKLOG,
    bind_socket,
    check_socket_folder,
    create_notifier,
    is_listening,
    remove_socket,
    take_inherited_socket,
)
from roost.daemon.upkeep.upkeep import RootUpkeep
from roost.model.errors import CodedError, StoreRefusedError
from roost.store.disk.root import RootInUseError
from roost.store.store import Store
from roost.wire.installation import VERSION

log = logging.getLogger(__name__)
PATIENCE_SECONDS = 8.0
"""How long a start by a client waits for another daemon that is stopping."""
CLOSE_SECONDS = 10.0
STOP_MARGIN_SECONDS = 15.0
"""How long a stop may take beyond twice ``daemon.stop_timeout_seconds``, which hooks and connections have each."""


class SocketElsewhereError(StoreRefusedError):
    """The root has a daemon, but on another socket than the one this daemon was to serve."""

    code = "socket-elsewhere"


def run_process(*, quiet: bool) -> int:
    """Run the daemon until it stops and return the exit status. A refusal is printed as one line of JSON."""
    os.umask(0o077)
    faulthandler.enable()  # a crash in a native library prints its place on standard error
    logging.getLogger().addHandler(logging.NullHandler())  # standard error carries the error body and nothing else
    try:
        removed = [*sanitize_environment(os.environ), *remove_own_variables()]
        os.environ["NETRC"] = os.devnull  # only ``credentials.auth_files`` reads a netrc, and no library
        notify, inherited = create_notifier(os.environ), take_inherited_socket(os.environ)
        root = find_root()
        settle_home(os.environ, root)
        config, path = load_config(), socket_path(root)
        raise_file_limit()
        _run_to_completion(_run_daemon(root, path, config, inherited, notify, quiet=quiet, removed=removed))
    except CodedError as error:
        return _report_refusal(error, quiet=quiet)
    except Exception as error:
        log.exception("The daemon failed")
        print(error_line(error), file=sys.stderr)
        return 5
    return 0


def _run_to_completion(main: Coroutine[None, None, None]) -> None:
    """Run ``main`` in a new event loop, which is not closed: unlike with ``asyncio.run``, threads that are stuck in a
    read or in a native library are not waited for. The process ends by ``os._exit``."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(main)


def _report_refusal(error: CodedError, *, quiet: bool) -> int:
    """Print ``error`` and return the exit status. The loser of a race between two starts prints nothing: the winner
    serves its client."""
    if quiet and error.code == "root-in-use":
        return 0
    log.error("%s", error.message)
    print(error_line(error), file=sys.stderr)
    return error.exit_status


async def _run_daemon(
    root: str,
    path: str,
    config: Config,
    inherited: socket.socket | None,
    notify: Callable[[str], None],
    *,
    quiet: bool,
    removed: list[str],
) -> None:
    if inherited is None and os.path.dirname(path) != root:  # before anything is created below the root
        await asyncio.to_thread(check_socket_folder, os.path.dirname(path), _is_own_folder())
    asyncio.get_running_loop().set_default_executor(PriorityThreads())
    try:
        store = await _open_store(root, path, patient=quiet)
    except StoreRefusedError:
        raise
    except Exception:  # the root is this daemon's, so that the error can be logged there
        await asyncio.to_thread(start_logging, root, config.daemon, echo=False)
        raise
    try:
        await asyncio.to_thread(start_logging, root, config.daemon, echo=not quiet)
        log.info("Opened %s (pid %d); left out of the environment: %s", root, os.getpid(), ", ".join(removed) or "-")
        if store.checked is not None:
            log.info("The index was not closed in order; checked with %d bytes of WAL, it is intact", store.checked)
        log.info("Recovered: %s", store.recovery)
        await _serve(store, path, config, inherited, notify, quiet=quiet)
    finally:
        await _close_store(store)
        log.info("Stopped")


async def _close_store(store: Store) -> None:
    """Close the index, but do not wait for ever for a query: SQLite recovers an index that was not closed."""
    try:
        await asyncio.wait_for(store.close(), CLOSE_SECONDS)
    except asyncio.TimeoutError:
        log.warning("The index is still in use; it is left as it is")


async def _open_store(root: str, path: str, *, patient: bool) -> Store:
    """Open the store. With ``patient``, wait ``PATIENCE_SECONDS`` for a daemon that has the root but does not listen:
    it may be stopping, and the client that started this one would find no daemon. Raises RootInUseError."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return await Store.open(root, path, VERSION)
        except RootInUseError as error:
            if error.fields.get("address") not in (None, path):
                raise _socket_elsewhere_error(error) from error
            if not patient or time.monotonic() > deadline or await asyncio.to_thread(is_listening, path):
                raise
        await asyncio.sleep(0.05)


def _socket_elsewhere_error(error: RootInUseError) -> SocketElsewhereError:
    address = error.fields["address"]
    return SocketElsewhereError(
        f"{error.message}, and serves it on {address}",
        hint=f"Set ROOST_SOCKET={address} here too, or stop that daemon: its process is {error.fields['pid']}.",
        fields=error.fields,
    )


async def _serve(
    store: Store,
    path: str,
    config: Config,
    inherited: socket.socket | None,
    notify: Callable[[str], None],
    *,
    quiet: bool,
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
    _install_signal_handlers(lifecycle)
    listener = SocketListener(runner, path, lifecycle)
    upkeep = RootUpkeep(store, path, lifecycle, listener.bind, partial(_reopen_log, store, config))
    try:
        if inherited is None:
            await listener.bind()
        else:
            listener.accept(inherited)
        store.root_lock.write_phase("serving")
        upkeep.start()
        notify("READY=1")
        if quiet:
            await asyncio.to_thread(redirect_output, store.layout.root)
        lifecycle.touch()
        await lifecycle.wait()
        _limit_stop(config.daemon.stop_timeout_seconds)
        notify("STOPPING=1")
        store.root_lock.write_phase("stopping")
        await upkeep.stop()
        await listener.close()
        await lifecycle.run_hooks(config.daemon.stop_timeout_seconds)
        await runner.cleanup()
        if lifecycle.reason == "idle":  # nobody waits
            await _rewrite_index(store)
    finally:
        listener.remove()


async def _rewrite_index(store: Store) -> None:
    """Write the index of an older version anew, once, so that it can shrink. A failure is tried again next time."""
    try:
        if await store.index.database.rewrite():
            log.info("The index was written anew: its free pages can go back to the disk from now on")
    except CodedError as error:
        log.warning("The index was not written anew: %s", error.message)


def _limit_stop(timeout: float) -> None:
    """End the process even if the stop hangs, with the stacks of all threads on standard error (the daemon's log).

    The timer is C, so it fires although a thread holds the interpreter. The index needs no orderly end.
    """
    faulthandler.dump_traceback_later(2 * timeout + STOP_MARGIN_SECONDS, exit=True)


def _is_own_folder() -> bool:
    """Whether roost chose the socket's folder, and may correct its mode."""
    return not os.environ.get("ROOST_SOCKET")


class SocketListener:
    """The socket that this daemon accepts connections on, at ``path``; bound again if its name is removed."""

    def __init__(self, runner: web.AppRunner, path: str, lifecycle: Lifecycle) -> None:
        self._runner = runner
        self._path = path
        self._lifecycle = lifecycle
        self._listener: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._own = False

    async def bind(self) -> None:
        """Listen at the path, and no longer on a socket whose name was removed. Raises: SocketPathError."""
        listener = await asyncio.to_thread(bind_socket, self._path, own_folder=_is_own_folder())
        await self.close()
        self.accept(listener)
        self._own = True

    def accept(self, listener: socket.socket) -> None:
        """Accept connections on ``listener``, for example one that systemd passed on."""
        server = self._runner.server
        assert server is not None
        listener.listen(BACKLOG)
        self._listener = listener
        self._accepting = asyncio.create_task(
            accept_connections(
                listener,
                create_peer_check(server),
                lambda: len(server.connections),
                lambda: self._runner.app[CONNECTION_USE].close_idle(server.connections),
                connection_limit(),
            )
        )
        self._accepting.add_done_callback(self._on_accepting_ended)
        log.info("Serving on %s", listener.getsockname())

    def _on_accepting_ended(self, task: asyncio.Task[None]) -> None:
        if task is self._accepting:
            self._lifecycle.stop("connections are no longer accepted")

    async def close(self) -> None:
        """Accept no more connections."""
        accepting, self._accepting = self._accepting, None
        if accepting is not None and self._listener is not None:
            accepting.cancel()
            await asyncio.wait([accepting])
            self._listener.close()

    def remove(self) -> None:
        """Remove the socket's name, unless it is systemd's."""
        if self._own:
            remove_socket(self._path)


def _reopen_log(store: Store, config: Config) -> None:
    start_logging(store.layout.root, config.daemon, echo=False)


def _install_signal_handlers(lifecycle: Lifecycle) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lifecycle.stop, signal.Signals(number).name)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the terminal that happened to start it may close
