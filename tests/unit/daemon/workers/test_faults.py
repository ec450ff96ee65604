"""Every error of roost's tree arrives as it was raised."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

import msgspec
import pytest
from tests import house

from roost.daemon.workers.errors import WorkerFailedError
from roost.daemon.workers.faults import Fault, describe_error, rebuild_error
from roost.model.errors import CodedError, Location


def error_classes(base: type[CodedError] = CodedError) -> Iterator[type[CodedError]]:
    yield base
    for each in base.__subclasses__():
        yield from error_classes(each)


def all_errors() -> list[type[CodedError]]:
    for name in house.modules():
        if name.startswith(("roost.daemon.engines", "roost.model", "roost.store")):
            importlib.import_module(name)
    return sorted({each for each in error_classes() if each.__module__.startswith("roost.")}, key=str)


@pytest.mark.parametrize("kind", all_errors())
def test_an_error_arrives_as_it_was_raised(kind: type[CodedError]) -> None:
    error = kind.__new__(kind)
    place = Location(path="/x.yml", line=3)
    CodedError.__init__(error, "what", hint="do", location=place, fields={"a": (1, {"b": None}), "c": place})
    travelled = msgspec.msgpack.decode(msgspec.msgpack.encode(describe_error(error)), type=Fault)
    arrived = rebuild_error(travelled)
    assert type(arrived) is kind
    assert (arrived.message, arrived.hint, arrived.location, str(arrived)) == ("what", "do", place, "what")
    assert arrived.fields == {"a": [1, {"b": None}], "c": {"path": "/x.yml", "line": 3, "column": None}}


def test_a_class_that_is_no_error_is_not_made() -> None:
    for module, name in (("roost.daemon.workers.pool", "WorkerPool"), ("os", "system"), ("roost.model.errors", "X")):
        assert type(rebuild_error(Fault(module=module, name=name, message="x"))) is WorkerFailedError
