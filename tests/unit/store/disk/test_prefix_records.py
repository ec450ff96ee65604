"""The record beside a prefix: whole or none, and only for the prefix at its own path."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from roost.model.locks.lock import CondaPackage, CondaPython, Lock, digest_lock
from roost.model.records import Artifact, NewGeneration, VariableChange
from roost.store.disk.layout import Layout
from roost.store.disk.prefix_records import PrefixRecord, decode_record, encode_record, read_record, write_record

LOCK = Lock(
    platform="linux-64",
    provider=CondaPython(),
    conda=(
        CondaPackage(
            name="a", version="1", build="0", subdir="noarch", file_name="a-1-0.conda", url="u", sha256="0" * 64
        ),
    ),
)


def record_at(path: str) -> PrefixRecord:
    artifact = Artifact(
        id="p-1",
        kind="prefix",
        key=digest_lock(LOCK),
        platform="linux-64",
        state="building",
        path=path,
        activation=(VariableChange(name="A", action="set", value="b"),),
        manifest="sha256:1",
    )
    generation = NewGeneration(definition_digest="sha256:2", platform="linux-64")
    return PrefixRecord(artifact=artifact, lock=LOCK, generation=generation)


def test_what_is_written_is_read(tmp_path):
    record = record_at(str(tmp_path / "prefix"))
    write_record(record)
    assert read_record(record.artifact.path) == record
    assert os.stat(Layout.record_of(record.artifact.path)).st_mode & 0o777 == 0o600


def test_a_record_of_another_path_is_none(tmp_path):
    """Prefixes contain their path: one that was moved or copied is not what was built."""
    write_record(record_at(str(tmp_path / "prefix")))
    os.rename(tmp_path / "prefix.record", tmp_path / "moved.record")
    assert read_record(str(tmp_path / "moved")) is None
    assert read_record(str(tmp_path / "prefix")) is None


@given(st.data())
def test_a_record_with_any_other_byte_is_none(data):
    content = encode_record(record_at("/r/prefixes/p"))
    assert decode_record(content) is not None
    place = data.draw(st.integers(0, len(content) - 1))
    changed = bytearray(content)
    changed[place] ^= data.draw(st.integers(1, 255))
    assert decode_record(bytes(changed)) is None
    assert decode_record(content[:place]) is None


@given(st.binary(max_size=300))
def test_any_bytes_are_no_record(content):
    assert decode_record(content) is None
