"""einsum, tensordot and outer: any equation, both derivatives, what is refused."""

import numpy as np
import pytest

import needle as ndl
from needle import Tensor
from needle.autograd import find_topo_sort
from needle.ops import Einsum

EQUATIONS = [
    # one operand: order, sums, diagonals
    ("ij->ij", (2, 3)),
    ("ij->ji", (2, 3)),
    ("ba", (2, 3)),
    ("ij->j", (2, 3)),
    ("ij->", (2, 3)),
    ("->", ()),
    ("ii->i", (3, 3)),
    ("ii", (3, 3)),
    ("ijj->i", (2, 3, 3)),
    ("iii->i", (3, 3, 3)),
    ("...ii->...i", (2, 3, 3)),
    ("a...a->...a", (3, 2, 3)),
    ("...i->...", (2, 3, 2)),
    # two operands: products of all kinds
    ("ij,jk->ik", (2, 3), (3, 2)),
    ("ij,jk", (2, 3), (3, 2)),
    (" ij , jk -> ki ", (2, 3), (3, 2)),
    ("i,j->ij", (3,), (2,)),
    ("i,j->ji", (3,), (2,)),
    ("i,i", (3,), (3,)),
    ("ij,ij->ij", (2, 3), (2, 3)),
    ("ij,ij->", (2, 3), (2, 3)),
    ("ij,ji->i", (2, 3), (3, 2)),
    ("bi,bj->bij", (2, 3), (2, 2)),
    ("bij,bkj->bik", (2, 3, 2), (2, 2, 2)),
    ("bijx,xyjb->yib", (2, 3, 2, 3), (3, 2, 2, 2)),
    ("aab,bcc->ac", (2, 2, 3), (3, 2, 2)),
    ("ij,k->k", (2, 3), (2,)),
    ("ij,kl->", (2, 3), (3, 2)),
    (",ij->ij", (), (2, 3)),
    ("ij,->", (2, 3), ()),
    # axes that broadcast
    ("...ij,...jk->...ik", (2, 1, 2, 3), (2, 3, 2)),
    ("...ij,...jk", (2, 2, 3), (3, 2)),
    ("i...,i...->...", (2, 3), (2, 1)),
    ("...,...", (2, 1), (1, 3)),
    ("...,...->...", (), (2, 3)),
    ("ij,ij->ij", (1, 3), (2, 1)),
    ("ij,jk->ik", (2, 1), (3, 2)),
    # several operands
    ("i,i,i->i", (3,), (3,), (3,)),
    ("i,i,i", (3,), (3,), (3,)),
    ("ij,jk,kl->il", (2, 3), (3, 2), (2, 3)),
    ("ij,jk,kl,lm->im", (2, 3), (3, 2), (2, 1), (1, 2)),
    ("bij,j,bi->b", (2, 2, 3), (3,), (2, 2)),
    ("...a,...b,...c->...abc", (2, 2), (2, 1), (1, 3)),
    # nothing
    ("ij,jk->ik", (0, 3), (3, 2)),
    ("ij,jk->ik", (2, 0), (0, 3)),
]


def draw(shapes, dtype=np.float64):
    rng = np.random.default_rng(0)
    return [np.asarray(rng.normal(size=shape), dtype) for shape in shapes]


@pytest.mark.parametrize(("subscripts", "shapes"), [(name, shapes) for name, *shapes in EQUATIONS])
class TestEquations:
    def test_value_is_numpys(self, subscripts, shapes, mode):
        arrays = draw(shapes)
        value = ndl.einsum(subscripts, *map(Tensor, arrays))
        expected = np.einsum(subscripts, *arrays)
        assert value.shape == expected.shape
        np.testing.assert_allclose(value.numpy(), expected, atol=1e-14)

    def test_both_derivatives(self, subscripts, shapes, mode, check_derivatives):
        check_derivatives(lambda *xs: ndl.einsum(subscripts, *xs), *draw(shapes))

    def test_float32_stays_float32(self, subscripts, shapes):
        inputs = [Tensor(array) for array in draw(shapes, np.float32)]
        value = ndl.einsum(subscripts, *inputs)
        value.sum().backward()
        assert {value.dtype, *(x.grad.dtype for x in inputs)} == {np.dtype(np.float32)}


def test_gradients_are_pytorchs():
    torch = pytest.importorskip("torch")
    arrays = draw([(2, 4, 3), (3, 5), (2, 5)])
    inputs = [Tensor(array) for array in arrays]
    twins = [torch.tensor(array, requires_grad=True) for array in arrays]
    ndl.einsum("bij,jk,bk->ib", *inputs).sum().backward()
    torch.einsum("bij,jk,bk->ib", *twins).sum().backward()
    for x, twin in zip(inputs, twins, strict=True):
        np.testing.assert_allclose(x.grad.numpy(), twin.grad.numpy(), rtol=1e-12)


