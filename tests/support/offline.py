"""roost in a network namespace of its own, in which there is no network: not even loopback is up."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
from tests.support.roost_process import ROOST

from roost.store.disk.file_ops import remove_tree


class OfflineRoost:
    """A root of its own; its daemon is started inside the namespace by the first command."""

    def __init__(self, folder: Path, config: str) -> None:
        self.folder = folder
        self.root = Path(tempfile.mkdtemp(prefix="o", dir="/tmp"))
        self.config = self.root.with_suffix(".toml")
        self.config.write_text(config)
        self.variables: dict[str, str] = {}
        self._holder = subprocess.Popen(
            ["unshare", *_namespaces(), "sh", "-c", "echo ready; exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != "ready\n":
            if os.environ.get("ROOST_TEST_REQUIRE_ALL") == "1":
                pytest.fail("ROOST_TEST_REQUIRE_ALL=1 and no right to make a network namespace")
            pytest.skip("no right to make a network namespace")

    @property
    def environ(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TERM")}
        return {**kept, "ROOST_HOME": str(self.root), "ROOST_CONFIG": str(self.config), **self.variables}

    def run(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run the command in the namespace, to its end."""
        command = ["nsenter", "--preserve-credentials", f"--target={self._holder.pid}", *_entered(), ROOST, *arguments]
        return subprocess.run(
            command, cwd=cwd or self.folder, env=self.environ, capture_output=True, text=True, timeout=240
        )

    def ok(self, *arguments: str, cwd: Path | None = None) -> str:
        """Run the command, which must succeed; its standard output."""
        done = self.run(*arguments, cwd=cwd)
        assert done.returncode == 0, f"roost {' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def json(self, *arguments: str) -> Any:
        """The JSON document that the command prints; of a stream, its last line."""
        return json.loads(self.ok(*arguments, "--json").strip().splitlines()[-1])

    def failed(self, status: int, *arguments: str, cwd: Path | None = None) -> dict[str, Any]:
        """Run the command, which must end with ``status``; its error body."""
        own = 1 if arguments[0] in ("run", "exec") else len(arguments)
        done = self.run(*arguments[:own], "--json", *arguments[own:], cwd=cwd)
        assert done.returncode == status, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        body: dict[str, Any] = json.loads((done.stdout.strip() or done.stderr.strip()).splitlines()[-1])
        return body

    def attempts(self) -> int:
        """How many connections were tried in the namespace so far: those without a route too (IP-MIB, TCP-MIB)."""
        rows = self._enter("cat", "/proc/self/net/snmp").splitlines()
        found: dict[str, int] = {}
        for names, values in zip(rows[::2], rows[1::2], strict=True):
            protocol, _, listed = names.partition(": ")
            counts = values.partition(": ")[2].split()
            found |= {f"{protocol}.{name}": int(count) for name, count in zip(listed.split(), counts, strict=True)}
        return found["Ip.OutNoRoutes"] + found["Ip.OutRequests"] + found["Tcp.ActiveOpens"] + found["Udp.OutDatagrams"]

    def _enter(self, *command: str) -> str:
        entered = ["nsenter", "--preserve-credentials", f"--target={self._holder.pid}", *_entered(), *command]
        return subprocess.run(entered, capture_output=True, text=True, check=True, timeout=60).stdout

    def end(self) -> None:
        """Stop the daemon and remove everything."""
        self.run("daemon", "stop")
        self._holder.kill()
        self._holder.communicate()
        remove_tree(str(self.root))
        self.config.unlink(missing_ok=True)


def _namespaces() -> list[str]:
    """An account without privileges needs a user namespace to make another one."""
    return ["--net"] if os.getuid() == 0 else ["--user", "--map-current-user", "--net"]


def _entered() -> list[str]:
    return ["--net"] if os.getuid() == 0 else ["--user", "--net"]
