"""Whatever roost prints goes through one function, ``roost.wire.visible.make_visible``: text of others may act on the
terminal. Here are the places that write to the process's own streams, each with how it does, or why it need not."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests import house

PRINTING = {
    "roost.client.terminal.console.Console": "the way out: `render` of every line; JSON as it is",
    "roost.client.terminal.console.lost_output_status": "an error of the system, in its own words",
    "roost.client.terminal.progress.ProgressDisplay": "`render` of every line",
    "roost.client.api.builds.print_messages": "`render` of every line",
    "roost.client.api.run_output.RunOutput": "the command's own output, ids and states",
    "roost.client.cli.environments.editor._ask_again": "a question without text of others",
    "roost.client.cli.administration.purge._confirm": "a question without text of others",
    "roost.client.cli.history.waiting._output_printer": "the command's own output",
    "roost.client.cli.execution.follow._print_record": "JSON",
    "roost.client.cli.execution.launches.exec_command": "`foreign_program_note`",
    "roost.client.cli.execution.launches._start": "`CommandError.format`",
    "roost.client.cli.parser._VersionAction": "the version",
    "roost.client.cli.parser.parse": "the help",
    "roost.client.launch.supervise._replace_file": "a file of the run's folder",
    "roost.client.launch.hot_run._print_notes": "printable ASCII only; anything else by Console",
    "roost.client.launch.attach": "the command's own output",
    "roost.client.kept_output.bytes_and_signals.Output": "the command's own output",
    "roost.client.kept_output.monitor._Monitor": "messages to the relay",
    "roost.client.kept_output.relay._Relay": "keys for the command",
    "roost.client.launch.hot._become_command": "`foreign_program_note` and `CommandError.format`",
    "roost.client.launch.supervise._write_note": "`foreign_program_note` and `CommandError.format`",
    "roost.daemon.config.docs": "the documentation of the settings",
    "roost.daemon.repair.offline": "JSON",
    "roost.daemon.serve": "JSON",
    "roost.daemon.workers.main": "the last words of a worker, which go to the daemon's log",
}
"""Module, function or class to how it prints."""


def is_print(call: ast.Call, *, client: bool = True) -> bool:
    """Whether a call may write to the process's own streams. ``client``: also by a descriptor, or a stream that was
    passed on; in the daemon these are files and connections."""
    text = ast.unparse(call.func)
    if text in ("print", "input", "traceback.print_exc", "warnings.warn") or (client and text == "os.write"):
        return True
    if text.endswith((".print_help", ".print_usage")):
        return True
    receiver, _, name = text.rpartition(".")
    return name in ("write", "writelines") and ("sys.std" in receiver or (client and "stream" in receiver))


def find_prints(name: str) -> Iterator[str]:
    """Yield the dotted name of the outermost function or class around each print of a module."""
    for node in house.tree(name).body:
        within = (
            f"{name}.{node.name}" if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)) else name
        )
        client = name.startswith("roost.client")
        if any(isinstance(inner, ast.Call) and is_print(inner, client=client) for inner in ast.walk(node)):
            yield within


def known(place: str) -> bool:
    return any(place == name or place.startswith(name + ".") for name in PRINTING)


def test_only_these_places_print() -> None:
    found = {place for name in house.modules() for place in find_prints(name)}
    assert {place for place in found if not known(place)} == set(), (
        "print by roost.client.terminal.console.Console, or add the place here with the reason"
    )
    stale = {name for name in PRINTING if not any(p == name or p.startswith(name + ".") for p in found)}
    assert stale == set(), "remove what no longer prints"


def test_the_way_out_renders_every_line() -> None:
    """Every ``print`` of Console, and of what prints beside it, has ``render`` or a text that is visible already."""
    for name, allowed in {
        "roost.client.terminal.console": ("render", "json.dumps", "format_error", "message"),
        "roost.client.terminal.progress": ("render", "'\\r\\x1b[K'"),
        "roost.client.api.builds": ("render",),
        "roost.client.cli.execution.launches": ("error.format()", "foreign_program_note"),
    }.items():
        calls = [node for node in ast.walk(house.tree(name)) if isinstance(node, ast.Call) and is_print(node)]
        unrendered = [ast.unparse(call) for call in calls if not any(word in ast.unparse(call) for word in allowed)]
        assert [call for call in unrendered if call != "sys.stdout.write(text)"] == []
