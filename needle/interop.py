"""Weights from and to other frameworks."""

from .io.pytorch import load_torch_state_dict, to_torch_state_dict

__all__ = ["load_torch_state_dict", "to_torch_state_dict"]
