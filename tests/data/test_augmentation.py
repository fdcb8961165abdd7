"""Transforms of images beside flips and crops: numbers, batches, seeds, and bad settings."""

import math

import numpy as np
import pytest

from needle import Generator
from needle.data import (
    Compose,
    DataLoader,
    NDArrayDataset,
    Normalize,
    RandomAffine,
    RandomCrop,
    RandomErasing,
    RandomFlipHorizontal,
    RandomHorizontalFlip,
    RandomRotation,
    ToTensor,
    Transform,
)
from needle.data.geometry import moved

IMAGES = np.random.default_rng(1).random((5, 7, 9, 3), np.float32)


def every_transform(generator=None):
    return [
        RandomFlipHorizontal(generator=generator),
        RandomCrop(2, generator),
        RandomRotation(40, "bilinear", generator=generator),
        RandomRotation((-10, 90), fill=0.5, generator=generator),
        RandomAffine(20, (0.2, 0.3), (0.5, 1.5), (5, 10, -20, 3), generator=generator),
        RandomAffine(0, scale=(1, 2), shear=10, interpolation="bilinear", generator=generator),
        RandomErasing(generator=generator),
        RandomErasing(1, value="random", generator=generator),
        RandomErasing(1, (0.1, 0.4), (1, 1), value=(1, 2, 3), generator=generator),
        Normalize([0.1, 0.2, 0.3], 0.5),
        ToTensor(),
    ]


def image_by_image(transforms, images):
    return np.stack([Compose(transforms)(image) for image in images])


# --- batches


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("position", range(len(every_transform())))
def test_a_batch_is_what_its_images_are_one_by_one(position, own):
    def transform():
        return every_transform(Generator(5) if own else None)[position]

    np.random.seed(3)
    expected = image_by_image([transform()], IMAGES)
    after = np.random.rand()
    np.random.seed(3)
    batch = NDArrayDataset(IMAGES, transforms=[transform()])[np.arange(5)][0]
    np.testing.assert_array_equal(batch, expected)
    assert batch.dtype == expected.dtype == np.float32
    assert np.random.rand() == after


@pytest.mark.parametrize("own", [False, True])
def test_several_transforms_draw_image_by_image(own):
    def transforms():
        several = every_transform(Generator(5) if own else None)
        return [several[0], Compose([several[1], Compose(several[2:5])]), *several[5:]]

    np.random.seed(3)
    expected = image_by_image(transforms(), IMAGES)
    np.random.seed(3)
    found = NDArrayDataset(IMAGES, transforms=transforms())[:][0]
    np.testing.assert_array_equal(found, expected)


def test_transforms_with_and_without_a_generator_draw_side_by_side():
    def transforms():
        return [RandomCrop(1, Generator(2)), RandomFlipHorizontal(), RandomErasing()]

    np.random.seed(3)
    expected = image_by_image(transforms(), IMAGES)
    np.random.seed(3)
    found = NDArrayDataset(IMAGES, transforms=transforms())[:][0]
    np.testing.assert_array_equal(found, expected)


def test_transforms_leave_their_images_alone():
    before = IMAGES.copy()
    for transform in every_transform():
        transform(IMAGES[0])
        NDArrayDataset(IMAGES, transforms=[transform])[:]
    np.testing.assert_array_equal(IMAGES, before)


def test_batches_go_to_apply_unless_a_subclass_calls_by_itself():
    class Louder(RandomCrop):
        def __call__(self, img):
            return super().__call__(img) * 0 + 7

    class Shifted(RandomFlipHorizontal):
        def apply(self, images, numbers):
            return images + numbers[:, :, None, None].astype(images.dtype)

    assert (NDArrayDataset(IMAGES, transforms=[Louder()])[:][0] == 7).all()
    np.random.seed(0)
    found = NDArrayDataset(IMAGES, transforms=[Shifted()])[:][0]
    np.random.seed(0)
    expected = IMAGES + np.random.rand(5, 1, 1, 1).astype(np.float32)
    np.testing.assert_array_equal(found, expected)


def test_functions_among_transforms_see_single_images():
    shapes = []
    dataset = NDArrayDataset(
        IMAGES, transforms=[RandomCrop(1), lambda image: shapes.append(image.shape) or image]
    )
    next(iter(DataLoader(dataset, 5)))
    assert shapes == [(7, 9, 3)] * 5


# --- each transform


