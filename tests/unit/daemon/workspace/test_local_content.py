"""What versions refer to, kept by content: only what has the digest that was read, under names that lead nowhere."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from roost.daemon.workspace.local_content import LocalChangedError, store_local_content, store_wheel
from roost.model.definition import Base, Definition, Pip, PipItem
from roost.model.errors import InvalidDefinitionError
from roost.model.readers.source import MissingFileError
from roost.store.disk.layout import Layout
from roost.store.sources.files import LocalFiles

NAME = "x-1-py3-none-any.whl"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(str(tmp_path / "root"))
    made.make_folders()
    return made


@pytest.fixture
def wheel(tmp_path: Path) -> PipItem:
    path = tmp_path / NAME
    path.write_bytes(b"content")
    return PipItem(kind="wheel", text=NAME, digest=LocalFiles().file_digest(str(path)), path=str(path))


def of(*items: PipItem) -> Definition:
    return Definition(pip=Pip(requirements=items))


def kept_names(layout: Layout) -> list[str]:
    places = [Path(layout.wheels, "given"), Path(layout.snapshots), Path(layout.stage)]
    return sorted(path.name for place in places if place.exists() for path in place.rglob("*") if path.is_file())


def changed(item: PipItem) -> PipItem:
    Path(item.path or "").write_bytes(b"other")
    return item


async def test_what_changed_since_it_was_read_is_not_kept(layout: Layout, wheel: PipItem) -> None:
    with pytest.raises(LocalChangedError) as caught:
        await store_local_content(layout, of(changed(wheel)))
    assert wheel.path is not None
    assert wheel.path in caught.value.message
    assert kept_names(layout) == []


async def test_what_changed_after_it_was_kept_is_not_looked_at(layout: Layout, wheel: PipItem) -> None:
    kept = await store_local_content(layout, of(wheel))
    assert await store_local_content(layout, of(changed(wheel))) == kept
    assert kept_names(layout) == [NAME]


async def test_what_is_gone_is_named(layout: Layout, wheel: PipItem) -> None:
    os.unlink(wheel.path or "")
    with pytest.raises(MissingFileError, match=NAME):
        await store_local_content(layout, of(wheel))


@pytest.mark.parametrize("digest", ["sha256:../../../etc", "sha256:", "md5:" + "0" * 32, "sha256:" + "0" * 63])
async def test_digests_that_lead_elsewhere(layout: Layout, wheel: PipItem, digest: str) -> None:
    bad = PipItem(kind="wheel", text=NAME, digest=digest, path=wheel.path)
    with pytest.raises(InvalidDefinitionError, match="is not a valid digest"):
        await store_local_content(layout, of(bad))
    assert kept_names(layout) == []


@pytest.mark.parametrize("path", ["..", "../..", "{}/folder/..", "{}/"])
async def test_names_that_lead_elsewhere(
    layout: Layout, tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder/deep/er").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "folder/deep/er")
    source = PipItem(kind="source", text="x", digest="sha256:" + "0" * 64, path=path.format(tmp_path))
    with pytest.raises(InvalidDefinitionError):
        await store_local_content(layout, of(source))
    assert kept_names(layout) == []


async def test_one_content_under_two_names_is_kept_under_both(layout: Layout, wheel: PipItem, tmp_path: Path) -> None:
    other = tmp_path / "x-1-1-py3-none-any.whl"
    shutil.copy(wheel.path or "", other)
    await store_local_content(
        layout, of(wheel, PipItem(kind="wheel", text=other.name, digest=wheel.digest, path=str(other)))
    )
    assert kept_names(layout) == sorted([NAME, other.name])


async def test_many_at_once_leave_one(layout: Layout, wheel: PipItem, tmp_path: Path) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    for number in range(50):
        (folder / str(number)).write_text(str(number))
    source = PipItem(kind="source", text="source", digest=LocalFiles().tree_digest(str(folder)), path=str(folder))
    results = await asyncio.gather(*(store_local_content(layout, of(wheel, source)) for _ in range(8)))
    assert len({result.pip.requirements for result in results}) == 1
    place = results[0].pip.requirements[1].path or ""
    assert LocalFiles().tree_digest(place) == source.digest
    assert os.listdir(layout.stage) == []


async def test_modes_times_links_and_read_only_folders_are_kept(layout: Layout, tmp_path: Path) -> None:
    context = tmp_path / "context"
    (context / "sub").mkdir(parents=True)
    (context / "sub" / "run").write_text("x")
    (context / "sub" / "run").chmod(0o555)
    (context / "link").symlink_to("nowhere")
    os.utime(context / "sub" / "run", (1, 1))
    (context / "sub").chmod(0o500)
    base = Base(context=LocalFiles().context_digest(str(context)), context_path=str(context))
    kept = await store_local_content(layout, Definition(base=base))
    assert kept.base is not None
    place = Path(kept.base.context_path or "")
    assert place != context
    assert LocalFiles().context_digest(str(place)) == base.context
    status = (place / "sub" / "run").stat()
    assert (status.st_mode & 0o777, status.st_mtime) == (0o555, 1.0)
    assert (place / "link").readlink() == Path("nowhere")
    (context / "sub").chmod(0o700)


async def test_editable_folders_and_remote_things_stay_what_they_are(layout: Layout, tmp_path: Path) -> None:
    items = (
        PipItem(kind="editable", text="-e .", digest="sha256:" + "0" * 64, path=str(tmp_path)),
        PipItem(kind="requirement", text="six"),
        PipItem(kind="requirements", text="https://h/x.txt"),
        PipItem(kind="option", text="--find-links https://h/w"),
    )
    assert await store_local_content(layout, of(*items)) == of(*items)


async def test_a_path_that_ends_in_dots_is_kept_under_its_folders_name(layout: Layout, tmp_path: Path) -> None:
    (tmp_path / "source" / "inner").mkdir(parents=True)
    (tmp_path / "source" / "file").write_text("x")
    digest = LocalFiles().tree_digest(str(tmp_path / "source"))
    kept = await store_local_content(
        layout, of(PipItem(kind="source", text="x", digest=digest, path=f"{tmp_path}/source/inner/.."))
    )
    place = kept.pip.requirements[0].path or ""
    assert LocalFiles().tree_digest(place) == digest
    assert place == f"{layout.snapshots}/{digest.removeprefix('sha256:')}/source"


async def test_a_wheel_that_changed_while_it_was_given(layout: Layout, wheel: PipItem) -> None:
    with pytest.raises(LocalChangedError):
        await store_wheel(layout, changed(wheel).path or "", wheel.digest or "")
