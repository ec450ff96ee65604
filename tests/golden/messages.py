"""Print the texts that users see: ``python -m tests.golden.messages > tests/golden/messages.txt``.

The texts are read from the source of the daemon, the store and the client. The first part has a block for each error
class, each code of the client's errors, and each code of notices and reasons: the messages, and below each its hints.
The second part has all other prose of the source, such as progress, log lines and tables, by module. Parts of a
template that are computed stand in braces, as in the source. There are no line numbers, and texts are sorted, so that
only a change of wording or a rename in a template changes the file.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.golden.help import help_text

REPOSITORY = Path(__file__).parents[2]
FILE = Path(__file__).with_name("messages.txt")
ROOTS = ("daemon", "store", "client")
ERROR_BASES = ("CodedError", "ClientError")
COMMAND_LINE_ERRORS = {"usage_error": ("usage", 2), "unreachable_error": ("daemon-unreachable", 5)}
"""Functions of the client that fix the code and exit status."""
NOTES = ("Reason", "WarningView", "Notice", "warn")
"""Types and methods that take a code and a message."""
HELP_KEYWORDS = ("help", "metavar", "prog", "usage")
HELP_FUNCTIONS = ("add_command", "add_family", "CommandParser")
NOT_PROSE = (
    "roost.store.index",
    "roost.store.migrations.released",
    "roost.store.migrations.schema",
    "roost.store.migrations.released",
    "roost.client.launch.shells",
    "roost.client.cli.completion",
    "roost.model.readers.tools.other_keys",
    "roost.model.readers.roost_keys",
    "roost.model.readers.tools.uv_keys",
)
"""Modules whose strings are SQL and shell code, or tables of keys that a page in docs has in full."""
MOST_LINES = 3
"""What has more lines is code."""
DEPTH = 4
"""How many functions deep a parameter is followed to the callers' arguments."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass
class Module:
    """A parsed source file, with the parent of every node."""

    name: str
    tree: ast.Module
    parents: dict[ast.AST, ast.AST] = field(default_factory=dict)
    imports: set[str] = field(default_factory=set)

    def enclosing(self, node: ast.AST, kinds: tuple[type, ...]) -> ast.AST | None:
        """Return the nearest enclosing node of one of the kinds."""
        while node in self.parents:
            node = self.parents[node]
            if isinstance(node, kinds):
                return node
        return None


@dataclass
class Source:
    """All modules, and what is found by name in them."""

    modules: list[Module]
    classes: dict[str, ast.ClassDef] = field(default_factory=dict)
    calls: dict[str, list[tuple[Module, ast.Call]]] = field(default_factory=lambda: defaultdict(list))
    used: set[ast.AST] = field(default_factory=set)
    """String nodes that are part of a block."""

    def is_error(self, name: str) -> bool:
        if name in ERROR_BASES:
            return True
        found = self.classes.get(name)
        return found is not None and any(self.is_error(last_name(base)) for base in found.bases)

    def attribute(self, name: str, key: str) -> str:
        """Return a class attribute of an error class, its own or inherited."""
        found = self.classes.get(name)
        if found is None:
            return "?"
        for statement in found.body:
            targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
            if any(isinstance(target, ast.Name) and target.id == key for target in targets):
                return str(ast.literal_eval(statement.value))
        return next((self.attribute(last_name(base), key) for base in found.bases), "?")