def test_names():
    assert RandomHorizontalFlip is RandomFlipHorizontal
    assert repr(Compose([RandomCrop(2)])) == "Compose([RandomCrop(padding=2)])"
    assert repr(Normalize(0.5, [1, 2])) == "Normalize(mean=[0.5], std=[1.0, 2.0])"


def test_a_dataset_takes_compose_for_a_list():
    dataset = NDArrayDataset(IMAGES, transforms=Compose([lambda image: image + 1]))
    np.testing.assert_array_equal(dataset[2][0], IMAGES[2] + 1)


def test_normalize():
    mean, std = [0.1, 0.2, 0.3], [1, 2, 3]
    expected = (IMAGES - np.float32(mean)) / np.float32(std)
    np.testing.assert_allclose(Normalize(mean, std)(IMAGES[0]), expected[0], rtol=1e-6)
    np.testing.assert_allclose(Normalize(0.5, 2)(IMAGES[0]), (IMAGES[0] - 0.5) / 2, rtol=1e-6)


def test_to_tensor():
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    result = ToTensor()(image)
    np.testing.assert_array_equal(result, np.moveaxis(image, -1, 0) / np.float32(255))
    assert (result.dtype, result.flags.c_contiguous) == (np.float32, True)
    np.testing.assert_array_equal(ToTensor()(IMAGES[0]), np.moveaxis(IMAGES[0], -1, 0))


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize("shape", [(7, 9), (8, 8)])
def test_affine_maps_are_those_of_pytorch(interpolation, shape):
    """The matrix is written out here; PyTorch looks up the pixels."""
    torch = pytest.importorskip("torch")
    height, width = shape
    images = np.random.rand(20, *shape, 2)
    angle, shear_x, shear_y = np.radians(np.random.uniform(-40, 40, (3, 20)))
    factor = np.random.uniform(0.5, 2, 20)
    shift = np.random.uniform(-2, 2, (20, 2))
    maps = []
    for i in range(20):
        # as torchvision states it
        a, b = angle[i], shear_y[i]
        c = math.cos(b)
        whole = factor[i] * np.array(
            [
                [math.cos(a - b) / c, -math.cos(a - b) * math.tan(shear_x[i]) / c - math.sin(a)],
                [math.sin(a - b) / c, -math.sin(a - b) * math.tan(shear_x[i]) / c + math.cos(a)],
            ]
        )
        inverse = np.linalg.inv(whole)
        offset = -inverse @ shift[i]
        scale = np.array([width / 2, height / 2])  # PyTorch's places go from -1 to 1
        theta = np.column_stack([inverse * scale / scale[:, None], offset / scale])
        maps.append(theta)
    theirs = torch.tensor(images).permute(0, 3, 1, 2)
    grid = torch.nn.functional.affine_grid(torch.tensor(np.array(maps)), theirs.shape, False)
    expected = torch.nn.functional.grid_sample(theirs, grid, interpolation, align_corners=False)
    found = moved(images, angle, list(shift.T), factor, [shear_x, shear_y], interpolation, 0)
    np.testing.assert_allclose(found, expected.permute(0, 2, 3, 1).numpy(), atol=1e-9)


def test_rotation_by_quarters_is_exact():
    square = IMAGES[0, :, :7]
    for turns in range(4):
        rotate = RandomRotation((90 * turns, 90 * turns))
        np.testing.assert_array_equal(rotate(square), np.rot90(square, turns))
        smooth = RandomRotation((90 * turns, 90 * turns), "bilinear")
        np.testing.assert_allclose(smooth(square), np.rot90(square, turns), atol=1e-6)
    turned = RandomAffine((90, 90))(square)
    np.testing.assert_array_equal(turned, np.rot90(square, -1))  # clockwise, as in torchvision


def test_amounts_of_affine_maps_follow_the_draws():
    image = IMAGES[0]
    shift = RandomAffine(0, translate=(1, 1))
    found = shift.apply(image[None], np.array([[0.5, 13 / 18, 0.5, 0.5, 0.5, 0.5]]))[0]
    np.testing.assert_array_equal(found[:, 4:], image[:, :-4])
    assert not found[:, :4].any()
    filled = RandomAffine(0, translate=(1, 1), fill=7)
    found = filled.apply(image[None], np.array([[0.5, 0.5, 10.5 / 14, 0.5, 0.5, 0.5]]))[0]
    assert (found[: round(3.5)] == 7).all()
    twice = RandomAffine(0, scale=(2, 2))(np.arange(4.0).reshape(1, 4, 1))
    assert twice[0, :, 0].tolist() == [1, 1, 2, 2]


