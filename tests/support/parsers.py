# ruff: noqa: E501 - one line for each parser
"""Everything that parses what somebody else has written, each with examples that are valid.

``PARSERS`` has a function for each: it takes bytes, and raises an error of roost's own or nothing, whatever they are.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
from tests.support.advisories import advisory
from tests.support.corpus import CORPUS
from tests.support.editing import edit
from tests.support.hostile import GROWING

from roost.daemon.audit.search import ProjectVersion, SearchRequest, search_advisories
from roost.daemon.bases.registry_images import parse_image_config
from roost.daemon.bundles.contents import BundleContents, BundledEnvironment, decode_contents, encode_contents
from roost.daemon.bundles.format import create_index, decode_index, decode_manifest, describe_file, encode_index
from roost.daemon.caller.variables import parse_variables
from roost.daemon.compare.package_specs import parse_package_spec
from roost.daemon.config.config import parse_config
from roost.daemon.config.dates import parse_as_of
from roost.daemon.credentials.auth_files import read_auth_file, read_netrc
from roost.daemon.credentials.redaction import redact
from roost.daemon.curated.catalogue import Catalogue, decode_catalogue, make_entry
from roost.daemon.curated.shipped import load_shipped_versions
from roost.daemon.curated.validation import read_versions
from roost.daemon.definitions.files import WatchedFiles
from roost.daemon.engines.conda.explicit import parse_explicit
from roost.daemon.engines.docker.building.steps import parse_steps
from roost.daemon.engines.docker.options import parse_arguments
from roost.daemon.engines.registry.auth import parse_challenges
from roost.daemon.engines.uv.sources.archives import read_static_sdist, read_wheel_metadata
from roost.daemon.engines.uv.sources.builds import read_static_metadata
from roost.daemon.engines.uv.sources.metadata import parse_metadata, parse_static
from roost.daemon.locks.artifact import SharedLock
from roost.daemon.locks.artifact import decode as decode_lock
from roost.daemon.oci.manifests import parse_manifest
from roost.daemon.oci.platforms import parse_platform
from roost.daemon.oci.references import parse_reference
from roost.daemon.oci.registries import read_added_locations
from roost.daemon.sbom.distributions import describe_distribution, parse_headers
from roost.daemon.workers.context import JobContext
from roost.daemon.workspace.stored_wheels import read_wheel
from roost.model.canonical.form import canonicalise_definition, parse_canonical
from roost.model.definition import Defaults, Definition, ReadResult
from roost.model.errors import InvalidDefinitionError
from roost.model.lock_files.lock_file import LockFile
from roost.model.lock_files.parsing import parse_lock_file
from roost.model.lock_files.writing import write_lock_file
from roost.model.locks.lock import HostPython, Lock, MarkerOutcome, Wheel
from roost.model.names import parse_reference as parse_version_reference
from roost.model.readers.read import READ_FORMATS, detect_format, read_definition
from roost.model.readers.source import DefinitionSource
from roost.model.records import EnvironmentBody
from roost.model.syntax.dockerignore import parse_dockerignore
from roost.model.syntax.match_specs import normalise_match_spec
from roost.model.syntax.pip_lines import parse_pip_lines
from roost.model.syntax.wheel_references import parse_wheel_reference
from roost.store.disk.run_folders import open_supervisor, read_outcome
from roost.store.sources.conda_environments import find_prefix
from roost.store.sources.conda_prefixes import read_prefix

EDITED_FILES = {
    "environment.yml": b"name: x\ndependencies:\n  - numpy >=2 # a\n  - pip\n  - pip:\n    - 'six'\n",
    "requirements.txt": b"# a\n--pre\nnumpy==2 \\\n ; os_name == 'nt'\nsix\n",
    "pyproject.toml": b'[project]\nname = "x"\nversion = "1"\ndependencies = [\n  "numpy>=2", # a\n]\n',
    "roost.toml": b'[conda]\ndependencies = ["numpy"]\n[pip]\nrequirements = []\n',
    "train.py": b'# /// script\n# dependencies = [\n#   "six"\n# ]\n# ///\nimport six\n',
}
VECTORS = Path(__file__).parents[1] / "golden" / "vectors.json"
SHA = "a" * 64
FLAWED, AUDIT = ProjectVersion(name="numpy", version="1.0"), JobContext(lambda frame: None)


@dataclass(frozen=True)
class Parser:
    """What parses, and valid examples. ``accepts``: what its callers expect beside errors of roost's own."""

    parse: Callable[[bytes], object]
    examples: Sequence[bytes]
    accepts: tuple[type[Exception], ...] = ()


