"""Reverse mode: gradients and vector-Jacobian products of functions."""

from collections.abc import Callable, Sequence
from typing import Any, overload

from ..autograd import Tensor, compute_adjoints, find_topo_sort, modes
from ..autograd.watch import records, watching
from ..ops import identity
from ..ops.kinds import constant_like, or_zeros
from .arguments import (
    Argnums,
    Arguments,
    Function,
    check_outputs,
    matching,
    name_of,
    with_gradients,
)
from .arrays import as_arrays, as_tensors, only_arrays
from .gradients import gradients
from .tree import flatten, substituted

__all__ = ["GradientTape", "grad", "value_and_grad", "vjp"]


class GradientTape:
    """One evaluation of a function, whose graph is kept so that adjoints can be pulled back.

    `variables` are the tensors to differentiate by: a copy of each argument, through which outer
    transformations see the argument itself, and the parameters of Modules as they are, of which
    those that require no gradient are constants. `outputs` are the tensors in `result`.
    """

    def __init__(self, function: Function, args: Sequence[Any], argnums: Argnums):
        arguments = Arguments(function, args, argnums)
        self.rebuild = arguments.rebuild
        self.variables: list[Tensor] = []

        def variable_for(tensor: Tensor) -> Tensor:
            variable = identity(tensor)
            variable.requires_grad = True
            self.variables.append(variable)
            return variable

        with modes.enable_grad(), watching(records):
            self.result = function(*arguments.substituted(variable_for, self.variables.append))
        self.outputs, self.rebuild_outputs = flatten(self.result)
        captured = find_topo_sort(self.outputs, known=self.variables)
        sources = [x for x in captured if not any(operand.requires_grad for operand in x.inputs)]
        self._is_shared = any(x.requires_grad for x in [*arguments.tensors, *sources])

    @property
    def keeps_graph(self) -> bool:
        """Whether the derivative can be differentiated from outside, and so needs a graph."""
        return self._is_shared and modes.grad_enabled.get()

    def pull_back(self, outputs: Sequence[Tensor], cotangents: Sequence[Tensor]) -> list[Tensor]:
        """The adjoint of each variable, zeros where the outputs do not depend on it."""
        is_shared = self._is_shared or any(cotangent.requires_grad for cotangent in cotangents)
        with modes.enable_grad(is_shared and modes.grad_enabled.get()):
            adjoints = compute_adjoints(outputs, cotangents, self.variables)
        return or_zeros(adjoints, self.variables)

    def released(self, tree: Any) -> Any:
        """A result without its graph, unless it can be differentiated from outside."""
        if self.keeps_graph:
            return tree
        with modes.no_grad():
            return substituted(tree, identity)  # unlike detached ones, they keep their tangents


def value_and_grad(function: Function, argnums: Argnums = 0, has_aux: bool = False) -> Function:
    """A function of the same arguments that returns the value of `function` and its gradient.

    Keyword arguments are not differentiated. A Module's frozen parameters have the gradient zero.
    Where the arguments hold NumPy arrays and no Tensors, `function` gets Tensors of them, and the
    results are arrays: scipy.optimize.minimize(value_and_grad(f), x0, jac=True) works.

    Args:
        function: returns a tensor of one element.
        argnums: the position of the argument to differentiate with respect to, or several.
        has_aux: whether `function` returns (value, anything), which is then the first result.

    Raises:
        ValueError: the value has several elements, or there is no argument `argnums`.
        TypeError: the value is not a tensor, or the argument holds no floating-point tensors.

    Example:
        >>> import needle as ndl
        >>> value, gradient = ndl.value_and_grad(lambda x: (x * x).sum())(ndl.Tensor([1.0, 2.0]))
        >>> value.item(), gradient.numpy()
        (5.0, array([2., 4.]))
    """

    def evaluate(function: Function, args: Sequence[Any]) -> Any:
        tape = GradientTape(function, args, argnums)
        value, name = tape.result, name_of(function)
        if has_aux:
            if not (isinstance(value, tuple) and len(value) == 2):
                raise TypeError(f"{name} must return (value, aux), as has_aux=True says")
            value = value[0]
        if not isinstance(value, Tensor):
            raise TypeError(f"{name} must return a Tensor, got {type(value).__name__}")
        if value.size != 1:
            raise ValueError(
                f"grad needs a function that gives one number, but {name} gave shape "
                f"{value.shape}: sum it, or use jacobian"
            )
        gradient = tape.rebuild(tape.pull_back([value], [constant_like(value, 1)]))
        return tape.released(tape.result), gradient

    return with_gradients(function, evaluate)


