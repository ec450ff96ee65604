"""Jobs for the tests of workers: they work, report, fail, crash, hang and print on request."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import msgspec

from roost.daemon.workers import process
from roost.daemon.workers.context import JobContext
from roost.daemon.workers.jobs import WorkerJob, WorkerKind
from roost.model.errors import InvalidDefinitionError, Location, StoreFullError

REPOSITORY = Path(__file__).parents[2]
KIND = WorkerKind(name="test", processes=2)


class Order(msgspec.Struct, kw_only=True):
    """What a job is to do."""

    what: str
    text: str = ""
    number: float = 0


def find_tests(monkeypatch: Any) -> None:
    """Let workers import the tests: with ``-I`` they see installed packages only."""
    code = (
        f"import sys; sys.path.insert(0, {str(REPOSITORY)!r}); import roost.daemon.workers.main as m; "
        "m.main(sys.argv[1:])"
    )
    monkeypatch.setattr(process, "_START", [sys.executable, "-I", "-c", code])


def job(kind: WorkerKind = KIND, **more: Any) -> WorkerJob[Order, dict[str, Any]]:
    target = "tests.support.worker_jobs:obey"
    return WorkerJob(kind=kind, target=target, payload=Order, result=dict[str, Any], doing="obeying", **more)


def obey(order: Order, context: JobContext) -> dict[str, Any]:
    if order.what == "describe":
        return describe()
    if order.what == "report":
        return report(context)
    if order.what == "hang":
        context.begin("hanging")
        Path(order.text).write_text(str(os.getpid()))
        time.sleep(600)
    if order.what == "beget":
        child = subprocess.Popen(["sleep", "600"])
        Path(order.text).write_text(str(child.pid))
        time.sleep(600)
    if order.what == "sleep":
        time.sleep(order.number)
    if order.what == "raise":
        raise {"full": StoreFullError("No space left", hint="Free some"), "other": ValueError("strange")}[order.text]
    if order.what == "raise-and-die":
        threading.Timer(0.05, os.abort).start()
        raise StoreFullError("cancelled by the panic")
    if order.what == "raise-located":
        raise InvalidDefinitionError(
            "bad", hint="mend it", location=Location(path="/x.yml", line=3, column=7), fields={"a": [1, {"b": None}]}
        )
    if order.what == "print":
        os.write(1, b"printed by native code\n" * 500)
        print("printed by Python")
    if order.what == "die":
        context.begin("linking bad-1.0")
        context.begin("linking good-1.0")
        context.end("linking good-1.0")
        die(order.text)
    return {"pid": os.getpid(), "text": order.text}


async def obey_later(order: Order, context: JobContext) -> dict[str, Any]:
    return obey(order, context)


def die(how: str) -> None:
    print("last words", file=sys.stderr, flush=True)
    if how == "abort":
        os.abort()
    if how == "segfault":
        ctypes.string_at(0)
    if how == "exit":
        os._exit(0)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "memory":
        kept = []
        while True:
            kept.append(bytearray(1 << 28))
    raise AssertionError(how)


def report(context: JobContext) -> dict[str, Any]:
    context.progress.start("link", 3)
    for done in range(1, 4):
        context.progress.advance("link", done, 3)
    context.progress.log("a line")
    context.progress.finish("link")
    return {}


def describe() -> dict[str, Any]:
    return {
        "pid": os.getpid(),
        "group": os.getpgrp(),
        "environ": dict(os.environ),
        "descriptors": {name: os.readlink(f"/proc/self/fd/{name}") for name in listed("/proc/self/fd")},
        "folder": os.getcwd(),
        "score": Path("/proc/self/oom_score_adj").read_text().strip(),
        "modules": sorted(sys.modules),
    }


def listed(folder: str) -> list[str]:
    return [name for name in os.listdir(folder) if os.path.islink(f"{folder}/{name}")]
