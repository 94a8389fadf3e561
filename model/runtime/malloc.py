"""glibc's heap, told to keep less: MediaPipe makes it grow far beyond what is in use."""

import ctypes
import sys

_M_ARENA_MAX = -8
_MOST_HEAPS = 2


def limit_heaps() -> None:
    """glibc makes up to eight heaps a core for a process's threads, and each holds on to pages in
    which next to nothing lies: a server that watched one stream after another, each landmarker with
    threads of its own, grew by 7 % in twenty minutes. Heaps that are there stay: the sooner, the
    better. mallopt(3)."""
    _tell_glibc("mallopt", _M_ARENA_MAX, _MOST_HEAPS)


def give_memory_back() -> None:
    """glibc keeps what landmarkers free, 0.1 GB each, for the thread that took it; a server that
    watched one stream after another grew to 2 GB. malloc_trim(3)."""
    _tell_glibc("malloc_trim", 0)


def _tell_glibc(function: str, *given: int) -> None:
    """Nothing, where the C library is another one."""
    if sys.platform == "linux" and (told := getattr(ctypes.CDLL(None), function, None)):
        told(*given)
