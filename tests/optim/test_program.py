"""Update rules of users: what a formula may be, and how it is run in place."""

import math

import numpy as np
import pytest

import needle as ndl
from needle.optim import SGD, Adadelta, Adam, Optimizer

LAYOUTS = ["together", "alone", "pieces"]


def rule(update, **state):
    """An optimizer class with this formula, and state arrays filled with zeros."""

    class Rule(Optimizer):
        def __init__(self, params, **defaults):
            super().__init__(params, {"lr": 0.1, "rate": 0.3, **defaults})

        def initial_state(self, group):
            return dict.fromkeys(state, 0.0)

        def update(self, theta, g, state, settings, step):
            return update(theta, g, state, settings, step)

    return Rule


def rprop(theta, g, s, settings, step):
    agreement = np.sign(g * s["last"])
    factor = np.where(agreement > 0, 1.2, np.where(agreement < 0, 0.5, 1.0))
    width = np.clip(s["width"] * factor + settings.lr * (step == 1), 1e-6, 50)
    return theta - width * np.sign(g), {"last": g, "width": width}


def swap(theta, g, s, settings, step):
    return theta - s["a"], {"a": s["b"] + g, "b": s["a"] + 1}


def exchange(theta, g, s, settings, step):
    return theta - g, {"a": s["b"], "b": s["a"]}


def overwritten(theta, g, s, settings, step):
    return theta - g, {"a": g, "b": g}


def looks_at_the_result(theta, g, s, settings, step):
    new = theta * (1 - settings.lr) - settings.lr * g
    return new, {"a": s["a"] + new}


def replaced(theta, g, s, settings, step):
    return settings.rate * g + 1, {"a": theta}


def constant(theta, g, s, settings, step):
    return theta, {"a": 2.0, "b": settings.rate}


def many_terms(theta, g, s, settings, step):
    terms = [np.exp(-np.square(g + k)) for k in range(4)]
    product = 1.0
    for term in terms:
        product = product + term * g
    return theta - settings.lr * (product + sum(terms)), {}


def powers(theta, g, s, settings, step):
    total = s["a"] + g**2 / settings.rate**step + abs(g) ** 3
    return theta + -settings.lr * g / np.sqrt(1 + total), {"a": total}


def changes_by_state(theta, g, s, settings, step):
    total = s["a"] + g
    return theta - total, {"a": total}


def stays(theta, g, s, settings, step):
    return theta - settings.lr * (s["a"] + 1) * g, {}


def replaces_what_it_read(theta, g, s, settings, step):
    change = np.sqrt(s["a"] + 2) * g
    a = change * change
    return theta - settings.lr * change, {"a": a}


