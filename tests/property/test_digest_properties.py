"""What cannot change a build keeps the digest; what can, moves it."""

from __future__ import annotations

import codecs
import json
import random
from collections import Counter

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from roost.model.canonical.differences import find_differences, measure_similarity
from roost.model.canonical.form import canonicalise_definition, digest_definition, digest_settings
from roost.model.definition import Defaults, ReadResult
from roost.model.readers.read import read_definition
from roost.model.readers.source import DefinitionSource
from roost.store.sources.files import LocalFiles

DEFAULTS = Defaults()
NAMES = ["numpy", "scipy", "python", "scikit-learn", "r-base", "blas", "_libgcc_mutex"]
VERSIONS = ["", "=1.10", "==1.10", ">=1.8,<2", "=1.*=py3*", ">=1|<0.5", "!=1.9.*", "~=1.8"]
CHANNELS = ["conda-forge", "bioconda", "defaults", "https://h.example/channel", "pytorch/label/dev"]
REQUIREMENTS = [
    "six",
    "six==1.16.0",
    "typing-extensions>=4,<5",
    "rich[jupyter]>=13",
    'tomli ; python_version < "3.11"',
    "--extra-index-url https://h.example/simple",
    "git+https://h.example/x@v1#egg=x",
    "x @ https://h.example/x-1-py3-none-any.whl",
]

specs = st.builds(lambda name, version: name + version, st.sampled_from(NAMES), st.sampled_from(VERSIONS))
contents = st.fixed_dictionaries(
    {
        "channels": st.lists(st.sampled_from(CHANNELS), unique=True, max_size=3),
        "dependencies": st.lists(specs, max_size=5),
        "pip": st.lists(st.sampled_from(REQUIREMENTS), max_size=4),
        "name": st.sampled_from([None, "train", "other-name"]),
        "variables": st.dictionaries(st.sampled_from(["A", "B"]), st.sampled_from(["1", "on", "x y"])),
    }
)


def parsed(text: str | bytes, path: str = "/project/environment.yml") -> ReadResult:
    data = text if isinstance(text, bytes) else text.encode()
    return read_definition(DefinitionSource(path=path, data=data), LocalFiles())


def digest(text: str | bytes, path: str = "/project/environment.yml") -> str:
    return digest_definition(parsed(text, path).definition, DEFAULTS)


def plain(content: dict) -> str:
    """JSON is YAML: the plainest way to write the file."""
    dependencies = [*content["dependencies"], {"pip": content["pip"]}] if content["pip"] else content["dependencies"]
    return json.dumps({"channels": content["channels"], "dependencies": dependencies})


class Style:
    """A way to write a file that means the same."""

    def __init__(self, source: random.Random) -> None:
        self.random = source

    def file(self, content: dict) -> bytes:
        sections = [self.section("channels", content["channels"]), self.dependencies(content)]
        if content["name"]:
            sections.append(f"name: {content['name']}\n")
        if content["variables"]:
            sections.append(f"variables: {json.dumps(content['variables'])}\n")
        sections += self.random.sample(["prefix: /some/where\n", "# only a comment\t\n", "\n"], 2)
        self.random.shuffle(sections)
        return self.encoded("".join(sections))

    def dependencies(self, content: dict) -> str:
        lines = ["dependencies:" + self.comment()]
        lines += [f"  - {self.quoted(self.spec(spec))}{self.comment()}" for spec in content["dependencies"]]
        if content["pip"]:
            at = self.random.randint(1, len(lines))
            pip = ["  - pip:" + self.comment()]
            pip += [f"    - {self.quoted(self.requirement(line))}{self.comment()}" for line in content["pip"]]
            if self.random.random() < 0.3:
                pip.append("    -")
            lines[at:at] = pip
        return "\n".join(lines) + "\n"

    def section(self, key: str, values: list[str]) -> str:
        values = [*values, *(["nodefaults"] if self.random.random() < 0.3 else [])]
        if self.random.random() < 0.5:
            return f"{key}: [{', '.join(self.quoted(value, flow=True) for value in values)}]{self.comment()}\n"
        indent = self.spaces()
        return f"{key}:\n" + "".join(f"{indent}- {self.quoted(value)}\n" for value in values)

    def spec(self, spec: str) -> str:
        name = next(name for name in sorted(NAMES, key=len, reverse=True) if spec.startswith(name))
        rest = spec[len(name) :]
        name = "".join(c.upper() if self.random.random() < 0.3 else c for c in name)
        for separator in (",", "|"):
            rest = rest.replace(separator, self.spaces() + separator + self.spaces())
        gap = self.spaces() if rest and "=py" not in rest else ""
        return self.spaces() + name + gap + rest + self.spaces()

    def requirement(self, line: str) -> str:
        if line.startswith("-") or "://" in line:
            return line
        line = line.replace("typing-extensions", self.random.choice(["Typing_Extensions", "typing.extensions"]))
        line = line.replace(" ; ", self.random.choice([";", " ;  "])).replace('"', self.random.choice("\"'"))
        for operator in (">=", "==", ","):
            line = line.replace(operator, self.spaces() + operator + self.spaces())
        return line

    def quoted(self, text: str, *, flow: bool = False) -> str:
        plain_ok = not flow and ": " not in text and " #" not in text and text[0] not in "-*&!|>%@`\"' "
        style = self.random.choice(["plain", "single", "double"] if plain_ok else ["single", "double"])
        if style == "plain":
            return text
        return json.dumps(text) if style == "double" else "'" + text.replace("'", "''") + "'"

    def comment(self) -> str:
        return self.random.choice(["", "", "  # why: [not] {this}", " #\twith a tab"])

    def spaces(self, least: int = 0) -> str:
        return " " * self.random.randint(least, 2)

    def encoded(self, text: str) -> bytes:
        if self.random.random() < 0.3:
            text = text.replace("\n", "\r\n")
        mark, encoding = self.random.choice(
            [
                (b"", "utf-8"),
                (codecs.BOM_UTF8, "utf-8"),
                (codecs.BOM_UTF16_LE, "utf-16-le"),
                (codecs.BOM_UTF16_BE, "utf-16-be"),
            ]
        )
        return mark + text.encode(encoding)


