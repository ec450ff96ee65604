"""Every ``open`` for reading in the daemon and the store is of a file that roost itself wrote, or of the kernel.

Files that somebody else named go through ``roost.store.disk.regular_files``: a pipe would take a thread for ever.
"""

from __future__ import annotations

import ast
from collections import Counter

from tests import house

OWN_FILES = {
    "roost.daemon.builds.history": "logs of builds",
    "roost.daemon.curated.shipped": "data of the package",
    "roost.daemon.engines.conda.activation": "scripts and records in prefixes",
    "roost.daemon.engines.conda.cache": "the package cache",
    "roost.daemon.engines.conda.link": "records in prefixes",
    "roost.daemon.engines.conda.package_code": "the package cache",
    "roost.daemon.doctor.machine": "a file that it wrote",
    "roost.daemon.engines.conda.scripts": "output of link scripts",
    "roost.daemon.engines.docker.archive": "layers in the store, and files unpacked to stage/",
    "roost.daemon.engines.docker.building.buildx": "files that it wrote to stage/",
    "roost.daemon.engines.uv.prefix": "prefixes",
    "roost.daemon.engines.uv.unpacked.removal": "pointers in the cache of uv",
    "roost.daemon.engines.uv.wheels": "records of stored wheels",
    "roost.daemon.gc.projects": "/etc/fstab",
    "roost.daemon.inspection.metadata": "wheels in the store",
    "roost.daemon.integrity.trees": "manifests",
    "roost.daemon.layers.bytecode": "staged prefixes",
    "roost.daemon.layers.conda_packages": "the package cache",
    "roost.daemon.layers.tar": "the package cache and staged files",
    "roost.daemon.prebuilding.machine": "/sys",
    "roost.daemon.engines.uv.parts.learning": "prefixes that uv has just filled",
    "roost.daemon.engines.uv.venvs.answers": "temporary folders of uv",
    "roost.daemon.engines.uv.venvs.template": "venvs that are being made",
    "roost.daemon.prefixes.bytecode": "prefixes and the store of byte-code",
    "roost.daemon.prefixes.bytecode_digests": "the store of byte-code",
    "roost.daemon.prefixes.wheel_code": "prefixes",
    "roost.daemon.runs.stored_output": "outputs of runs",
    "roost.daemon.server.peers": "/proc",
    "roost.daemon.watch.files.path_watches": "/proc",
    "roost.daemon.watch.files.system_notices": "/proc",
    "roost.store.disk.layer_files": "layers",
    "roost.store.disk.lease_files": "/proc",
    "roost.store.disk.ownership": "/proc",
    "roost.store.disk.process_uses": "/proc",
    "roost.store.disk.regular_files": "the descriptor that it has checked",
    "roost.store.disk.root": "the format file and /proc",
    "roost.store.disk.run_folders": "folders of runs, and /proc",
    "roost.store.migrations.examination": "the head of the index",
}
"""Modules that open files for reading, and which ones."""


def is_read(call: ast.Call) -> bool:
    """Whether a call of ``open`` reads a path: neither a mode for writing nor a descriptor."""
    mode = call.args[1] if len(call.args) > 1 else next((k.value for k in call.keywords if k.arg == "mode"), None)
    text = mode.value if isinstance(mode, ast.Constant) else "r"
    return not set(str(text)) & set("wax+")


def opened(name: str) -> int:
    """The number of calls in a module that open a file by its path for reading."""
    count = 0
    for node in ast.walk(house.tree(name)):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id == "open":
            count += is_read(node)
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("read_text", "read_bytes"):
            count += 1
        is_library = isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name)
        if is_library and ast.unparse(node.func) in ("zipfile.ZipFile", "tarfile.open", "zipfile.is_zipfile"):
            by_path = node.func.attr != "open" or "fileobj" not in {keyword.arg for keyword in node.keywords}
            count += by_path and is_read(node) and not (node.args and ast.unparse(node.args[0]) in ("file", "archive"))
    return count


def test_only_files_of_roost_are_opened_without_a_check():
    names = [name for name in house.modules() if name.startswith(("roost.daemon", "roost.store"))]
    found = Counter({name: opened(name) for name in names})
    assert {name for name in found if found[name]} - OWN_FILES.keys() == set(), (
        "open them with roost.store.disk.regular_files, or add the module here if the files are roost's own"
    )


def test_the_list_of_modules_is_current():
    assert {name for name in OWN_FILES if not opened(name)} == set()
