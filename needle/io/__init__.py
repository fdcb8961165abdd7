"""Files: safetensors, PyTorch's weights, atomic writing."""

from .files import replacing
from .pytorch import load_torch_state_dict, to_torch_state_dict
from .saving import load, save

__all__ = ["load", "load_torch_state_dict", "replacing", "save", "to_torch_state_dict"]
