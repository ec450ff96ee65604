"""The bounds of the layout: see ``tests.house``, which prints all figures."""

from __future__ import annotations

from tests import house

MOST_LINES = 450
MOST_MODULES = 17


def test_no_modules_import_one_another_in_a_circle() -> None:
    assert house.cycles() == []


def test_no_two_packages_import_each_other() -> None:
    assert house.package_cycles() == []


def test_every_package_names_its_doors() -> None:
    assert [name for name in house.door_packages() if house.doors(name) is None] == []


def test_every_door_is_a_module_that_others_import() -> None:
    """Packages inside the package are others too."""
    imported = {
        other
        for name in house.modules()
        for other in house.imports(name)
        if other.rpartition(".")[0] not in (name, name.rpartition(".")[0])
    }
    opened = {f"{package}.{door}" for package in house.door_packages() for door in house.doors(package) or ()}
    assert {door for door in opened if door not in imported} == set()


def test_only_doors_are_imported_from_outside() -> None:
    assert house.closed_imports() == []


def test_no_public_class_name_exists_twice() -> None:
    assert {name: found for name, found in house.public_classes().items() if len(found) > 1} == {}


def test_no_module_is_too_large() -> None:
    assert {name: lines for name, lines in house.sizes().items() if lines > MOST_LINES} == {}


def test_no_package_has_too_many_modules() -> None:
    packages = [name for name in house.modules() if house.is_package(name)]
    assert {name: count for name in packages if (count := len(house.modules_of(name))) > MOST_MODULES} == {}
