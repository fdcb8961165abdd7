"""Checks of gradients against finite differences, for needle's own tests and for yours."""

from .checks import GradcheckError, gradcheck, numerical_gradient

__all__ = ["GradcheckError", "gradcheck", "numerical_gradient"]
