"""The language model of characters: training, generation, and wrong arguments."""

import functools
import sys

import char_lm
import numpy as np
import pytest

import needle as ndl

TEXT = "to be, or not to be: that is the question.\n" * 40


@pytest.fixture
def run(empty_machine, monkeypatch, capsys):
    """run(*arguments): the lines that the program prints, with small models and a small text."""
    sizes = {"LAYERS": 1, "HEADS": 2, "WIDTH": 16, "CONTEXT": 8, "BATCH": 4, "STEPS": 50}
    for name, size in sizes.items():
        monkeypatch.setattr(char_lm, name, size)
    (empty_machine / "text.txt").write_text(TEXT)

    def start(*arguments):
        # Numba takes seconds to generate code: unless asked for, steps are eager
        always = ["--text", "text.txt", "--no-compile"]
        monkeypatch.setattr(sys, "argv", ["char_lm.py", *always, *arguments])
        char_lm.main()
        return capsys.readouterr().out.splitlines()

    return start


@pytest.fixture
def refused(run, capsys):
    """refused(*arguments): the message with which the program ends."""

    def start(*arguments):
        with pytest.raises(SystemExit) as ended:
            run(*arguments)
        assert ended.value.code == 2
        return capsys.readouterr().err.partition("error: ")[2]

    return start


def validation_loss(line):
    return float(line.partition("validation loss ")[2].split()[0])


@pytest.mark.parametrize("model", ["gpt", "lstm"])
def test_learns_saves_and_writes(run, model):
    *_, epoch, saved = run("--model", model, "--epochs", "3")
    assert validation_loss(epoch) < 2.0  # 2.8 is that of the characters' frequencies
    weights = f"runs/char_lm/{model}.npz"
    assert saved.endswith(f" s, weights in {weights}")
    arguments = ["--model", model, "--load", weights, "--generate", "to be", "--length", "30"]
    text = "\n".join(run(*arguments, "--temperature", "0.5", "--top-k", "1000"))
    assert len(text) == 35
    assert text.startswith("to be")
    assert set(text) <= set(TEXT)
    best = run(*arguments, "--temperature", "0", "--seed", "1")
    assert best == run(*arguments, "--top-k", "1", "--seed", "2")


def test_compiled_steps_are_the_same(run, monkeypatch):
    compiled = functools.partial(ndl.compile, executor="numpy")
    monkeypatch.setattr("needle.training.trainer.compiled", compiled)
    eager, _ = run("--epochs", "1")
    compiled, _ = run("--epochs", "1", "--compile")
    assert validation_loss(compiled) == pytest.approx(validation_loss(eager), abs=2e-3)


def test_resumes_from_checkpoints(run, monkeypatch):
    *_, whole, _ = run("--epochs", "2", "--folder", "whole")

    class Interrupted(char_lm.Trainer):
        def train_step(self, batch):
            if self.epochs and self.position.batches == 10:
                self.stop()
            return super().train_step(batch)

    with monkeypatch.context() as patch:
        patch.setattr(char_lm, "Trainer", Interrupted)
        assert "stopped" in "".join(run("--epochs", "2", "--resume"))
    *_, second, _ = run("--epochs", "2", "--resume")
    assert validation_loss(second) == validation_loss(whole)


@pytest.mark.parametrize("model", ["GPT", "LSTM"])
def test_the_cache_gives_the_numbers_of_the_whole_text(run, model):
    model = getattr(char_lm, model)(20)
    tokens = np.random.default_rng(0).integers(20, size=(1, 8))
    cache = ndl.nn.KeyValueCache(8) if isinstance(model, char_lm.GPT) else []
    with ndl.no_grad():
        whole = model(ndl.Tensor(tokens)).numpy()
        parts = [model(ndl.Tensor(tokens[:, a:b]), cache).numpy() for a, b in [(0, 5), (5, 6)]]
        np.testing.assert_allclose(np.concatenate(parts, 1), whole[:, :6], atol=1e-5)
        if isinstance(model, char_lm.GPT):
            with pytest.raises(ValueError, match=r"exceed the context of 8|6 to 8"):
                model(ndl.Tensor(tokens[:, 5:]), cache)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--generate", "zé"], "not in the vocabulary of 17: 'z', 'é'"),
        (["--generate", ""], "at least one character"),
        (["--load", "nothing.npz"], "nothing.npz"),
        (["--text", "nothing.txt"], "nothing.txt"),
        (["--top-k", "0"], "--top-k is at least 1"),
        (["--temperature", "-1"], "--temperature is at least 0"),
        (["--temperature", "nan"], "--temperature is at least 0"),
        (["--epochs", "0"], "--epochs is at least 1"),
        (["--length", "-1"], "--length is at least 0"),
    ],
)
def test_wrong_arguments(refused, arguments, message):
    assert message in refused(*arguments)


def test_the_text_is_nowhere(empty_machine, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["char_lm.py"])
    with pytest.raises(SystemExit):
        char_lm.main()
    assert "tinyshakespeare.txt" in capsys.readouterr().err


def test_is_short(examples):
    assert len((examples / "char_lm.py").read_text().splitlines()) <= 220
