"""All texts that users see, in files beside this one: a change of wording is a change of these files.

Every line and its order are compared: the class or module of a message, its hints, and the computed parts in braces.
"""

from __future__ import annotations

import difflib
import sys

import pytest
from tests.golden import help as help_file
from tests.golden import messages as messages_file
from tests.golden.messages import ERROR_BASES, Source, read_source

REMEDY = "write it again with `python -m {module} > {path}`, and look at the difference"


def compare(module, found: list[str], expected: list[str]) -> None:
    path = module.FILE.relative_to(messages_file.REPOSITORY)
    differences = "\n".join(difflib.unified_diff(expected, found, "file", "source", lineterm="", n=2))
    remedy = REMEDY.format(module=module.__name__, path=path)
    assert found == expected, f"{path} differs from the source; {remedy}\n{differences}"


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="argparse writes options differently from Python 3.13 on")
def test_the_help_of_every_command_is_in_help_txt():
    expected = help_file.FILE.read_text(encoding="utf-8")
    compare(help_file, help_file.help_text().splitlines(), expected.splitlines())


@pytest.fixture(scope="module")
def source() -> Source:
    return read_source()


def test_every_message_of_the_source_is_in_messages_txt(source):
    expected = messages_file.FILE.read_text(encoding="utf-8")
    compare(messages_file, messages_file.messages_text(source).splitlines(), expected.splitlines())


def test_every_error_class_has_a_block(source):
    headings = {line.partition(" ")[0] for line in messages_file.FILE.read_text(encoding="utf-8").splitlines()}
    classes = {name for name in source.classes if source.is_error(name)} - set(ERROR_BASES)
    assert len(classes) > 100
    assert classes - headings == set()