def last_name(node: ast.AST) -> str:
    """Return the name of ``name`` or ``module.name``."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def read_source() -> Source:
    """Parse all source files and note their classes and calls by name."""
    source = Source([])
    for root in ROOTS:
        for path in sorted((REPOSITORY / root / "roost").rglob("*.py")):
            name = ".".join(path.relative_to(REPOSITORY / root).with_suffix("").parts)
            module = Module(name, ast.parse(path.read_text(encoding="utf-8")))
            for parent in ast.walk(module.tree):
                module.parents.update(dict.fromkeys(ast.iter_child_nodes(parent), parent))
                if isinstance(parent, ast.Import):
                    module.imports.update(each.name for each in parent.names)
                if isinstance(parent, ast.ImportFrom):
                    module.imports.update({str(parent.module), *(f"{parent.module}.{n.name}" for n in parent.names)})
                if isinstance(parent, ast.ClassDef):
                    source.classes[parent.name] = parent
                if isinstance(parent, ast.Call):
                    source.calls[last_name(parent.func)].append((module, parent))
            source.modules.append(module)
    return source


def template(source: Source, node: ast.JoinedStr | ast.Constant) -> str:
    """Return the text of a string, with computed parts as ``{source}``."""
    source.used.update(ast.walk(node))
    if isinstance(node, ast.Constant):
        return str(node.value)
    return "".join(
        str(part.value) if isinstance(part, ast.Constant) else "{" + ast.unparse(part.value) + conversion(part) + "}"
        for part in node.values
    )


def conversion(part: ast.FormattedValue) -> str:
    """Return ``!r`` or ``!s`` if the part has such a conversion."""
    return "" if part.conversion == -1 else "!" + chr(part.conversion)


def texts(source: Source, module: Module, node: ast.AST | None) -> list[str]:
    """Return the templates that an expression can be: its branches, and what is assigned to a variable."""
    if node is None:
        return []
    if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str)):
        return [template(source, node)]
    if isinstance(node, ast.IfExp):
        return [*texts(source, module, node.body), *texts(source, module, node.orelse)]
    if isinstance(node, ast.BoolOp):
        return [text for value in node.values for text in texts(source, module, value)]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = texts(source, module, node.left), texts(source, module, node.right)
        return [one + other for one in left for other in right]
    if isinstance(node, ast.Name) and (values := assigned(module, node)):
        return [text for value in values for text in texts(source, module, value)]
    return ["{" + ast.unparse(node) + "}"]


def assigned(module: Module, name: ast.Name) -> list[ast.expr]:
    """Return what the enclosing function, or else the module, assigns to a name; nothing that uses the name itself."""
    function = module.enclosing(name, FUNCTIONS)
    for scope in ([ast.walk(function)] if function else []) + [iter(module.tree.body)]:
        found = []
        for each in scope:
            targets = each.targets if isinstance(each, ast.Assign) else [getattr(each, "target", None)]
            is_assignment = isinstance(each, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.NamedExpr)
            if is_assignment and any(isinstance(one, ast.Name) and one.id == name.id for one in targets):
                found.append(each.value)
        if found:
            used = {each.id for value in found for each in ast.walk(value) if isinstance(each, ast.Name)}
            return [] if name.id in used else [value for value in found if value is not None]
    return []


Place = tuple[Module, "ast.expr | None"]


def sites(source: Source, places: list[Place], depth: int = 0) -> Iterator[list[Place]]:
    """Yield the arguments of a call; if some are parameters of the enclosing function, those of each of its callers."""
    function = next((found for module, node in places if (found := parameter_owner(module, node))), None)
    if function is None or depth == DEPTH:
        yield places
        return
    home = next(module for module, node in places if parameter_owner(module, node) is function)
    positional, defaults = parameters(function)
    found_any = False
    for caller, call in callers(source, home, function):
        found_any = True
        called: list[Place] = []
        for module, node in places:
            if parameter_owner(module, node) is not function:
                called.append((module, node))
                continue
            passed = argument(call, node.id, positional)
            called.append((caller, passed) if passed is not None else (home, defaults.get(node.id)))
        yield from sites(source, called, depth + 1)
    if not found_any:
        yield places


def parameters(function: Function) -> tuple[list[str], dict[str, ast.expr]]:
    """Return the positional parameters without ``self``, and the defaults of all."""
    positional = [each.arg for each in (*function.args.posonlyargs, *function.args.args)]
    defaults = dict(zip(reversed(positional), reversed(function.args.defaults), strict=False))
    keywords = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    defaults |= {each.arg: value for each, value in keywords if value is not None}
    return positional[positional[:1] in (["self"], ["cls"]) :], defaults


def parameter_owner(module: Module, node: ast.AST | None) -> Function | None:
    """Return the enclosing function if the node is the name of one of its parameters, which it does not change."""
    if not isinstance(node, ast.Name):
        return None
    function = module.enclosing(node, FUNCTIONS)
    if not isinstance(function, FUNCTIONS):
        return None
    names = [each.arg for each in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)]
    return function if node.id in names else None


def callers(source: Source, home: Module, function: Function) -> Iterator[tuple[Module, ast.Call]]:
    """Yield the calls of a function, in its own module and in those that import something from it."""
    owner = home.parents[function]
    name = owner.name if function.name == "__init__" and isinstance(owner, ast.ClassDef) else function.name
    for module, call in source.calls[name]:
        if isinstance(owner, ast.Module) and isinstance(call.func, ast.Attribute):
            is_call = last_name(call.func.value) == home.name.rpartition(".")[2]
        else:
            is_call = isinstance(owner, ast.Module) == isinstance(call.func, ast.Name) or function.name == "__init__"
        if is_call and (module is home or home.name in module.imports):
            yield module, call


def argument(call: ast.Call, name: str, positional: list[str]) -> ast.expr | None:
    """Return the argument of a call for a parameter."""
    for keyword in call.keywords:
        if keyword.arg == name:
            return keyword.value
    if name in positional and positional.index(name) < len(call.args):
        found = call.args[positional.index(name)]
        return None if any(isinstance(each, ast.Starred) for each in call.args) else found
    return None


@dataclass
class Block:
    """Messages with their hints."""

    messages: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def add(self, messages: list[str], hints: list[str]) -> None:
        for message in messages:
            self.messages[message].update(hint for hint in hints if hint)

    def lines(self) -> Iterator[str]:
        for message in sorted(self.messages):
            yield "    " + message.replace("\n", "\\n")
            yield from ("        > " + hint.replace("\n", "\\n") for hint in sorted(self.messages[message]))


def error_blocks(source: Source) -> Iterator[tuple[str, Block]]:
    """Yield a heading and a block for each error class, and for each code of the client's errors."""
    blocks: dict[str, Block] = defaultdict(Block)

    def add(heading: str, module: Module, *arguments: ast.expr | None) -> None:
        for (one, message), (other, hint) in sites(source, [(module, each) for each in arguments]):
            blocks[heading].add(texts(source, one, message), texts(source, other, hint))

    for name, definition in source.classes.items():
        if not source.is_error(name) or name in ERROR_BASES:
            continue
        code, status = source.attribute(name, "code"), source.attribute(name, "exit_status")
        heading = f"{name} ({code}, exit status {status})" if "?" not in (code, status) else f"{name} (of the client)"
        blocks[heading].messages.update()
        for module, call in source.calls[name]:
            if call.args and not (isinstance(call.args[0], ast.Dict) or "body" in ast.unparse(call.args[0])):
                add(heading, module, argument(call, "message", ["message"]), argument(call, "hint", []))
        for module in source.modules:
            for call in ast.walk(definition) if definition in module.parents else ():
                if isinstance(call, ast.Call) and ast.unparse(call.func) == "super().__init__":
                    add(heading, module, argument(call, "message", ["message"]), argument(call, "hint", []))
    for function, (code, status) in COMMAND_LINE_ERRORS.items():
        for module, call in source.calls[function]:
            if not module.name.startswith("roost.client"):
                continue
            message, hint = argument(call, "message", ["message"]), argument(call, "hint", ["message", "hint"])
            add(f"{code} (of the client, exit status {status})", module, message, hint)
    names = ["code", "message", "hint", "exit_status"]
    for module, call in source.calls["client_error"]:
        code, message, hint, status = (argument(call, name, names) for name in names)
        if isinstance(code, ast.Constant) and code.value not in [code for code, _ in COMMAND_LINE_ERRORS.values()]:
            status_text = ast.unparse(status) if status else "?"
            add(f"{code.value} (of the client, exit status {status_text})", module, message, hint)
    for module, body in error_bodies(source):
        status = ast.unparse(body["exit_status"]) if "exit_status" in body else "1"
        if isinstance(code := body["code"], ast.Constant):
            heading = f"{code.value} (of the client, exit status {status})"
            if not module.name.startswith("roost.client"):
                heading = f"{code.value} (exit status {status})"
            add(heading, module, body["message"], body.get("hint"))
    yield from sorted(blocks.items())


