"""Compiled functions of tensors."""

__all__: list[str] = []
