"""What the daemon does while nobody wants anything of it: prefixes are compared, and the index is copied."""

from __future__ import annotations

import time
from pathlib import Path

from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost

CODE = ("--", "python", "-c", "import greet; print(greet.value)")


def wait_until(holds, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_an_altered_prefix_is_found_in_idleness_and_the_index_is_copied(roost: Roost, pip_index: PipIndex) -> None:
    roost.config.write_text(
        f"{roost.config.read_text()}[daemon]\nidle_work_seconds = 0.3\n[cache]\nverify_days = 0.000001\n"
    )
    pip_index.wheel("greet", "1.0")
    roost.write("requirements.txt", "greet\n")
    assert roost.ok("exec", "-f", "requirements.txt", *CODE) == "1.0\n"
    log = roost.root / "logs" / "daemon.log"
    wait_until(lambda: "Idle work verify-prefix took" in log.read_text())
    wait_until((roost.root / "index.db.copy").exists)
    (prefix,) = [path for path in (roost.root / "prefixes").iterdir() if path.is_dir()]
    roost.ok("daemon", "stop")

    # The folder, which guards every use, is not touched: only reading the file shows it.
    (module,) = prefix.glob("lib/python*/site-packages/greet.py")
    module.write_bytes(module.read_bytes().replace(b"1.0", b"6.6"))
    forget_idle_work(roost.root)
    roost.ok("daemon", "start")
    retired: list[dict] = []

    def is_retired() -> bool:
        retired[:] = [event for event in events(roost) if event["kind"] == "prefix-retired"]
        return bool(retired)

    wait_until(lambda: not prefix.exists())
    wait_until(is_retired)
    assert [event["fields"]["path"] for event in retired] == [str(prefix)]
    assert "greet.py changed" in retired[0]["fields"]["reason"]
    assert roost.ok("exec", "-f", "requirements.txt", *CODE) == "1.0\n"


def events(roost: Roost) -> list[dict]:
    import json

    return [json.loads(line) for line in roost.ok("events", "--json").splitlines()]


def forget_idle_work(root: Path) -> None:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(root / "index.db", isolation_level=None)) as connection:
        connection.execute("DELETE FROM idle_work")
