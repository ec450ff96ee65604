"""Catalogues as bytes: deterministic, read back as they were; versions count up."""

from __future__ import annotations

import random

from tests.support.images.catalogues import entry

from roost.daemon.curated.catalogue import (
    Catalogue,
    add_entry,
    decode_catalogue,
    encode_catalogue,
)

HERE = "registry.example.org/team"


def test_the_same_versions_give_the_same_bytes() -> None:
    entries = [entry(name, number) for name in ("Roost-A", "Roost-B") for number in (1, 2, 10)]
    first = encode_catalogue(Catalogue(entries=tuple(entries)))
    random.Random(7).shuffle(entries)
    assert encode_catalogue(Catalogue(entries=tuple(entries))) == first
    assert encode_catalogue(decode_catalogue(first.blobs[1][1], HERE)) == first


def test_versions_count_up_and_the_same_again_is_none() -> None:
    catalogue, first = add_entry(Catalogue(), lambda number: entry(version=number))
    assert add_entry(catalogue, lambda number: entry(version=number)) == (catalogue, first)
    catalogue, second = add_entry(catalogue, lambda number: entry(version=number, spec="toml"))
    catalogue, third = add_entry(catalogue, lambda number: entry(version=number))
    assert [first.version, second.version, third.version] == [1, 2, 3]
    assert all(catalogue.contains(each) for each in (first, second, third))
    assert not catalogue.contains(entry(version=2))
