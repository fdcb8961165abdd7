"""A process beside the ranks of a machine, which says that one of them was killed.

Launchers end all ranks as soon as one is killed, so that no rank is left to say which one it was;
and they take one that leaves by `os._exit(0)` for a success. The monitor is no rank, has a session
of its own, and outlives them by milliseconds. Ranks join it over a socket, and tell it when they
end. It is run as a script, and needs the standard library only.
"""

from __future__ import annotations

import atexit
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any, NamedTuple

_PIDFD_GET_INFO, _INFO_EXIT = 0xC040FF0B, 8  # of linux/pidfd.h
_CONNECTIONS: list[socket.socket] = []  # of this rank
_STARTED: list[Any] = []  # by this rank
_START = 10.0  # seconds that a monitor may take to start
_GRACE = 0.3  # seconds for other ranks, which may write what they have found


# --- on the ranks


def join_monitor(node: Any, rank: int, size: int) -> None:
    """Start the monitor of this machine, and join it; all its ranks must call this."""
    if not hasattr(os, "pidfd_open"):  # not Linux
        return
    address = node.bcast(_started(size) if node.Get_rank() == 0 else None)
    if address is None:
        return
    own = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    own.settimeout(_START)
    with suppress(OSError):  # it was killed
        own.connect(address)
        socket.send_fds(own, [str(rank).encode()], _launcher())
        own.recv(1)  # it knows this rank
        _CONNECTIONS.append(own)
        atexit.register(leave_monitor, os.getpid())


def leave_monitor(process: int) -> None:
    """Say that this rank ends as it should, unless this is a child of its process."""
    if os.getpid() == process:
        for connection in _CONNECTIONS:
            with suppress(OSError):
                connection.send(b"ends")


def _started(size: int) -> bytes | None:
    """The address of a new monitor; None if there cannot be one."""
    command = [sys.executable, "-I", "-S", __file__, str(size)]
    quiet: Any = {"stdout": subprocess.DEVNULL, "start_new_session": True}
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind("")  # a name that is free
        listener.listen(1024)
        _STARTED.append(subprocess.Popen(command, stdin=listener.fileno(), **quiet))
        return listener.getsockname()
    return None


def _launcher() -> list[int]:
    """The connection to Hydra, MPICH's launcher.

    When a rank closes it without a word, Hydra ends all ranks with success. The monitor holds it
    open, and asks for an abort instead.
    """
    number = os.environ.get("PMI_FD", "") if "HYDI_CONTROL_FD" in os.environ else ""
    return [int(number)] if number.isdigit() else []


# --- in the monitor


class _Rank(NamedTuple):
    number: int
    process: int
    connection: socket.socket
    launcher: list[int]

    def has_said_that_it_ends(self) -> bool:
        with suppress(OSError):
            return self.connection.recv(10, socket.MSG_DONTWAIT) == b"ends"
        return False

    def abort(self) -> None:
        """Have the launcher end all ranks, with an exit code."""
        for launcher in self.launcher:
            with suppress(OSError):
                os.write(launcher, b"cmd=abort exitcode=1 message=abort\n")


def monitor(listener: socket.socket, size: int) -> None:
    """Wait until all ranks that have joined have ended; report the first that was killed."""
    events = select.epoll()  # tells events in the order in which they happened
    events.register(listener)
    ranks = {}
    is_reported = False
    while True:
        for event, _ in events.poll():
            if event == listener.fileno():
                with suppress(OSError, ValueError):  # it has ended meanwhile
                    joined = _joined(listener)
                    ending = os.pidfd_open(joined.process)
                    ranks[ending] = joined
                    events.register(ending)
                    joined.connection.send(b"!")
                continue
            events.unregister(event)
            ended = ranks.pop(event)
            if not ended.has_said_that_it_ends() and not is_reported:
                is_reported = True
                _report(ended, size, _reason(ended.process, event))
                time.sleep(_GRACE)
                ended.abort()
        if not ranks:
            return


def _joined(listener: socket.socket) -> _Rank:
    connection, _ = listener.accept()
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    number, launcher, _, _ = socket.recv_fds(connection, 20, 1)
    return _Rank(int(number), struct.unpack("3i", credentials)[0], connection, launcher)


def _report(ended: _Rank, size: int, reason: str) -> None:
    place = f"process {ended.process} on {socket.gethostname()}"
    text = f"rank {ended.number} of {size} {reason}, all ranks stop: {place}"
    print(text, file=sys.stderr, flush=True)


def _reason(process: int, descriptor: int) -> str:
    """How a process has ended, where Linux tells one that is not its parent."""
    import fcntl  # not on every system

    status = None
    with suppress(OSError), open(f"/proc/{process}/stat") as file:  # until its parent asks
        status = int(file.read().split()[-1])
    with suppress(OSError):  # from then on, since version 6.15
        answer = fcntl.ioctl(descriptor, _PIDFD_GET_INFO, struct.pack("Q56x", _INFO_EXIT))
        known, found = struct.unpack("Q52xi", answer)
        status = found if known & _INFO_EXIT else status
    if status is None:
        return "was killed, or has left by os._exit"
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"has left by os._exit({code}) or the like"


if __name__ == "__main__":
    with socket.socket(fileno=0) as standard_input, suppress(KeyboardInterrupt):
        monitor(standard_input, int(sys.argv[1]))
