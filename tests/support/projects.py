"""Projects on disk, whose build backends are files of theirs: nothing is fetched, and every build is counted."""

from __future__ import annotations

from pathlib import Path

_BACKEND = """
import os, pathlib, re, zipfile
here = pathlib.Path(__file__).parent
with open(here / "builds", "a") as trace:
    trace.write("built\\n")
FAULT
text = (here / "pyproject.toml").read_text()
name = re.search(r'^name = "(.*)"', text, re.M)[1]
module = re.sub("[-.]", "_", name)
scripts = re.findall(r'^(\\S+) = "(\\S+:\\S+)"', text.partition("[project.scripts]")[2].partition("\\n[")[0], re.M)
VERSION = "1.0"
def build_editable(folder, config_settings=None, metadata_directory=None):
    info = f"{module}-{VERSION}.dist-info"
    files = {
        f"{module}.pth": f"{(here / 'src').resolve()}\\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\\nName: {name}\\nVersion: {VERSION}\\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        f"{info}/entry_points.txt": "[console_scripts]\\n" + "".join(f"{a} = {b}\\n" for a, b in scripts),
    }
    with zipfile.ZipFile(pathlib.Path(folder) / f"{module}-{VERSION}-py3-none-any.whl", "w") as wheel:
        for path, content in files.items():
            wheel.writestr(path, content)
        wheel.writestr(f"{info}/RECORD", "".join(f"{path},,\\n" for path in [*files, f"{info}/RECORD"]))
    return f"{module}-{VERSION}-py3-none-any.whl"
"""


class Project:
    """The project ``demo-app`` in a folder: one command, ``demo``, which prints what ``says`` wrote last."""

    def __init__(self, folder: Path, *dependencies: str) -> None:
        self.folder = folder
        self.file = folder / "pyproject.toml"
        self._dependencies = dependencies
        (folder / "src").mkdir(parents=True)
        self.says("first")
        self.break_backend("")
        self.describe()

    def describe(self, command: str = "demo", more: str = "", requires: str = "") -> None:
        """Write the ``pyproject.toml``; ``command`` is its only script."""
        listed = ", ".join(f'"{each}"' for each in self._dependencies)
        self.file.write_text(
            f'[project]\nname = "demo-app"\nversion = "1.0"\ndependencies = [{listed}]\n'
            f'[project.scripts]\n{command} = "demo_app:main"\n'
            f'[build-system]\nrequires = [{requires}]\nbuild-backend = "backend"\nbackend-path = ["."]\n{more}'
        )

    def require(self, *dependencies: str) -> None:
        """Change what it needs."""
        self._dependencies = dependencies
        self.describe()

    def says(self, text: str) -> None:
        """Change the source, which is no build file."""
        (self.folder / "src" / "demo_app.py").write_text(f"def main():\n    print({text!r})\n")

    def break_backend(self, statement: str) -> None:
        """Have the backend run ``statement`` first."""
        (self.folder / "backend.py").write_text(_BACKEND.replace("FAULT", statement))

    @property
    def builds(self) -> int:
        """How often the backend was loaded."""
        trace = self.folder / "builds"
        return len(trace.read_text().splitlines()) if trace.exists() else 0
