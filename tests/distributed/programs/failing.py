"""Rank 1 fails in the way that the argument names, while rank 0 waits for it."""

import os
import signal
import sys
import time

import needle as ndl
from needle import distributed

way = sys.argv[1]
if way == "raises before MPI" and os.environ["PMI_RANK"] == "1":
    raise ValueError("no such file")
distributed.barrier()
if distributed.rank() == 1:
    if way == "raises":
        raise ValueError("no such file\nof two lines")
    if way == "is killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if way == "leaves":
        os._exit(0)
    if way == "hangs":
        time.sleep(1000)
    while way == "loops":
        pass
    if way == "ends":
        sys.exit(0)
    if way == "waits for something else":
        distributed.recv(from_=0)
    if way == "has another model":
        distributed.all_reduce(ndl.ones(3))
distributed.all_reduce(ndl.ones(2))
