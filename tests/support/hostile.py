"""Texts whose reading could cost more than their size: by the number of parts, and by characters for patterns."""

from __future__ import annotations

from collections.abc import Callable

Write = Callable[[int], str]


class Text:
    """Texts by a number of parts."""

    @staticmethod
    def chain_of_groups(count: int) -> str:
        """Dependency groups, each of which includes the next."""
        rows = [f'g{number} = [{{include-group = "g{number + 1}"}}]' for number in range(count)]
        return "[dependency-groups]\n" + "\n".join(rows) + f'\ng{count} = ["six"]\n'

    @staticmethod
    def web_of_groups(count: int) -> str:
        """Dependency groups in two levels, all of which include the first."""
        rows = [f'g{number} = [{{include-group = "g0"}}, "p{number}"]' for number in range(1, count)]
        return '[dependency-groups]\ng0 = ["six"]\n' + "\n".join(rows) + "\n"

    @staticmethod
    def sources(count: int) -> str:
        """Requirements, each with a source of its own that has a marker."""
        lines = "".join(f'"p{number}", ' for number in range(count))
        rows = [
            f'p{number} = {{ url = "https://h/p.whl", marker = "sys_platform == \'x\'" }}\n' for number in range(count)
        ]
        return f"[project]\ndependencies = [{lines}]\n[tool.uv.sources]\n" + "".join(rows)

    @staticmethod
    def chain_of_packages(count: int) -> str:
        """A lock of uv in which each package needs the next, in some places."""
        rows = [
            f'[[package]]\nname = "p{number}"\nversion = "1"\nsource = {{ virtual = "{number or "."}" }}\n'
            f'dependencies = [{{ name = "p{number + 1}", marker = "os_name == \'{number}\'" }}]\n'
            for number in range(count)
        ]
        last = f'[[package]]\nname = "p{count}"\nversion = "1"\nsource = {{ registry = "https://h" }}\n'
        return 'version = 1\nrequires-python = ">=3.10"\n' + "".join(rows) + last

    @staticmethod
    def web_of_packages(count: int) -> str:
        """A lock of uv in which all packages that the project needs need the same one, each in another place."""
        source = 'version = "1"\nsource = { registry = "https://h" }\n'
        needed = "".join(f'{{ name = "p{number}" }}, ' for number in range(count))
        rows = [
            f'[[package]]\nname = "p{number}"\n{source}'
            f'dependencies = [{{ name = "last", marker = "os_name == \'{number}\'" }}]\n'
            for number in range(count)
        ]
        own = f'[[package]]\nname = "own"\nversion = "1"\nsource = {{ virtual = "." }}\ndependencies = [{needed}]\n'
        head = f'version = 1\nrequires-python = ">=3.10"\n{own}[[package]]\nname = "last"\n{source}'
        return head + "".join(rows)

    @staticmethod
    def pinned_packages(count: int) -> str:
        """Requirements, each from an index of its own."""
        lines = "".join(f'"p{number}", ' for number in range(count))
        rows = [f'p{number} = {{ index = "i{number}" }}\n' for number in range(count)]
        indexes = [f'[[tool.uv.index]]\nname = "i{number}"\nurl = "https://h/{number}"\n' for number in range(count)]
        return f"[project]\ndependencies = [{lines}]\n[tool.uv.sources]\n" + "".join(rows + indexes)

    @staticmethod
    def packages_without_sources(count: int) -> str:
        """Requirements whose sources are left out by name."""
        lines = "".join(f'"p{number}", ' for number in range(count))
        return f"[project]\ndependencies = [{lines}]\n[tool.uv]\nno-sources-package = [{lines}]\n"

    @staticmethod
    def default_groups(count: int) -> str:
        """Dependency groups, all of which are meant."""
        rows = "".join(f'g{number} = ["p{number}"]\n' for number in range(count))
        names = "".join(f'"g{number}", ' for number in range(count))
        return f"[dependency-groups]\n{rows}[tool.uv]\ndefault-groups = [{names}]\n"

    @staticmethod
    def laughs(levels: int) -> str:
        """Aliases that multiply (the "billion laughs")."""
        rows = [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, levels)]
        return "a0: &a0 [x]\n" + "\n".join(rows) + "\n"


def _repeat(part: str) -> Write:
    return lambda count: part * count


def _rows(row: str, head: str = "", tail: str = "") -> Write:
    """``row`` for each number in place of ``#N``."""
    return lambda count: head + "".join(row.replace("#N", str(number)) for number in range(count)) + tail


