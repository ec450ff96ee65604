"""Bills of materials of generated locks: whatever packages are called, the documents are valid."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.support.sboms import ENCODINGS, context, find_faults, request

from roost.daemon.sbom.inventory import AskedPackage
from roost.daemon.sbom.writing import write_inventory
from roost.model.locks.lock import CondaPackage, CondaPython, HostPython, Lock, Wheel, WheelSource

ODD = st.one_of(
    st.sampled_from(
        ["numpy", "ruamel.yaml", "_libgcc_mutex", "Zope.Interface", "a\x1b[31mb", "é\u202ex", "a/b@c?d#e", "", " "]
    ),
    st.text(max_size=12),
)
VERSIONS = st.one_of(
    st.sampled_from(["1!2.0", "1.0+cu121.local", "2021.09.0", "1.0rc1", "", "1_2"]), st.text(max_size=8)
)
LICENCES = st.one_of(
    st.sampled_from(
        [
            "MIT", "mit AND (Apache-2.0 or GPL-2.0+)", "LicenseRef-X", "BSD", "GPL-2.0", "WITH", "LGPL",
            "Public-Domain", "MIT WITH Classpath-exception-2.0", "</text>", "MIT\nmore", "DocumentRef-a:LicenseRef-b",
        ]
    ),
    st.text(max_size=20),
)  # fmt: skip
DIGESTS = st.sampled_from(["a" * 64, "B" * 64, "", "short"])
URLS = st.one_of(
    st.none(),
    st.sampled_from(
        ["https://h.example/linux-64/a.conda", "file:///x/y.whl", "https://u:p@h.example/ü x", "http://[", "${A}"]
    ),
    st.text(max_size=20),
)
CONDA = st.builds(
    CondaPackage, name=ODD, version=VERSIONS, build=ODD, subdir=st.sampled_from(["linux-64", "noarch"]), file_name=ODD,
    url=URLS.map(lambda url: url or ""), sha256=DIGESTS,
    record=st.fixed_dictionaries(
        {"license": LICENCES, "timestamp": st.integers()},
        optional={"depends": st.lists(ODD, max_size=2), "md5": DIGESTS},
    ),
)  # fmt: skip
SOURCES = st.builds(
    WheelSource,
    kind=st.sampled_from(["git", "sdist", "folder"]),
    url=URLS,
    commit=st.sampled_from(["", "f" * 40]),
    sha256=DIGESTS,
)
WHEELS = st.builds(
    Wheel, name=ODD, version=VERSIONS, kind=st.sampled_from(["index", "url", "local", "built", "editable"]),
    file_name=ODD, url=URLS, sha256=DIGESTS, requires=st.lists(ODD, max_size=3).map(tuple), source=st.none() | SOURCES,
)  # fmt: skip
LOCKS = st.builds(
    Lock, platform=st.sampled_from(["linux-64", "linux-64+cuda12", "win-64"]),
    provider=st.sampled_from([CondaPython(), HostPython(version="3.11")]),
    conda=st.lists(CONDA, max_size=3).map(tuple), wheels=st.lists(WHEELS, max_size=3).map(tuple),
)  # fmt: skip


@pytest.mark.parametrize(("format", "encoding"), ENCODINGS)
@settings(
    max_examples=8, deadline=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=[HealthCheck.too_slow]
)
@given(locks=st.lists(LOCKS, min_size=1, max_size=2), name=ODD, asked=ODD)
def test_documents_are_valid_and_hold_every_package(
    format: str, encoding: str, locks: list[Lock], name: str, asked: str
) -> None:
    chosen = (AskedPackage(kind="pip", name=asked), AskedPackage(kind="conda", name=asked))
    payload = request(*locks, format=format, encoding=encoding, name=name, asked=chosen)
    written = write_inventory(payload, context())
    assert find_faults(written.text, format, encoding) == []
    assert [each for each in written.text if each < " " and each not in "\n\t"] == []
    assert written == write_inventory(payload, context())
