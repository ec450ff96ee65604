"""Files of a prefix that differ from their packages."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import pytest

from roost.daemon.prefixes.check import find_altered_files
from roost.model.locks.lock import CondaPython, Lock, Wheel

LOCK = Lock(
    platform="linux-64",
    provider=CondaPython(),
    wheels=(Wheel(name="toy", version="1.0", kind="index", file_name="toy-1.0-py3-none-any.whl", sha256="aa"),),
)


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """A prefix with a conda package of three files, one of which names the prefix, and a wheel of one."""
    site = tmp_path / "lib" / "python3.11" / "site-packages"
    (site / "toy-1.0.dist-info").mkdir(parents=True)
    (site / "toy.py").write_text("wheel")
    digest = base64.urlsafe_b64encode(hashlib.sha256(b"wheel").digest()).rstrip(b"=").decode()
    record = f"toy.py,sha256={digest},5\ntoy-1.0.dist-info/RECORD,,\n"
    (site / "toy-1.0.dist-info" / "RECORD").write_text(record)
    (tmp_path / "plain").write_text("plain")
    (tmp_path / "patched").write_text("patched here")
    (tmp_path / "link").symlink_to("plain")
    paths = [
        {"_path": "plain", "path_type": "hardlink", "sha256": hashlib.sha256(b"plain").hexdigest()},
        {
            "_path": "patched",
            "path_type": "hardlink",
            "sha256": "0" * 64,
            "sha256_in_prefix": hashlib.sha256(b"patched here").hexdigest(),
        },
        {"_path": "link", "path_type": "softlink"},
    ]
    (tmp_path / "conda-meta").mkdir()
    (tmp_path / "conda-meta" / "plain-1-0.json").write_text(json.dumps({"paths_data": {"paths": paths}}))
    return tmp_path


def test_an_untouched_prefix_has_no_altered_files(prefix: Path) -> None:
    assert find_altered_files(str(prefix), LOCK) == []


@pytest.mark.parametrize("name", ["plain", "patched", "lib/python3.11/site-packages/toy.py"])
def test_an_edited_file_is_found(prefix: Path, name: str) -> None:
    (prefix / name).write_text("edited")
    assert find_altered_files(str(prefix), LOCK) == [str(prefix / name)]


@pytest.mark.parametrize("name", ["plain", "link", "lib/python3.11/site-packages/toy.py"])
def test_a_deleted_file_is_found(prefix: Path, name: str) -> None:
    (prefix / name).unlink()
    assert find_altered_files(str(prefix), LOCK) == [str(prefix / name)]


def test_a_broken_record_is_itself_altered(prefix: Path) -> None:
    record = prefix / "conda-meta" / "plain-1-0.json"
    record.write_text("{")
    assert find_altered_files(str(prefix), LOCK) == [str(record)]


def test_files_of_editable_installs_are_not_checked(prefix: Path) -> None:
    (prefix / "lib/python3.11/site-packages/toy.py").write_text("edited")
    editable = Wheel(name="toy", version="1.0", kind="editable", path="/project")
    lock = Lock(platform="linux-64", provider=CondaPython(), wheels=(editable,))
    assert find_altered_files(str(prefix), lock) == []
