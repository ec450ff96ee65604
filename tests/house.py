"""The figures of the layout, from the imports as they are written: ``python -m tests.house``.

Imports inside functions and under TYPE_CHECKING count like all others. ``tests/unit/test_house.py`` holds the figures
that have a bound: cycles, packages without doors, public class names that exist twice, modules and packages too large.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
SOURCES = ("store", "daemon", "client")
DOORS = re.compile(r"^Doors: ([a-z0-9_,\s]+)\.$", re.MULTILINE)


@cache
def modules() -> Mapping[str, Path]:
    """Every module of roost by its dotted name; packages too."""
    found = {}
    for source in SOURCES:
        for path in sorted((REPOSITORY / source).rglob("*.py")):
            name = ".".join(path.relative_to(REPOSITORY / source).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


def is_package(name: str) -> bool:
    return modules()[name].name == "__init__.py"


@cache
def tree(name: str) -> ast.Module:
    return ast.parse(modules()[name].read_text(encoding="utf-8"))


@cache
def imports(name: str) -> frozenset[str]:
    """The modules of roost that ``name`` imports anywhere in its text."""
    found = set()
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole in modules() else node.module)
    return frozenset(found & modules().keys() - {name})


def cycles() -> list[list[str]]:
    """Groups of modules that import one another in a circle (strongly connected components, by Tarjan)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in imports(name):
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            at = stack.index(name)
            group = stack[at:]
            del stack[at:]
            if len(group) > 1:
                found.append(sorted(group))

    for name in modules():
        if name not in index:
            visit(name)
    return found


def package_cycles() -> list[tuple[str, str]]:
    """Pairs of sibling packages or modules that reach each other directly both ways, at every level."""
    reached = defaultdict(set)
    for name in modules():
        for other in imports(name):
            one, two = name.split("."), other.split(".")
            depth = next((n for n, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), None)
            if depth is not None:
                reached[".".join(one[: depth + 1])].add(".".join(two[: depth + 1]))
    return sorted((one, two) for one in reached for two in reached[one] if one < two and one in reached.get(two, ()))


def doors(package: str) -> frozenset[str] | None:
    """The modules that a package declares open to others, or ``None`` if its docstring has no such line."""
    found = DOORS.search(ast.get_docstring(tree(package)) or "")
    if not found:
        return None
    return frozenset() if found[1] == "none" else frozenset(re.split(r",\s+", found[1]))


def door_packages() -> list[str]:
    """Packages that must declare doors: all but the roots."""
    return [name for name in modules() if is_package(name) and name.count(".") > 1]


def package_of(name: str) -> str:
    """The package of a module; of a package, itself."""
    return name if is_package(name) else name.rpartition(".")[0]


def is_outside(name: str, other: str) -> bool:
    """Whether ``name`` lies outside the package of the module ``other``."""
    package = package_of(other)
    return name != package and not name.startswith(f"{package}.")


def closed_imports() -> list[tuple[str, str]]:
    """Imports, from outside a package, of a module of it that is no door."""
    found = []
    for name in modules():
        for other in imports(name):
            package, _, module = other.rpartition(".")
            opened = doors(package)
            if is_outside(name, other) and opened is not None and not is_package(other) and module not in opened:
                found.append((name, other))
    return sorted(found)


def public_classes() -> Mapping[str, list[str]]:
    """Public class names and the modules that define them."""
    found = defaultdict(list)
    for name in modules():
        for node in tree(name).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(name)
    return found


def sizes() -> Mapping[str, int]:
    """Lines of each module."""
    return {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in modules().items()}


def modules_of(package: str) -> list[str]:
    """The modules directly in a package, itself apart."""
    return [name for name in modules() if name.rpartition(".")[0] == package and not is_package(name)]


def main() -> None:
    """Print the figures."""
    lines = sizes()
    real = {name: count for name, count in lines.items() if not is_package(name)}
    packages = [name for name in modules() if is_package(name)]
    counts = sorted(((len(modules_of(name)), name) for name in packages), reverse=True)
    middle = sorted(count for count, _ in counts)[len(counts) // 2]
    print(f"{len(real)} modules, {sum(real.values())} lines, in {len(packages)} packages")
    print(f"modules per package: median {middle}, most: {_rows((name, count) for count, name in counts[:4])}")
    print(f"largest modules: {_rows(sorted(real.items(), key=lambda item: -item[1])[:4])}")
    print(f"modules under 50 lines: {sum(count < 50 for count in real.values())}")
    print(f"cycles of modules: {len(cycles())}; pairs of packages that import each other: {len(package_cycles())}")
    print(f"packages without doors: {sum(doors(name) is None for name in door_packages())}")
    print(f"imports past a door: {len(closed_imports())}")
    print(f"public class names that exist twice: {sum(len(found) > 1 for found in public_classes().values())}")


def _rows(items: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {count}" for name, count in items)


if __name__ == "__main__":
    main()
