import numpy as np
import pytest

import needle as ndl
from needle.data import RandomCrop, RandomFlipHorizontal, Transform


def test_flip_mirrors_left_to_right():
    image = np.arange(12).reshape(2, 3, 2)
    np.testing.assert_array_equal(RandomFlipHorizontal(p=1)(image), np.flip(image, axis=1))
    np.testing.assert_array_equal(RandomFlipHorizontal(p=0)(image), image)


def test_flip_draws_one_number_an_image():
    image = np.arange(6).reshape(1, 6, 1)
    np.random.seed(3)
    flipped = [RandomFlipHorizontal(0.4)(image)[0, 0, 0] == 5 for _ in range(50)]
    np.random.seed(3)
    expected = [np.random.rand() < 0.4 for _ in range(50)]
    assert flipped == expected
    assert 0 < sum(flipped) < 50


@pytest.mark.parametrize("padding", [0, 1, 3, 10])
def test_crop_is_a_window_of_the_padded_image(padding):
    image = np.random.rand(5, 7, 2).astype(np.float32)
    crop = RandomCrop(padding)
    np.random.seed(1)
    results = [crop(image) for _ in range(20)]
    np.random.seed(1)
    padded = np.pad(image, ((padding, padding), (padding, padding), (0, 0)))
    for result in results:
        shift_x, shift_y = np.random.randint(-padding, padding + 1, size=2)
        top, left = padding + shift_x, padding + shift_y
        np.testing.assert_array_equal(result, padded[top : top + 5, left : left + 7])
        assert result.dtype == np.float32


def test_crop_reaches_both_ends():
    image = np.zeros((9, 9, 1))
    image[4, 4] = 1
    where = {tuple(np.argwhere(RandomCrop(1)(image))[0][:2]) for _ in range(200)}
    assert where == {(row, column) for row in (3, 4, 5) for column in (3, 4, 5)}


def test_defaults():
    assert RandomFlipHorizontal().p == 0.5
    assert RandomCrop().padding == 3


@pytest.mark.parametrize("transform", [RandomCrop(), RandomFlipHorizontal()])
@pytest.mark.parametrize("shape", [(28, 28), (5, 28, 28, 1)])
def test_anything_but_one_image_is_refused(transform, shape):
    with pytest.raises(ValueError, match=r"takes one image \(H, W, C\), got shape"):
        transform(np.zeros(shape))


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_flip_refuses_what_is_no_probability(p):
    with pytest.raises(ValueError, match="between 0 and 1"):
        RandomFlipHorizontal(p)


def test_crop_refuses_impossible_padding():
    with pytest.raises(ValueError, match="0 or more, got -1"):
        RandomCrop(-1)
    with pytest.raises(TypeError, match="float"):
        RandomCrop(1.5)


def test_base_transform_says_what_is_missing():
    class Blur(Transform):
        pass

    with pytest.raises(NotImplementedError, match="Blur does not define __call__"):
        Blur()(np.zeros((2, 2, 1)))


def test_nothing_for_channels_last_follows_to_tensor():
    late = [ndl.data.ToTensor(), ndl.data.RandomCrop(4)]
    per_channel = [ndl.data.ToTensor(), ndl.data.Normalize([0.4, 0.5, 0.6], [0.2, 0.2, 0.2])]
    for transforms in (late, per_channel, [ndl.data.Compose(late[:1]), late[1]]):
        for build in (ndl.data.Compose, lambda each: ndl.data.Digits(transforms=each)):
            with pytest.raises(ValueError, match="put ToTensor last"):
                build(transforms)
    gray = ndl.data.Compose([ndl.data.ToTensor(), ndl.data.Normalize(0.5, 0.25)])
    assert gray(np.ones((2, 3, 1), np.float32)).shape == (1, 2, 3)
