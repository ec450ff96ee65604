"""The daemon's log: one rotated file, credentials taken out."""

from __future__ import annotations

import logging
import logging.handlers
import os
import sys
import time

from roost.daemon.config_schema import DaemonSettings
from roost.daemon.redaction import RedactingFormatter

FORMAT = "%(asctime)sZ %(levelname)s %(name)s: %(message)s"


def log_path(root: str) -> str:
    """Where the daemon of ``root`` writes its log."""
    return os.path.join(root, "logs", "daemon.log")


def start_logging(root: str, settings: DaemonSettings, *, echo: bool = False) -> None:
    """Log to the root's ``logs/daemon.log``; with ``echo`` to standard error too. Raises ``OSError``."""
    path = log_path(root)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    handlers: list[logging.Handler] = [
        logging.handlers.RotatingFileHandler(
            path, maxBytes=settings.log_bytes, backupCount=settings.log_files, encoding="utf-8", errors="replace"
        )
    ]
    if echo:
        handlers.append(logging.StreamHandler(sys.stderr))
    _install(handlers)


def _install(handlers: list[logging.Handler]) -> None:
    formatter = RedactingFormatter(FORMAT, datefmt="%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    for handler in handlers:
        handler.setFormatter(formatter)
    logging.captureWarnings(True)
    root = logging.getLogger()
    root.handlers[:] = handlers
    root.setLevel(logging.INFO)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)


def flush_logs() -> None:
    """Write out what the handlers hold: the process ends by ``os._exit``, which flushes nothing."""
    for handler in logging.getLogger().handlers:
        handler.flush()