def test_lists_of_integers_name_axes_too(mode):
    a, b = draw([(2, 3), (3, 2)])
    x, y = Tensor(a), Tensor(b)
    np.testing.assert_allclose(ndl.einsum(x, [0, 1], y, [1, 2], [2, 0]).numpy(), (a @ b).T)
    np.testing.assert_allclose(ndl.einsum(x, [5, 1], y, [1, 9]).numpy(), a @ b)
    np.testing.assert_allclose(ndl.einsum(x, [..., 1], y, [1, 2], [..., 2]).numpy(), a @ b)


@pytest.mark.parametrize("optimize", [True, False, "greedy", "optimal"])
def test_order_of_contraction_changes_no_value(optimize):
    a, b, c = draw([(2, 3), (3, 4), (4, 2)])
    value = ndl.einsum("ij,jk,kl->il", *map(Tensor, (a, b, c)), optimize=optimize)
    np.testing.assert_allclose(value.numpy(), a @ b @ c)


def test_cheap_products_come_first():
    # (c · d) is one number: the large matrices must not be multiplied by vectors one by one
    a, c, d = draw([(30, 40), (50,), (50,)])
    value = ndl.einsum("ij,k,k->ij", *map(Tensor, (a, c, d)))
    products = [node for node in find_topo_sort([value]) if isinstance(node.op, Einsum)]
    assert [node.size for node in products] == [1, 1200]


def test_adjoint_of_a_constant_operand_is_not_computed():
    a, b = (Tensor(array) for array in draw([(2, 3), (3, 2)]))
    b = b.detach()
    value = ndl.einsum("ij,jk", a, b)
    assert value.op.gradient(value, value)[1] is None


def test_an_operand_used_twice_gets_both_adjoints(check_derivatives):
    check_derivatives(lambda x: ndl.einsum("ij,kj->ik", x, x), *draw([(2, 3)]))


@pytest.mark.parametrize(
    ("subscripts", "shapes", "complaint"),
    [
        ("ij,jk", [(2, 3), (4, 5)], "'j' stands for lengths 3 and 4"),
        ("ij,jk", [(2, 3), (4, 5)], r"\(2, 3\) and \(4, 5\)"),
        ("ij", [(2, 3), (3, 2)], "1 terms for 2 operands"),
        ("ij,jk", [(2, 3)], "2 terms for 1 operands"),
        ("ij", [(2,)], r"term 'ij' does not fit an operand of shape \(2,\)"),
        ("ij", [(2, 2, 2)], "one letter for each axis"),
        ("...ijk", [(2, 2)], "does not fit"),
        ("i1", [(2, 2)], "one letter for each axis"),
        ("i.j", [(2, 2)], "one letter for each axis"),
        ("ij->ii", [(2, 2)], "at most once"),
        ("ij->ik", [(2, 2)], "at most once"),
        ("...i->i", [(2, 3)], "lacks the '...'"),
        ("ii", [(2, 3)], "lengths 2 and 3"),
        ("ii", [(1, 3)], "lengths 1 and 3"),
    ],
)
def test_equations_that_do_not_fit_are_refused_at_the_call(subscripts, shapes, complaint, mode):
    with pytest.raises(ValueError, match=complaint):
        ndl.einsum(subscripts, *map(Tensor, draw(shapes)))


# --- tensordot and outer


@pytest.mark.parametrize(
    ("axes", "shapes"),
    [
        (2, [(2, 3, 2), (3, 2, 2)]),
        (1, [(2, 3), (3, 2)]),
        (0, [(2, 3), (2,)]),
        ((1, 0), [(2, 3), (3, 2)]),
        (([0, 1], [1, 0]), [(2, 3, 2), (3, 2, 3)]),
        (([-1], [0]), [(2, 3), (3,)]),
        (1, [(2, 0), (0, 3)]),
    ],
)
def test_tensordot(axes, shapes, mode, check_derivatives):
    arrays = draw(shapes)
    value = ndl.tensordot(*map(Tensor, arrays), axes)
    np.testing.assert_allclose(value.numpy(), np.tensordot(*arrays, axes), atol=1e-14)
    check_derivatives(lambda a, b: ndl.tensordot(a, b, axes), *arrays)


@pytest.mark.parametrize("axes", [1, ([0, 1], [0]), (0, 1)])
def test_tensordot_refuses_axes_that_differ(axes):
    with pytest.raises(ValueError, match="differ in number or length"):
        ndl.tensordot(*map(Tensor, draw([(2, 3), (2, 4)])), axes)


def test_tensordot_refuses_axes_out_of_range():
    with pytest.raises(IndexError, match="out of range"):
        ndl.tensordot(*map(Tensor, draw([(2, 3), (2,)])), 2)


@pytest.mark.parametrize("shapes", [[(2,), (3,)], [(2, 2), (3, 1)], [(), (2,)], [(0,), (2,)]])
def test_outer(shapes, mode, check_derivatives):
    arrays = draw(shapes)
    np.testing.assert_allclose(ndl.outer(*map(Tensor, arrays)).numpy(), np.outer(*arrays))
    check_derivatives(ndl.outer, *arrays)
