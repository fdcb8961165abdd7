"""Config files that are no YAML, or YAML that is refused; aliases and merges."""

import json

import pytest
from train_mnist import CONFIGS

pytestmark = pytest.mark.usefixtures("no_curve")

YAML = {
    "empty": (b"", "the file: found nothing, allowed: a mapping with the keys seed"),
    "only a comment": (b"# nothing\n", "the file: found nothing, allowed: a mapping"),
    "a list": (b"- seed\n- 1\n", "the file: found ['seed', 1], allowed: a mapping"),
    "a word": (b"seed", "the file: found 'seed', allowed: a mapping"),
    "a bracket": (b"seed: [1", "malformed YAML: "),
    "tabs": (b"model:\n\t- ReLU", "malformed YAML: "),
    "two documents": (b"seed: 1\n---\nseed: 2", "malformed YAML: "),
    "no UTF-8": (b"seed: \xff\xfe\xff", "malformed YAML: "),
    "bytes of a program": (bytes(range(256)), "malformed YAML: "),
    "an impossible date": (b"seed: 2001-99-99", "malformed YAML: "),
    "an empty number": (b"seed: !!int ''", "malformed YAML: "),
    "too deep": (b"[" * 10000, "malformed YAML: "),
    "without end": (b"seed: 1\nmodel: &m [Residual: {fn: *m}]", "layers inside layers without end"),
    "an alias of aliases": (
        b"model: [&a {ReLU: {}}, &b {Residual: {fn: [*a, *a, *a, *a, *a, *a, *a, *a, *a]}}, "
        + b", ".join(
            b"&%c {Residual: {fn: [*%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c]}}"
            % (letter, *[letter - 1] * 9)
            for letter in b"cdefghijklmnopqrstuvwxyz"
        )
        + b"]",
        "layers inside layers without end: allowed are ",
    ),
    "merges of merges": (
        b"- &a {k: 1}\n- &b {<<: [*a, *a, *a]}\n"
        + b"".join(
            b"- &%c {<<: [*%c, *%c, *%c]}\n" % (letter, *[letter - 1] * 3)
            for letter in b"cdefghijklmnopqrstuvwxyz"
        ),
        "layers inside layers without end: allowed are ",
    ),
    "a deep alias": (
        b"model: [&r0 {Residual: {fn: ReLU}}, "
        + b", ".join(b"&r%d {Residual: {fn: *r%d}}" % (n, n - 1) for n in range(1, 1000))
        + b"]",
        "layers inside layers without end: allowed are ",
    ),
    "a duplicate key": (b"seed: 1\nepochs: 2\nseed: 3", "duplicate key 'seed' in lines 1 and 3"),
    "a duplicate key in a layer": (
        b"model:\n  - Linear:\n      bias: true\n      'bias': false",
        "duplicate key 'bias' in lines 3 and 4",
    ),
    "a duplicate key beside a merge": (
        b"a: &a {k: 1}\nb: {<<: *a, k: 2, k: 3}",
        "duplicate key 'k' in lines 2 and 2",
    ),
    "a number as key": (b"1: 2", "unknown key 1, allowed: seed"),
    "an object": (b"seed: !!python/object/apply:os.mkdir [made]", "malformed YAML: "),
    "a name": (b"seed: !!python/name:os.system", "malformed YAML: "),
    "a module": (b"!!python/module:os", "malformed YAML: "),
}


@pytest.mark.parametrize(("text", "error"), YAML.values(), ids=YAML)
def test_files_that_are_no_config(train, empty_machine, text, error):
    (empty_machine / "bad.yaml").write_bytes(text)
    code, out, err = train("--config", "bad.yaml", "--set", "dataset=digits")
    assert (code, out) == (1, "")
    assert err.startswith(f"train_mnist: bad.yaml: {error}")
    assert err.count("\n") == 1
    assert not (empty_machine / "made").exists()


def test_a_merge_may_be_overridden(train, empty_machine):
    text = (CONFIGS / "digits.yaml").read_text()
    text = text.replace(
        "in_features: pixels,", "<<: {in_features: 7, bias: true}, in_features: 64,"
    )
    (empty_machine / "merged.yaml").write_text(text)
    assert train("--config", "merged.yaml", "--epochs", "1")[0] == 0


def test_a_set_changes_the_one_place_that_it_names(train, empty_machine):
    text = "- Linear: {in_features: 64, out_features: classes}"
    repeated = "- &block {Residual: {fn: {Dropout: {p: 0.1}}}}\n  - *block\n  "
    config = (CONFIGS / "digits.yaml").read_text().replace(text, repeated + text)
    (empty_machine / "repeated.yaml").write_text(config)
    change = "model.4.Residual.fn.Dropout.p=0.5"
    assert train("--config", "repeated.yaml", "--epochs", "1", "--set", change)[0] == 0
    model = json.loads((empty_machine / "runs/digits/metrics.json").read_text())["settings"][
        "model"
    ]
    assert [model[n]["Residual"]["fn"]["Dropout"]["p"] for n in (3, 4)] == [0.1, 0.5]


def test_a_program_ends_without_a_traceback(finished, empty_machine):
    (empty_machine / "bad.yaml").write_text("seed: !!python/object/apply:os.mkdir [made]")
    code, out, err = finished("--config", "bad.yaml")
    assert (code, out) == (1, "")
    assert err.startswith(
        "train_mnist: bad.yaml: malformed YAML: could not determine a constructor"
    )
    assert err.count("\n") == 1
