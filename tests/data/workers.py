"""Data sets and checks for the tests of loader workers."""

import multiprocessing
import threading
import time

from needle.data import (
    Dataset,
)

KINDS = ["thread", "process"]


class Each(Dataset):
    """Calls a function for each of 12 items."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def __len__(self):
        return 12

    def __getitem__(self, index):
        return self.function(index)


def left_behind(before):
    """Threads and processes that were not there before."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        left = {*threading.enumerate(), *multiprocessing.active_children()} - before
        if not left:
            break
        time.sleep(0.01)
    return left
