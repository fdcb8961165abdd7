"""Train a small GPT or an LSTM to write like Shakespeare, one character after another.

    python examples/char_lm.py                                  # a GPT
    python examples/char_lm.py --model lstm
    python examples/char_lm.py --load runs/char_lm/gpt.npz --generate "ROMEO:" --temperature 0.8

The text is downloaded on first use. The settings are those of nanoGPT for a CPU: 4 layers, 4 heads,
width 128, context 64, batch 12, 2000 steps, which reach a validation loss of 1.88 there. Rotary
positions, RMSNorm, SwiGLU and a higher learning rate make the difference.
"""

import argparse
import math
import sys
from pathlib import Path

import numpy as np

import needle as ndl
from needle import Tensor, data, nn
from needle.nn import functional as F
from needle.training import Trainer, cross_entropy, run_program

LAYERS, HEADS, WIDTH, CONTEXT, BATCH = 4, 4, 128, 64, 12
LEARNING_RATE, LEAST_RATE, WARM_UP = 4e-3, 2e-4, 100
STEPS = 500  # of an epoch


class Block(nn.Module):
    """Attention and a gated layer, each on a normalised input and added to it."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.RMSNorm(WIDTH), nn.RMSNorm(WIDTH)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.out = nn.Linear(WIDTH, WIDTH, bias=False)
        self.gated = nn.SwiGLU(WIDTH, 8 * WIDTH // 3)
        self.rotary = nn.RotaryEmbedding(WIDTH // HEADS, CONTEXT)

    def forward(self, x: Tensor, cache: nn.KeyValueCache | None, known: int) -> Tensor:
        batch, length, _ = x.shape
        qkv = self.qkv(self.norm1(x)).reshape((batch, length, 3, HEADS, WIDTH // HEADS))
        q, k, v = (qkv[:, :, i].swapaxes(1, 2) for i in range(3))
        q, k = self.rotary(q, known), self.rotary(k, known)
        if cache is not None:
            k, v = cache.extend(self, k, v)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=length > 1)
        x = x + self.out(y.swapaxes(1, 2).reshape((batch, length, WIDTH)))
        return x + self.gated(self.norm2(x))


class GPT(nn.Module):
    """Logits of the next character at each position; the output shares the embedding's matrix."""

    def __init__(self, characters: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(characters, WIDTH)
        self.blocks = nn.ModuleList([Block() for _ in range(LAYERS)])
        self.norm = nn.RMSNorm(WIDTH)
        for name, parameter in self.named_parameters():
            if parameter.ndim > 1:
                is_last = name.endswith(("out.weight", "down.weight"))
                nn.init.normal_(parameter, std=0.05 / (math.sqrt(2 * LAYERS) if is_last else 1))

    def forward(self, tokens: Tensor, cache: nn.KeyValueCache | None = None) -> Tensor:
        x = self.embedding(tokens)
        known = 0 if cache is None else cache.length
        for block in self.blocks:
            x = block(x, cache, known)
        return self.norm(x) @ self.embedding.weight.T


class LSTM(nn.Module):
    """The same with two recurrent layers of twice the width; its cache is a list of the state."""

    def __init__(self, characters: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(characters, WIDTH)
        self.lstm = nn.LSTM(WIDTH, 2 * WIDTH, num_layers=2, batch_first=True)
        self.output = nn.Linear(2 * WIDTH, characters)

    def forward(self, tokens: Tensor, cache: list[Tensor] | None = None) -> Tensor:
        y, state = self.lstm(self.embedding(tokens), tuple(cache) if cache else None)
        if cache is not None:
            cache[:] = state
        return self.output(y)


def learning_rate(step: int, steps: int) -> float:
    """The factor of the rate: linear warm-up, then half a cosine."""
    if step < WARM_UP:
        return (step + 1) / WARM_UP
    share = (step - WARM_UP) / max(1, steps - WARM_UP)
    least = LEAST_RATE / LEARNING_RATE
    return least + (1 - least) * (1 + math.cos(math.pi * share)) / 2


def make_trainer(model: nn.Module, steps: int, **options: object) -> Trainer:
    """AdamW, with weight decay for matrices, and the schedule for so many steps."""
    matrices = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": matrices}, {"params": others, "weight_decay": 0.0}]
    optimizer = ndl.optim.AdamW(groups, lr=LEARNING_RATE, betas=(0.9, 0.99), weight_decay=0.1)
    schedule = ndl.optim.LambdaLR(optimizer, lambda step: learning_rate(step, steps))
    return Trainer(
        model, cross_entropy, optimizer,
        scheduler=schedule, scheduler_per="batch", clip_norm=1.0, **options,
    )  # fmt: skip


def generate(
    model: nn.Module, tokens: list[int], length: int, temperature: float, top_k: int
) -> list[int]:
    """Continue a text by draws from the model's distribution of the next character.

    The cache of the GPT holds the keys and values of what it has seen. When the context is full, it
    begins again with the last half.
    """
    cache = nn.KeyValueCache(CONTEXT) if isinstance(model, GPT) else []
    tokens, new = list(tokens), tokens[-CONTEXT:]
    with ndl.no_grad():
        for _ in range(length):
            if isinstance(cache, nn.KeyValueCache) and cache.length + len(new) > CONTEXT:
                cache.clear()
                new = tokens[-CONTEXT // 2 :]
            logits = model(Tensor([new]), cache).numpy()[0, -1].astype(np.float64)
            logits[logits < np.sort(logits)[-top_k:][0]] = -np.inf
            weights = np.exp((logits - logits.max()) / max(temperature, 1e-9))
            new = [int(np.random.choice(len(weights), p=weights / weights.sum()))]
            tokens += new
    return tokens


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--model", choices=["gpt", "lstm"], default="gpt")
    add("--epochs", type=int, default=4, help=f"of {STEPS} steps")
    add("--seed", type=int, default=0)
    add(
        "--compile",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="run each step as one compiled program",
    )
    add("--text", type=Path, help="a text file; by default Shakespeare's plays")
    add("--folder", type=Path, default=Path("runs/char_lm"), help="where the weights are saved")
    add("--resume", action="store_true", help="keep checkpoints, and continue from the newest")
    add("--load", type=Path, help="weights to start from, instead of training")
    add("--generate", metavar="PROMPT", help="write a text that begins like this")
    add("--length", type=int, default=500, help="how many characters to write")
    add("--temperature", type=float, default=1.0, help="below 1: likelier characters; 0: the best")
    add("--top-k", type=int, default=40, help="draw from the k likeliest characters")
    options = parser.parse_args()
    for name, least in {"epochs": 1, "length": 0, "temperature": 0, "top_k": 1}.items():
        if not getattr(options, name) >= least:
            parser.error(f"--{name.replace('_', '-')} is at least {least}")
    if options.generate == "":
        parser.error("--generate takes at least one character to begin with")

    try:
        text = options.text.read_text("utf-8") if options.text else data.tiny_shakespeare()
        vocabulary = sorted(set(text))
        split = len(text) * 9 // 10
        training = data.TextDataset(text[:split], CONTEXT, vocabulary=vocabulary)
        validation = data.TextDataset(text[split:], CONTEXT, vocabulary=vocabulary, stride=CONTEXT)
        prompt = training.encode(options.generate or "").tolist()
        ndl.manual_seed(options.seed)
        model = {"gpt": GPT, "lstm": LSTM}[options.model](len(vocabulary))
        if options.load:
            model.load_state_dict(ndl.load(options.load))
    except (OSError, ValueError, KeyError) as error:
        parser.error(str(error))

    if not options.load:
        windows = data.RandomSampler(training, replacement=True, num_samples=BATCH * STEPS)
        folder = options.folder / options.model
        trainer = make_trainer(
            model,
            options.epochs * STEPS,
            compile=options.compile,
            checkpoints=folder if options.resume else None,
            settings={"model": options.model, "epochs": options.epochs, "seed": options.seed},
            name=options.model,
        )
        epochs = trainer.fit(
            data.DataLoader(training, BATCH, sampler=windows),
            data.DataLoader(validation, batch_size=64),
            options.epochs,
            resume=options.resume,
        )
        path = folder.with_suffix(".npz")
        path.parent.mkdir(parents=True, exist_ok=True)
        ndl.distributed.from_rank_0(lambda: ndl.save(model.state_dict(), path))
        seconds = sum(epoch["seconds"] for epoch in epochs)
        print(f"{options.epochs * STEPS} steps in {seconds:.0f} s, weights in {path}")
    if prompt:
        tokens = generate(model, prompt, options.length, options.temperature, options.top_k)
        print(training.decode(tokens))


if __name__ == "__main__":
    sys.exit(run_program("char_lm", main))
