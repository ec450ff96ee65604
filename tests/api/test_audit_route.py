"""``POST /v1/audits`` and ``POST /v1/sboms`` on the real application."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.advisories import HIGH, advisory, encode
from tests.support.sboms import ENCODINGS, find_faults

from roost.daemon.oci.target_platforms import local_platform
from roost.model.locks.lock import CondaPackage, CondaPython, Lock, Wheel, digest_lock
from roost.model.records import NewGeneration, RunRecord

DOCUMENT = {"conda": {"dependencies": ["python=3.11", "pytorch"]}, "pip": {"requirements": ["numpy"]}}
WHAT = {"cwd": "/", "document": DOCUMENT}


def lock(numpy: str) -> Lock:
    conda = CondaPackage(
        name="pytorch", version="2.1", build="0", subdir="linux-64", file_name="pytorch-2.1-0.conda",
        url="https://channel.example/main/linux-64/pytorch-2.1-0.conda", sha256="a" * 64,
        record={"purls": ["pkg:pypi/torch@2.1.0"], "license": "BSD-3-Clause"},
    )  # fmt: skip
    plain = CondaPackage(
        name="zlib", version="1", build="0", subdir="linux-64", file_name="zlib-1-0.conda", url="", sha256="b" * 64
    )
    wheel = Wheel(name="numpy", version=numpy, file_name=f"numpy-{numpy}-py3-none-any.whl", sha256="c" * 64)
    return Lock(platform=local_platform({}), provider=CondaPython(), conda=(conda, plain), wheels=(wheel,))


class Filled:
    """The application, and the advisories that it is asked about."""

    def __init__(self, served: Any, database: str) -> None:
        self.index, self.database, self._served = served.store.index, database, served

    async def post(self, path: str, body: Any) -> tuple[int, Any]:
        return await self._served.request("POST", path, json=body)


@pytest.fixture
async def filled(served: Any, tmp_path: Path) -> Filled:
    """One definition with numpy 1.0 first, which a run had, and 2.0 now."""
    _, body = await served.request("POST", "/v1/digests", json={"what": WHAT})
    digest, index = body["definition_digest"], served.store.index
    for version in ("1.0", "2.0"):
        await index.generations.add(NewGeneration(definition_digest=digest, platform=local_platform({})), lock(version))
    await index.runs.insert(
        RunRecord(
            id="r1", state="succeeded", target="local", command=("python",), cwd="/", definition_digest=digest,
            settings_digest="s", created="2026-01-01T00:00:00Z", lock_digest=digest_lock(lock("1.0")),
            environment_name="train", environment_version=2,
        )
    )  # fmt: skip
    database = tmp_path / "osv.jsonl"
    rated = {"aliases": ["CVE-1"], "summary": "Bad", "severity": [{"type": "CVSS_V3", "score": HIGH}]}
    database.write_bytes(
        b"\n".join(
            encode(
                advisory("PYSEC-1", fixed="1.5", **rated),
                advisory("GHSA-1", fixed="1.5", aliases=["CVE-1"]),
                advisory("PYSEC-2", package="torch", fixed="2.1.1"),
                advisory("PYSEC-3", package="zlib", fixed=None),
            )
        )
    )
    return Filled(served, str(database))


async def audit(served: Filled, status: int = 200, **fields: Any) -> Any:
    found, body = await served.post("/v1/audits", {"database": served.database, **fields})
    assert found == status, body
    return body


def names(body: Any) -> list[tuple[str, str, str]]:
    return [(each["id"], each["package"]["name"], each["package"]["version"]) for each in body["findings"]]


async def test_current_generations_are_looked_up_and_what_can_not_be_is_counted(filled: Filled) -> None:
    body = await audit(filled)
    assert names(body) == [("PYSEC-2", "pytorch", "2.1")]
    assert body["findings"][0]["fixed"] == ["2.1.1"]
    assert (body["packages"], body["checked"]) == (3, 2)
    (unchecked,) = body["unchecked"]
    assert (unchecked["package"]["name"], "OSV knows no conda packages" in unchecked["reason"]) == ("zlib", True)
    assert body["database"] == {
        "path": filled.database, "advisories": 4, "withdrawn": 0, "modified": "2026-01-01T00:00:00Z"
    }  # fmt: skip


async def test_a_finding_says_where_its_version_is_used_in_old_runs_too(filled: Filled) -> None:
    body = await audit(filled, all_generations=True)
    assert names(body) == [("PYSEC-1", "numpy", "1.0"), ("PYSEC-2", "pytorch", "2.1")]
    worst = body["findings"][0]
    assert (worst["aliases"], worst["rating"], worst["score"]) == (["GHSA-1", "CVE-1"], "high", 7.5)
    assert [(run["id"], run["environment"]) for run in worst["uses"]["runs"]] == [("r1", "train:2")]
    counts = worst["uses"]["counts"]
    assert (counts["generations"], counts["current_generations"], counts["runs"]) == (1, 0, 1)


async def test_one_advisory_is_looked_for_by_any_of_its_ids(filled: Filled) -> None:
    body = await audit(filled, all_generations=True, only=["CVE-1", "CVE-none"])
    assert names(body) == [("PYSEC-1", "numpy", "1.0")]
    assert [(each["code"], "CVE-none" in each["message"]) for each in body["warnings"]] == [("advisory-unknown", True)]


async def test_what_is_ignored_is_still_listed(filled: Filled) -> None:
    body = await audit(filled, all_generations=True, ignore=["CVE-1", "PYSEC-9"])
    assert names(body) == [("PYSEC-2", "pytorch", "2.1")]
    assert [each["id"] for each in body["ignored"]] == ["PYSEC-1"]
    assert body["unused_ignores"] == ["PYSEC-9"]


async def test_a_definition_is_looked_up_by_its_lock(filled: Filled) -> None:
    body = await audit(filled, what=WHAT)
    assert names(body) == [("PYSEC-2", "pytorch", "2.1")]
    assert body["lock_digest"] == digest_lock(lock("2.0"))
    older = await audit(filled, what={**WHAT, "generation": 1})
    assert [each[0] for each in names(older)] == ["PYSEC-1", "PYSEC-2"]


async def test_advisories_have_to_be_named_and_whole(filled: Filled, tmp_path: Path) -> None:
    unset = await filled.post("/v1/audits", {})
    assert (unset[0], unset[1]["code"]) == (400, "advisories-unset")
    assert "--db FILE" in unset[1]["hint"]
    filled.database = "relative.json"
    assert (await audit(filled, 400))["code"] == "advisories-unset"
    filled.database = str(tmp_path / "none")
    assert (await audit(filled, 404))["code"] == "advisories-missing"
    cut = tmp_path / "cut.json"
    cut.write_bytes(encode(advisory())[0][:50])
    filled.database = str(cut)
    assert (await audit(filled, 422))["code"] == "advisories-invalid"


async def test_a_bill_of_materials_is_that_of_the_current_lock(filled: Filled) -> None:
    texts = {}
    for format, encoding in ENCODINGS:
        status, body = await filled.post("/v1/sboms", {"what": WHAT, "format": format, "encoding": encoding})
        assert status == 200, body
        assert find_faults(body["text"], format, encoding) == []
        assert body["lock_digests"] == [digest_lock(lock("2.0"))]
        texts[format, encoding] = body["text"]
    document = json.loads(texts["cyclonedx", "json"])
    assert {each["name"] for each in document["components"]} == {"pytorch", "zlib", "numpy"}
    root = next(each for each in document["dependencies"] if each["ref"] == "environment")
    assert [each.partition("@")[0] for each in root["dependsOn"]] == ["pkg:conda/pytorch", "pkg:pypi/numpy"]
    (generation,) = await filled.index.generations.list_by_lock(digest_lock(lock("2.0")))
    assert document["metadata"]["timestamp"][:19] == generation.created[:19]
    again = await filled.post("/v1/sboms", {"what": WHAT, "format": "cyclonedx"})
    assert again[1]["text"] == texts["cyclonedx", "json"]
    wrong = await filled.post("/v1/sboms", {"what": WHAT, "format": "spdx", "encoding": "xml"})
    assert (wrong[0], wrong[1]["code"]) == (400, "usage")
