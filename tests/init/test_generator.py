"""Every initialiser that draws takes a stream of its own."""

import numpy as np
import pytest

import needle as ndl
from needle import init, nn

INITIALISERS = {
    "rand": lambda **options: init.rand(3, 4, **options),
    "randn": lambda **options: init.randn(3, 4, **options),
    "randb": lambda **options: init.randb(3, 4, **options),
    "trunc_normal": lambda **options: init.trunc_normal(3, 4, **options),
    "orthogonal": lambda **options: init.orthogonal(3, 4, **options),
    "xavier_uniform": lambda **options: init.xavier_uniform(3, 4, **options),
    "xavier_normal": lambda **options: init.xavier_normal(3, 4, **options),
    "kaiming_uniform": lambda **options: init.kaiming_uniform(3, 4, **options),
    "kaiming_normal": lambda **options: init.kaiming_normal(3, 4, **options),
}
IN_PLACE = ["uniform", "normal", *list(INITIALISERS)[3:]]


def in_place(name, **options):
    return getattr(nn.init, f"{name}_")(init.zeros(3, 4), **options)


DRAWS = INITIALISERS | {
    f"{name}_": lambda name=name, **options: in_place(name, **options) for name in IN_PLACE
}


@pytest.fixture(params=DRAWS.values(), ids=DRAWS)
def draw(request):
    return request.param


def test_a_generator_is_a_stream_of_its_own(draw) -> None:
    generator = ndl.Generator(5)
    ndl.manual_seed(0)
    first, second = draw(generator=generator).numpy(), draw(generator=generator).numpy()
    assert (first != second).any()
    after = np.random.rand()
    ndl.manual_seed(0)
    assert after == np.random.rand()  # the global state was left alone
    np.testing.assert_array_equal(draw(generator=ndl.Generator(5)).numpy(), first)


def test_without_one_the_global_state_is_used(draw) -> None:
    ndl.manual_seed(1)
    first = draw().numpy()
    ndl.manual_seed(1)
    np.testing.assert_array_equal(draw(generator=None).numpy(), first)
    assert np.random.rand() != np.random.RandomState(1).rand()


def test_a_saved_state_repeats_the_draws(draw) -> None:
    generator = ndl.Generator()
    state = generator.state_dict()
    first = draw(generator=generator).numpy()
    generator.load_state_dict(state)
    np.testing.assert_array_equal(draw(generator=generator).numpy(), first)


@pytest.mark.parametrize("name", ["xavier_uniform", "xavier_normal", "kaiming_uniform"])
def test_in_place_draws_are_those_of_the_initialiser(name) -> None:
    options = {"nonlinearity": "leaky_relu", "a": 0.2} if name == "kaiming_uniform" else {}
    expected = getattr(init, name)(3, 4, generator=ndl.Generator(2), **options)
    options.pop("nonlinearity", None)
    filled = in_place(name, generator=ndl.Generator(2), **options)
    np.testing.assert_array_equal(filled.numpy(), expected.numpy())


@pytest.mark.parametrize("device", ["cpu", ndl.cpu()])
def test_devices_by_name(device) -> None:
    assert init.rand(2, device=device).device == ndl.cpu()
    assert init.zeros_like(init.ones(2, device=device), device=device).shape == (2,)
    with pytest.raises(ValueError, match="no device 'tpu'"):
        init.randn(2, device="tpu")
