"""Which packages a definition names: by specs, lines, nested files, folders, and what has no name."""

from __future__ import annotations

from roost.daemon.inspection.asked import collect_extras, list_asked
from roost.model.definition import Conda, Definition, Pip, PipItem, Python, ReadResult
from roost.model.errors import Location
from roost.model.locks.lock import CondaPackage, CondaPython, Lock, Wheel, WheelSource

HEX = "ab" * 32


def at(line: int) -> Location:
    return Location(path="/e.yml", line=line, column=1)


def conda(name: str) -> CondaPackage:
    file = f"{name}-1-0.conda"
    return CondaPackage(
        name=name, version="1", build="0", subdir="noarch", file_name=file, url=f"https://c/noarch/{file}", sha256=HEX
    )


def find(definition: Definition, lock: Lock, **fields: object) -> list[tuple[tuple[str, str], int | None]]:
    asked = list_asked(ReadResult(definition=definition, **fields), lock)  # type: ignore[arg-type]
    return [(each.key, each.location.line if each.location else None) for each in asked]


def test_conda_specs_urls_and_the_python_that_is_required() -> None:
    lock = Lock(platform="linux-64", provider=CondaPython(), conda=(conda("python"), conda("NumPy"), conda("x")))
    specs = Definition(conda=Conda(dependencies=("numpy>=1", "not there", "[[")), python=Python(requires=">=3.10"))
    found = find(specs, lock, locations={"numpy>=1": at(3)}, python_location=at(9))
    assert found == [(("conda", "NumPy"), 3), (("conda", "python"), 9)]
    explicit = Definition(conda=Conda(explicit={"noarch": ("https://c/noarch/x-1-0.conda#sha256:00",)}))
    assert find(explicit, lock) == [(("conda", "x"), None)]


def test_pip_lines_name_wheels_in_many_ways() -> None:
    wheels = (
        Wheel(name="a-b", version="1"),
        Wheel(name="nested", version="1"),
        Wheel(name="here", version="1", kind="editable", path="/src/here"),
        Wheel(name="given", version="1", kind="local", sha256=HEX),
        Wheel(name="repo", version="1", kind="built", source=WheelSource(kind="git", url="https://g/repo")),
    )
    lock = Lock(platform="linux-64", provider=CondaPython(), conda=(conda("py_yaml"),), wheels=wheels)
    items = (
        PipItem(kind="option", text="--index-url https://x"),
        PipItem(kind="requirement", text="A_b[Fast,x]>=1 --hash=sha256:00", location=at(2)),
        PipItem(kind="requirement", text="Py-YAML", location=at(3)),
        PipItem(kind="requirement", text='windows-only; sys_platform == "win32"', location=at(4)),
        PipItem(
            kind="requirements", text="-r n.txt", items=(PipItem(kind="requirement", text="nested", location=at(5)),)
        ),
        PipItem(kind="constraints", text="-c c.txt", items=(PipItem(kind="requirement", text="nested<2"),)),
        PipItem(kind="editable", text="here[dev]", path="/src/here", digest="sha256:00", location=at(6)),
        PipItem(kind="wheel", text="given-1.whl", digest=f"sha256:{HEX}", location=at(7)),
        PipItem(kind="url", text="git+https://g/repo@main", location=at(8)),
    )
    definition = Definition(pip=Pip(requirements=items))
    keys = [("pip", "a-b"), ("conda", "py_yaml"), ("pip", "nested"), ("pip", "here"), ("pip", "given"), ("pip", "repo")]
    assert find(definition, lock) == list(zip(keys, [2, 3, 5, 6, 7, 8], strict=True))
    extras = collect_extras(list_asked(ReadResult(definition=definition), lock))
    assert extras == {"a-b": frozenset({"fast", "x"}), "here": frozenset({"dev"})}