def error_bodies(source: Source) -> Iterator[tuple[Module, dict[str, ast.expr]]]:
    """Yield the fields of errors that are written out as a mapping or as the wire's ``ErrorBody``."""
    for module in source.modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Dict):
                fields = {
                    key.value: value for key, value in zip(node.keys, node.values, strict=True) if is_text_key(key)
                }
            elif isinstance(node, ast.Call) and last_name(node.func) == "ErrorBody":
                fields = {keyword.arg: keyword.value for keyword in node.keywords}
            else:
                continue
            if {"code", "message"} <= fields.keys():
                yield module, fields


def is_text_key(key: ast.expr | None) -> bool:
    return isinstance(key, ast.Constant) and isinstance(key.value, str)


def note_blocks(source: Source) -> Iterator[tuple[str, Block]]:
    """Yield a heading and a block for each code of reasons, warnings and notices."""
    blocks: dict[str, Block] = defaultdict(Block)
    for function in NOTES:
        for module, call in source.calls[function]:
            arguments = argument(call, "code", ["code"]), argument(call, "message", ["code", "message"])
            for (one, code), (other, message) in sites(source, [(module, each) for each in arguments]):
                for each in texts(source, one, code):
                    blocks[each].add(texts(source, other, message), [])
    yield from sorted(blocks.items())


