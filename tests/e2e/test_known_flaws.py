"""What is inside an environment, and what advisories say of it, from the command line."""

from __future__ import annotations

import json

from tests.support.advisories import HIGH, advisory, encode
from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost
from tests.support.sboms import find_faults

FILES = {
    "train.cdx.json": ("cyclonedx", "json"),
    "bom.xml": ("cyclonedx", "xml"),
    "train.spdx.json": ("spdx", "json"),
    "train.spdx": ("spdx", "tag-value"),
}


def test_an_environment_is_accounted_for_and_audited(conda_roost: Roost, pip_index: PipIndex) -> None:
    roost = conda_roost
    pip_index.wheel("greet", "1.0")
    pip_index.wheel("needs-greet", "1.0", "greet")
    roost.write("environment.yml", "name: train\ndependencies: [python=3.11, pip, {pip: [needs-greet]}]\n")
    roost.ok("run", "--", "python", "-c", "pass")
    for name, (format, encoding) in FILES.items():
        roost.ok("lock", "-o", name)
        text = (roost.folder / name).read_text()
        assert find_faults(text, format, encoding) == [], name
    document = json.loads((roost.folder / "train.cdx.json").read_text())
    assert document["metadata"]["component"]["name"] == "train"
    needs = {each["ref"].partition("@")[0]: each.get("dependsOn", []) for each in document["dependencies"]}
    assert [each.partition("@")[0] for each in needs["pkg:pypi/needs-greet"]] == ["pkg:pypi/greet"]
    assert any(each.startswith("pkg:conda/python@") for each in needs["environment"])
    assert roost.ok("lock", "--format", "cyclonedx") == (roost.folder / "train.cdx.json").read_text()
    assert "SPDX is not written as XML" in roost.failed(2, "lock", "--format", "spdx", "-o", "x.xml")["message"]

    rated = {"aliases": ["CVE-1"], "summary": "Bad \x1b[31m", "severity": [{"type": "CVSS_V3", "score": HIGH}]}
    lines = encode(advisory("PYSEC-1", "Greet", fixed="1.1", **rated), advisory("PYSEC-2", "zlib"))
    (roost.folder / "osv.jsonl").write_bytes(b"\n".join(lines))
    for words in (["train"], ["-f", "environment.yml"], []):
        found = roost.run("env", "audit", *words, "--db", "osv.jsonl")
        assert found.returncode == 1, found.stderr
        assert "PYSEC-1 (CVE-1)  high 7.5  fixed in 1.1" in found.stdout
        assert "Bad \\x1b[31m" in found.stdout
        assert "in train:1, 1 current generation, 1 run: roost env who 'greet==1.0'" in found.stdout
        assert "not looked up: " in found.stdout
    assert "ignored: PYSEC-1" in roost.ok("env", "audit", "train", "--db", "osv.jsonl", "--ignore", "CVE-1")
    assert "train:1" in roost.ok("env", "who", "--finding", "CVE-1", "--db", "osv.jsonl")
    assert "nothing here" in roost.ok("env", "who", "--finding", "PYSEC-2", "--db", "osv.jsonl")
    assert "--db FILE" in roost.failed(2, "env", "audit")["hint"]
    assert roost.failed(7, "env", "audit", "--db", "none")["code"] == "advisories-missing"
    (roost.folder / "osv.jsonl").write_bytes(lines[0][:-9])
    assert roost.failed(3, "env", "audit", "--db", "osv.jsonl")["code"] == "advisories-invalid"
    assert roost.failed(2, "env", "who", "greet", "--finding", "CVE-1")["code"] == "usage"
