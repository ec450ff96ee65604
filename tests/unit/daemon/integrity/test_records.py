"""What packages say about the files of a prefix."""

from __future__ import annotations

import json
from pathlib import Path

from roost.daemon.integrity.manifest import PrefixManifest
from roost.daemon.integrity.records import find_lock_mismatches, load_known_files
from roost.model.locks.lock import CondaPackage, CondaPython, Lock, Wheel

SITE = "lib/python3.11/site-packages"


def write_record(prefix: Path, name: str, paths: list[dict[str, str]]) -> None:
    (prefix / "conda-meta").mkdir(exist_ok=True)
    (prefix / "conda-meta" / f"{name}.json").write_text(json.dumps({"paths_data": {"paths": paths}}))


def test_digests_of_both_kinds_and_condas_first(tmp_path: Path) -> None:
    info = tmp_path / SITE / "six-1.0.dist-info"
    info.mkdir(parents=True)
    # sha256 of nothing, as RECORD has it.
    empty = "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
    (info / "RECORD").write_text(f"six.py,{empty},0\nboth.py,{empty},0\n{info.name}/RECORD,,\nodd.py,sha256=?,1\n")
    write_record(
        tmp_path,
        "a-1-0",
        [
            {"_path": f"{SITE}/both.py", "sha256": "aa"},
            {"_path": "bin/a", "sha256": "bb", "sha256_in_prefix": "cc"},
            {"_path": "lib/link", "path_type": "softlink", "sha256": "dd"},
        ],
    )
    (tmp_path / "conda-meta/broken.json").write_text("{")
    found = load_known_files(str(tmp_path)).digests
    assert found[f"{SITE}/six.py"] == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert (found[f"{SITE}/both.py"], found["bin/a"]) == ("aa", "cc")
    assert "lib/link" not in found
    assert f"{SITE}/six-1.0.dist-info/RECORD" not in found


def lock(**fields: object) -> Lock:
    package = CondaPackage(
        name="six", version="1.0", build="0", subdir="noarch", file_name="six.conda", url="u", sha256="a"
    )
    wheel = Wheel(name="toy-box", version="2.0", kind="index", file_name="toy_box-2.0-py3-none-any.whl", sha256="b")
    return Lock(platform="linux-64", provider=CondaPython(), conda=(package,), wheels=(wheel,), **fields)  # type: ignore[arg-type]


def manifest(*paths: str) -> PrefixManifest:
    files = {path: (1, "x") for path in paths if not path.endswith(".dist-info")}
    return PrefixManifest(files=files, links={}, folders=[path for path in paths if path.endswith(".dist-info")])


def test_a_manifest_with_the_packages_of_the_lock() -> None:
    fits = manifest("conda-meta/six-1.0-0.json", "conda-meta/history", f"{SITE}/Toy_Box-2.0.dist-info")
    assert find_lock_mismatches(fits, lock()) == []


def test_packages_that_are_missing_or_others() -> None:
    other = manifest("conda-meta/six-0.9-0.json", f"{SITE}/toy_box-1.0.dist-info")
    assert find_lock_mismatches(other, lock()) == [
        "conda-meta/six-0.9-0.json",
        "conda-meta/six-1.0-0.json",
        "toy-box.dist-info",
    ]
