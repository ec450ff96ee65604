"""The daemon's log: one rotated file, credentials taken out."""

from __future__ import annotations

import logging
import logging.handlers
import os
import queue
import sys
import time

from roost.daemon.config.schema import DaemonSettings
from roost.daemon.credentials.redaction import RedactingFormatter

log = logging.getLogger(__name__)
FORMAT = "%(asctime)sZ %(levelname)s %(name)s: %(message)s"


def log_path(root: str) -> str:
    """Where the daemon of ``root`` writes its log."""
    return os.path.join(root, "logs", "daemon.log")


def start_logging(root: str, settings: DaemonSettings, *, echo: bool = False) -> None:
    """Log to the root's ``logs/daemon.log``; with ``echo``, or where that can't be written, to standard error."""
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)] if echo else []
    try:
        handlers.append(_log_file(log_path(root), settings))
    except OSError as error:  # a full disk is no reason to serve nobody
        handlers = [logging.StreamHandler(sys.stderr)]
        _install(handlers)
        log.warning("%s can't be written: %s", log_path(root), error.strerror)
    _install(handlers)


def _log_file(path: str, settings: DaemonSettings) -> logging.Handler:
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    return logging.handlers.RotatingFileHandler(
        path, maxBytes=settings.log_bytes, backupCount=settings.log_files, encoding="utf-8", errors="replace"
    )


def _install(handlers: list[logging.Handler]) -> None:
    formatter = RedactingFormatter(FORMAT, datefmt="%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    for handler in handlers:
        handler.setFormatter(formatter)
    logging.captureWarnings(True)
    root = logging.getLogger()
    root.handlers[:] = [_in_a_thread(handlers)]
    root.setLevel(logging.INFO)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)


def _in_a_thread(handlers: list[logging.Handler]) -> logging.Handler:
    """A slow disk must not hold the event loop: records are queued, and one thread, which sleeps while there are
    none, writes them."""
    stop_logging()
    records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    listener = logging.handlers.QueueListener(records, *handlers)
    listener.start()
    _listeners.append(listener)
    return logging.handlers.QueueHandler(records)


_listeners: list[logging.handlers.QueueListener] = []


def stop_logging() -> None:
    """Write out what is queued: the process ends by ``os._exit``, which flushes nothing."""
    while _listeners:
        listener = _listeners.pop()
        listener.stop()
        for handler in listener.handlers:
            handler.flush()
