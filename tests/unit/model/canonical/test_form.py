from __future__ import annotations

import msgspec
import pytest

from roost.model.canonical.differences import find_differences, measure_similarity
from roost.model.canonical.form import (
    canonicalise_definition,
    canonicalise_settings,
    digest_definition,
    digest_settings,
    expand_channels,
    list_choice_rules,
    parse_canonical,
)
from roost.model.definition import (
    Base,
    Conda,
    ContainerSettings,
    Defaults,
    Definition,
    Pip,
    PipItem,
    Python,
    R,
    Settings,
    Spark,
)
from roost.model.errors import Location

DEFAULTS = Defaults()
PATH = "/somewhere/requirements.txt"


def form(definition: Definition, defaults: Defaults = DEFAULTS):
    return parse_canonical(canonicalise_definition(definition, defaults))


def requirements(*items: PipItem):
    return form(Definition(pip=Pip(requirements=items)))["pip"]["requirements"]


def test_nothing_but_the_defaults_is_spelled_out():
    assert canonicalise_definition(Definition(), DEFAULTS) == (
        b'{"base":{"image":"debian:12-slim"},"conda":{"channels":["conda-forge"]},"format":1}'
    )


def test_every_field_has_its_place():
    definition = Definition(
        base=Base(image="a:1", steps=("RUN x",), platform="linux/amd64"),
        conda=Conda(channels=("c",), dependencies=("six", "numpy")),
        pip=Pip(requirements=(PipItem(kind="requirement", text="rich"),)),
        python=Python(requires=">=3.10"),
        system={"cuda": "12"},
        spark=Spark(repositories=("m",), packages=("g:a:1",)),
        r=R(version="4", cran=("dplyr",)),
        inference_stack="latest",
    )
    assert form(definition) == {
        "format": 1,
        "base": {"image": "a:1", "steps": ["RUN x"], "platform": "linux/amd64"},
        "conda": {"channels": ["c"], "dependencies": ["six", "numpy"]},
        "pip": {"requirements": ["rich"], "index": "pypi"},
        "python": {"requires": ">=3.10"},
        "system": {"cuda": "12"},
        "spark": {"repositories": ["m"], "packages": ["g:a:1"]},
        "r": {"version": "4", "cran": ["dplyr"]},
        "inference": {"stack": "latest"},
    }


@pytest.mark.parametrize(
    ("base", "section"),
    [
        (Base(dockerfile="FROM a\n"), {"dockerfile": "FROM a\n"}),
        (Base(context="sha256:1", context_path="/x"), {"context": "sha256:1"}),
        (Base(steps=("RUN x",)), {"image": "debian:12-slim", "steps": ["RUN x"]}),
    ],
)
def test_bases(base, section):
    assert form(Definition(base=base))["base"] == section


def test_defaults_count_where_they_are_used_and_only_there():
    other = Defaults(channels=("mine",), base_image="b:1", index="https://i/simple")
    plain = Definition(pip=Pip(requirements=(PipItem(kind="requirement", text="six"),)))
    assert form(plain, other) == {
        "format": 1,
        "base": {"image": "b:1"},
        "conda": {"channels": ["mine"]},
        "pip": {"requirements": ["six"], "index": "https://i/simple"},
    }
    option = PipItem(kind="option", text="--index-url https://h/simple")
    nested = PipItem(kind="requirements", text="r.txt", path="/r.txt", items=(option,))
    said = Definition(
        base=Base(image="a"),
        conda=Conda(channels=("c",)),
        pip=Pip(requirements=(nested, PipItem(kind="requirement", text="six"))),
    )
    assert canonicalise_definition(said, other) == canonicalise_definition(said, DEFAULTS)


def test_an_explicit_list_has_no_channels():
    explicit = Conda(explicit={"linux-64": ("https://h/c/linux-64/x-1-0.conda#abc", "file:///p/y-1-0.conda#sha256:d")})
    assert form(Definition(conda=explicit))["conda"] == {
        "explicit": {"linux-64": ["https://h/c/linux-64/x-1-0.conda#abc", "y-1-0.conda#sha256:d"]}
    }


def test_no_secret_gets_into_the_form_wherever_it_stood():
    step, packages = "RUN curl https://u:secret@h/x", ("https://h/t/secret/x",)
    definition = Definition(
        base=Base(steps=(step,)), conda=Conda(channels=("https://u:secret@h/c",)), spark=Spark(repositories=packages)
    )
    defaults = Defaults(index="https://u:secret@h/simple", channels=("https://u:secret@h/c",))
    assert b"secret" not in canonicalise_definition(definition, defaults)
    plain = Definition(pip=Pip(requirements=(PipItem(kind="requirement", text="six"),)))
    assert b"secret" not in canonicalise_definition(plain, defaults)