GROWING: dict[str, tuple[str, Write, int]] = {
    "requirements": ("requirements.txt", _rows("p#N==1.0\n"), 300),
    "requirements that are wrong": ("requirements.txt", _rows("p#N p\n"), 30),
    "continued lines": ("requirements.txt", _rows(" \\\n", "six"), 1_000),
    "options": ("requirements.txt", _rows("--extra-index-url https://h.example/#N\n"), 200),
    "unknown options": ("requirements.txt", _rows("--what-#N\n"), 300),
    "hashes": ("requirements.txt", _rows(" --hash=sha256:#N", "six==1"), 500),
    "includes": ("requirements.txt", _rows("-r none#N.txt\n"), 30),
    "specs": ("environment.yml", _rows("  - p#N=1\n", "dependencies:\n"), 300),
    "channels": ("environment.yml", _rows("  - c#N\n", "channels:\n"), 300),
    "conda's pip part": ("environment.yml", _rows("    - p#N\n", "dependencies:\n  - pip:\n"), 300),
    "a block of lines": ("environment.yml", _rows("      p#N\n", "dependencies:\n  - pip: |\n"), 300),
    "keys": ("environment.yml", _rows("k#N: 1\n"), 300),
    "variables": ("environment.yml", _rows("  k#N: 1\n", "variables:\n"), 300),
    "aliases": ("environment.yml", _rows("  - *a\n", "channels: [&a x]\ndependencies:\n"), 300),
    "merges": ("environment.yml", _rows("k#N: &k#N {<<: *a, b#N: 1}\n", "k: &a {c: 1}\n"), 200),
    "JSON": ("environment.json", _rows('"p#N", ', '{"dependencies": [', '"six"]}'), 300),
    "surrogates": ("environment.json", _rows("\\ud83d\\ude00", '{"name": "', '"}'), 300),
    "a project": ("pyproject.toml", _rows('"p#N", ', "[project]\ndependencies = [", "]"), 300),
    "groups": ("pyproject.toml", Text.web_of_groups, 200),
    "sources of packages": ("pyproject.toml", Text.sources, 100),
    "sources by index": ("pyproject.toml", Text.pinned_packages, 100),
    "packages without sources": ("pyproject.toml", Text.packages_without_sources, 100),
    "groups that are meant": ("pyproject.toml", Text.default_groups, 200),
    "overrides": ("pyproject.toml", _rows('"p#N", ', "[project]\n[tool.uv]\noverride-dependencies = [", "]"), 200),
    "unknown keys of tools": ("pyproject.toml", _rows("k#N = 1\n", "[project]\n[tool.pdm]\n"), 30),
    "a script": ("x.py", _rows('#  "p#N",\n', "# /// script\n# dependencies = [\n", "# ]\n# ///\n"), 300),
    "blocks without an end": ("x.py", _rows("# /// script\n"), 1_000),
    "misspelt blocks": ("x.py", _rows("#/// script\n", "", "# ///\n"), 1_000),
    "a lock of uv": ("uv.lock", Text.chain_of_packages, 100),
    "a lock of uv in two levels": ("uv.lock", Text.web_of_packages, 100),
    "a pylock": (
        "pylock.toml",
        _rows(
            '[[packages]]\nname = "p#N"\nversion = "1"\nindex = "https://h/#N"\nwheels = [{url = "https://h/p.whl"}]\n',
            'lock-version = "1.0"\n',
        ),
        100,
    ),
    "a list of conda": ("x.txt", _rows("p#N=1=0\n"), 300),
    "blocks in code": ("x.py", _rows("# /// x\n# a\n# ///\nx#N = 1\n"), 300),
    "an explicit list": ("list.txt", _rows("https://h.example/linux-64/p-1-#N.conda\n", "@EXPLICIT\n"), 300),
    "roost's requirements": ("roost.toml", _rows('"p#N", ', "[pip]\nrequirements = [", "]"), 300),
    "roost's unknown keys": ("roost.toml", _rows("k#N = 1\n"), 30),
    "roost's variables": ("roost.toml", _rows('k#N = "1"\n', "[variables]\n"), 300),
    "tables": ("roost.toml", _rows('[kept.t#N]\nk = "1"\n'), 300),
    "arrays of tables": ("roost.toml", _rows('[[kept.t.a]]\nk = "1"\n'), 300),
    "conda-lock": (
        "conda-lock.yml",
        _rows(
            "- {name: p#N, version: '1', manager: conda, platform: linux-64, url: 'https://h/linux-64/p-1-#N.conda', "
            "hash: {md5: ''}}\n",
            "version: 1\nmetadata: {}\npackage:\n",
        ),
        150,
    ),
    "conda-lock's pip": (
        "conda-lock.yml",
        _rows(
            "- {name: p#N, version: '1', manager: pip, platform: linux-64, url: 'https://h/p-1.whl', hash: {}}\n",
            "version: 1\nmetadata: {}\npackage:\n",
        ),
        150,
    ),
    "Azure's variables": ("environment.json", _rows('"k#N": "1", ', '{"environmentVariables": {', '"k": ""}}'), 300),
    "Azure's image": ("environment.yaml", _rows("  k#N: 1\n", "image: a\ntags:\n"), 300),
    "a Dockerfile": ("Dockerfile", _rows("RUN curl https://h.example/#N\n", "FROM a\n"), 300),
}
"""Name to a file, its text for a number of parts, and a number of parts that takes milliseconds."""

