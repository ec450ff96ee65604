"""The pages for developers name modules that exist, and packages in the order of the import contracts."""

from __future__ import annotations

import importlib
import itertools
import re
from pathlib import Path
from types import ModuleType

import pytest
from tests.house import modules

from roost.store.migrations.schema import SCHEMA_VERSION

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

REPOSITORY = Path(__file__).parents[2]
PAGES = [*sorted((REPOSITORY / "docs/dev").glob("*.md")), REPOSITORY / "CONTRIBUTING.md"]
DOTTED = re.compile(r"`((?:daemon|client|store|model|wire)(?:\.\w+)+)`")
ROOTS = ("roost.model", "roost.store", "roost.daemon", "roost.wire", "roost.client")


def exists(name: str) -> bool:
    """Whether ``name`` is a module, or an attribute of one, without the leading ``roost.``."""
    parent, _, attribute = f"roost.{name}".rpartition(".")
    if f"roost.{name}" in modules():
        return True
    module: ModuleType | None = importlib.import_module(parent) if parent in modules() else None
    return module is not None and hasattr(module, attribute)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_module_on_a_page_exists(page: Path) -> None:
    names = set(DOTTED.findall(page.read_text(encoding="utf-8"))) - {"daemon.idle_exit_seconds"}
    assert [name for name in sorted(names) if not exists(name)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_on_a_page_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (page.parent / link).exists(), link
    for path in re.findall(r"`((?:tests|store|daemon|client|docs)/[\w./-]+\w)`", text):
        assert (REPOSITORY / path).exists(), path


def test_the_glossary_names_classes_in_their_modules() -> None:
    text = (REPOSITORY / "docs/dev/README.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| `")]
    checked = 0
    for names, _, places in rows:
        found = [importlib.import_module(f"roost.{place}") for place in DOTTED.findall(places)]
        for name in re.findall(r"`([A-Z]\w+)`", names):
            assert any(hasattr(module, name) for module in found), name
            checked += 1
    assert checked > 20


def test_the_page_of_the_store_names_its_modules_and_the_schema() -> None:
    text = (REPOSITORY / "docs/dev/store.md").read_text(encoding="utf-8")
    for path in re.findall(r"`((?:\w+/)?\w+\.py)`", text):
        folders = ("", "index", "index/tables", "artifacts", "migrations")
        assert any((REPOSITORY / "store/roost/store" / each / path).exists() for each in folders), path
    assert f"`user_version`, now {SCHEMA_VERSION}" in text


@pytest.mark.parametrize("root", ROOTS)
def test_packages_are_listed_in_the_order_of_the_contracts(root: str) -> None:
    text = (REPOSITORY / "docs/dev/README.md").read_text(encoding="utf-8")
    section = re.search(rf"^### {re.escape(root)}:.*?(?=^###? |\Z)", text, re.MULTILINE | re.DOTALL)
    assert section is not None
    lists = re.findall(r"^- ((?:`\w+`(?:, | and | \| )?)+):", section[0], re.MULTILINE)
    listed = [re.findall(r"`(\w+)`", each) for each in lists]
    found = {name.split(".")[2] for name in modules() if name.startswith(f"{root}.")}
    assert sorted(name for each in listed for name in each) == sorted(found)
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    order = next((contract["layers"] for contract in contracts if contract.get("containers") == [root]), None)
    if order is None:  # the wire has no order
        return
    layer = {name: -number for number, each in enumerate(order) for name in re.findall(r"\w+", each)}
    ranks = [{layer[name] for name in each} for each in listed]
    assert all(max(lower) <= min(upper) for lower, upper in itertools.pairwise(ranks)), listed
