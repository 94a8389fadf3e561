"""malloc arenas, in fresh processes."""

import platform
import subprocess
import sys

import pytest

COUNT = """
import ctypes, re, sys, tempfile, threading
from model import give_memory_back, limit_heaps

if sys.argv[1] == "limited":
    limit_heaps()
together = threading.Barrier(8)
def work():
    together.wait()
    held = [bytearray(2000) for _ in range(100)]
    together.wait()
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
give_memory_back()
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
libc.malloc_info.argtypes = (ctypes.c_int, ctypes.c_void_p)
libc.fclose.argtypes = (ctypes.c_void_p,)
with tempfile.NamedTemporaryFile() as report:
    stream = libc.fopen(report.name.encode(), b"w")
    libc.malloc_info(0, stream)
    libc.fclose(stream)
    print(len(re.findall(b"<heap nr", report.read())))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_limit_heaps_makes_eight_threads_share_two_arenas() -> None:
    arenas = []
    for mode in ("limited", "default"):
        command = (sys.executable, "-c", COUNT, mode)
        arenas.append(int(subprocess.run(command, capture_output=True, check=True).stdout))
    assert arenas[0] <= 2 < arenas[1]