def test_bytes_stay_bytes():
    image = (IMAGES[0] * 255).astype(np.uint8)
    for transform in (
        RandomRotation(10, "bilinear"),
        RandomAffine(5),
        RandomErasing(1),
        RandomCrop(),
    ):
        result = transform(image)
        assert (result.dtype, result.shape) == (image.dtype, image.shape)


def test_erasing_fills_rectangles_of_the_drawn_size():
    erase = RandomErasing(p=1, scale=(0.1, 0.3), ratio=(0.5, 2), value=5)
    areas = []
    for _ in range(200):
        erased = erase(np.zeros((20, 30, 2)))
        rows, columns, _ = (np.unique(index) for index in np.nonzero(erased))
        assert (erased[np.ix_(rows, columns)] == 5).all()
        assert len(rows) * len(columns) * 10 == erased.sum()
        assert 0.4 < len(rows) / len(columns) < 2.5
        areas.append(len(rows) * len(columns) / 600)
    assert 0.08 < min(areas) < 0.14
    assert 0.26 < max(areas) < 0.32
    count = sum((RandomErasing(0.3)(np.ones((20, 20, 1))) == 0).any() for _ in range(300))
    assert 60 < count < 120


def test_erasing_with_noise_and_with_channels():
    noise = RandomErasing(1, (0.5, 0.9), (1, 1), "random")(np.full((50, 50, 2), 9.0))
    drawn = noise[noise != 9]
    assert abs(drawn.mean()) < 0.1
    assert abs(drawn.std() - 1) < 0.1
    painted = RandomErasing(1, (0.5, 0.5), (1, 1), (1, 2, 3))(np.zeros((8, 8, 3)))
    assert painted.reshape(-1, 3).max(0).tolist() == [1, 2, 3]
    assert len(np.unique(painted.reshape(-1, 3), axis=0)) == 2


def test_shapes_that_never_fit_erase_nothing():
    image = np.ones((4, 4, 1))
    np.testing.assert_array_equal(RandomErasing(1, (1, 1), (1, 1))(image), image)


# --- bad settings


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Normalize([0, 0], [1, 0]), r"std is above 0, got \[1, 0\]"),
        (lambda: Normalize([[0]], 1), "one for each channel"),
        (lambda: Normalize([0, 0], 1)(IMAGES[0]), r"mean has 2 channels, the image .* has 3"),
        (lambda: RandomRotation(-1), "a single number for degrees is 0 or more, got -1"),
        (lambda: RandomRotation((3, 1)), r"degrees is a pair with the smaller .*, got \(3, 1\)"),
        (lambda: RandomRotation((1, 2, 3)), r"degrees is a pair of numbers, got \(1, 2, 3\)"),
        (lambda: RandomRotation(1, "cubic"), "interpolation is one of .*, got 'cubic'"),
        (lambda: RandomAffine(1, translate=(0.1, 2)), "fractions between 0 and 1"),
        (lambda: RandomAffine(1, translate=0.1), "translate is a pair"),
        (lambda: RandomAffine(1, scale=(0, 1)), "factors above 0"),
        (lambda: RandomAffine(1, shear=-3), "shear is 0 or more, got -3"),
        (lambda: RandomErasing(2), "between 0 and 1, got 2"),
        (lambda: RandomErasing(scale=(0.5, 2)), "scale is a pair of fractions"),
        (lambda: RandomErasing(ratio=(0, 1)), "ratio is a pair of numbers above 0"),
        (lambda: RandomErasing(value="blue"), "value is a number, one for each channel"),
        (lambda: RandomErasing(value=(1, 2))(IMAGES[0]), r"value has shape \(2,\), .* 3 channels"),
        (lambda: RandomAffine(3)(IMAGES), "RandomAffine takes one image"),
    ],
)
def test_impossible_settings_are_refused(make, text):
    with pytest.raises(ValueError, match=text):
        make()


def test_other_mistakes():
    with pytest.raises(TypeError, match="floating-point images, got uint8: divide by 255"):
        Normalize(0, 1)(np.zeros((2, 2, 1), np.uint8))
    with pytest.raises(TypeError, match=r"write Compose\(\[\.\.\.\]\)"):
        Compose(RandomCrop())
    with pytest.raises(TypeError, match="transform 1 is not a function, got 3"):
        Compose([RandomCrop(), 3])
    with pytest.raises(NotImplementedError, match="Transform does not define apply"):
        Transform().apply(IMAGES, IMAGES)
