"""An export on disk: all of it or nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from roost.client.errors import ClientError
from roost.client.export_files import write_export
from roost.store.sources.files import LocalFiles


def export(files: dict[str, str], folder: bool = True, **copies: dict[str, object]) -> dict[str, object]:
    return {"files": files, "copies": copies, "folder": folder}


def copy_of(path: Path, *, digest: str | None = None) -> dict[str, object]:
    if path.is_dir():
        names = LocalFiles().list_context(str(path))
        return {"path": str(path), "digest": "sha256:0", "folder": True, "names": names}
    content = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"path": str(path), "digest": digest or f"sha256:{content}", "folder": False}


@pytest.mark.parametrize("name", ["../x", "sources/../../x", "/tmp/x"])
def test_no_name_leads_out_of_the_folder(tmp_path, name):
    with pytest.raises(ClientError, match="points outside"):
        write_export(export({"a.yml": "a"}, **{name: copy_of(Path(__file__))}), str(tmp_path / "out"), force=True)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_what_it_was_leaves_nothing(tmp_path):
    wheel = tmp_path / "x.whl"
    wheel.write_bytes(b"changed")
    broken = export({"a.yml": "a"}, wheel=copy_of(wheel, digest="sha256:" + "0" * 64))
    with pytest.raises(ClientError, match="has changed since"):
        write_export(broken, str(tmp_path / "out"), force=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.whl"]


def test_a_place_that_can_not_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ClientError, match="file"):
        write_export(export({"a.yml": "a"}, folder=False), str(tmp_path / "file" / "a.yml"), force=False)
    with pytest.raises(ClientError, match="is a file"):
        write_export(export({"a.yml": "a", "b.yml": "b"}), str(tmp_path / "file"), force=True)
    with pytest.raises(ClientError, match="nowhere"):
        write_export(export({"a.yml": "a"}), str(tmp_path / "nowhere" / "out"), force=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_force_replaces_files_and_folders_of_the_export_only(tmp_path):
    context = tmp_path / "context"
    (context / "deep").mkdir(parents=True)
    (context / "deep" / "new").write_text("new")
    (context / "link").symlink_to("deep")
    out = tmp_path / "out"
    (out / "context").mkdir(parents=True)
    for name in ("context/old", "a.yml", "mine"):
        (out / name).write_text("before")
    asked = export({"a.yml": "after"}, context=copy_of(context))
    with pytest.raises(ClientError, match="exists already"):
        write_export(asked, str(out), force=False)
    assert (out / "a.yml").read_text() == "before"
    assert write_export(asked, str(out), force=True) == [str(out / "a.yml"), str(out / "context")]
    assert (out / "a.yml").read_text() == "after"
    assert (out / "mine").read_text() == "before"
    assert sorted(path.name for path in (out / "context").iterdir()) == ["deep", "link"]
    assert (out / "context/link").is_symlink()
    assert sorted(path.name for path in out.iterdir()) == ["a.yml", "context", "mine"]


def test_one_file_goes_where_it_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one = export({"environment.yml": "text\n"}, folder=False)
    assert write_export(one, "other.yml", force=False) == ["other.yml"]
    assert (tmp_path / "other.yml").read_bytes() == b"text\n"
    assert write_export(one, "new/", force=False) == ["new/environment.yml"]
    assert write_export(one, ".", force=False) == ["environment.yml"]


@pytest.mark.parametrize("output", ["v2", ".", "below/v2"])
def test_a_folder_is_copied_into_itself_by_the_rules_of_its_digest(tmp_path, monkeypatch, output):
    """However often: neither the stage nor an earlier export is part of the next."""
    monkeypatch.chdir(tmp_path)
    for name in ("Dockerfile", "below/kept", "below/left.out", "run.sh"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / ".dockerignore").write_text("**/*.out\n")
    (tmp_path / "run.sh").chmod(0o755)
    (tmp_path / "empty").mkdir()
    for _ in range(3):
        write_export(export({"environment.yml": "a"}, context=copy_of(tmp_path)), output, force=True)
        copied = {
            str(path.relative_to(tmp_path / output / "context"))
            for path in (tmp_path / output / "context").rglob("*")
            if path.name != "environment.yml"
        }
        assert copied == {"Dockerfile", ".dockerignore", "below", "below/kept", "run.sh", "empty"}
    assert (tmp_path / output / "context/run.sh").stat().st_mode & 0o111


def test_a_file_that_went_away_is_named(tmp_path):
    (tmp_path / "context").mkdir()
    gone = {**copy_of(tmp_path / "context"), "names": ["gone"]}
    with pytest.raises(ClientError, match=r"context/gone: No such file"):
        write_export(export({"a.yml": "a"}, context=gone), str(tmp_path / "out"), force=False)
    assert [path.name for path in tmp_path.iterdir()] == ["context"]


def test_what_an_older_export_had_and_this_one_has_not_is_no_part_of_it(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    for name in ("BaseDockerfile", "mine"):
        (out / name).write_text("before")
    asked = {**export({"a.json": "after"}), "absent": ["BaseDockerfile", "never.yml"]}
    with pytest.raises(ClientError, match="BaseDockerfile exists already"):
        write_export(asked, str(out), force=False)
    assert sorted(path.name for path in out.iterdir()) == ["BaseDockerfile", "mine"]
    write_export(asked, str(out), force=True)
    assert sorted(path.name for path in out.iterdir()) == ["a.json", "mine"]
