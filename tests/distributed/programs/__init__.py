"""Programs that run under mpiexec, see tests/distributed/launch.py."""
