"""The daemon's log: one rotated file, without credentials, and without endless repetitions."""

from __future__ import annotations

import logging
import logging.handlers
import os
import queue
import stat
import sys
import time
from contextlib import suppress

from roost.daemon.config.schema import DaemonSettings
from roost.daemon.credentials.redaction import RedactingFormatter
from roost.daemon.server.repeats import RepeatLimit

log = logging.getLogger(__name__)
FORMAT = "%(asctime)sZ %(levelname)s %(name)s: %(message)s"


def log_path(root: str) -> str:
    """Return the path of the log of the daemon that has ``root``."""
    return os.path.join(root, "logs", "daemon.log")


def start_logging(root: str, settings: DaemonSettings, *, echo: bool = False) -> None:
    """Log to ``logs/daemon.log`` below the root; with ``echo`` to standard error too, and only there if the file can't
    be written."""
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)] if echo else []
    try:
        handlers.append(_open_log_file(log_path(root), settings))
    except OSError as error:  # a full disk must not stop the daemon
        handlers = [logging.StreamHandler(sys.stderr)]
        _install_handlers(handlers)
        log.warning("%s can't be written: %s", log_path(root), error.strerror)
    _install_handlers(handlers)


def redirect_output(root: str) -> None:
    """Write standard output and standard error, which native libraries and the reports of crashes use, to the log, if
    they are a temporary file of the client that started the daemon: at the first start of a root there was no log yet.

    The client reads that file up to here.
    """
    with suppress(OSError), open(log_path(root), "ab") as log_file:
        for stream in (sys.stdout, sys.stderr):
            state = os.fstat(stream.fileno())
            if stat.S_ISREG(state.st_mode) and state.st_nlink == 0:
                stream.flush()
                os.dup2(log_file.fileno(), stream.fileno())


def _open_log_file(path: str, settings: DaemonSettings) -> logging.Handler:
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    return logging.handlers.RotatingFileHandler(
        path, maxBytes=settings.log_bytes, backupCount=settings.log_files, encoding="utf-8", errors="replace"
    )


def _install_handlers(handlers: list[logging.Handler]) -> None:
    formatter = RedactingFormatter(FORMAT, datefmt="%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    for handler in handlers:
        handler.setFormatter(formatter)
    logging.captureWarnings(True)
    root = logging.getLogger()
    root.handlers[:] = [_start_queue(handlers)]
    root.setLevel(logging.INFO)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)


def _start_queue(handlers: list[logging.Handler]) -> logging.Handler:
    """Return a handler that queues records for one thread, which passes them on to ``handlers``: a slow disk must not
    block the event loop. The thread sleeps while there are no records."""
    stop_logging()
    records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    listener = logging.handlers.QueueListener(records, *handlers)
    listener.start()
    _listeners.append(listener)
    handler = logging.handlers.QueueHandler(records)
    handler.addFilter(_repeats)
    return handler


_repeats = RepeatLimit()
_listeners: list[logging.handlers.QueueListener] = []


def stop_logging() -> None:
    """Write all queued records: the process ends by ``os._exit``, which flushes nothing."""
    while _listeners:
        listener = _listeners.pop()
        listener.stop()
        for handler in listener.handlers:
            handler.flush()
