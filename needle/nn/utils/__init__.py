"""What works on modules and their inputs."""

from . import rnn

__all__ = ["rnn"]
