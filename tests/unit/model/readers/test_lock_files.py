from __future__ import annotations

import pytest

from roost.model.errors import InvalidDefinitionError

MD5 = "d7c89558ba9fa0495403155b64376d81"
SHA = "a" * 64
EXPLICIT = f"""\
# platform: linux-64
@EXPLICIT
https://h/c/linux-64/python-3.11-0.conda#{MD5}
https://u:p@h/c/noarch/six-1-0.tar.bz2#sha256:{SHA.upper()}
# pip rich @ https://h/rich-1-py3-none-any.whl --hash=sha256:{SHA}
# a comment about pip
"""


def texts(parsed):
    return [item.text for item in parsed.definition.pip.requirements]


@pytest.mark.parametrize("name", ["explicit.txt", "environment.yml", "spec"])
def test_an_explicit_list_is_told_by_its_mark(parse, name):
    parsed = parse(EXPLICIT, name)
    assert parsed.format == "explicit"
    assert parsed.definition.conda.explicit == {
        "linux-64": (
            f"https://h/c/linux-64/python-3.11-0.conda#{MD5}",
            f"https://h/c/noarch/six-1-0.tar.bz2#sha256:{SHA}",
        )
    }
    assert texts(parsed) == [f"rich @ https://h/rich-1-py3-none-any.whl --hash=sha256:{SHA}"]
    assert parsed.credentials == {"https://h": "u:p"}


def test_the_platform_is_that_of_the_packages_where_no_comment_tells_it(parse):
    urls = "@EXPLICIT\nhttps://h/c/noarch/six-1-0.conda\nhttps://h/c/osx-arm64/x-1-0.conda\n"
    assert list(parse(urls, "e.txt").definition.conda.explicit) == ["osx-arm64"]


def test_a_package_on_disk_counts_by_content(parse, write, tmp_path):
    write("pkgs/x-1-0.conda", b"package")
    parsed = parse("@EXPLICIT\npkgs/x-1-0.conda\n", "e.txt")
    (urls,) = parsed.definition.conda.explicit.values()
    assert urls[0].startswith(f"file://{tmp_path}/pkgs/x-1-0.conda#sha256:")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("https://h/c/linux-64/x-1-0.conda#12", "'12' is not a valid digest"),
        ("numpy=1.2", "is not a package"),
        ("x-1-0.conda", "can't"),
    ],
)
def test_wrong_lines_of_an_explicit_list(refused, line, words):
    error = refused(f"@EXPLICIT\n{line}\n", "e.txt")
    assert error.location.line == 2
    assert words in error.message


CONDA_LOCK = f"""\
version: 1
metadata: {{content_hash: {{}}, platforms: [linux-64, osx-64]}}
package:
- {{name: python, version: '3.11', manager: conda, platform: linux-64, dependencies: {{}},
   url: 'https://h/c/linux-64/python-3.11-0.conda', hash: {{md5: {MD5}, sha256: {SHA}}}, category: main}}
- {{name: python, version: '3.11', manager: conda, platform: osx-64, dependencies: {{}},
   url: 'https://h/c/osx-64/python-3.11-0.conda', hash: {{md5: {MD5}}}, category: dev}}
- {{name: docs, version: '1', manager: conda, platform: osx-64,
   url: 'https://h/d-1-0.conda', hash: {{}}, category: docs}}
- {{name: six, version: '1.16.0', manager: pip, platform: linux-64, url: 'https://f/six.whl', hash: {{sha256: {SHA}}}}}
- {{name: six, version: '1.16.0', manager: pip, platform: osx-64, url: 'https://f/six.whl', hash: {{sha256: {SHA}}}}}
- {{name: rich, version: '1', manager: pip, platform: osx-64, url: 'https://f/rich.whl', hash: {{sha256: {SHA}}},
   source: {{type: url, url: 'https://f/rich.whl'}}}}
"""


@pytest.mark.parametrize("name", ["conda-lock.yml", "anything.lock", "x"])
def test_conda_lock(parse, name):
    parsed = parse(CONDA_LOCK, name)
    assert parsed.format == "conda-lock"
    assert parsed.definition.conda.explicit == {
        "linux-64": (f"https://h/c/linux-64/python-3.11-0.conda#sha256:{SHA}",),
        "osx-64": (f"https://h/c/osx-64/python-3.11-0.conda#{MD5}",),
    }
    marker = '(sys_platform == "darwin" and platform_machine == "x86_64")'
    assert texts(parsed) == [
        f"six==1.16.0 --hash=sha256:{SHA}",
        f"rich @ https://f/rich.whl ; {marker} --hash=sha256:{SHA}",
    ]


PIXI = f"""\
version: 6
environments:
  default:
    channels: [{{url: https://h/c/}}]
    packages:
      linux-64:
      - conda: https://h/c/linux-64/python-3.11-0.conda
      - pypi: https://f/six-1.16.0-py3-none-any.whl
  other:
    channels: []
    packages: {{}}
packages:
- conda: https://h/c/linux-64/python-3.11-0.conda
  sha256: {SHA}
  md5: {MD5}
- pypi: https://f/six-1.16.0-py3-none-any.whl
  name: six
  version: 1.16.0
  sha256: {SHA}
"""


def test_pixi_lock(parse):
    parsed = parse(PIXI, "pixi.lock")
    assert parsed.format == "pixi-lock"
    assert parsed.definition.conda.explicit == {"linux-64": (f"https://h/c/linux-64/python-3.11-0.conda#sha256:{SHA}",)}
    assert texts(parsed) == [f"six==1.16.0 --hash=sha256:{SHA}"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (CONDA_LOCK.replace("version: 1\n", "version: 9\n"), "conda-lock format 9 is not supported; expected 1"),
        (PIXI.replace("version: 6\n", "version: 4\n"), "pixi.lock format 4 is not supported; expected 6"),
        (PIXI.replace("  default:", "  train:"), "no environment 'default'"),
    ],
)
def test_lock_files_of_another_format_are_refused(parse, content, words):
    with pytest.raises(InvalidDefinitionError, match=words):
        parse(content, "x.lock")
