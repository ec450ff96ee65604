"""The comparison of two readings of a file: a change has no effect but on the packages that were named."""

from __future__ import annotations

import msgspec

from roost.model.definition import PipItem, ReadResult
from roost.model.documents.document import Document
from roost.model.edits.change import EditRefusedError
from roost.model.edits.item_lists import match_spec_name, requirement_name


class TouchedNames(msgspec.Struct, frozen=True):
    """Names of packages that a change is about."""

    conda: frozenset[str] = frozenset()
    pip: frozenset[str] = frozenset()


def verify_reading(before: ReadResult | None, after: Document, touched: TouchedNames) -> None:
    """Compare what was read of a file before a change and after it; ``None`` if it was not an environment yet.

    Raises: EditRefusedError if the file is not valid any more, or if anything has changed besides ``touched``.
    """
    if after.errors or after.result is None:
        first = after.errors[0] if after.errors else None
        message = (
            f"The file would not be valid any more: {first.message}" if first else "The file would have no packages"
        )
        raise EditRefusedError(message, location=first.location if first else None, hint=first.hint if first else "")
    if before is not None and _describe_rest(before, touched) != _describe_rest(after.result, touched):
        raise EditRefusedError("The change would have an effect on other parts of the file")


def _describe_rest(result: ReadResult, touched: TouchedNames) -> tuple[object, ...]:
    definition = result.definition
    conda, pip = definition.conda, definition.pip
    specs = tuple(spec for spec in conda.dependencies if match_spec_name(spec) not in touched.conda)
    items = tuple(
        _without_location(item) for item in pip.requirements if requirement_name(item.text) not in touched.pip
    )
    kept = msgspec.structs.replace(
        definition,
        conda=msgspec.structs.replace(conda, dependencies=specs),
        pip=msgspec.structs.replace(pip, requirements=items),
    )
    return kept, result.settings, result.defaults, result.name, result.format, result.credentials


def _without_location(item: PipItem) -> PipItem:
    return msgspec.structs.replace(item, location=None, items=tuple(_without_location(each) for each in item.items))