def other_texts(source: Source) -> Iterator[tuple[str, list[str]]]:
    """Yield, by module, prose that is in no block: no docstrings, no help of commands, no SQL."""
    help_words = " ".join(help_text().split())
    found: dict[str, set[str]] = defaultdict(set)
    for module in source.modules:
        if module.name.startswith(NOT_PROSE):
            continue
        for node in ast.walk(module.tree):
            if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str)):
                if node in source.used or not is_text(module, node):
                    continue
                text = template(source, node)
                words = re.sub(r"\{[^}]*\}", "", text)
                if (
                    len(re.findall(r"[A-Za-z]{2,}", words)) > 1
                    and " " in words.strip()
                    and " ".join(text.split()) not in help_words
                ):
                    found[module.name].add(text.strip().replace("\n", "\\n"))
    for name in sorted(found):
        yield name, sorted(found[name])


def is_text(module: Module, node: ast.AST) -> bool:
    """Return whether a string is a value: no docstring, no part of an f-string, no help, no code."""
    parent = module.parents[node]
    if isinstance(parent, ast.Expr | ast.FormattedValue | ast.JoinedStr):
        return False
    if isinstance(parent, ast.keyword) and parent.arg in HELP_KEYWORDS:
        return False
    if isinstance(parent, ast.Call):
        return last_name(parent.func) not in (*HELP_FUNCTIONS, "compile", "execute", "fetch", "cast", "TypeVar")
    return True


def messages_text(source: Source) -> str:
    """Return all texts as one document."""
    parts = [("Errors", error_blocks(source)), ("Reasons, warnings and notices, by code", note_blocks(source))]
    lines = []
    for title, blocks in parts:
        lines += [f"# {title}", ""]
        for heading, block in blocks:
            lines += [heading, *block.lines(), ""]
    lines += ["# Other texts, by module", ""]
    for module, found in other_texts(source):
        lines += [module, *(f"    {text}" for text in found), ""]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(messages_text(read_source()))
