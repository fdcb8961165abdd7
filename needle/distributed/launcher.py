"""Who started this process: what launchers of MPI programs leave in the environment.

Cheap to ask, and needs no MPI.
"""

import os

__all__ = ["launched_as"]

_VARIABLES = (
    # the rank, the number of ranks, the rank among those on this machine
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"),  # Open MPI
    ("MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_LOCAL_RANK"),  # MVAPICH
    ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"),  # MPICH, Intel MPI
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"),  # srun, not sbatch's own script
)


def launched_as() -> tuple[int, int, int] | None:
    """The rank, the number of ranks and the rank on this machine; None for a single process.

    Example:
        >>> launched_as() is None
        True
    """
    for names in _VARIABLES:
        rank, size, local_rank = (os.environ.get(name, "") for name in names)
        if rank.isdigit() and size.isdigit() and int(size) > 1:
            return int(rank), int(size), int(local_rank) if local_rank.isdigit() else int(rank)
    return None