def test_user_managed_leaves_python_packages_and_the_interpreter_out():
    definition = Definition(
        conda=Conda(dependencies=("six",)),
        pip=Pip(requirements=(PipItem(kind="requirement", text="six"),)),
        python=Python(user_managed=True, interpreter="/opt/python", requires=">=3"),
    )
    assert form(definition) == {"format": 1, "base": {"image": "debian:12-slim"}, "python": {"user_managed": True}}


def test_local_things_count_by_content_and_an_editable_by_its_folder_too():
    def items(folder: str) -> tuple[PipItem, ...]:
        here = Location(path=folder + "/r.txt", line=3)
        return (
            PipItem(kind="wheel", text="x-1.whl[a]", digest="sha256:1", path=folder + "/x-1.whl", location=here),
            PipItem(
                kind="source",
                text=f'{folder[1:]}[b,c] ; os_name == "nt" --config-settings=x=y',
                digest="sha256:2",
                path=folder,
            ),
            PipItem(kind="option", text="--find-links", digest="sha256:3", path=folder + "/wheels"),
        )

    editable = PipItem(kind="editable", text="p[dev]", digest="sha256:4", path="/a/p")
    assert requirements(*items("/a")) == requirements(*items("/b"))
    assert requirements(*items("/a"), editable) == [
        {"wheel": "sha256:1", "name": "x-1.whl", "extras": ["a"]},
        {"source": "sha256:2", "extras": ["b", "c"], "marker": 'os_name == "nt"', "options": ["--config-settings=x=y"]},
        {"option": "sha256:3", "name": "--find-links"},
        {"editable": "sha256:4", "extras": ["dev"], "path": "/a/p"},
    ]


def test_nested_files_count_by_their_lines_and_urls_by_their_text():
    six = PipItem(kind="requirement", text="six")
    nested = PipItem(kind="requirements", text="more.txt", path=PATH, items=(six,))
    pins = PipItem(kind="constraints", text="pins.txt", path=PATH, items=(six,))
    remote = PipItem(kind="requirements", text="https://h/r.txt")
    remote_pins = PipItem(kind="constraints", text="https://h/c.txt")
    assert requirements(nested, pins, remote, remote_pins) == [
        "six",
        {"constraints": ["six"]},
        {"requirements": "https://h/r.txt"},
        {"constraints": "https://h/c.txt"},
    ]


def test_conda_s_own_channels():
    main, r = "https://repo.anaconda.com/pkgs/main", "https://repo.anaconda.com/pkgs/r"
    assert expand_channels(["a", "defaults", "pkgs/free", main + "/", "a"]) == (
        "a",
        main,
        r,
        "https://repo.anaconda.com/pkgs/free",
    )
    spelled = Definition(conda=Conda(channels=(main, r)))
    assert digest_definition(Definition(conda=Conda(channels=("defaults",))), DEFAULTS) == digest_definition(
        spelled, DEFAULTS
    )


def test_settings_have_a_digest_of_their_own():
    settings = Settings(variables={"B": "2", "A": "1"}, container=ContainerSettings(shm_size="2g"), interpreter="/p")
    assert canonicalise_settings(settings) == (
        b'{"container":{"shm_size":"2g"},"format":1,"interpreter":"/p","variables":{"A":"1","B":"2"}}'
    )
    assert canonicalise_settings(Settings()) == b'{"format":1}'
    one, other = Settings(variables={"A": "1"}), Settings(variables={"A": "2"})
    assert digest_settings(one) != digest_settings(other)
    assert digest_settings(one).startswith("sha256:")


def test_a_form_of_an_unknown_format_is_refused():
    with pytest.raises(ValueError, match="format 2"):
        parse_canonical(b'{"format":2}')


def shown(before, after):
    return [
        (d["field"], d["before"], d["after"])
        for d in find_differences(canonicalise_definition(before, DEFAULTS), canonicalise_definition(after, DEFAULTS))
    ]


def conda(*specs: str, **rest) -> Definition:
    return Definition(conda=Conda(dependencies=specs), **rest)