@given(contents, st.randoms(use_true_random=False), st.sampled_from(["/a/environment.yml", "/b/c/any.name"]))
def test_style_name_place_and_settings_keep_the_digest(content, source, path):
    assert digest(Style(source).file(content), path) == digest(plain(content))


@given(contents, contents)
def test_files_that_say_something_else_have_other_digests(one, other):
    def meaning(content: dict) -> tuple:
        channels = content["channels"] or ["conda-forge"]
        return channels, content["dependencies"], content["pip"]

    assume(meaning(one) != meaning(other))
    assert digest(plain(one)) != digest(plain(other))


@given(contents, st.sampled_from(["channels", "dependencies", "pip"]), st.data())
def test_order_counts(content, key, data):
    shuffled = {**content, key: data.draw(st.permutations(content[key]))}
    assume(shuffled[key] != content[key])
    assert digest(plain(shuffled)) != digest(plain(content))


@given(contents)
def test_variables_move_the_settings_digest_only(content):
    text = Style(random.Random(0)).file(content)
    with_more = Style(random.Random(0)).file({**content, "variables": {**content["variables"], "NEW": "1"}})
    one, other = parsed(text), parsed(with_more)
    assert digest_settings(one.settings) != digest_settings(other.settings)
    assert digest_definition(one.definition, DEFAULTS) == digest_definition(other.definition, DEFAULTS)


@given(contents)
def test_roosts_own_file_and_condas_mean_the_same(content):
    def texts(values: list[str]) -> str:
        return json.dumps(values)

    own = (
        f"[conda]\nchannels = {texts(content['channels'])}\ndependencies = {texts(content['dependencies'])}\n"
        f"[pip]\nrequirements = {texts(content['pip'])}\n"
    )
    assert digest(own, "/p/roost.toml") == digest(plain(content))


@given(lines=st.lists(st.sampled_from(REQUIREMENTS), min_size=1, max_size=5), data=st.data())
def test_requirements_mean_the_same_in_every_file_and_split_over_files(lines, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("r")
    at = data.draw(st.integers(0, len(lines)))
    (folder / "more.txt").write_text("\n".join(["# more", *lines[at:]]))
    split = "\n".join([*lines[:at], "-r more.txt"])
    script = "".join(f"# {line}\n" for line in ["/// script", f"dependencies = {json.dumps(lines)}", "///"])
    expected = digest("\n".join(lines), "/p/requirements.txt")
    assert digest(split, str(folder / "requirements.txt")) == expected
    assert digest(script, "/p/x.py") == expected
    assert digest(json.dumps({"dependencies": [{"pip": lines}]})) == expected


@given(contents, contents)
def test_differences_are_empty_for_equals_only_and_turn_round(one, other):
    first, second = (canonicalise_definition(parsed(plain(content)).definition, DEFAULTS) for content in (one, other))
    there, back = find_differences(first, second), find_differences(second, first)
    assert bool(there) == bool(back) == (first != second)
    assert 0 <= measure_similarity(first, second) == measure_similarity(second, first) <= 1
    assert measure_similarity(first, first) == 1
    assert all(entry["before"] != entry["after"] for entry in there)


items = st.lists(st.sampled_from("abcd"), max_size=8)


@given(items, items, st.sampled_from([0, 40_000]))
def test_differences_of_lists_rebuild_the_later_one(before, after, most):
    """Also with the way for long lists."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("roost.model.canonical.differences._MOST_COMPARISONS", most)
        found = find_differences(json.dumps({"l": before}).encode(), json.dumps({"l": after}).encode())
    order = [entry for entry in found if entry["field"] == "l"]
    removed = [entry["before"] for entry in found if entry not in order and entry["before"] is not None]
    added = [entry["after"] for entry in found if entry not in order and entry["after"] is not None]
    assert Counter(before) - Counter(removed) + Counter(added) == Counter(after)
    assert all(Counter(entry["before"]) == Counter(entry["after"]) for entry in order)
    assert not {*removed} & {*added}, "an item that stays is not named as removed and as added"


@given(st.sampled_from(["https://{}h.example/c", "https://h.example{}/c"]), st.sampled_from(["secret", "s3cr3t"]))
def test_credentials_never_reach_the_digest(url, secret):
    carried = url.format(f"user:{secret}@" if "{}h" in url else f"/t/{secret}")
    bare = url.format("")
    with_secret, without = (json.dumps({"channels": [u], "dependencies": [u + "::six"]}) for u in (carried, bare))
    read_one = parsed(with_secret)
    assert digest(with_secret) == digest(without)
    assert secret.encode() not in canonicalise_definition(read_one.definition, DEFAULTS)
    assert secret in "".join(read_one.credentials.values())
