"""Who needs whom, and the ways through it: pure parts, over graphs of any shape."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from roost.daemon.inspection.graph import Key, Need, Package, WheelNeeds, build_graph
from roost.daemon.inspection.paths import find_near_names, find_shortest_paths, list_all_paths, list_top
from roost.model.locks.lock import CondaPackage, CondaPython, Lock, Wheel

LINUX = {"sys_platform": "linux", "python_version": "3.11", "python_full_version": "3.11.7", "extra": ""}


def conda(name: str, *depends: str, version: str = "1.0") -> CondaPackage:
    return CondaPackage(
        name=name,
        version=version,
        build="0",
        subdir="linux-64",
        file_name=f"{name}-{version}-0.conda",
        url=f"https://conda.example/forge/linux-64/{name}-{version}-0.conda",
        sha256="0" * 64,
        record={"depends": list(depends)},
    )


def lock_of(*packages: CondaPackage | Wheel, **system: str) -> Lock:
    return Lock(
        platform="linux-64",
        provider=CondaPython(),
        conda=tuple(each for each in packages if isinstance(each, CondaPackage)),
        wheels=tuple(each for each in packages if isinstance(each, Wheel)),
        system=system,
    )


def needs(graph: dict[Key, Package], kind: str, name: str) -> dict[Key, str]:
    return {need.key: need.text for need in graph[kind, name].needs}  # type: ignore[index]


def test_conda_names_virtual_and_missing_packages() -> None:
    lock = lock_of(conda("a", "b >=1,<2", "__glibc >=2.17", "gone"), conda("b"), __glibc="2.28", __unix="0")
    graph = build_graph(lock, LINUX, WheelNeeds())
    expected = {("conda", "b"): "b >=1,<2", ("virtual", "__glibc"): "__glibc >=2.17", ("missing", "gone"): "gone"}
    assert needs(graph, "conda", "a") == expected
    assert graph["virtual", "__glibc"].version == "2.28"
    assert ("virtual", "__unix") in graph


def test_wheels_need_what_their_markers_and_extras_say() -> None:
    wheels = [Wheel(name=name, version="1") for name in ("app", "base", "fast", "docs", "win", "ring")]
    lines = {
        "app": ("Base[Speed]>=1", 'win; sys_platform == "win32"', 'docs; extra == "docs"', "Num_Py>=1"),
        "base": ('fast; extra == "speed"', 'docs; extra == "docs"', "not a requirement at all !", "absent"),
        "fast": ("ring",),
        "ring": ("fast",),
        "docs": (),
        "win": (),
    }
    lock = lock_of(conda("num-py"), *wheels)
    graph = build_graph(lock, LINUX, WheelNeeds(lines=lines))
    assert needs(graph, "pip", "app") == {("pip", "base"): "Base[Speed]>=1", ("conda", "num-py"): "Num_Py>=1"}
    assert needs(graph, "pip", "base") == {("pip", "fast"): "fast", ("missing", "absent"): "absent"}
    asked = WheelNeeds(lines=lines, extras={"app": frozenset({"docs"})}, provided={"absent": "num-py"})
    more = build_graph(lock, LINUX, asked)
    assert ("pip", "docs") in needs(more, "pip", "app")
    assert ("pip", "docs") not in needs(more, "pip", "base")  # the extra of one package is none of another
    assert ("conda", "num-py") in needs(more, "pip", "base")


def test_what_nothing_says_is_not_known() -> None:
    named = Wheel(name="named", version="1", requires=("other", "elsewhere"))
    graph = build_graph(lock_of(named, Wheel(name="other", version="1")), LINUX, WheelNeeds())
    assert needs(graph, "pip", "named") == {("pip", "other"): "other"}
    assert [each.is_known for each in graph.values()] == [True, False]


def test_near_names_know_other_names_of_a_thing() -> None:
    known = ["pytorch", "numpy", "Pillow", "python-dateutil", "matplotlib-base"]
    assert find_near_names("torch", known) == ["pytorch"]
    assert find_near_names("nunpy", known) == ["numpy"]
    assert find_near_names("PIL", known) == ["Pillow"]
    assert find_near_names("dateutil", known)[0] == "python-dateutil"
    assert find_near_names("matplotlib", known)[0] == "matplotlib-base"
    assert find_near_names("\x1b[31m", known) == []


@st.composite
def graphs(draw: st.DrawFn) -> dict[Key, Package]:
    names = [f"p{number}" for number in range(draw(st.integers(1, 7)))]
    edges = {name: draw(st.lists(st.sampled_from(names), unique=True, max_size=4)) for name in names}
    return {
        ("conda", name): Package(
            key=("conda", name), version="1", needs=tuple(Need(key=("conda", to), text=to) for to in edges[name])
        )
        for name in names
    }


@settings(max_examples=80, deadline=None)
@given(graph=graphs(), data=st.data())
def test_every_path_is_one_and_none_is_forgotten(graph: dict[Key, Package], data: st.DataObject) -> None:
    keys = sorted(graph)
    roots = data.draw(st.lists(st.sampled_from(keys), unique=True))
    target = data.draw(st.sampled_from(keys))
    shortest = find_shortest_paths(graph, roots, target)
    every = list_all_paths(graph, roots, target, 10_000)
    for path in [*shortest, *every]:
        assert path[0] in roots
        assert path[-1] == target
        assert len(set(path)) == len(path)
        assert not set(path[1:-1]) & set(roots)
        for user, needed in pairwise(path):
            assert needed in {need.key for need in graph[user].needs}
    assert len(set(every)) == len(every)
    least = {path[0]: len(path) for path in reversed(every)}
    assert {path[0]: len(path) for path in shortest} == least
    top = list_top(graph, roots)
    assert set(roots) <= set(top)
    assert _reach(graph, top) == set(graph), "a tree shows every package"


def _reach(graph: dict[Key, Package], roots: list[Key]) -> set[Key]:
    reached: set[Key] = set()
    pending = list(roots)
    while pending:
        key = pending.pop()
        if key not in reached:
            reached.add(key)
            pending += [need.key for need in graph[key].needs]
    return reached