RULES = {
    "replaces what it read": (replaces_what_it_read, "a"),
    "state stays": (stays, "a"),
    "rprop": (rprop, ("last", "width")),
    "swap": (swap, "ab"),
    "exchange": (exchange, "ab"),
    "overwritten": (overwritten, "ab"),
    "looks at the result": (looks_at_the_result, "a"),
    "replaced": (replaced, "a"),
    "constant": (constant, "ab"),
    "many terms": (many_terms, ""),
    "powers": (powers, "a"),
    "changes by state": (changes_by_state, "a"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("maximize", [False, True])
def test_a_formula_in_place_is_the_formula(
    make_params, give_gradients, lay_out, layout, name, maximize
):
    lay_out(layout)
    update, names = RULES[name]
    params = make_params([(30, 4), (5,), (), (90, 100)], dtype="float64")
    optimizer = rule(update, **dict.fromkeys(names))(params, maximize=maximize)
    theta = [param.numpy() for param in params]
    states = [{n: np.zeros(param.shape) for n in names} for param in params]
    for step in range(1, 5):
        gradients = give_gradients(params, seed=step)
        copies = [gradient.copy() for gradient in gradients]
        optimizer.lr = 0.1 * step
        optimizer.step()
        group = type("Settings", (), optimizer.param_groups[0])
        for i, gradient in enumerate(gradients):
            np.testing.assert_array_equal(gradient, copies[i])
            g = -gradient if maximize else gradient
            count = step if names else 0
            theta[i], new = update(theta[i], g, states[i], group, count)
            states[i] = {**states[i], **new}
            np.testing.assert_allclose(params[i].numpy(), theta[i], rtol=1e-12, atol=1e-12)
            for key in names:
                array = optimizer.state[params[i]][key]
                expected = np.broadcast_to(states[i][key], array.shape)
                np.testing.assert_allclose(array, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("update", "error", "text"),
    [
        (lambda t, g, s, o, n: t - g, TypeError, r"Rule.update must return a pair"),
        (lambda t, g, s, o, n: (t, {"b": g}), ValueError, r"returned the state \['b'\].*\['a'\]"),
        (lambda t, g, s, o, n: (t - (g if n > 1 else t), {}), TypeError, "factor such as"),
        (lambda t, g, s, o, n: (t - math.sqrt(n), {}), TypeError, "elementwise formula"),
        (lambda t, g, s, o, n: (t - np.sum(g), {}), TypeError, "np.sum.*elementwise formula"),
        (lambda t, g, s, o, n: (t @ g, {}), TypeError, "np.matmul.*elementwise formula"),
        (lambda t, g, s, o, n: (np.add(t, g, out=t), {}), TypeError, "np.add"),
        (lambda t, g, s, o, n: (t - np.ones(3), {}), TypeError, "symbols and numbers, got array"),
    ],
)
def test_what_is_no_formula_is_refused(make_params, train, update, error, text):
    with pytest.raises(error, match=text):
        train(rule(update, a=0)(make_params()), [0])


def test_a_rule_is_traced_again_only_for_another_structure(make_params, train):
    calls = []

    def update(theta, g, state, settings, step):
        calls.append(settings.rate)
        return theta - settings.lr * g * settings.rate, {}

    optimizer = rule(update)(make_params())
    for lr, rate in ((0.1, 0.3), (0.0, 0.2), (1.0, 0.5), (0.2, 0.0), (0.3, 0.1), (0.1, 0.0)):
        optimizer.param_groups[0].update(lr=lr, rate=rate)
        train(optimizer, [0])
    assert len(calls) == 2
    assert calls[1] == 0.0


def test_terms_with_the_factor_0_vanish(make_params):
    plain = SGD(make_params()).source()
    assert SGD(make_params(), weight_decay=0.1).source() != plain
    assert plain.count("multiply") == 1
    assert "theta" in plain
    assert plain.count("def update") == 1
    both = Adam(make_params([(3,), (4,), (100, 100)])).source()
    assert both.count("def update") == 2


def test_needles_rules_need_two_scratch_arrays_at_most(any_optimizer, make_params):
    for shapes in ([(3,), (4,)], [(100, 100)]):
        optimizer = any_optimizer(make_params(shapes))
        too_many = "t3" if isinstance(optimizer, Adadelta) else "t2"  # its quotient has two roots
        assert too_many not in optimizer.source()


def test_a_rule_without_state_has_no_step():
    weight = ndl.Tensor([1.0])
    weight.grad = ndl.Tensor([1.0])
    decaying = rule(lambda theta, g, state, settings, step: (theta - g / step, state))
    with pytest.raises(ValueError, match=r"Rule\.update uses step.*initial_state"):
        decaying([weight]).step()


def changed_in_place(theta, g, s, settings, step):
    g += settings.rate * theta
    return theta - g, {}


def changed_state(theta, g, s, settings, step):
    s["a"] *= 0.9
    return theta - s["a"], s


def branched_on_values(theta, g, s, settings, step):
    if (g > 0).all():
        g = -g
    return theta - g, {}


@pytest.mark.parametrize(
    ("update", "error", "text"),
    [
        (lambda t, g, s, o, n: (t - g.sum(), {}), AttributeError, "'sum' of an array.*elementwise"),
        (branched_on_values, AttributeError, "'all' of an array.*np.where"),
        (lambda t, g, s, o, n: (t - g / g.size, {}), AttributeError, "'size' of an array"),
        (lambda t, g, s, o, n: (t - g[0], {}), TypeError, "an index, .*elementwise formula"),
        (lambda t, g, s, o, n: (t - len(g), {}), TypeError, r"len\(\).*elementwise formula"),
        (lambda t, g, s, o, n: (t - max(g, 0), {}), TypeError, "cannot branch on numbers"),
        (lambda t, g, s, o, n: (t - [x for x in g], {}), TypeError, "elementwise formula"),  # noqa: C416
        (changed_in_place, TypeError, r"np.add in place \(such as \+=.*write g = g \+ x"),
        (changed_state, TypeError, "np.multiply in place"),
        (lambda t, g, s, o, n: (t - o.rat * g, {}), AttributeError, "no setting 'rat', only lr"),
        (lambda t, g, s, o, n: (t - o["lr"] * g, {}), TypeError, r"write settings\.lr"),
        (lambda t, g, s, o, n: (t - s["b"], {}), KeyError, r"no state 'b'.*\['a'\]"),
        (lambda t, g, s, o, n: (t - g, None), TypeError, r"must return a pair \(theta, state\)"),
    ],
)  # fmt: skip
def test_errors_in_a_rule_say_what_a_rule_is(make_params, update, error, text) -> None:
    (param,) = params = make_params([(2, 3)])
    param.grad = ndl.init.ones(2, 3, dtype=param.dtype)
    with pytest.raises(error, match=text) as caught:
        rule(update, a=0)(params).step()
    if "pair" not in text:
        (note,) = caught.value.__notes__
        assert note == "in Rule.update, a formula of operators and NumPy's functions on symbols"


def test_numpys_numbers_and_symbols(make_params) -> None:
    (param,) = params = make_params([(2, 3)])
    param.grad = ndl.init.ones(2, 3, dtype=param.dtype)
    before = param.numpy()
    rule(lambda t, g, s, o, n: (t - np.float64(0.5) * g * np.float32(2), {}))(params).step()
    np.testing.assert_allclose(param.numpy(), before - 1, rtol=1e-6)
