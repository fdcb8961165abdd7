"""Transforms of images that move pixels, and one that erases them."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..device import Generator
from .transforms import Transform, check_probability

__all__ = ["RandomAffine", "RandomErasing", "RandomRotation"]

_INTERPOLATIONS = ("nearest", "bilinear")
_CHUNK = 16  # images


class RandomAffine(Transform):
    """Rotates, shifts, scales and shears an image about its centre, by random amounts.

    Numbers are those of torchvision's `RandomAffine`: the angle is clockwise in degrees. Pixels
    from outside of the image are `fill`.

    Args:
        degrees: the angle is drawn from (-degrees, degrees), or from the pair given.
        translate: largest shifts along (W, H), as fractions of the image.
        scale: the pair between which the scale is drawn.
        shear: the angle of shearing along W is drawn from (-shear, shear), or from the pair given;
            a second pair is for H.
        interpolation: "nearest" or "bilinear".
        fill: value of the pixels from outside.
        generator: where to draw instead of from NumPy's global random state.

    Example:
        >>> import needle as ndl
        >>> import numpy as np
        >>> move = ndl.data.RandomAffine(10, translate=(0.1, 0.1), scale=(0.9, 1.1))
        >>> move(np.ones((28, 28, 1), np.float32)).shape
        (28, 28, 1)
    """

    uniforms = 6

    def __init__(
        self,
        degrees: float | Sequence[float],
        translate: Sequence[float] | None = None,
        scale: Sequence[float] | None = None,
        shear: float | Sequence[float] | None = None,
        interpolation: str = "nearest",
        fill: float = 0,
        generator: Generator | None = None,
    ) -> None:
        self.degrees = _range("degrees", degrees)
        self.translate = translate if translate is None else _pair("translate", translate)
        if self.translate and not all(0 <= part <= 1 for part in self.translate):
            raise ValueError(f"translate is a pair of fractions between 0 and 1, got {translate}")
        self.scale = scale if scale is None else _pair("scale", scale)
        if self.scale and not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(f"scale is a pair of factors above 0, the smaller first, got {scale}")
        self.shear = None
        if shear is not None:
            pairs: Any = (shear,)
            if isinstance(shear, Sequence) and len(shear) == 4:
                pairs = shear[:2], shear[2:]
            self.shear = tuple(_range("shear", pair) for pair in pairs)
        if interpolation not in _INTERPOLATIONS:
            raise ValueError(f"interpolation is one of {_INTERPOLATIONS}, got {interpolation!r}")
        self.interpolation, self.fill, self.generator = interpolation, fill, generator

    def apply(self, images: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        height, width = images.shape[1:3]
        angle, across, down, size, shear_x, shear_y = numbers.T
        rotation = np.radians(_between(angle, self.degrees))
        limits = self.translate or (0, 0)
        shifts = [
            np.round(_between(part, (-limit * length, limit * length)))
            for part, limit, length in zip((across, down), limits, (width, height), strict=True)
        ]
        factor = _between(size, self.scale or (1, 1))
        ranges = (*(self.shear or ()), (0, 0), (0, 0))
        shears = [
            np.radians(_between(shear_x, ranges[0])),
            np.radians(_between(shear_y, ranges[1])),
        ]
        return moved(images, rotation, shifts, factor, shears, self.interpolation, self.fill)


class RandomRotation(Transform):
    """Rotates an image about its centre by a random angle, counter-clockwise in degrees.

    Args:
        degrees: the angle is drawn from (-degrees, degrees), or from the pair given.
        interpolation: "nearest" or "bilinear".
        fill: value of the pixels from outside of the image.
        generator: where to draw instead of from NumPy's global random state.

    Example:
        >>> import needle as ndl
        >>> import numpy as np
        >>> quarter = ndl.data.RandomRotation((90, 90))
        >>> quarter(np.arange(4.0).reshape(2, 2, 1))[..., 0]
        array([[1., 3.],
               [0., 2.]])
    """

    uniforms = 1

    def __init__(
        self,
        degrees: float | Sequence[float],
        interpolation: str = "nearest",
        fill: float = 0,
        generator: Generator | None = None,
    ) -> None:
        self.degrees = _range("degrees", degrees)
        if interpolation not in _INTERPOLATIONS:
            raise ValueError(f"interpolation is one of {_INTERPOLATIONS}, got {interpolation!r}")
        self.interpolation, self.fill, self.generator = interpolation, fill, generator

    def apply(self, images: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        rotation = -np.radians(_between(numbers[:, 0], self.degrees))
        zero = np.zeros(len(images))
        still, size = [zero, zero], np.ones(len(images))
        return moved(images, rotation, still, size, still, self.interpolation, self.fill)


class RandomErasing(Transform):
    """Fills a random rectangle of an image with probability `p`.

    Its area is a fraction of the image's drawn from `scale`, its height divided by its width drawn
    from `ratio` (uniform in the logarithm); the first of ten draws that fits is taken, if any does.
    Source: Z. Zhong et al., "Random Erasing Data Augmentation", AAAI 2020.

    Args:
        p: the probability.
        scale, ratio: pairs, the smaller number first.
        value: what to fill with: a number, one for each channel, or "random" for N(0, 1).
        generator: where to draw instead of from NumPy's global random state.

    Example:
        >>> import needle as ndl
        >>> import numpy as np
        >>> erase = ndl.data.RandomErasing(p=1.0, scale=(0.25, 0.25), ratio=(1, 1))
        >>> float(erase(np.ones((8, 8, 1))).sum())
        48.0
    """

    _ATTEMPTS = 10
    uniforms = 4 + 2 * _ATTEMPTS  # whether, where (two), the seed of random values; shapes

    def __init__(
        self,
        p: float = 0.5,
        scale: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3),
        value: Any = 0,
        generator: Generator | None = None,
    ) -> None:
        self.p = check_probability(p)
        self.scale, self.ratio = _pair("scale", scale), _pair("ratio", ratio)
        if not 0 <= self.scale[0] <= self.scale[1] <= 1:
            raise ValueError(f"scale is a pair of fractions, the smaller first, got {scale}")
        if not 0 < self.ratio[0] <= self.ratio[1]:
            raise ValueError(f"ratio is a pair of numbers above 0, the smaller first, got {ratio}")
        if isinstance(value, str) and value != "random":
            raise ValueError(f'value is a number, one for each channel, or "random", got {value!r}')
        self.value, self.generator = value, generator

    def apply(self, images: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        height, width, channels = images.shape[1:]
        if np.ndim(self.value) and np.shape(self.value) not in ((1,), (channels,)):
            raise ValueError(
                f"RandomErasing: value has shape {np.shape(self.value)}, the image has "
                f"{channels} channels"
            )
        chosen, down, across, seed = numbers[:, :4].T
        area = _between(numbers[:, 4 : 4 + self._ATTEMPTS], self.scale) * height * width
        low, high = map(math.log, self.ratio)
        ratio = np.exp(_between(numbers[:, 4 + self._ATTEMPTS :], (low, high)))
        heights = np.round(np.sqrt(area * ratio)).astype(int)
        widths = np.round(np.sqrt(area / ratio)).astype(int)
        fits = (heights < height) & (widths < width) & (heights > 0) & (widths > 0)
        first = fits.argmax(axis=1)
        images = images.copy()
        for i in np.flatnonzero((chosen < self.p) & fits.any(axis=1)).tolist():
            h, w = heights[i, first[i]], widths[i, first[i]]
            top, left = int(down[i] * (height - h + 1)), int(across[i] * (width - w + 1))
            value = self.value
            if isinstance(value, str):
                noise = np.random.default_rng(int(seed[i] * 2**53))
                value = noise.standard_normal((h, w, channels))
            images[i, top : top + h, left : left + w] = value
        return images


def moved(
    images: np.ndarray,
    rotation: np.ndarray,
    shifts: Sequence[np.ndarray],
    factor: np.ndarray,
    shears: Sequence[np.ndarray],
    interpolation: str,
    fill: float,
) -> np.ndarray:
    """Images (N, H, W, C) under the affine maps x → R(rotation)·S(shears)·factor·x + shift.

    x is a place (across, down) relative to the centre; angles are in radians and clockwise. Each
    pixel is looked up at the inverse of its place.
    """
    if len(images) > _CHUNK:  # so that the arrays stay in the cache
        parts = [slice(start, start + _CHUNK) for start in range(0, len(images), _CHUNK)]
        return np.concatenate(
            [
                moved(
                    images[part], rotation[part], [each[part] for each in shifts], factor[part],
                    [each[part] for each in shears], interpolation, fill,
                )
                for part in parts
            ]
        )  # fmt: skip
    count, height, width, channels = images.shape
    shear_x, shear_y = shears
    a = np.cos(rotation - shear_y) / np.cos(shear_y)
    b = -a * np.tan(shear_x) - np.sin(rotation)
    c = np.sin(rotation - shear_y) / np.cos(shear_y)
    d = -c * np.tan(shear_x) + np.cos(rotation)
    x = (np.arange(width) - (width - 1) / 2)[None, None, :] - shifts[0][:, None, None]
    y = (np.arange(height) - (height - 1) / 2)[None, :, None] - shifts[1][:, None, None]
    # the determinant of (a b; c d) is 1
    a, b, c, d = (part[:, None, None] / factor[:, None, None] for part in (a, b, c, d))
    across = d * x - b * y + (width - 1) / 2
    down = a * y - c * x + (height - 1) / 2
    padded = np.full((count, height + 2, width + 2, channels), fill, images.dtype)
    padded[:, 1:-1, 1:-1] = images
    flat = padded.reshape(-1, channels)
    starts = (np.arange(count) * ((height + 2) * (width + 2)))[:, None, None]

    def pixels(row: np.ndarray, column: np.ndarray) -> np.ndarray:
        row = np.clip(row, -1, height).astype(np.intp) + 1
        column = np.clip(column, -1, width).astype(np.intp) + 1
        return flat.take(starts + row * (width + 2) + column, axis=0)

    if interpolation == "nearest":
        # places that are halves up to rounding errors go to the even neighbour, as with np.round
        return pixels(np.round(np.round(down, 9)), np.round(np.round(across, 9)))
    top, left = np.floor(down), np.floor(across)
    kind = images.dtype if images.dtype.kind == "f" else np.dtype(np.float64)
    under, right = ((each)[..., None].astype(kind) for each in (down - top, across - left))
    upper = pixels(top, left) * (1 - right) + pixels(top, left + 1) * right
    lower = pixels(top + 1, left) * (1 - right) + pixels(top + 1, left + 1) * right
    result = upper * (1 - under) + lower * under
    return result if images.dtype.kind == "f" else np.round(result).astype(images.dtype)


def _between(number: np.ndarray, ends: Sequence[float]) -> np.ndarray:
    return ends[0] + number * (ends[1] - ends[0])


def _pair(name: str, value: Sequence[float]) -> tuple[float, float]:
    if np.shape(value) != (2,):
        raise ValueError(f"{name} is a pair of numbers, got {value!r}")
    return value[0], value[1]


def _range(name: str, value: Any) -> tuple[float, float]:
    """(-value, value), or the pair that was given."""
    if not np.ndim(value):
        if not value >= 0:
            raise ValueError(f"a single number for {name} is 0 or more, got {value}")
        return -value, value
    low, high = _pair(name, value)
    if not low <= high:
        raise ValueError(f"{name} is a pair with the smaller number first, got {value}")
    return low, high
