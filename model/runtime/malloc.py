"""Limits on the memory that glibc malloc keeps after it is freed.

glibc malloc keeps freed memory in per-thread arenas, up to eight per core, which fragment. A server
of consecutive streams, each with new MediaPipe landmarkers and their threads, grew by 7 % in twenty
minutes without the limit, and to 2 GB without the trim (each landmarker frees 0.1 GB).
"""

import ctypes
import sys

_M_ARENA_MAX = -8
_MAX_ARENAS = 2


def limit_heaps() -> None:
    """Limit the number of arenas; existing arenas stay, so call it early. mallopt(3)."""
    _call_glibc("mallopt", _M_ARENA_MAX, _MAX_ARENAS)


def give_memory_back() -> None:
    """Return freed memory to the operating system. malloc_trim(3)."""
    _call_glibc("malloc_trim", 0)


def _call_glibc(name: str, *arguments: int) -> None:
    """Does nothing with another C library."""
    if sys.platform == "linux" and (function := getattr(ctypes.CDLL(None), name, None)):
        function(*arguments)
