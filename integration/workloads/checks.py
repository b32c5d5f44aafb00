"""What the guests' workloads share: failures that can be read, directory entries as the system call gives them, other processes."""

import ctypes
import os
import socket
import struct
import sys
import time

libc = ctypes.CDLL(None, use_errno=True)


def fail(message):
    print(f"FAILED: {message}", flush=True)
    # Threads and children of a workload must not keep it.
    os._exit(1)


def expect(condition, message):
    if not condition:
        fail(message)


def expect_equal(actual, expected, message):
    if actual != expected:
        fail(f"{message}: expected {shown(expected)}, got {shown(actual)}")


def shown(value):
    if isinstance(value, (bytes, bytearray)) and len(value) > 80:
        return f"{len(value)} bytes {bytes(value[:40])!r}..."
    if isinstance(value, (set, list, tuple, dict)) and len(value) > 12:
        return f"{len(value)} items, {sorted(value, key=str)[:12]!r}..."
    return repr(value)


def expect_bytes(actual, expected, message):
    """Tells the first difference, and whether zeros were read there."""
    if actual == expected:
        return
    if len(actual) != len(expected):
        fail(f"{message}: expected {len(expected)} bytes, got {len(actual)}")
    at = next(i for i in range(len(expected)) if actual[i] != expected[i])
    end = max(i for i in range(len(expected)) if actual[i] != expected[i]) + 1
    fail(
        f"{message}: bytes {at}..{end} of {len(expected)} differ, first ones: expected {bytes(expected[at:at + 16])!r},"
        f" got {bytes(actual[at:at + 16])!r}{' (zeros)' if not any(actual[at:end]) else ''}"
    )


def expect_error(number, call, message):
    try:
        result = call()
    except OSError as error:
        expect_equal(os.strerror(error.errno), os.strerror(number), message)
        return
    fail(f"{message}: expected {os.strerror(number)}, got {result!r}")


def getdents(directory, buffer_bytes):
    """(inode, name, type) of every entry, `.` and `..` among them, by getdents64 with a buffer of that size."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield from getdents_of(fd, buffer_bytes)
    finally:
        os.close(fd)


def getdents_of(fd, buffer_bytes):
    buffer = ctypes.create_string_buffer(buffer_bytes)
    while True:
        count = libc.getdents64(fd, buffer, buffer_bytes)
        if count < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"getdents64: {os.strerror(number)}")
        if count == 0:
            return
        at = 0
        while at < count:
            inode, _, length, kind = struct.unpack_from("<QqHB", buffer, at)
            name = buffer.raw[at + 19 : at + length].split(b"\0", 1)[0].decode()
            yield inode, name, kind
            at += length


def repeated(values):
    seen = set()
    return sorted({value for value in values if value in seen or seen.add(value)}, key=str)


def drop_caches():
    """Pages, names and attributes that nobody uses: the client asks the server again."""
    with open("/proc/sys/vm/drop_caches", "w") as file:
        file.write("3")


def touch(path):
    with open(path, "w"):
        pass


def wait_for(path, seconds=60):
    end = time.monotonic() + seconds
    while not os.path.exists(path):
        if time.monotonic() > end:
            fail(f"{path} has not appeared within {seconds} s")
        time.sleep(0.02)


class Rendezvous:
    """Where the clients of one test wait for each other (rendezvous.py): `meet` returns when all are at the same place."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=60)
        self.file = self.socket.makefile("rw")

    def meet(self, place, value=""):
        """What each client had to say there, by the order of their values."""
        self.file.write(f"{place}\t{value}\n")
        self.file.flush()
        line = self.file.readline()
        if line == "":
            fail(f"the other client did not come to: {place}")
        at, *values = line.rstrip("\n").split("\t")
        expect_equal(at, str(place), "where the clients are")
        return values


def main(parts):
    """Runs the function that the first argument names, with the others."""
    name, *arguments = sys.argv[1:]
    begun = time.monotonic()
    try:
        parts[name](*arguments)
    except OSError as error:
        import traceback

        traceback.print_exc(file=sys.stdout)
        fail(f"{name}: {error}")
    print(f"{name}: {time.monotonic() - begun:.1f} s", flush=True)
