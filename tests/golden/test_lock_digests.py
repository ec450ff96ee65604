"""Digests of locks that must never change: ``lock_vectors.json`` holds locks, their canonical forms and their digests.

Those of format 1 were written by the code that knew no other format. A vector that fails here is not to be mended by
writing the new digest into it: prefixes, images and runs are recorded under these digests.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import msgspec
import pytest

from roost.model.locks.lock import LOCK_FORMAT, Lock, canonicalise_lock, digest_lock, with_format

VECTORS = json.loads((Path(__file__).parent / "lock_vectors.json").read_text(encoding="utf-8"))
IDS = [vector["name"] for vector in VECTORS]


@pytest.mark.parametrize("vector", VECTORS, ids=IDS)
def test_the_digest_of_a_lock_is_what_it_always_was(vector):
    lock = msgspec.json.decode(json.dumps(vector["lock"]), type=Lock)
    assert json.loads(canonicalise_lock(lock)) == vector["canonical"]
    assert digest_lock(lock) == vector["digest"]


@pytest.mark.parametrize("vector", VECTORS, ids=IDS)
def test_a_lock_comes_back_from_what_is_stored(vector):
    lock = msgspec.convert(vector["lock"], Lock)
    assert msgspec.json.decode(msgspec.json.encode(lock), type=Lock) == lock


@pytest.mark.parametrize("vector", VECTORS, ids=IDS)
def test_the_form_of_a_lock_is_plain_json(vector):
    written = json.dumps(vector["canonical"], sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert "sha256:" + hashlib.sha256(written).hexdigest() == vector["digest"]


@pytest.mark.parametrize("vector", VECTORS, ids=IDS)
def test_a_lock_has_the_lowest_format_that_can_express_it(vector):
    lock = msgspec.convert(vector["lock"], Lock)
    assert with_format(lock).format == vector["canonical"]["format"] == lock.format


def test_every_lock_format_has_a_vector():
    assert {vector["canonical"]["format"] for vector in VECTORS} == set(range(1, LOCK_FORMAT + 1))
    assert len({vector["digest"] for vector in VECTORS}) == len(VECTORS)
