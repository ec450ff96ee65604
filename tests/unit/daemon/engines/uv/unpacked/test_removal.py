"""What uv's cache has of a wheel beside its content goes with it."""

from __future__ import annotations

from pathlib import Path

from roost.daemon.engines.uv.unpacked.removal import forget_archive


def test_pointers_and_metadata_of_an_archive_go_and_those_of_others_stay(tmp_path: Path) -> None:
    archive = tmp_path / "archive-v0" / "Zg0EArchive"
    archive.mkdir(parents=True)
    below_url, below_index = (tmp_path / "wheels-v8" / "index" / key / "toy" for key in ("d005", "4c3d"))
    for folder in (below_url, below_index):
        folder.mkdir(parents=True)
    (below_url / "1.0-py3-none-any.http").write_bytes(b"... Zg0EArchive ...")
    (below_url / "2.0-py3-none-any.http").write_bytes(b"... another ...")
    for version in ("1.0", "2.0"):
        (below_index / f"{version}-py3-none-any.msgpack").touch()
    assert forget_archive(str(tmp_path), str(archive), "toy") == 1
    left = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
    assert left == ["2.0-py3-none-any.http", "2.0-py3-none-any.msgpack"]