@overload
def grad(function: Function, argnums: Argnums = 0, has_aux: bool = False) -> Function: ...
@overload
def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
    materialize_grads: bool = False,
    only_inputs: bool = True,
) -> tuple[Any, ...]: ...
def grad(*args: Any, **options: Any) -> Any:
    """The gradient of a function, as a function; or of tensors by tensors, as a tuple.

    **grad(function, argnums=0, has_aux=False)** is a function of the same arguments that returns
    the gradient of `function`. Arguments and errors as in `value_and_grad`; with `has_aux` it
    returns (gradient, anything).

    **grad(outputs, inputs, grad_outputs=None, retain_graph=None, create_graph=False,
    allow_unused=False, materialize_grads=False)** is PyTorch's `torch.autograd.grad`: a tuple with
    the gradient of the sum of `outputs` by each of `inputs`, from the graph that is there. `.grad`
    of no tensor changes.

    Args:
        outputs: a tensor, or several.
        inputs: the tensors to differentiate by: leaves, or values on the way to the outputs.
        grad_outputs: the adjoint of each output, of its shape; None for an output of one element.
        retain_graph: accepted, and without effect: needle keeps a graph as long as its values.
        create_graph: whether the gradients have a graph, so that they can be differentiated again.
        allow_unused: whether an input on which no output depends has the gradient None.
        materialize_grads: zeros instead of None.

    Raises:
        RuntimeError: an output has no graph and is no input, an input requires no gradient, an
            output of several elements has no adjoint, or an input is not used.
        ValueError: `grad_outputs` do not fit the outputs.

    Example:
        >>> import needle as ndl
        >>> cube = lambda x: x**3
        >>> ndl.grad(cube)(ndl.Tensor(2.0)).item(), ndl.grad(ndl.grad(cube))(ndl.Tensor(2.0)).item()
        (12.0, 12.0)
        >>> x = ndl.Tensor(2.0)
        >>> (first,) = ndl.grad(cube(x), x, create_graph=True)
        >>> (second,) = ndl.grad(first, x)
        >>> first.item(), second.item()
        (12.0, 12.0)
    """
    first = args[0] if args else options.get("outputs", options.get("function"))
    is_function = callable(first) and not isinstance(first, Tensor)
    return (_gradient_function if is_function else gradients)(*args, **options)


def _gradient_function(function: Function, argnums: Argnums = 0, has_aux: bool = False) -> Function:
    if isinstance(argnums, Tensor):
        raise TypeError("grad of a function gives a function: write grad(function)(x)")

    def evaluate(function: Function, args: Sequence[Any]) -> Any:
        value, gradient = value_and_grad(function, argnums, has_aux)(*args)
        return (gradient, value[1]) if has_aux else gradient

    return with_gradients(function, evaluate)


def vjp(function: Function, *primals: Any) -> tuple[Any, Callable[[Any], Any]]:
    """The value of `function` at `primals`, and its vector-Jacobian product, a function.

    It takes cotangents in the structure of the value and returns a tuple with the product
    cotangent·Jacobian for each primal. It may be called several times. Arrays give arrays.

    Example:
        >>> import needle as ndl
        >>> value, pull_back = ndl.vjp(lambda x: x * x, ndl.Tensor([1.0, 2.0]))
        >>> pull_back(ndl.Tensor([1.0, 10.0]))[0].numpy()
        array([ 2., 40.])
    """
    if only_arrays(primals):
        value, of_tensors = vjp(function, *as_tensors(primals))
        return as_arrays(value), lambda cotangents: as_arrays(of_tensors(as_tensors(cotangents)))
    tape = GradientTape(function, primals, range(len(primals)))
    check_outputs(function, tape.outputs)

    def pull_back(cotangents: Any) -> tuple[Any, ...]:
        given = matching("cotangents", cotangents, "the value", tape.result)
        return tape.rebuild(tape.pull_back(tape.outputs, given))

    return tape.released(tape.result), pull_back
