"""Definitions that are read in a process of their own: the same answers, and an end by a deadline."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from roost.daemon.definitions import large_inputs
from roost.daemon.definitions.large_inputs import LARGE_BYTES, READ
from roost.model.canonical.form import digest_definition
from roost.model.definition import Defaults
from roost.model.readers.read import read_definition
from roost.model.readers.source import DefinitionSource
from roost.store.sources.files import LocalFiles

LINES = [f"package-{number}==1.0" for number in range(LARGE_BYTES // 15)]


async def digest(served: Any, path: Path, **more: Any) -> tuple[int, dict[str, Any]]:
    answer: tuple[int, dict[str, Any]] = await served.request(
        "POST", "/v1/digests", json={"what": {"cwd": str(path.parent), "file": str(path), **more}}
    )
    return answer


@pytest.mark.parametrize("way", ["a file", "two files", "a text"])
async def test_a_large_definition_has_the_digest_of_a_small_reading(served: Any, tmp_path: Path, way: str) -> None:
    path = tmp_path / "requirements.txt"
    path.write_text("-r more.txt\n" if way == "two files" else "\n".join(LINES))
    (tmp_path / "more.txt").write_text("\n".join(LINES))
    more = {"text": path.read_text()} if way == "a text" else {}
    status, answer = await digest(served, path, **more)
    assert status == 200
    expected = await asyncio.to_thread(read_definition, DefinitionSource(path=str(path)), LocalFiles())
    assert answer["definition_digest"] == digest_definition(expected.definition, Defaults())


async def test_problems_keep_their_places(served: Any, tmp_path: Path) -> None:
    path = tmp_path / "requirements.txt"
    path.write_text("\n".join([*LINES, "six six", "six==${V}"]))
    status, answer = await digest(served, path)
    assert (status, answer["code"], answer["exit_status"]) == (422, "requirement-invalid", 3)
    assert answer["location"] == {"path": str(path), "line": len(LINES) + 1, "column": 5}
    assert [(each["code"], each["location"]["line"]) for each in answer["fields"]["problems"]] == [
        ("requirement-invalid", len(LINES) + 1),
        ("variable-misplaced", len(LINES) + 2),
    ]


async def test_a_reading_without_an_end_is_ended(served: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_inputs, "READ", msgspec.structs.replace(READ, timeout=0.01))
    path = tmp_path / "requirements.txt"
    path.write_text("\n".join(LINES))
    status, answer = await digest(served, path)
    assert (status, answer["code"]) == (422, "definition-slow")
    assert "split it" in answer["hint"]
    (tmp_path / "small.txt").write_text("six\n")
    assert (await digest(served, tmp_path / "small.txt"))[0] == 200


async def test_a_large_script_is_searched_in_a_worker_too(served: Any, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text('# /// script\n# dependencies = ["six"]\n# ///\n' + "x = 1\n" * LARGE_BYTES)
    what = {"cwd": str(tmp_path), "command": ["python", "train.py"]}
    status, answer = await served.request("POST", "/v1/digests", json={"what": what})
    assert (status, answer["source"]["format"]) == (200, "pep723")
