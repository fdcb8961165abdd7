"""Random augmentation of images."""

import operator

import numpy as np

__all__ = ["RandomCrop", "RandomFlipHorizontal", "Transform"]


class Transform:
    """Base of transforms: `__call__` takes and returns one image, an array (H, W, C).

    Example:
        >>> import needle as ndl
        >>> class Invert(ndl.data.Transform):
        ...     def __call__(self, x):
        ...         return 1 - x
        >>> image, label = ndl.data.Digits(transforms=[Invert()])[0]
        >>> float(image.max())
        1.0
    """

    def __call__(self, x: np.ndarray) -> np.ndarray:
        raise NotImplementedError(f"{type(self).__name__} does not define __call__")

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({settings})"

    def _check(self, x: np.ndarray) -> None:
        if np.ndim(x) != 3:
            name = type(self).__name__
            raise ValueError(f"{name} takes one image (H, W, C), got shape {np.shape(x)}")


class RandomFlipHorizontal(Transform):
    """Flips an image left to right with probability `p`: when `np.random.rand() < p`.

    Example:
        >>> import needle as ndl
        >>> import numpy as np
        >>> flip = ndl.data.RandomFlipHorizontal(p=1.0)
        >>> flip(np.arange(3.0).reshape(1, 3, 1)).ravel()
        array([2., 1., 0.])
    """

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"p is a probability between 0 and 1, got {p}")
        self.p = p

    def __call__(self, img: np.ndarray) -> np.ndarray:
        self._check(img)
        return img[:, ::-1] if np.random.rand() < self.p else img


class RandomCrop(Transform):
    """Pads an image with zeros, and crops it to its size at a random place.

    The crop starts at (padding + shift_x, padding + shift_y) along (H, W), where
    `shift_x, shift_y = np.random.randint(-padding, padding + 1, size=2)`.

    Example:
        >>> import needle as ndl
        >>> import numpy as np
        >>> ndl.data.RandomCrop(padding=2)(np.ones((8, 8, 1))).shape
        (8, 8, 1)
    """

    def __init__(self, padding: int = 3) -> None:
        self.padding = operator.index(padding)
        if padding < 0:
            raise ValueError(f"padding is a number of pixels, 0 or more, got {padding}")

    def __call__(self, img: np.ndarray) -> np.ndarray:
        self._check(img)
        padding = self.padding
        height, width, channels = img.shape
        # not np.pad, which takes ten times as long on a small image
        padded = np.zeros((height + 2 * padding, width + 2 * padding, channels), img.dtype)
        padded[padding : padding + height, padding : padding + width] = img
        top, left = padding + np.random.randint(-padding, padding + 1, size=2)
        return padded[top : top + height, left : left + width]
