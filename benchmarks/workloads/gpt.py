"""A small GPT on characters: nanoGPT's settings for a CPU, one step of training."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.workload import Job, Transform, Workload, as_it_is

LAYERS, HEADS, WIDTH, CONTEXT, BATCH, VOCABULARY = 4, 4, 128, 64, 12, 65


@dataclass(frozen=True)
class Problem:
    """Characters (batch, context), the ones that follow them, and the weights by name.

    Matrices of Linear layers are (in, out). Checked with an `eps` that keeps Adam from blowing up
    rounding errors of gradients that are close to zero.
    """

    tokens: np.ndarray
    targets: np.ndarray
    weights: dict[str, np.ndarray]
    learning_rate: float
    eps: float


def problem(checking: bool) -> Problem:
    rng = np.random.default_rng(0)

    def draw(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, np.float32) * np.float32(0.02)

    weights = {"tokens.weight": draw(VOCABULARY, WIDTH), "positions.weight": draw(CONTEXT, WIDTH)}
    for block in range(LAYERS):
        sizes = {"qkv": (1, 3), "out": (1, 1), "up": (1, 4), "down": (4, 1)}
        for name, (a, b) in sizes.items():
            weights[f"blocks.{block}.{name}.weight"] = draw(a * WIDTH, b * WIDTH)
    tokens = rng.integers(VOCABULARY, size=(BATCH, CONTEXT + 1))
    rate, eps = (1e-3, 1e-3) if checking else (1e-7, 1e-8)
    return Problem(tokens[:, :-1], tokens[:, 1:].reshape(-1), weights, rate, eps)


def network(nn: Any, functional: Any, unbind: Any) -> Any:
    """The model in terms of `nn` and `functional`, which have the same names in both libraries."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm1 = nn.LayerNorm(WIDTH, bias=False)
            self.qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
            self.out = nn.Linear(WIDTH, WIDTH, bias=False)
            self.norm2 = nn.LayerNorm(WIDTH, bias=False)
            self.up = nn.Linear(WIDTH, 4 * WIDTH, bias=False)
            self.down = nn.Linear(4 * WIDTH, WIDTH, bias=False)

        def forward(self, x: Any) -> Any:
            qkv = self.qkv(self.norm1(x)).reshape((BATCH, CONTEXT, 3, HEADS, WIDTH // HEADS))
            q, k, v = [each.permute((0, 2, 1, 3)) for each in unbind(qkv, 2)]
            y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(y.permute((0, 2, 1, 3)).reshape((BATCH, CONTEXT, WIDTH)))
            return x + self.down(functional.gelu(self.up(self.norm2(x))))

    class GPT(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens = nn.Embedding(VOCABULARY, WIDTH)
            self.positions = nn.Embedding(CONTEXT, WIDTH)
            self.blocks = nn.ModuleList([Block() for _ in range(LAYERS)])
            self.norm = nn.LayerNorm(WIDTH, bias=False)

        def forward(self, tokens: Any) -> Any:
            x = self.tokens(tokens) + self.positions.weight
            for block in self.blocks:
                x = block(x)
            # the matrix of the tokens is that of the output, too
            return (self.norm(x) @ self.tokens.weight.T).reshape((BATCH * CONTEXT, VOCABULARY))

    return GPT()


def with_needle(problem: Problem, transform: Transform = as_it_is) -> Job:
    import needle as ndl
    from needle import nn

    model = network(nn, nn.functional, ndl.split)
    parameters = dict(model.named_parameters())
    for name, array in problem.weights.items():
        parameters[name].data = ndl.Tensor(array)
    optimizer = ndl.optim.AdamW(
        model.parameters(), lr=problem.learning_rate, eps=problem.eps, weight_decay=0.1
    )
    tokens = ndl.Tensor(problem.tokens, requires_grad=False)
    targets = ndl.Tensor(problem.targets, requires_grad=False)

    def step() -> ndl.Tensor:
        optimizer.reset_grad()
        loss = nn.functional.cross_entropy(model(tokens), targets)
        loss.backward(create_graph=False)
        optimizer.step()
        return loss

    return Job(transform(step), lambda: [parameters[name].numpy() for name in problem.weights])


def with_torch(problem: Problem, transform: Transform = as_it_is) -> Job:
    import torch
    from torch import nn
    from torch.nn import functional as F

    model = network(nn, F, torch.unbind)
    parameters = dict(model.named_parameters())

    def turned(name: str, array: Any) -> Any:
        return array.T if name.startswith("blocks") else array

    with torch.no_grad():
        for name, array in problem.weights.items():
            parameters[name].copy_(torch.from_numpy(turned(name, array)))
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=problem.learning_rate, eps=problem.eps, weight_decay=0.1
    )
    tokens, targets = torch.tensor(problem.tokens), torch.tensor(problem.targets)

    forward = transform(model)

    def step() -> torch.Tensor:
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(forward(tokens), targets)
        loss.backward()
        optimizer.step()
        return loss

    def weights() -> list[np.ndarray]:
        return [turned(name, parameters[name].detach().numpy()) for name in problem.weights]

    return Job(step, weights)


WORKLOAD = Workload(
    "GPT with 4 layers, 4 heads, width 128, context 64, 65 tokens, batch 12, AdamW",
    problem,
    {"needle": with_needle, "torch": with_torch},
)
