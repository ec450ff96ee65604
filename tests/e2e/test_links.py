"""Places of ``--find-links`` that do not answer: a warning, as pip has it, and what is locked stays locked."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from tests.support.pip_index import PipIndex, wheel_bytes
from tests.support.roost_process import Roost

PRINT = ("exec", "-f", "r.txt", "--", "python", "-c", "import leaf; print(leaf.value)")


def serve_links(index: PipIndex, version: str) -> None:
    """Let an index serve a page with one wheel at ``/links``."""
    name, content = wheel_bytes("leaf", version)
    index.files[name] = content
    index.text["/links"] = f'<a href="/files/{name}">{name}</a>'


def test_places_that_do_not_answer_are_passed_over_with_a_warning(
    roost: Roost, pip_index: PipIndex, private: PipIndex
) -> None:
    pip_index.wheel("leaf", "1.0")
    with socket.socket() as closed:  # bound and not listening: it refuses connections
        closed.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{closed.getsockname()[1]}/links"
        lines = f"--find-links {dead}\n--find-links {private.origin}/links\n--find-links nowhere\nleaf\n"
        roost.write("r.txt", lines)
        digest = roost.json("digest", "-f", "r.txt")
        assert [warning["code"] for warning in digest["warnings"]] == ["links-missing"]
        assert digest["warnings"][0]["location"]["line"] == 3
        planned = roost.json("plan", "-f", "r.txt", "--solve")
        assert "links-unanswered" in [reason["code"] for reason in planned["plans"][0]["reasons"]]

        built = roost.run("build", "-f", "r.txt")
        assert built.returncode == 0
        assert f"{dead} did not answer" in built.stderr
        assert f"{private.origin}/links did not answer: there is nothing at that address" in built.stderr
        assert "nowhere, which --find-links names, does not exist" in built.stderr

    serve_links(private, "2.0")
    assert roost.ok(*PRINT) == "1.0\n", "what is locked stays locked"
    rebuilt = roost.run("build", "-f", "r.txt", "--rebuild")
    assert "links did not answer" in rebuilt.stderr, "one of them still does not"
    assert roost.ok(*PRINT) == "2.0\n"
    roost.write("nowhere/x.txt", "")
    assert roost.json("digest", "-f", "r.txt")["definition_digest"] != digest["definition_digest"]


def test_a_package_that_only_a_dead_place_has_is_an_error_that_names_the_place(roost: Roost, private: PipIndex) -> None:
    roost.write("r.txt", f"--find-links {private.origin}/links\nleaf\n")
    error = roost.failed(4, "build", "-f", "r.txt")
    assert f"{private.origin}/links did not answer" in error["hint"]
    serve_links(private, "2.0")
    assert roost.ok(*PRINT) == "2.0\n", "nothing of the failure is kept"


def test_a_place_that_refuses_access_is_an_error(roost: Roost, pip_index: PipIndex, private: PipIndex) -> None:
    pip_index.wheel("leaf", "1.0")
    private.password = "u:p"
    roost.write("r.txt", f"--find-links {private.origin}/links\nleaf\n")
    assert "refuses access" in roost.failed(6, "build", "-f", "r.txt")["message"]


def test_a_pipe_among_the_wheels_is_left_out(roost: Roost) -> None:
    folder = Path(roost.folder) / "my# links"
    folder.mkdir(parents=True)
    name, content = wheel_bytes("leaf", "1.0")
    (folder / name).write_bytes(content)
    os.mkfifo(folder / "leaf-2.0-py3-none-any.whl")
    roost.write("r.txt", "--no-index\n--find-links 'my# links'\nleaf\n")
    built = roost.run(*PRINT)
    assert (built.returncode, built.stdout) == (0, "1.0\n"), built.stderr
    assert "pipes, sockets or devices, which are left out: leaf-2.0-py3-none-any.whl" in built.stderr