HOSTILE: dict[str, tuple[str, Write]] = {
    "spaces": ("requirements.txt", lambda n: "six" + " " * n),
    "spaces before a word": ("requirements.txt", lambda n: "six" + " " * n + "x"),
    "tabs": ("requirements.txt", lambda n: "six;" + "\t" * n + "x"),
    "a long name": ("requirements.txt", lambda n: "a" * n),
    "a scheme without an end": ("requirements.txt", lambda n: "a+" * (n // 2)),
    "brackets": ("requirements.txt", lambda n: "[" * n),
    "extras": ("requirements.txt", lambda n: "six" + "[a]" * (n // 3)),
    "dashes": ("requirements.txt", lambda n: "six " + "--" + "-" * n),
    "markers": ("requirements.txt", lambda n: "six ; " + "(" * n),
    "a version": ("requirements.txt", lambda n: "six==" + "1." * (n // 2)),
    "digits": ("requirements.txt", lambda n: "six==" + "9" * n),
    "digits within a line": ("requirements.txt", lambda n: "six==" + "9" * 5_000),
    "quotes": ("requirements.txt", lambda n: "--index-url " + "'\"" * (n // 2)),
    "schemes": ("requirements.txt", lambda n: "://" * (n // 3)),
    "tokens": ("requirements.txt", lambda n: "https://h" + "/t/" * (n // 3)),
    "variables": ("requirements.txt", lambda n: "https://h/" + "${A}" * (n // 4)),
    "empty lines": ("list", lambda n: "\n" * n + "@EXPLICIT"),
    "white lines": ("list", lambda n: " \n" * (n // 2) + "@EXPLICI"),
    "a key": ("list", lambda n: "a" + " " * n + "b"),
    "a long spec": ("environment.yml", lambda n: "dependencies: ['" + "a" * n + "']"),
    "a bracket": ("environment.yml", lambda n: "dependencies: ['x[" + "a" * 8_000 + "]']"),
    "a bracket of spaces": ("environment.yml", lambda n: "dependencies: ['x[a" + " " * 8_000 + "b]']"),
    "operators": ("environment.yml", lambda n: "dependencies: ['x" + ">" * 8_000 + "']"),
    "a version of stars": ("environment.yml", lambda n: "dependencies: ['x>=" + "1*a." * 2_000 + "']"),
    "flow": ("environment.yml", lambda n: "[" * n),
    "flow mappings": ("environment.yml", lambda n: "{a: " * (n // 4)),
    "blocks": ("environment.yml", lambda n: "- " * (n // 2)),
    "aliases": ("environment.yml", lambda n: Text.laughs(200)),
    "anchors": ("environment.yml", lambda n: "".join(f"- &a{k} x\n" for k in range(n // 12))),
    "backslashes": ("environment.json", lambda n: '{"a": "' + "\\" * n + '"}'),
    "half of a pair": ("environment.json", lambda n: '{"a": "' + "\\ud83d" * (n // 6) + '"}'),
    "a dotted key": ("roost.toml", lambda n: "a." * (n // 2) + "b = 1"),
    "a dotted table": ("roost.toml", lambda n: "[" + "a." * (n // 2) + "b]"),
    "arrays": ("roost.toml", lambda n: "a = " + "[" * n),
    "inline tables": ("roost.toml", lambda n: "a = " + "{b = " * (n // 5)),
    "an integer": ("roost.toml", lambda n: "a = " + "1" * n),
    "an open text": ("roost.toml", lambda n: 'a = "' + "\\" * n),
    "an open text of lines": ("roost.toml", lambda n: 'a = """' + '""\\' * (n // 3)),
    "open texts": ("roost.toml", lambda n: "a = '''" + "''\n" * (n // 3)),
    "white before a table": ("pyproject.toml", lambda n: "\n" * n + "x"),
    "script blocks": ("x.py", _repeat("# /// script\n#\n")),
    "comments": ("x.py", lambda n: "# /// script\n" + "# " * (n // 2) + "\n# ///"),
    "passwords": ("Dockerfile", lambda n: "RUN a://" + "$(" * (n // 2)),
    "parameters": ("Dockerfile", lambda n: "RUN a://h/?" + "&a=$(" * (n // 5)),
    "defaults": ("Dockerfile", lambda n: "RUN a://h/?" + "&a=${a?" * (n // 7)),
    "back quotes": ("Dockerfile", lambda n: "RUN a://h/?" + "&a=`" * (n // 4)),
}
"""Name to a file, and its text for a number of characters."""
