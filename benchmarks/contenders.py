"""Who is measured: one table. How each of them does a workload stands with the workload."""

import importlib
import importlib.metadata
import importlib.util
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

__all__ = [
    "CONTENDERS",
    "KERNEL_SETTINGS",
    "Contender",
    "limit_threads",
    "thread_settings",
    "title",
    "usable_cores",
]


@dataclass(frozen=True)
class Contender:
    """A way to compute the workloads.

    Attributes:
        title: what reports call it.
        module: what it imports before anything else.
        distribution: the installed package that holds the module.
        requirement: what to give pip to install it.
        checked: whether its loss and weights must equal the others'.
        variant_of: the contender whose code it shares.
        transform: makes what that code does with a function of a step: a compiler.
        needs: what else must be on this machine, as a test.
    """

    title: str
    module: str
    distribution: str
    requirement: str
    checked: bool = True
    variant_of: str = ""
    transform: Callable[[], Callable[[Any], Any]] | None = None
    needs: Callable[[], Any] = lambda: True

    def is_installed(self) -> bool:
        return importlib.util.find_spec(self.module) is not None and bool(self.needs())

    def version(self) -> str:
        try:
            return importlib.metadata.version(self.distribution)
        except importlib.metadata.PackageNotFoundError:
            return "from source"


def _needle_compile(executor: str) -> Callable[[Any], Any]:
    return partial(importlib.import_module("needle").compile, executor=executor)


def _torch_compile() -> Callable[[Any], Any]:
    return importlib.import_module("torch").compile


CONTENDERS = {
    "needle": Contender("needle", "needle", "needle-dl", "needle-dl"),
    "compiled": Contender(
        "needle compiled", "needle", "needle-dl", "needle-dl[compile]", variant_of="needle",
        transform=partial(_needle_compile, "numba"),
        needs=lambda: importlib.util.find_spec("numba"),
    ),
    "compiled_numpy": Contender(
        "needle compiled, numpy", "needle", "needle-dl", "needle-dl", variant_of="needle",
        transform=partial(_needle_compile, "numpy"),
    ),
    "floor": Contender("matrix products alone", "numpy", "numpy", "numpy", checked=False),
    "numpy": Contender("NumPy by hand", "numpy", "numpy", "numpy"),
    "torch": Contender("PyTorch eager", "torch", "torch", "torch"),
    "torch_compile": Contender(
        "torch.compile", "torch", "torch", "torch, and a C++ compiler", variant_of="torch",
        transform=_torch_compile, needs=lambda: shutil.which("c++") or shutil.which("cl"),
    ),
    "jax": Contender("JAX jit", "jax", "jax", "jax"),
    "mygrad": Contender("MyGrad", "mygrad", "mygrad", "mygrad"),
    "autograd": Contender("HIPS autograd", "autograd", "autograd", "autograd[scipy]"),
}  # fmt: skip


def title(contender: str) -> str:
    """What reports call a contender. One that is not in the table is a revision of needle."""
    return CONTENDERS[contender].title if contender in CONTENDERS else contender


KERNEL_SETTINGS = (
    "OPENBLAS_CORETYPE",
    "OPENBLAS_L2_SIZE",
    "MKL_DEBUG_CPU_TYPE",
    "MKL_ENABLE_INSTRUCTIONS",
    "ONEDNN_MAX_CPU_ISA",
    "ATEN_CPU_CAPABILITY",
    "NPY_DISABLE_CPU_FEATURES",
    "NPY_ENABLE_CPU_FEATURES",
)
"""Environment variables that have one library compute as for another processor than this one."""


def usable_cores() -> list[int]:
    """The numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def thread_settings(threads: int) -> dict[str, str]:
    """The environment in which every library computes with `threads` threads."""
    names = (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
        "NPROC",  # XLA's thread pools
    )
    settings = dict.fromkeys(names, str(threads))
    settings["JAX_PLATFORMS"] = "cpu"
    if threads == 1:
        flags = os.environ.get("XLA_FLAGS", "")
        settings["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
    return settings


def limit_threads(module: str, threads: int) -> None:
    """Hold this process to `threads` threads, and to as many cores where the system allows it."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, usable_cores()[:threads])
    if module == "torch":
        importlib.import_module("torch").set_num_threads(threads)
