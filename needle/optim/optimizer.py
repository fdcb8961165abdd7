"""The base of optimizers: parameter groups, the step, and the state that a checkpoint holds."""

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ..autograd import Tensor, clear_gradients, enable_grad
from ..autograd.reverse import calls_inside_needle
from .clipping import clip_grad_norm_
from .executor import Executor
from .settings import ParamGroup, is_model, setting, tensors_of
from .state import load_state, save_state

__all__ = ["Optimizer"]

Params = Iterable[Tensor] | Iterable[tuple[str, Tensor]] | Iterable[Mapping[str, Any]]


class _Trained:
    """The field `params`: given tensors, pairs or groups, it reads as the list of tensors."""

    def __get__(self, optimizer: Any, owner: type) -> list[Tensor]:
        return [param for group in optimizer.param_groups for param in group["params"]]

    def __set__(self, optimizer: Any, params: Params) -> None:
        vars(optimizer)["params"] = params  # until there are groups


@dataclass(init=False, eq=False, repr=False)
class Optimizer:
    """Updates parameters from their gradients.

    A subclass defines the update rule as a formula (`update`), and names the arrays that a
    parameter keeps between steps (`initial_state`). Updates write into the parameter's own array:
    the parameter stays the same object, no graph survives a step, and gradient arrays are never
    changed. Beside the state, a step needs memory for at most the largest parameter (for 32,768
    numbers in models that are smaller).

    Args:
        params: the tensors to train, pairs of name and tensor (`model.named_parameters()`), or
            parameter groups: dicts with "params" and the settings in which the group differs
            from the defaults.
        defaults: the default settings of groups. `locals()` of an `__init__` whose arguments are
            the settings will do. All rules of needle have `lr`, the learning rate, and
            `maximize`, which maximizes instead of minimizing.

    Raises:
        ValueError: `params` is empty, holds a tensor twice or one that an op made, or a setting
            is out of its range or unknown.
        TypeError: `params` is a model, a tensor or a group instead of a list, or holds something
            that is not a Tensor of floating-point numbers.

    Example:
        >>> import numpy as np
        >>> import needle as ndl
        >>> class SignSGD(ndl.optim.Optimizer):
        ...     def __init__(self, params, lr=0.01):
        ...         super().__init__(params, {"lr": lr})
        ...
        ...     def update(self, theta, g, state, settings, step):
        ...         return theta - settings.lr * np.sign(g), state
        >>> weight = ndl.Tensor([1.0, 2.0])
        >>> weight.grad = ndl.Tensor([3.0, -4.0])
        >>> SignSGD([{"params": [weight], "lr": 0.5}]).step()
        >>> weight.numpy()
        array([0.5, 2.5])
    """

    decouples_weight_decay = False
    """Whether weight decay is part of the step, as in AdamW, and not of the gradient."""

    params: _Trained = _Trained()
    lr: float = setting(0.01)

    def __init__(self, params: Params, defaults: Mapping[str, Any] | None = None) -> None:
        self.defaults = ParamGroup()
        for name, value in (defaults or {}).items():
            is_default = name == "betas" and value is None
            if name not in {"self", "params", "__class__"} and not is_default:  # of locals()
                self.defaults[name] = value
        self.param_groups: list[ParamGroup] = []
        self._executor = Executor()
        if (
            isinstance(params, Tensor | Mapping)
            or is_model(params)
            or not isinstance(params, Iterable)
        ):
            raise TypeError(
                "an optimizer takes a list of tensors or of parameter groups, got one "
                f"{type(params).__name__}: write model.parameters(), [tensor] or [group]"
            )
        entries: list[Any] = list(params)
        if entries and (is_model(entries[0]) or not isinstance(entries[0], Mapping)):
            entries = [{"params": entries}]
        for group in entries:
            self.add_param_group(group)
        if not self.params:
            raise ValueError("an optimizer needs at least one parameter, got an empty list")

    def __post_init__(self) -> None:
        values = {field.name: vars(self).pop(field.name) for field in fields(self)}
        Optimizer.__init__(self, values.pop("params"), values)

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Add a parameter group: a dict with "params" and the settings of its own."""
        if not isinstance(group, Mapping) or "params" not in group:
            raise TypeError(f'a parameter group is a dict with the key "params", got {group!r}')
        params = self._new_params(group["params"])
        known = {*self.defaults, "params", "name", "initial_lr"}
        known |= {"betas"} if "beta1" in known else set()
        if unknown := sorted(group.keys() - known):
            raise ValueError(
                f"parameter group {len(self.param_groups)} has unknown settings {unknown}: "
                f"{type(self).__name__} has {sorted(self.defaults)}"
            )
        new = ParamGroup()
        new.update({**self.defaults, **group, "params": params})
        self.check_group(new)
        if "eps" in new and any(param.dtype.char == "e" for param in params):
            warnings.warn(self._half_precision(new), UserWarning, stacklevel=calls_inside_needle())
        self._executor.regroup(self.state)
        self.param_groups.append(new)

    def _half_precision(self, group: ParamGroup) -> str:
        """What goes wrong with parameters in float16."""
        eps = group["eps"]
        lost = f", and eps={eps:g} becomes 0" if eps and not np.float16(eps) else ""
        return (
            f"{type(self).__name__} keeps squares of gradients, which overflow in float16 from "
            f"gradients of 256 on{lost}: keep the parameters in float32, or use SGD"
        )

    def _new_params(self, given: Any) -> tuple[Tensor, ...]:
        """The tensors of a new group, without their names."""
        known = dict.fromkeys(self.params, "another group")
        params = []
        group = f" of group {len(self.param_groups)}"
        for position, param in enumerate(tensors_of(given, "an optimizer", group)):
            place = f"position {position}{group}"
            if param.dtype.kind != "f":
                raise TypeError(
                    "an optimizer takes Tensors of floating-point numbers, got "
                    f"{param.dtype} at {place}: convert with x.astype(dtype)"
                )
            if param.requires_grad and not param.is_leaf():
                raise ValueError(
                    f"the tensor at {place} was made by {type(param.op).__name__}, so it never "
                    "gets a gradient to train with: wrap it as Tensor(...) or Parameter(...)"
                )
            if param in known:
                raise ValueError(f"the tensor at {place} is also in {known[param]}")
            known[param] = f"position {position} of the same group"
            params.append(param)
        return tuple(params)

    def check_group(self, group: ParamGroup) -> None:
        """Refuse settings that do not go together; each one alone is checked by the group."""

    def initial_state(self, group: ParamGroup) -> dict[str, float]:
        """The arrays a parameter keeps between steps: names, and what they are filled with."""
        return {}

    def update(self, theta: Any, g: Any, state: dict[str, Any], settings: Any, step: Any) -> Any:
        """The update rule: a pure formula that returns the new θ and a dict of the new state.

        The rule is elementwise: operators, and NumPy's elementwise functions. It is called once,
        with symbols, and compiled, so it can branch on flags and on settings that are None or 0,
        but on no other value. A term whose factor is a setting of 0 vanishes.

        Args:
            theta: θ, the parameter.
            g: its gradient, negated if the group has `maximize`.
            state: the arrays that `initial_state` names.
            settings: those of the group, as attributes.
            step: the number of steps with this one, from 1; only for rules that have state.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no update()")

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient.

        Args:
            closure: called first, with gradients on; `step` returns the loss that it returns.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        self._executor.step(self)
        return loss

    def source(self) -> str:
        """The update rule as it is compiled: a Python function for each layout of parameters."""
        return self._executor.source(self)

    @property
    def state(self) -> dict[Tensor, dict[str, Any]]:
        """The state of each parameter: "step" and the arrays of `initial_state`."""
        return self._executor.state

    def state_dict(self) -> dict[str, Any]:
        """A copy of settings and state, parameters by position, laid out as in PyTorch:

        `{"state": {position: {"step": int, name: array}}, "param_groups": [{"lr": ..., "params":
        [positions], "shapes": [shapes]}]}`.
        """
        return save_state(self)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Load settings and state; the following steps are bitwise those of the saved optimizer.

        Raises:
            ValueError: the state belongs to another model or optimizer. The text lists what
                differs, and this optimizer stays as it was.
        """
        groups, state = load_state(self, state_dict)
        for group, settings in zip(self.param_groups, groups, strict=True):
            group.update(settings)
        self._executor.regroup(state)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Set the gradients of all parameters to None, or to zeros."""
        for group in self.param_groups:
            clear_gradients(group["params"], set_to_none)

    reset_grad = zero_grad

    def clip_grad_norm(self, max_norm: float = 0.25) -> float:
        """Clip the joint Euclidean norm of all gradients; returns the norm before clipping."""
        return clip_grad_norm_(self.params, max_norm)

    def __repr__(self) -> str:
        groups = []
        for group in self.param_groups:
            settings = [f"{name}={group[name]}" for name in group if name != "params"]
            groups.append(", ".join([*settings, f"{len(group['params'])} parameters"]))
        return f"{type(self).__name__}({'; '.join(groups)})"
