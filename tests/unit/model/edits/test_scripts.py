"""Scripts with metadata (PEP 723): everything but the lines of the block stays, and a new block is created."""

from __future__ import annotations

import pytest
from tests.support.editing import edit, edit_text

from roost.model.edits.change import PackageNotListedError
from roost.model.readers.pyproject import ScriptMetadataError

BODY = '"""Doc."""\nprint("# /// script")\n'
STYLES = {
    "an empty list": ("# dependencies = []\n", '# dependencies = [\n#     "numpy",\n# ]\n'),
    "one line": ('# dependencies = ["scipy"]\n', '# dependencies = ["numpy", "scipy"]\n'),
    "a line each": ('# dependencies = [\n#   "a",\n# ]\n', '# dependencies = [\n#   "a",\n#   "numpy",\n# ]\n'),
    "empty lines without a space": (
        '#\n# dependencies = [\n#   "a"\n#\n# ]\n#\n',
        '#\n# dependencies = [\n#   "a",\n#   "numpy"\n#\n# ]\n#\n',
    ),
    "empty lines with a space": (
        '# \n# dependencies = [\n# "a",\n# \n# "z"]\n# \n',
        '# \n# dependencies = [\n# "a",\n# "numpy",\n# \n# "z"]\n# \n',
    ),
    "other keys": (
        '# requires-python = ">=3.11"\n# dependencies = []\n# [tool.x]\n# y = 1\n',
        '# requires-python = ">=3.11"\n# dependencies = [\n#     "numpy",\n# ]\n# [tool.x]\n# y = 1\n',
    ),
}


@pytest.mark.parametrize("line_end", ["\n", "\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize("style", STYLES)
def test_only_the_lines_of_the_list_change(style, line_end):
    before, after = (f"#!/bin/x\n# /// script\n{each}# ///\n{BODY}".replace("\n", line_end) for each in STYLES[style])
    assert edit_text(before, "train.py", "numpy") == after
    assert edit_text(after, "train.py", remove="numpy") == before


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("# requires-python = '>=3'\n", "# requires-python = '>=3'\n# dependencies = [\n#     \"numpy\",\n# ]\n"),
        ("# [tool.x]\n# y = 1\n", '# dependencies = [\n#     "numpy",\n# ]\n#\n# [tool.x]\n# y = 1\n'),
    ],
)
def test_a_missing_list_is_created_in_the_block(before, after):
    block = "# /// script\n{}# ///\n"
    assert edit_text(block.format(before), "train.py", "numpy") == block.format(after)


BLOCK = '# /// script\n# dependencies = [\n#     "numpy",\n# ]\n# ///\n'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", BLOCK),
        ("import x\n", f"{BLOCK}\nimport x\n"),
        ("\nimport x\n", f"{BLOCK}\nimport x\n"),
        ('"""Doc."""\n', f'{BLOCK}\n"""Doc."""\n'),
        ("#!/usr/bin/env python\nimport x\n", f"#!/usr/bin/env python\n{BLOCK}\nimport x\n"),
        ("#!/usr/bin/env python", f"#!/usr/bin/env python\n{BLOCK}"),
        ("#!/bin/x\n# -*- coding: utf-8 -*-\n# mine\n", f"#!/bin/x\n# -*- coding: utf-8 -*-\n{BLOCK}\n# mine\n"),
        ("# coding=utf-8\nimport x\n", f"# coding=utf-8\n{BLOCK}\nimport x\n"),
        ("# /// other\n# a\n# ///\n", f"{BLOCK}\n# /// other\n# a\n# ///\n"),
    ],
)
def test_a_script_without_metadata_gets_a_block_at_its_top(before, after):
    assert edit_text(before, "train.py", "numpy") == after


def test_a_line_is_that_of_the_script():
    edited = edit("#!/bin/x\n# /// script\n# dependencies = ['a']\n# ///\n", "train.py", "numpy")
    assert [(item.name, item.line) for item in edited.items] == [("numpy", 3)]


def test_nothing_can_be_removed_from_a_script_without_metadata():
    with pytest.raises(PackageNotListedError):
        edit("import x\n", "train.py", remove="numpy")


def test_a_block_that_is_not_valid_is_no_reason_for_another():
    with pytest.raises(ScriptMetadataError, match="no end"):
        edit("# /// script\n# dependencies = []\nimport x\n", "train.py", "numpy")
