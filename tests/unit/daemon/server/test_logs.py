"""The log file: rotated, private, clean, complete at the end. Each in a process of its own: logging is global."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

HEAD = """
import logging, os, sys
from roost.daemon.config.schema import DaemonSettings
from roost.daemon.server.logs import start_logging, stop_logging
os.umask(0o077)
root = sys.argv[1]
"""


def _run(root: Path, script: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", HEAD + script, str(root)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)


def test_all_is_written_before_the_process_goes_at_once(tmp_path: Path) -> None:
    _run(
        tmp_path,
        "start_logging(root, DaemonSettings())\n"
        "for n in range(500): logging.getLogger('x').info('line %d of https://a:SECRET@h', n)\n"
        "stop_logging(); os._exit(0)",
    )
    path = tmp_path / "logs" / "daemon.log"
    lines = path.read_text().splitlines()
    assert len(lines) == 500
    assert lines[-1].endswith("INFO x: line 499 of https://***@h")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_it_is_rotated_and_old_ones_go(tmp_path: Path) -> None:
    _run(
        tmp_path,
        "start_logging(root, DaemonSettings(log_bytes=1000, log_files=2))\n"
        "for n in range(200): logging.getLogger('x').info('line %d', n)\n"
        "stop_logging()",
    )
    assert sorted(os.listdir(tmp_path / "logs")) == ["daemon.log", "daemon.log.1", "daemon.log.2"]
    assert all(path.stat().st_size <= 1000 for path in (tmp_path / "logs").iterdir())


def test_a_log_that_cannot_be_written_is_no_reason_to_stop(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file in the folder's place")
    done = _run(tmp_path, "start_logging(root, DaemonSettings()); logging.info('still here'); stop_logging()")
    assert "can't be written" in done.stderr
    assert "still here" in done.stderr


def test_warnings_and_tracebacks_go_there_too(tmp_path: Path) -> None:
    _run(
        tmp_path,
        "import warnings\n"
        "start_logging(root, DaemonSettings()); warnings.warn('careful')\n"
        "try: 1/0\n"
        "except ZeroDivisionError: logging.exception('broke')\n"
        "stop_logging()",
    )
    text = (tmp_path / "logs" / "daemon.log").read_text()
    assert "careful" in text
    assert "ZeroDivisionError" in text


def test_a_record_acts_on_no_terminal_and_forges_no_other_record(tmp_path: Path) -> None:
    text = "\\x1b]0;t\\x07 of\\n2026-01-01T00:00:00Z INFO x: forged\\u2028"
    done = _run(
        tmp_path,
        f"start_logging(root, DaemonSettings(), echo=True); logging.info('%s', '{text}'); stop_logging()",
    )
    logged = (tmp_path / "logs" / "daemon.log").read_text()
    assert logged.split("\n")[1:] == ["  | 2026-01-01T00:00:00Z INFO x: forged\\u2028", ""]
    assert "INFO root: \\x1b]0;t\\x07 of" in logged
    assert done.stderr == logged


def test_output_moves_to_the_log_if_it_went_to_a_temporary_file(tmp_path: Path) -> None:
    script = (
        "from roost.daemon.server.logs import redirect_output\n"
        "start_logging(root, DaemonSettings())\n"
        "redirect_output(root)\nprint('late', file=sys.stderr, flush=True)\nstop_logging(); os._exit(0)"
    )
    with tempfile.TemporaryFile() as temporary:
        command = [sys.executable, "-c", HEAD + script, str(tmp_path)]
        subprocess.run(command, stdout=temporary, stderr=temporary, timeout=60, check=True)
        temporary.seek(0)
        assert temporary.read() == b""
    assert (tmp_path / "logs/daemon.log").read_text() == "late\n"
    assert _run(tmp_path, script).stderr == "late\n"  # a pipe is somebody's
