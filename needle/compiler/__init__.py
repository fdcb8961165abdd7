"""needle.compile: a step, recorded once, as one program."""

from .function import CompiledFunction, compile

__all__ = ["CompiledFunction", "compile"]
