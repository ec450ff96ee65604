"""Rows for completion, from the parser."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import pytest

from roost.client.cli.completion.tree import TRAILING, list_rows
from roost.client.cli.completion.values import find_completion
from roost.client.cli.parser import MODULES, build_parser, commands_of


def test_every_command_and_option_of_the_parser_is_in_a_row() -> None:
    rows = {row.path: row for row in list_rows(build_parser())}

    def check(parser: argparse.ArgumentParser, path: str) -> None:
        options = {name for action in parser._actions for name in action.option_strings}
        assert {name for name, _, _ in rows[path].options} == options
        for name, below in commands_of(parser).items():
            check(below, f"{path} {name}".strip())

    check(build_parser(), "")
    assert {name for names in MODULES.values() for name in names} <= set(rows)
    assert rows["run"].positions == (TRAILING,)


FREE = {
    *("N", "SEQ", "X.Y", "DATE", "WHEN", "TEXT", "K=V", "REF", "sha256:…", "HOST[:PORT][/PREFIX]"),
    *("PKG", "PACKAGE[SPEC]", "NAME", "NEW", "Roost-NAME", "CMD", "ADVISORY"),
}
"""Metavars of values that nothing completes."""


def test_every_value_is_completed_or_known_to_be_free() -> None:
    """A new metavar belongs into ``values._BY_METAVAR`` if something completes it, else into ``FREE``."""

    def find_unknown(parser: argparse.ArgumentParser, path: tuple[str, ...]) -> Iterator[str]:
        for action in parser._actions:
            is_value = action.nargs != 0 and not isinstance(action, argparse._SubParsersAction)
            if is_value and not find_completion(action, path) and action.metavar not in FREE:
                yield f"{' '.join(path)}: {action.metavar}"
        for name, below in commands_of(parser).items():
            yield from find_unknown(below, (*path, name))

    assert list(find_unknown(build_parser(), ())) == []


@pytest.mark.parametrize(
    ("arguments", "options", "expected"),
    [
        (("runs", "show"), {"metavar": "ID"}, "@runs latest"),
        (("builds", "show"), {"metavar": "ID"}, "@builds"),
        (("env", "show"), {"metavar": "NAME[:VERSION|@LABEL]"}, "@versions"),
        (("env", "rollback"), {"metavar": "NAME[:VERSION|@LABEL]|PATH"}, "@versions /"),
        (("runs", "diff"), {"metavar": "A"}, "@runs latest"),
        (("help",), {"metavar": "A"}, ""),
        (("run",), {"metavar": "DIR"}, "//"),
        (("run",), {"metavar": "NAME", "dest": "extra"}, ""),
        (("run",), {"metavar": "NAME", "dest": "experiment"}, "@experiments"),
        (("lock",), {"choices": ("pixi", "explicit")}, "pixi explicit"),
        (("lock",), {"metavar": "WORD", "complete": "@labels /"}, "@labels /"),
    ],
)
def test_the_metavar_tells_what_completes_a_value(
    arguments: tuple[str, ...], options: dict[str, str], expected: str
) -> None:
    explicit = options.pop("complete", None)
    action = argparse.ArgumentParser().add_argument("-x", **options)  # type: ignore[arg-type]
    if explicit is not None:
        action.complete = explicit  # type: ignore[attr-defined]
    assert find_completion(action, arguments) == expected


def test_an_option_that_help_does_not_show_is_skipped_with_its_value() -> None:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--old", metavar="PATH", help=argparse.SUPPRESS)
    parser.add_argument("--new", action="store_true", help="100 %% of\n it")
    parser.add_argument("what", nargs="*", metavar="FILE")
    (row,) = list_rows(parser)
    assert row.options == (("--old", "!/", ""), ("--new", "-", "100 % of it"))
    assert row.positions == ("*/",)
