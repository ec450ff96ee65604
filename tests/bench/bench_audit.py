"""Figures of bills of materials and audits: 500 packages, and an archive of 20,000 advisories.

``python tests/bench/bench_audit.py`` prints processor time and peak memory of each job, as a fresh worker has them.
"""

from __future__ import annotations

import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
import zipfile

from roost.daemon.workers.context import JobContext
from roost.model.locks.lock import CondaPackage, CondaPython, Lock, Wheel, digest_lock

PACKAGES, ADVISORIES = 500, 20_000


def make_lock() -> Lock:
    conda = [
        CondaPackage(
            name=f"lib{number}", version=f"{number}.0", build="h0", subdir="linux-64", file_name=f"lib{number}-0.conda",
            url=f"https://channel.example/main/linux-64/lib{number}-0.conda", sha256=f"{number:064x}",
            record={"license": "MIT", "depends": [f"lib{each} >=1" for each in range(max(0, number - 4), number)]},
        )
        for number in range(PACKAGES // 2)
    ]  # fmt: skip
    wheels = [
        Wheel(
            name=f"project-{number}", version="1.5.0", file_name=f"project_{number}-1.5.0-py3-none-any.whl",
            url=f"https://index.example/project_{number}-1.5.0-py3-none-any.whl", sha256=f"{number:064x}",
            requires=tuple(f"project-{each}" for each in range(max(0, number - 4), number)),
        )
        for number in range(PACKAGES // 2)
    ]  # fmt: skip
    return Lock(platform="linux-64", provider=CondaPython(), conda=tuple(conda), wheels=tuple(wheels))


def make_archive(path: str) -> None:
    """Write advisories as large as real ones: 6 kB on average, most of it text and lists of versions."""
    random.seed(1)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(ADVISORIES):
            versions = [f"{major}.{minor}.{patch}" for major in range(3) for minor in range(8) for patch in range(6)]
            advisory = {
                "id": f"PYSEC-{number}", "modified": "2026-01-01T00:00:00Z", "schema_version": "1.6.0",
                "aliases": [f"CVE-2026-{number}"], "summary": f"Flaw {number}",
                "details": "".join(random.choices("abcdefghij klmnop\n", k=4000)),
                "affected": [
                    {
                        "package": {"ecosystem": "PyPI", "name": f"Project_{number % 5000}"},
                        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.2.3"}]}],
                        "versions": versions,
                    }
                ],
                "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
            }  # fmt: skip
            archive.writestr(f"PYSEC-{number}.json", json.dumps(advisory))


def run_job(name: str, archive: str) -> None:
    began, started = time.perf_counter(), time.process_time()
    context = JobContext(lambda frame: None)
    if name == "audit":
        from roost.daemon.audit.search import ProjectVersion, SearchRequest, search_advisories

        subjects = tuple(ProjectVersion(name=f"project-{number}", version="1.5.0") for number in range(PACKAGES))
        result = search_advisories(SearchRequest(path=archive, subjects=subjects), context)
        assert result.database.advisories == ADVISORIES
    else:
        from roost.daemon.sbom.inventory import InventoryRequest, LockedPlatform
        from roost.daemon.sbom.writing import write_inventory

        lock = make_lock()
        format, encoding = name.split("/")
        request = InventoryRequest(
            name="bench", version="1", definition_digest="sha256:0", asked=(), base=None, gaps=(), tool_version="1",
            locks=(LockedPlatform(lock=lock, digest=digest_lock(lock)),), format=format, encoding=encoding,
            root="/nowhere",
        )  # fmt: skip
        write_inventory(request, context)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{name:20} {time.perf_counter() - began:5.2f} s, of the processor {time.process_time() - started:5.2f} s, "
        f"{peak:4.0f} MB with the interpreter"
    )


def main() -> None:
    if len(sys.argv) > 1:
        run_job(*sys.argv[1:])
        return
    with tempfile.TemporaryDirectory() as folder:
        archive = os.path.join(folder, "all.zip")
        make_archive(archive)
        print(f"{PACKAGES} packages; {ADVISORIES:,} advisories in {os.path.getsize(archive) / 1e6:.0f} MB")
        for name in ("cyclonedx/json", "cyclonedx/xml", "spdx/json", "spdx/tag-value", "audit"):
            subprocess.run([sys.executable, "-m", "tests.bench.bench_audit", name, archive], check=True)


if __name__ == "__main__":
    main()