@functools.cache
def scratch() -> str:
    """A folder for what is read from disk; it ends with the process."""
    folder = tempfile.mkdtemp(prefix="parsers")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def at(name: str, data: bytes) -> str:
    """Write ``data`` to the file ``name``, and return its path."""
    path = os.path.join(scratch(), name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)
    return path


def read(name: str, data: bytes, format: str | None = None) -> None:
    """Read a definition, and check what a reader promises: one that can be digested and stored, or a refusal with its
    message and its place."""
    source = DefinitionSource(path="/nowhere/" + name, data=data, format=format)
    with suppress(InvalidDefinitionError):
        detect_format(source, WatchedFiles())
    refusal, parsed = None, None
    try:
        parsed = read_definition(source, WatchedFiles())
    except InvalidDefinitionError as error:
        refusal = error
    if parsed is None:
        assert refusal is not None
        assert refusal.message
        assert refusal.location is not None, refusal.message
        return
    msgspec.json.decode(msgspec.json.encode(parsed), type=ReadResult)  # every field is of its type
    assert parse_canonical(canonicalise_definition(parsed.definition, Defaults()))["format"] == 1


def change(name: str, data: bytes) -> None:
    """Add a package to an environment file, which is valid afterwards, and remove it."""
    edited = edit(data, name, "zz-top>=1")
    read_definition(DefinitionSource(path=f"/nowhere/{name}", data=edited.data), WatchedFiles())
    edit(edited.data, name, remove="zz-top")


def _text(parse: Callable[[str], object]) -> Callable[[bytes], object]:
    return lambda data: parse(data.decode("utf-8", "replace"))


def _definitions() -> dict[str, Parser]:
    """One parser for each name of a file, with every example of that kind."""
    named: dict[str, list[bytes]] = {}
    for vector in json.loads(VECTORS.read_text(encoding="utf-8")):
        for name, text in vector.get("files", {}).items():
            named.setdefault(name.rpartition("/")[2], []).append(text.encode())
    for name, write, count in GROWING.values():
        named.setdefault(name, []).append(write(min(count, 5)).encode())
    found = {f"definition {name}": Parser(functools.partial(read, name), data) for name, data in named.items()}
    for name, data in EDITED_FILES.items():
        found[f"edited {name}"] = Parser(functools.partial(change, name), [data])
    everything = [each for data in named.values() for each in data]
    for format in READ_FORMATS:
        if format != "context":
            found[f"as {format}"] = Parser(functools.partial(read, "x", format=format), everything)
    return found


def corpus_files() -> list[tuple[str, bytes]]:
    """Name and content of each real file, if they are here."""
    files = CORPUS / "files"
    return [(path.name, path.read_bytes()) for path in sorted(files.rglob("*")) if path.is_file()]


def _prefix_record(data: bytes) -> object:
    folder = os.path.dirname(at("prefix/conda-meta/history", b""))
    path = at("prefix/conda-meta/a-1-0.json", data)
    try:
        return read_prefix(os.path.dirname(folder))
    finally:
        os.unlink(path)


def _prefix_state(data: bytes) -> object:
    folder = os.path.dirname(at("stated/conda-meta/history", b""))
    at("stated/conda-meta/state", data)
    return read_prefix(os.path.dirname(folder))


def _installed(name: str, data: bytes) -> object:
    base = f"installed-{name}"
    at(f"{base}/conda-meta/history", b"")
    site = f"{base}/lib/python3.11/site-packages/a-1.dist-info"
    at(f"{site}/METADATA", b"Metadata-Version: 2.1\nName: a\nVersion: 1\n")
    at(f"{site}/{name}", data)
    return read_prefix(os.path.join(scratch(), base))


def _history(data: bytes) -> object:
    folder = os.path.dirname(at("lived/conda-meta/history", data))
    at("lived/conda-meta/a-1-0.json", PREFIX_RECORD)
    return read_prefix(os.path.dirname(folder))


def _condarc(data: bytes) -> object:
    at("home/.condarc", data)
    home = os.path.join(scratch(), "home")
    return find_prefix("none", scratch(), {"HOME": home, "CONDA_EXE": "/nowhere/bin/conda"})


def _supervisor(data: bytes) -> None:
    descriptor = open_supervisor(os.path.dirname(at("run/pid", data)))
    if descriptor is not None:
        os.close(descriptor)


def _catalogue(data: bytes) -> object:
    return read_versions(decode_catalogue(data, "h.example/c"), "h.example/c")


