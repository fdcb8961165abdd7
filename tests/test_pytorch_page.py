"""The page on PyTorch names everything that PyTorch has, and claims nothing that needle lacks."""

import inspect
import re
from pathlib import Path

import pytest

from needle import nn, optim

torch = pytest.importorskip("torch")

PAGE = (Path(__file__).parents[1] / "docs" / "pytorch.md").read_text(encoding="utf-8")
NAMES = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]*)`", PAGE))))


@pytest.mark.parametrize("module", [torch.nn, torch.optim, torch.optim.lr_scheduler])
def test_every_public_class_of_torch_is_named(module):
    public = {
        name
        for name, item in inspect.getmembers(module, inspect.isclass)
        if issubclass(item, _kinds(module)) and not name.startswith("_")
    }
    assert public - NAMES == set()


def _kinds(module):
    if module is torch.nn:
        return torch.nn.Module
    return torch.optim.Optimizer if module is torch.optim else torch.optim.lr_scheduler.LRScheduler


def test_what_is_called_the_same_is_there():
    ours = {*dir(nn), *dir(optim), *dir(optim.lr_scheduler), *dir(nn.Module)}
    rows = re.findall(r"^\| (.*?) \| the same", PAGE, re.MULTILINE)
    claimed = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert len(claimed) > 50
    assert claimed - ours == set()
