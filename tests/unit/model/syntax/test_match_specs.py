from __future__ import annotations

import csv

import pytest
from rattler import MatchSpec
from tests.support.corpus import CORPUS

from roost.model.syntax.match_specs import MatchSpecError, normalise_match_spec, spec_name, to_rattler

ROWS = CORPUS / "match-specs.tsv"


def rows():
    if not ROWS.exists():
        pytest.skip("the corpus is not here")
    with ROWS.open(encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            yield row["spec"].replace("\\t", "\t"), row["conda_accepts"] == "1", row


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        (" NumPy >= 1.8 , < 2  # for now", "numpy>=1.8,<2"),
        ("numpy = 1.11", "numpy=1.11"),
        ("numpy 1.11", "numpy 1.11"),
        ("numpy==2021.09.0", "numpy==2021.09.0"),
        ("conda-forge::R-Rcpp", "conda-forge::r-rcpp"),
        ("python  3.8 | 3.9", "python 3.8|3.9"),
        ("blas * mkl", "blas * mkl"),
        ("numpy[version='>=1.8']", 'numpy[version=">=1.8"]'),
        ("numpy[ version = '>=1.8, <2' , build=x]", 'numpy[version=">=1.8, <2",build=x]'),
        ("https://u:p@h/c/linux-64/x-1-0.conda#abc", "https://h/c/linux-64/x-1-0.conda#abc"),
        ("foo =1.0=py_0", "foo=1.0=py_0"),
    ],
)
def test_normal_form(written, normal):
    assert normalise_match_spec(written) == normal
    assert normalise_match_spec(normal) == normal


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("NumPy>=1", "numpy"),
        ("c::numpy[build=x]", "numpy"),
        ("https://h/c/linux-64/py-x-1.0-0.conda#abc", "py-x"),
        ("conda-forge:ns:numpy", "numpy"),
        ("__cuda>=11", "__cuda"),
    ],
)
def test_the_name_a_spec_is_about(spec, name):
    assert spec_name(spec) == name


@pytest.mark.parametrize(
    ("spec", "translated"),
    [
        ("scikit-learn=", "scikit-learn"),
        ("fsspec!", "fsspec"),
        ("numpy[version=1.10 build=py38_0]", 'numpy[version="1.10", build="py38_0"]'),
        ("numpy[features='a' build_number=2]", 'numpy[build_number="2"]'),
        ("package[a,b]", "package"),
        ('pkg[when="   "]', "pkg"),
        ("foo ^1.0$", "foo==1.0"),
        (r"foo ^1\.0$", "foo==1.0"),
        ("numpy >=1.0.1*.vc11", "numpy>=1.0.1dev"),
        ("foo if python>=3.6", "foo"),
        ("defaults::numpy", "https://repo.anaconda.com/pkgs/main::numpy"),
        ("defaults/linux-64::numpy", "https://repo.anaconda.com/pkgs/main/linux-64::numpy"),
        ("pkgs/free::numpy=1", "https://repo.anaconda.com/pkgs/free::numpy=1"),
        ("conda-forge:numpy", "numpy"),
        ("conda-forge:ns:numpy", "conda-forge::numpy"),
        ("pkg[extras=a]", "pkg[extras=[a]]"),
        ("https://h/c/linux-64/x-1-0.conda#abc", "https://h/c/linux-64/x-1-0.conda"),
    ],
)
def test_what_conda_reads_is_translated_for_rattler(spec, translated):
    assert to_rattler(normalise_match_spec(spec)) == translated
    assert str(MatchSpec(translated))


@pytest.mark.parametrize(
    "spec", ["*", "", "* 2.7", "test* 1.2", "mkl@", "*[license='x']", "defaults::*", "numpy[md5=abc]", "foo ^1.*$"]
)
def test_what_names_no_single_package_is_refused_clearly(spec):
    with pytest.raises(MatchSpecError) as caught:
        to_rattler(spec)
    assert repr(spec) in caught.value.message
    assert "expected" in caught.value.message


@pytest.mark.parametrize("spec", ["-r requirements.txt", "{{ x }}", "f/o", "foo+bar", "x=3\u0307.7", "x==1 --force"])
def test_what_is_no_spec_is_refused(spec):
    with pytest.raises(MatchSpecError, match=r"no valid package name|contains"):
        to_rattler(spec)


def test_every_spec_of_the_corpus_that_conda_accepts_is_read_by_rattler():
    refused = []
    for spec, accepted, _ in rows():
        if not accepted:
            continue
        try:
            MatchSpec(to_rattler(normalise_match_spec(spec)))
        except MatchSpecError:
            refused.append(spec)
    # No single package: globs, a feature, nothing. No package: a digest that is none.
    assert all(
        "*" in spec.partition("[")[0].partition(" ")[0] or spec in ("mkl@", "", "numpy[md5=abc]") for spec in refused
    )
    assert len(refused) == 16


def test_the_normal_form_of_every_spec_of_the_corpus_reads_as_the_spec_did():
    """Except where conda and rattler read one thing differently: then the translation follows conda."""
    count = 0
    for spec, _, row in rows():
        normal = normalise_match_spec(spec)
        assert normalise_match_spec(normal) == normal
        if row["rattler_accepts"] == "1":
            assert str(MatchSpec(normal)) == str(MatchSpec(spec)), spec
            count += 1
    assert count > 5000


def test_translation_changes_no_spec_that_both_read_alike():
    ours = ("defaults", "pkgs/", " if ")
    changed = [
        spec
        for spec, accepted, row in rows()
        if accepted and row["rattler_accepts"] == "1" and str(MatchSpec(to_rattler(spec))) != row["rattler_reads"]
    ]
    namespaced = [spec for spec in changed if not any(mark in spec for mark in ours)]
    assert all(":" in spec and "::" not in spec for spec in namespaced), namespaced
    assert len(namespaced) == 5