PREFIX_RECORD = json.dumps(
    {"name": "a", "version": "1", "build": "0", "channel": "conda-forge", "subdir": "noarch", "files": ["lib/a"],
     "requested_spec": "a", "url": "https://h.example/noarch/a-1-0.conda", "depends": ["python"]}
).encode()  # fmt: skip
DESCRIPTOR = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": f"sha256:{SHA}", "size": 3}
MANIFEST = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": DESCRIPTOR,
            "layers": [DESCRIPTOR], "annotations": {"a": "b"}}  # fmt: skip
INDEX = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
         "manifests": [{**DESCRIPTOR, "platform": {"os": "linux", "architecture": "arm64"}}]}  # fmt: skip
LOCK = SharedLock(definition_digest=f"sha256:{SHA}", platform="linux-64", lock=Lock(
    platform="linux-64", provider=HostPython(version="3.11"), format=2,
    markers=(MarkerOutcome(marker="python_version > '3'", applies=True),),
    wheels=(Wheel(name="a", version="1", file_name="a-1-py3-none-any.whl", url="https://h.example/a-1-py3-none-any.whl", sha256=SHA),),
))  # fmt: skip
CONTENTS = encode_contents(BundleContents(environments=(BundledEnvironment(
    name="a", version=1, definition_digest=f"sha256:{SHA}", scope="linux-64+host", body=EnvironmentBody(definition=Definition()), lock=LOCK.lock,
),)))  # fmt: skip
BUNDLE = create_index(CONTENTS, [describe_file(SHA, 3, "application/zip", "a-1-py3-none-any.whl")])
METADATA = b"Metadata-Version: 2.2\nName: a\nVersion: 1.0\nRequires-Dist: b>=1; extra == 'x'\nProvides-Extra: x\n"


def _published() -> bytes:
    """A catalogue with one of the environments that come with roost."""
    shipped = load_shipped_versions()[0]
    return msgspec.json.encode(Catalogue(entries=(make_entry("Roost-Own", 1, shipped.body),)))


def _disk() -> dict[str, Parser]:
    return {
        "a conda record": Parser(_prefix_record, [PREFIX_RECORD]),
        "conda's state": Parser(_prefix_state, [b'{"env_vars": {"A": "b"}}']),
        "conda's history": Parser(_history, [b"==> 2024-01-01 00:00:00 <==\n# cmd: conda install a\n# update specs: ['a']\n"]),
        "a condarc": Parser(_condarc, [b"envs_dirs:\n  - ~/envs\n"]),
        "metadata in a prefix": Parser(functools.partial(_installed, "METADATA"), [METADATA]),
        "an origin in a prefix": Parser(
            functools.partial(_installed, "direct_url.json"),
            [b'{"url": "https://h.example/a", "vcs_info": {"vcs": "git", "commit_id": "1"}, "subdirectory": "s"}',
             b'{"url": "file:///a", "dir_info": {"editable": true}}'],
        ),
        "a run's exit": Parser(lambda data: read_outcome(os.path.dirname(at("run/exit", data))), [b'{"exit_status": 0}']),
        "a run's supervisor": Parser(_supervisor, [b"%d 1" % os.getpid()]),
        "advisories": Parser(
            lambda data: search_advisories(SearchRequest(path=at("osv.jsonl", data), subjects=(FLAWED,)), AUDIT),
            [json.dumps(advisory("A-1")).encode() + b"\n" + json.dumps(advisory("A-2", fixed=None)).encode()],
        ),
        "core metadata": Parser(
            lambda data: describe_distribution(parse_headers(data)),
            [b"Name: x\nVersion: 1\nLicense-Expression: MIT\nRequires-Dist: y>1\n\nreadme"],
        ),
        "a netrc": Parser(lambda data: read_netrc(at("netrc", data)), [b"machine h.example login a password b\n"]),
        "an auth file": Parser(
            lambda data: read_auth_file(at("auth.json", data)), [b'{"h.example": {"BasicHTTP": {"username": "a", "password": "b"}}}']
        ),
        "added registries": Parser(
            lambda data: read_added_locations(os.path.dirname(at("root/registries.json", data))),
            [b'[{"location": "h.example/a", "kind": "workspace", "insecure": false}]'],
        ),
        "a wheel": Parser(lambda data: read_wheel(at("a-1.0-py3-none-any.whl", data)), [_wheel()]),
        "a wheel's metadata": Parser(lambda data: read_wheel_metadata(at("b-1.0-py3-none-any.whl", data)), [_wheel()]),
        "an sdist": Parser(lambda data: read_static_sdist(at("a-1.0.tar.gz", data)), [_sdist()]),
        "a static project": Parser(
            lambda data: read_static_metadata(os.path.dirname(at("project/pyproject.toml", data))),
            [b'[project]\nname = "a"\nversion = "1"\ndependencies = ["b"]\n[project.optional-dependencies]\nx = ["c"]\n'],
        ),
    }  # fmt: skip


