"""The lock of a project layer: its key covers the dependencies, the folder and the build files, and nothing else."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from roost.daemon.projects.layer import add_project, split_project
from roost.model.definition import ProjectSource
from roost.model.errors import Location
from roost.model.locks.lock import HostPython, Lock, Wheel, digest_lock, with_format

_NAMES = st.sampled_from(["leaf", "top", "demo-app", "zeta"])
_DIGESTS = st.text("0123456789abcdef", min_size=64, max_size=64)
_FOLDERS = st.sampled_from(["/a", "/b", "/a b/ü"])
_LOCKS = st.lists(st.builds(Wheel, name=_NAMES, version=st.just("1"), sha256=_DIGESTS), unique_by=lambda w: w.name).map(
    lambda wheels: with_format(
        Lock(
            platform="linux-64",
            provider=HostPython(version="3.11"),
            wheels=tuple(sorted(wheels, key=lambda each: each.name)),
        )
    )
)
_PROJECTS = st.builds(
    ProjectSource,
    name=_NAMES,
    version=st.sampled_from(["", "1", "2"]),
    folder=_FOLDERS,
    digest=_DIGESTS.map("sha256:{}".format),
    location=st.just(Location(path="/a/pyproject.toml")),
)


@given(_LOCKS, _PROJECTS)
def test_a_layer_has_the_project_and_everything_else_of_its_lock(lock: Lock, project: ProjectSource) -> None:
    layer = add_project(lock, project)
    wheels, installed = split_project(layer)
    assert installed is not None
    assert (installed.name, installed.kind, installed.path) == (project.name, "editable", project.folder)
    assert wheels == tuple(each for each in lock.wheels if each.name != project.name)
    assert layer.layer is not None
    assert layer.layer.base == digest_lock(lock) != digest_lock(layer)
    assert msgspec.json.decode(msgspec.json.encode(layer), type=Lock) == layer
    assert split_project(lock) == (lock.wheels, None)


@given(_LOCKS, _PROJECTS, _LOCKS, _PROJECTS)
def test_the_key_of_a_layer_names_its_content(
    lock: Lock, project: ProjectSource, other: Lock, that: ProjectSource
) -> None:
    layer, another = add_project(lock, project), add_project(other, that)
    assert digest_lock(layer) == digest_lock(msgspec.structs.replace(layer, layer=None))
    same = split_project(layer)[0] == split_project(another)[0] and (
        project.name,
        project.version,
        project.folder,
        project.digest,
    ) == (that.name, that.version, that.folder, that.digest)
    assert (digest_lock(layer) == digest_lock(another)) == same
