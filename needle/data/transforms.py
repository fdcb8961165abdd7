"""Transforms of images: the base, and what needs no interpolation."""

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..device import Generator

__all__ = [
    "Compose", "Normalize", "RandomCrop", "RandomFlipHorizontal", "RandomHorizontalFlip",
    "ToTensor", "Transform",
]  # fmt: skip

Function = Callable[[np.ndarray], np.ndarray]


class Transform:
    """Base of transforms, which take and return one image, an array (H, W, C).

    A subclass defines `__call__`. Or it defines `apply` for batches, and says in `uniforms` how
    many random numbers it takes: datasets then transform a batch by one call, and a `DataLoader`
    with workers draws the numbers of `num_workers=0`.

    Example:
        >>> import needle as ndl
        >>> class Invert(ndl.data.Transform):
        ...     def __call__(self, x):
        ...         return 1 - x
        >>> image, label = ndl.data.Digits(transforms=[Invert()])[0]
        >>> float(image.max())
        1.0
        >>> class Brightness(ndl.data.Transform):
        ...     uniforms = 1
        ...
        ...     def apply(self, images, numbers):
        ...         return images * (0.5 + numbers.astype(images.dtype)[:, :, None, None])
        >>> ndl.data.Digits(transforms=[Brightness()])[:5][0].shape
        (5, 8, 8, 1)
    """

    uniforms = 0
    """How many numbers of U(0, 1) `apply` takes for each image."""

    generator: Generator | None = None
    """Where they are drawn; None is NumPy's global random state."""

    def __call__(self, x: np.ndarray) -> np.ndarray:
        if type(self).apply is Transform.apply:
            raise NotImplementedError(f"{type(self).__name__} does not define __call__")
        self._check(x)
        numbers = self._draw(self._random())
        return self.apply(np.asarray(x)[np.newaxis], numbers[np.newaxis])[0]

    def apply(self, images: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """New images for `images` (N, H, W, C) and `numbers` (N, uniforms) in [0, 1)."""
        raise NotImplementedError(f"{type(self).__name__} does not define apply")

    def _random(self) -> Any:
        """What draws: the generator, or NumPy's global state by its functions."""
        return np.random if self.generator is None else self.generator

    def _draw(self, random: Any) -> np.ndarray:
        """The numbers for one image."""
        return random.rand(self.uniforms)

    def __repr__(self) -> str:
        shown = [f"{name}={value!r}" for name, value in vars(self).items() if value is not None]
        return f"{type(self).__name__}({', '.join(shown)})"

    def _check(self, x: np.ndarray) -> None:
        if np.ndim(x) != 3:
            name = type(self).__name__
            raise ValueError(f"{name} takes one image (H, W, C), got shape {np.shape(x)}")


class Compose(Transform):
    """Several transforms, applied in order.

    Example:
        >>> import needle as ndl
        >>> import numpy as np
        >>> augment = ndl.data.Compose([ndl.data.RandomCrop(2), ndl.data.RandomFlipHorizontal()])
        >>> augment(np.ones((8, 8, 1))).shape
        (8, 8, 1)
    """

    def __init__(self, transforms: Sequence[Function]) -> None:
        if callable(transforms):
            raise TypeError("Compose takes a list of functions: write Compose([...])")
        self.transforms = list(transforms)
        for position, transform in enumerate(self.transforms):
            if not callable(transform):
                raise TypeError(
                    f"Compose: transform {position} is not a function, got {transform!r}"
                )
        check_order(self.transforms)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        for transform in self.transforms:
            x = transform(x)
        return x

    def __repr__(self) -> str:
        return f"Compose({self.transforms})"


class RandomFlipHorizontal(Transform):
    """Flips an image left to right with probability `p`: when `np.random.rand() < p`.

    Example:
        >>> import needle as ndl
        >>> import numpy as np
        >>> flip = ndl.data.RandomFlipHorizontal(p=1.0)
        >>> flip(np.arange(3.0).reshape(1, 3, 1)).ravel()
        array([2., 1., 0.])
    """

    uniforms = 1

    def __init__(self, p: float = 0.5, generator: Generator | None = None) -> None:
        self.p, self.generator = check_probability(p), generator

    def __call__(self, img: np.ndarray) -> np.ndarray:
        self._check(img)
        return img[:, ::-1] if self._random().rand() < self.p else img

    def apply(self, images: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        flipped = numbers[:, 0] < self.p
        if flipped.all():
            return images[:, :, ::-1]
        if flipped.any():
            images = images.copy()
            images[flipped] = images[flipped, :, ::-1]
        return images


RandomHorizontalFlip = RandomFlipHorizontal


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

    uniforms = 2

    def __init__(self, padding: int = 3, generator: Generator | None = None) -> None:
        self.padding, self.generator = operator.index(padding), generator
        if padding < 0:
            raise ValueError(f"padding is a number of pixels, 0 or more, got {padding}")

    def __call__(self, img: np.ndarray) -> np.ndarray:
        self._check(img)
        height, width, _ = img.shape
        padded = self._padded(np.asarray(img)[np.newaxis])[0]
        top, left = self._corners(self._draw(self._random()))
        return padded[top : top + height, left : left + width]

    def _draw(self, random: Any) -> np.ndarray:
        if isinstance(random, Generator):
            return random.rand(2)
        shifts = random.randint(-self.padding, self.padding + 1, size=2)
        return (shifts + (self.padding + 0.5)) / (2 * self.padding + 1)

    def _corners(self, numbers: np.ndarray) -> np.ndarray:
        return (numbers * (2 * self.padding + 1)).astype(np.intp)

    def _padded(self, images: np.ndarray) -> np.ndarray:
        # not np.pad, which takes ten times as long on a small image
        padding, (count, height, width, channels) = self.padding, images.shape
        shape = (count, height + 2 * padding, width + 2 * padding, channels)
        padded = np.zeros(shape, images.dtype)
        padded[:, padding : padding + height, padding : padding + width] = images
        return padded

    def apply(self, images: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        count, height, width, channels = images.shape
        rows = self._padded(images).reshape(count, height + 2 * self.padding, -1)
        corners = 2 * self.padding + 1
        windows = np.lib.stride_tricks.as_strided(  # all crops of all images, by their corners
            rows,
            (count, corners, corners, height, width * channels),
            (*rows.strides[:2], channels * rows.itemsize, *rows.strides[1:]),
        )
        top, left = self._corners(numbers).T
        return windows[np.arange(count), top, left].reshape(images.shape)


class Normalize(Transform):
    """(x - mean) / std of each channel, for floating-point images.

    Example:
        >>> import needle as ndl
        >>> import numpy as np
        >>> ndl.data.Normalize(mean=[0.5], std=[0.25])(np.ones((1, 2, 1), np.float32)).ravel()
        array([2., 2.], dtype=float32)
    """

    def __init__(self, mean: Any, std: Any) -> None:
        self.mean, self.std = (np.atleast_1d(np.asarray(each, float)) for each in (mean, std))
        if self.mean.ndim > 1 or self.std.ndim > 1:
            raise ValueError("Normalize: mean and std are a number, or one for each channel")
        if not (self.std > 0).all():
            raise ValueError(f"Normalize: std is above 0, got {std}")

    def apply(self, images: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        if images.dtype.kind != "f":
            raise TypeError(
                f"Normalize takes floating-point images, got {images.dtype}: divide by 255 first"
            )
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, images.shape[-1]):
                raise ValueError(
                    f"Normalize: {name} has {len(values)} channels, the image (H, W, C) of shape "
                    f"{images.shape[1:]} has {images.shape[-1]}"
                )
        # whole rows at once: loops over three channels would take five times as long
        channels, width = images.shape[-1], images.shape[-2]
        mean, std = (
            np.tile(np.broadcast_to(each, channels).astype(images.dtype), width)
            for each in (self.mean, self.std)
        )
        rows = images.reshape(*images.shape[:-2], width * channels) - mean
        return np.divide(rows, std, out=rows).reshape(images.shape)

    def __repr__(self) -> str:
        return f"Normalize(mean={self.mean.tolist()}, std={self.std.tolist()})"


class ToTensor(Transform):
    """An image (H, W, C) as (C, H, W), float32; bytes are scaled to [0, 1]. Put it last.

    Example:
        >>> import needle as ndl
        >>> import numpy as np
        >>> ndl.data.ToTensor()(np.full((4, 5, 3), 255, np.uint8)).shape
        (3, 4, 5)
    """

    def apply(self, images: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        scale = 255 if images.dtype == np.uint8 else 1
        return np.divide(np.moveaxis(images, -1, 1), scale, dtype=np.float32, order="C")


def check_order(transforms: Sequence[Function] | None) -> None:
    """That no transform of images (H, W, C) follows `ToTensor`.

    `Normalize` may where it has one number for all channels.
    """
    puts_channels_first = False
    for transform in flattened(transforms):
        is_uniform = isinstance(transform, Normalize) and (
            transform.mean.size == transform.std.size == 1
        )
        if puts_channels_first and isinstance(transform, Transform) and not is_uniform:
            raise ValueError(
                f"{type(transform).__name__} takes images (H, W, C), and ToTensor before it gives "
                "(C, H, W): put ToTensor last"
            )
        puts_channels_first |= isinstance(transform, ToTensor)


def check_probability(p: float) -> float:
    """`p`, unless it is not a number from 0 to 1."""
    if not 0 <= p <= 1:
        raise ValueError(f"p is a probability between 0 and 1, got {p}")
    return p


# --- batches


def flattened(transforms: Sequence[Function] | None) -> Iterator[Function]:
    """The transforms, those inside of `Compose` too."""
    for transform in transforms or ():
        if type(transform) is Compose:
            yield from flattened(transform.transforms)
        else:
            yield transform


def for_batches(transforms: Sequence[Function] | None) -> list[Transform] | None:
    """The transforms, if all of them take batches and declare their draws; else None."""
    found = []
    for transform in flattened(transforms):
        # a class that defines `__call__` alone has changed what its `apply` does not know
        for owner in type(transform).__mro__:
            if "apply" in vars(owner) or "__call__" in vars(owner):
                break
        if not isinstance(transform, Transform) or "apply" not in vars(owner) or owner is Transform:
            return None
        found.append(transform)
    return found


def draw_numbers(
    transforms: Sequence[Transform], count: int, streams: Mapping[Generator | None, Any]
) -> list[np.ndarray]:
    """What the transforms draw for `count` images, in the order in which single images draw it.

    Image by image, each transform in turn: of one stream, these are the rows of one table.
    """
    drawn = [np.empty((count, 0))] * len(transforms)
    of_stream: dict[Generator | None, list[int]] = {}
    for position, transform in enumerate(transforms):
        if transform.uniforms:
            of_stream.setdefault(transform.generator, []).append(position)
    for generator, positions in of_stream.items():
        random, group = streams[generator], [transforms[position] for position in positions]
        ends = np.cumsum([transform.uniforms for transform in group]).tolist()
        if generator is None and any(type(each)._draw is not Transform._draw for each in group):
            rows = [[each._draw(random) for each in group] for _ in range(count)]
            table = np.array([np.concatenate(row) for row in rows]).reshape(count, ends[-1])
        else:
            table = random.rand(count, ends[-1])
        for position, part in zip(positions, np.split(table, ends[:-1], axis=1), strict=True):
            drawn[position] = part
    return drawn