def _wheel() -> bytes:
    import io
    import zipfile

    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a-1.0.dist-info/METADATA", METADATA)
        archive.writestr("a-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\n")
    return file.getvalue()


def _sdist() -> bytes:
    import io
    import tarfile

    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        member = tarfile.TarInfo("a-1.0/PKG-INFO")
        member.size = len(METADATA)
        archive.addfile(member, io.BytesIO(METADATA))
    return file.getvalue()


def _texts() -> dict[str, Parser]:
    return {
        "config": Parser(lambda data: parse_config(data, "/c.toml"), [
            b'[conda]\nchannels = ["conda-forge"]\n[daemon]\nidle_exit_seconds = 3\n[registries.mirrors]\n"h.example" = ["m.example"]\n',
        ]),
        "a date": Parser(_text(parse_as_of), [b"2024-01-01", b"2024-01-01T00:00:00Z"]),
        "a reference": Parser(_text(parse_version_reference), [b"a:1", b"a@b"]),
        "an image reference": Parser(_text(parse_reference), [b"h.example:5000/a/b:c@sha256:" + SHA.encode()]),
        "a platform": Parser(_text(parse_platform), [b"linux/arm64/v8"], (ValueError,)),
        "a match spec": Parser(_text(normalise_match_spec), [b"c::a[version='>=1,<2', build=x*]"], (ValueError,)),
        "a pip line": Parser(_text(parse_pip_lines), [b"a[b]==1.0 ; python_version < '3' --hash=sha256:aa", b"-e ./x[y]"], (ValueError,)),
        "a package": Parser(_text(parse_package_spec), [b"numpy>=1.2,<2", b"a=1=b_0"]),
        "a wheel reference": Parser(_text(parse_wheel_reference), [b"roost:sha256:" + SHA.encode()]),
        "a dockerignore": Parser(_text(parse_dockerignore), [b"*.py\n!a/**/b\n# c\n"]),
        "an explicit line": Parser(_text(lambda text: parse_explicit(text, "linux-64")), [b"https://h.example/linux-64/a-1-0.conda#" + b"a" * 32]),
        "docker steps": Parser(_text(lambda text: parse_steps(text.split("\n"))), [b"RUN a\nENV A=b C='d e'\nCOPY --from=x a b"]),
        "docker arguments": Parser(_text(lambda text: parse_arguments(text.split())), [b"--gpus all -v /a:/b:ro --shm-size 2g -p 80:80 -e A=b"]),
        "a challenge": Parser(_text(lambda text: parse_challenges([text])), [b'Bearer realm="https://h.example/token",service="s"']),
        "a caller": Parser(_text(parse_variables), [b'{"PATH": "/bin"}']),
        "package metadata": Parser(_text(lambda text: parse_metadata(text, "a")), [METADATA]),
        "static metadata": Parser(_text(lambda text: parse_static(text, "a")), [METADATA]),
        "a manifest": Parser(parse_manifest, [json.dumps(MANIFEST).encode(), json.dumps(INDEX).encode()]),
        "an image's config": Parser(parse_image_config, [
            json.dumps({"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": ["a"]}, "config": {"Labels": {"a": "b"}}}).encode()
        ]),
        "a shared lock": Parser(decode_lock, [msgspec.json.encode(LOCK)]),
        "a lock file": Parser(lambda data: parse_lock_file(data, "roost.lock"), [
            write_lock_file(LockFile(canonical=canonicalise_definition(Definition(), Defaults()), locks={"linux-64+host": LOCK.lock})).encode()
        ]),
        "a bundle's index": Parser(decode_index, [encode_index(BUNDLE)]),
        "a bundle's manifest": Parser(lambda data: decode_manifest(data, BUNDLE.digest), [BUNDLE.manifest]),
        "a bundle's contents": Parser(lambda data: decode_contents(data, "contents"), [CONTENTS]),
        "a catalogue": Parser(_catalogue, [_published()]),
        "a text to redact": Parser(_text(redact), [b"https://a:b@h.example/t/tk/x?token=y Authorization: Bearer abcdefgh"]),
    }  # fmt: skip


PARSERS: dict[str, Parser] = {**_definitions(), **_texts(), **_disk()}
