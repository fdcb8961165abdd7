"""Where the memory of an array begins."""

import ctypes
from typing import Any

__all__ = ["address_of"]

_addressof, _first_byte = ctypes.addressof, ctypes.c_char.from_buffer


def address_of(array: Any) -> int:
    """The address of the first element of a NumPy array."""
    try:
        return _addressof(_first_byte(array))  # a quarter of the time of what NumPy offers
    except (TypeError, ValueError, BufferError):  # read-only, empty, or not in one piece
        return array.__array_interface__["data"][0]
