"""Little packages, each for one thing that linking, solving or activating must get right."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from tests.support.channel.conda_file import DEFAULT_TIMESTAMP, PLACEHOLDER, write_conda

_YEAR = 31_536_000_000  # milliseconds

_POST_LINK = """#!/bin/bash
set -e
printf '%s|%s|%s|%s\\n' "$PREFIX" "$PKG_NAME" "$PKG_VERSION" "$PKG_BUILDNUM" > "$PREFIX/share/post-linked.txt"
echo "post-linked says hello" >> "$PREFIX/.messages.txt"
"""
_ACTIVATE = """export ACTIVATED_HOME="$CONDA_PREFIX/share/activated"
export ACTIVATED_PATH="$ACTIVATED_HOME${ACTIVATED_PATH:+:$ACTIVATED_PATH}"
export PATH="$CONDA_PREFIX/share/activated/bin:$PATH"
unset ACTIVATED_OFF
"""
_DEACTIVATE = "unset ACTIVATED_HOME ACTIVATED_PATH\n"


def pack_main(channel: Path, minors: list[str]) -> None:
    """What the first channel has besides Python and the wheels."""
    for number in (1, 2, 3):  # 2023, 2024, 2025
        _pack(channel, "dated", f"{number}.0", {"share/dated.txt": f"{number}\n"},
              timestamp=DEFAULT_TIMESTAMP + (number - 1) * _YEAR)  # fmt: skip
    _pack(channel, "post-linked", "1.2", {"bin/.post-linked-post-link.sh": _POST_LINK, "share/readme.txt": "\n"})
    _pack(
        channel,
        "post-link-fails",
        "1.0",
        {"bin/.post-link-fails-post-link.sh": "#!/bin/sh\necho no luck >&2\nexit 3\n"},
    )
    _pack_activated(channel)
    _pack_placed(channel)
    _pack(channel, "wants-numpy1", "1.0", {}, depends=["numpy <2"])
    _pack(channel, "wants-numpy2", "1.0", {}, depends=["numpy >=2"])
    _pack(channel, "wants-cuda", "1.0", {}, depends=["__cuda >=12"])
    _pack(channel, "wants-glibc", "1.0", {}, depends=["__glibc >=2.17"])
    _pack(channel, "wants-new-glibc", "1.0", {}, depends=["__glibc >=2.36"])
    _pack(channel, "wants-v3", "1.0", {}, depends=["__archspec * x86_64_v3"])
    _pack(channel, "wrong-sum", "1.0", {"share/wrong-sum.txt": "the recorded sha256 of this file is wrong\n"},
          clobber="share/wrong-sum.txt")  # fmt: skip
    _pack_greeting(channel)
    for subdir in ("linux-aarch64", "osx-arm64", "win-64"):
        _pack(channel, "python", f"{minors[0]}.0", {"lib/readme.txt": f"no Python for {subdir}\n"}, subdir=subdir,
              depends=["__osx >=11.0"] if subdir.startswith("osx") else [])  # fmt: skip


def pack_second(channel: Path) -> None:
    """The second channel: newer than the first under the same name, and one of its own."""
    _pack(channel, "dated", "9.0", {"share/dated.txt": "9\n"})
    _pack(channel, "only-second", "1.0", {"share/only-second.txt": "1\n"}, depends=["dated"])
    (channel / "linux-64").mkdir(parents=True, exist_ok=True)


def _pack(
    channel: Path, name: str, version: str, files: dict[str, str | bytes], *, subdir: str = "noarch",
    clobber: str | None = None, link: dict[str, object] | None = None, **index: object,
) -> None:  # fmt: skip
    noarch: dict[str, object] = {"noarch": "generic"} if subdir == "noarch" else {}
    with tempfile.TemporaryDirectory() as folder:
        for relative, content in files.items():
            path = Path(folder, relative)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
            path.chmod(0o755 if relative.startswith(("bin/", "python-scripts/")) or "/bin/" in relative else 0o644)
        full = {"name": name, "version": version, "build": "0", "subdir": subdir, **noarch, **index}
        write_conda(channel, Path(folder), full, link, clobber)


def _pack_activated(channel: Path) -> None:
    files: dict[str, str | bytes] = {
        "etc/conda/activate.d/activated.sh": _ACTIVATE,
        "etc/conda/deactivate.d/activated.sh": _DEACTIVATE,
        "etc/conda/env_vars.d/activated.json": json.dumps({"ACTIVATED_LEVEL": "3"}),
        "share/activated/bin/activated-tool": "#!/bin/sh\necho tool\n",
    }
    _pack(channel, "activated", "1.0", files, subdir="linux-64")


def _pack_placed(channel: Path) -> None:
    binary = b"BIN\0" + f"{PLACEHOLDER}/share/placed\0".encode() + b"tail\0" + bytes(range(256))
    files: dict[str, str | bytes] = {
        "share/placed/config.ini": f"[placed]\nhome = {PLACEHOLDER}/share/placed\n",
        "share/placed/blob.bin": binary,
        "bin/placed": f"#!{PLACEHOLDER}/bin/python\nimport sys\nprint(sys.prefix)\n",
    }
    _pack(channel, "placed", "1.0", files, subdir="linux-64", depends=["python"])


def _pack_greeting(channel: Path) -> None:
    """A pure Python package with an entry point, a script, and a file that does not compile."""
    metadata = "Metadata-Version: 2.1\nName: Greeting_Lib\nVersion: 1.0\n"
    files: dict[str, str | bytes] = {
        "site-packages/greeting/__init__.py": "def main() -> None:\n    print('hello from greeting')\n",
        "site-packages/greeting/template.py": "this is {no} Python\n",
        "site-packages/greeting_lib-1.0.dist-info/METADATA": metadata,
        "site-packages/greeting_lib-1.0.dist-info/INSTALLER": "conda\n",
        "python-scripts/greeting-script": f"#!{PLACEHOLDER}/bin/python\nimport greeting\ngreeting.main()\n",
    }
    link = {"noarch": {"type": "python", "entry_points": ["greet = greeting:main"]}, "package_metadata_version": 1}
    _pack(channel, "greeting", "1.0", files, noarch="python", depends=["python >=3.9"], link=link)
