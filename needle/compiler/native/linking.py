"""Object code to functions that can be called, by llvmlite."""

import threading
from collections.abc import Iterable
from functools import cache
from typing import Any

import llvmlite.binding as llvm

__all__ = ["host", "link"]

_lock = threading.Lock()


@cache
def _engine() -> Any:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
    module = llvm.parse_assembly("")
    module.triple = machine.triple
    return llvm.create_mcjit_compiler(module, machine)


def link(objects: Iterable[tuple[str, bytes]]) -> list[int]:
    """The addresses of symbols, each with object code that defines it."""
    with _lock:
        engine = _engine()
        symbols = []
        for symbol, content in objects:
            engine.add_object_file(llvm.ObjectFileRef.from_data(content))
            symbols.append(symbol)
        engine.finalize_object()
        return [engine.get_function_address(symbol) for symbol in symbols]


def host() -> str:
    """The processor's name and features, for which code is compiled."""
    return f"{llvm.get_host_cpu_name()} {llvm.get_host_cpu_features().flatten()}"
