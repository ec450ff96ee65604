"""The layout: one direction, doors, no name twice. ``python -m tests.house`` prints the figures."""

from __future__ import annotations

import ast

import pytest
from tests import house

MODULES_IN_A_PACKAGE = 16
FILES_UNDER_A_ROOT = 8
LINES_OF_A_MODULE = 450
TREES = ("roost.model", "roost.store", "roost.daemon", "roost.client")
"""Roots with packages below them; ``roost.wire`` is one package, with one module for each subject of the protocol."""


def test_no_module_reaches_itself():
    assert house.cycles() == []


def test_no_two_packages_import_each_other():
    assert house.package_cycles() == []


def test_every_package_names_its_doors():
    assert [name for name in house.door_packages() if house.doors(name) is None] == []


def test_no_import_passes_a_door():
    assert house.closed_imports() == []


def test_a_door_is_a_module_that_others_import():
    pairs = ((name, other) for name in house.modules() for other in house.imports(name))
    used = {other for name, other in pairs if house.package_of(name) != house.package_of(other)}
    named = {f"{package}.{door}" for package in house.door_packages() for door in house.doors(package) or ()}
    assert named - used == set()


def test_no_public_class_has_the_name_of_another():
    assert {name: found for name, found in house.public_classes().items() if len(found) > 1} == {}


@pytest.mark.parametrize("package", [name for name in house.modules() if house.is_package(name)])
def test_a_package_has_one_subject(package: str):
    assert len(house.modules_of(package)) <= (FILES_UNDER_A_ROOT if package in TREES else MODULES_IN_A_PACKAGE)
    body = house.tree(package).body
    code = [node for node in body if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))]
    assert package == "roost.client" or code == [], "an __init__ says what the package is for, and nothing else"
    assert ast.get_docstring(house.tree(package)), "an __init__ says what the package is for"


def test_a_module_can_be_read_in_one_go():
    assert {name: lines for name, lines in house.sizes().items() if lines > LINES_OF_A_MODULE} == {}