def test_differences_name_the_fields():
    before = conda("python=3.11", "numpy", "scipy")
    after = conda(
        "python=3.11", "numpy>=2", "scipy", "six", system={"cuda": "12"}, base=Base(image="a", steps=("RUN x",))
    )
    assert shown(before, after) == [
        ("base.image", "debian:12-slim", "a"),
        ("base.steps[0]", None, "RUN x"),
        ("conda.dependencies[1]", "numpy", "numpy>=2"),
        ("conda.dependencies[3]", None, "six"),
        ("system.cuda", None, "12"),
    ]
    assert shown(after, before)[-1] == ("system.cuda", "12", None)
    assert shown(before, before) == []


def test_an_insertion_in_front_is_one_difference():
    assert shown(conda("b", "c"), conda("a", "b", "c")) == [("conda.dependencies[0]", None, "a")]
    assert shown(conda("a", "b", "c"), conda("b", "c")) == [("conda.dependencies[0]", "a", None)]


def test_items_that_stay_are_not_named():
    assert shown(conda("numpy", "six"), conda("six", "numpy>=2")) == [
        ("conda.dependencies[0]", "numpy", None),
        ("conda.dependencies[1]", None, "numpy>=2"),
    ]
    assert shown(conda("a", "b", "a"), conda("b", "a")) == [("conda.dependencies[0]", "a", None)]


def test_a_change_of_the_order_alone_is_one_difference():
    assert shown(conda("a", "x", "six", "b"), conda("a", "six", "x", "b", "c")) == [
        ("conda.dependencies", ["x", "six"], ["six", "x"]),
        ("conda.dependencies[4]", None, "c"),
    ]


def test_long_lists_are_aligned_too():
    many = [f"p{number}" for number in range(3_000)]
    later = [f"q{number}" if number % 2 else f"p{number}" for number in range(3_000)]
    found = shown(conda(*many), conda("first", *later))
    assert found[0] == ("conda.dependencies[0]", None, "first")
    assert found[1:] == [(f"conda.dependencies[{n + 1}]", f"p{n}", f"q{n}") for n in range(1, 3_000, 2)]
    far = shown(conda(*many), conda(*many[1:], "p0"))
    assert [entry[1:] for entry in far] == [("p0", None), (None, "p0")], "no list of thousands is shown"


def test_similarity_orders_candidates():
    target = canonicalise_definition(conda("python=3.11", "numpy", "scipy"), DEFAULTS)
    near = canonicalise_definition(conda("python=3.11", "numpy", "pandas"), DEFAULTS)
    far = canonicalise_definition(
        Definition(base=Base(image="x"), conda=Conda(channels=("y",), dependencies=("z",))), DEFAULTS
    )
    assert measure_similarity(target, target) == 1.0
    assert 0 < measure_similarity(target, near) < 1
    assert measure_similarity(target, far) == 0
    assert measure_similarity(target, near) == measure_similarity(near, target)


def test_fields_that_are_not_digested_are_known():
    """A field added to a definition must be put into the canonical form, or named here with its reason."""
    elsewhere = {
        "Base": {"context_path"},  # the context's digest counts
        "Python": {"interpreter"},  # a setting
        "PipItem": {"location", "name"},
    }
    digested = {
        "Base": {"image", "dockerfile", "context", "dockerfile_path", "steps", "platform"},
        "Conda": {"channels", "dependencies", "explicit"},
        "Pip": {"requirements"},
        "PipItem": {"kind", "text", "digest", "items", "path"},
        "Python": {"user_managed", "requires"},
        "Spark": {"repositories", "packages"},
        "R": {"version", "cran", "bioconductor", "github", "urls", "snapshot"},
        "Definition": {"base", "conda", "pip", "python", "system", "spark", "r", "inference_stack"},
        "Settings": {"variables", "container", "interpreter", "passthrough"},
        "ContainerSettings": {"shm_size", "arguments"},
    }
    for kind in (Base, Conda, Pip, PipItem, Python, Spark, R, Definition, Settings, ContainerSettings):
        fields = {field.name for field in msgspec.structs.fields(kind)}
        assert fields == digested[kind.__name__] | elsewhere.get(kind.__name__, set())


def test_the_rules_of_choice_are_the_lines_that_say_which_version_is_chosen() -> None:
    lines = ["--resolution lowest", "--prerelease allow", "--pre", "--index-url https://e.org/simple", "six"]
    items = [PipItem(kind="option" if line.startswith("-") else "requirement", text=line) for line in lines]
    form = canonicalise_definition(Definition(pip=Pip(requirements=tuple(items))), Defaults())
    assert list_choice_rules(form) == lines[:3]
    assert list_choice_rules(canonicalise_definition(Definition(), Defaults())) == []
