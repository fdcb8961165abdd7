"""Models for images with the weights of PyTorch's compute what PyTorch's do, and back."""

import numpy as np
import pytest

import needle as ndl
from needle import nn

torch = pytest.importorskip("torch")


def residual_network(library, residual):
    """A small ResNet in terms of `library`, which has the same names in both."""

    def block(inputs, outputs, stride):
        main = library.Sequential(
            library.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            library.BatchNorm2d(outputs),
            library.ReLU(),
            library.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            library.BatchNorm2d(outputs),
        )
        shortcut = library.Sequential(
            library.Conv2d(inputs, outputs, 1, stride, bias=False), library.BatchNorm2d(outputs)
        )
        return residual(main, shortcut)

    return library.Sequential(
        library.Conv2d(3, 8, 7, 2, 3),
        library.InstanceNorm2d(8, affine=True, track_running_stats=True),
        library.ReLU(),
        library.MaxPool2d(3, 2, 1),
        block(8, 8, 1),
        block(8, 16, 2),
        library.ConvTranspose2d(16, 6, 2, 2, groups=2),
        library.GroupNorm(2, 6),
        library.AdaptiveAvgPool2d(1),
        library.Flatten(),
        library.Linear(6, 10),
    )


class Residual(nn.Module):
    def __init__(self, main, shortcut):
        super().__init__()
        self.main, self.shortcut = main, shortcut

    def forward(self, x):
        return nn.functional.relu(self.main(x) + self.shortcut(x))


class TorchResidual(torch.nn.Module):
    def __init__(self, main, shortcut):
        super().__init__()
        self.main, self.shortcut = main, shortcut

    def forward(self, x):
        return torch.relu(self.main(x) + self.shortcut(x))


def test_residual_network():
    np.random.seed(0)
    torch.manual_seed(0)
    ours, theirs = residual_network(nn, Residual), residual_network(torch.nn, TorchResidual)
    images = np.random.randn(4, 3, 32, 32).astype("float32")
    for mode in ("train", "eval"):
        ndl.interop.load_torch_state_dict(ours, theirs.state_dict())
        getattr(ours, mode)()
        getattr(theirs, mode)()
        found, expected = ours(ndl.Tensor(images)), theirs(torch.tensor(images))
        np.testing.assert_allclose(found.numpy(), expected.detach().numpy(), atol=1e-5)
    state = ndl.interop.to_torch_state_dict(ours)
    assert state.keys() == theirs.state_dict().keys()
    theirs.load_state_dict(state)
    np.testing.assert_allclose(
        theirs(torch.tensor(images)).detach().numpy(), found.numpy(), atol=1e-5
    )
