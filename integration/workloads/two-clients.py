"""Two clients on the same files. Both run the same part, each with its number; they meet at the same places (rendezvous.py)."""

import os
import random
import time
from checks import *

TOP = "/mnt/s3/shared"


def begin(me, address):
    meeting = Rendezvous(address)
    if me == "1":
        os.makedirs(TOP, exist_ok=True)
    meeting.meet("begin")
    return meeting


def until(call, message, seconds=30):
    """Names are trusted for as long as the client caches attributes (actimeo); that ends by itself."""
    end = time.monotonic() + seconds
    while not call():
        expect(time.monotonic() < end, message)
        time.sleep(0.05)


def content(path):
    with open(path, "rb") as file:
        return file.read()


def close_to_open(me, address, rounds):
    """Who opens after the other closed sees what the other wrote: other bytes of the same size as well, within a second."""
    meeting = begin(me, address)
    path = f"{TOP}/close-to-open"
    for at in range(int(rounds)):
        rng = random.Random(at)
        size = rng.choice((0, 1, 100, 4096, 5000, 100_000)) if at % 3 == 0 else 5000
        expected = rng.randbytes(size)
        if str(at % 2 + 1) == me:
            # In place, by truncation, and by rename over it.
            if at % 5 == 4:
                with open(f"{path}.new", "wb") as file:
                    file.write(expected)
                os.rename(f"{path}.new", path)
            elif at > 0 and size == os.path.getsize(path):
                with open(path, "r+b") as file:
                    file.write(expected)
            else:
                with open(path, "wb") as file:
                    file.write(expected)
        meeting.meet(f"written {at}")
        with open(path, "rb") as file:
            actual = file.read()
            expect_equal(os.fstat(file.fileno()).st_size, size, f"round {at}: size")
        expect_bytes(actual, expected, f"round {at}: bytes")
        meeting.meet(f"read {at}")


def attributes(me, address, rounds):
    """Mode, owner, times and sizes set by one are what the other sees when it opens the file."""
    meeting = begin(me, address)
    path = f"{TOP}/attributes"
    if me == "1":
        with open(path, "wb"):
            pass
    meeting.meet("made")
    for at in range(int(rounds)):
        mode, mtime_ns, size = 0o600 + at % 0o177, 1_600_000_000_123_456_789 + at, (at * 7919) % 100_000
        if str(at % 2 + 1) == me:
            os.chmod(path, mode)
            os.chown(path, at, at + 1)
            os.truncate(path, size)
            os.utime(path, ns=(mtime_ns, mtime_ns))
        meeting.meet(f"set {at}")
        with open(path, "rb") as file:
            stat = os.fstat(file.fileno())
        expect_equal(
            (oct(stat.st_mode & 0o7777), stat.st_uid, stat.st_gid, stat.st_size, stat.st_mtime_ns),
            (oct(mode), at, at + 1, size, mtime_ns),
            f"round {at}: mode, owner, group, size, mtime",
        )
        meeting.meet(f"seen {at}")


def at_once(me, address, rounds):
    """Without attribute caches names and sizes are what the other made of them, with no open in between."""
    meeting = begin(me, address)
    for at in range(int(rounds)):
        mine = str(at % 2 + 1) == me
        path = f"{TOP}/at-once-{at}"
        expect(not os.path.exists(path), f"round {at}: not there yet")
        meeting.meet(f"absent {at}")
        if mine:
            with open(path, "wb") as file:
                file.write(b"x" * at)
        meeting.meet(f"made {at}")
        expect_equal(os.stat(path).st_size, at, f"round {at}: size")
        expect(f"at-once-{at}" in os.listdir(TOP), f"round {at}: listed")
        meeting.meet(f"listed {at}")
        if mine:
            os.rename(path, f"{path}-renamed")
        meeting.meet(f"renamed {at}")
        expect_error(2, lambda: os.stat(path), f"round {at}: the old name")
        expect_equal(os.stat(f"{path}-renamed").st_size, at, f"round {at}: the new name")
        meeting.meet(f"followed {at}")
        if mine:
            os.unlink(f"{path}-renamed")
        meeting.meet(f"removed {at}")
        expect_error(2, lambda: os.stat(f"{path}-renamed"), f"round {at}: removed")
        meeting.meet(f"gone {at}")


def exclusive(me, address, rounds):
    """Exactly one of two clients makes a name, by O_EXCL, mkdir and a symbolic link; a rename over a directory is one's, too."""
    meeting = begin(me, address)
    makers = {
        "exclusive": lambda path: os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o640)),
        "directory": os.mkdir,
        "link": lambda path: os.symlink("target", path),
        "moved": lambda path: os.rename(f"{path}-source-{me}", path),
    }
    for at in range(int(rounds)):
        for kind, make in makers.items():
            path = f"{TOP}/{kind}-{at}"
            if kind == "moved":
                # A directory with something in it can't be replaced.
                os.makedirs(f"{path}-source-{me}/inside")
            meeting.meet(f"ready {kind} {at}")
            try:
                make(path)
                won = "won"
            except OSError as error:
                expect(error.errno in (17, 39), f"round {at}: {kind} fails with {error}")
                won = "lost"
            expect_equal(meeting.meet(f"tried {kind} {at}", won), ["lost", "won"], f"round {at}: {kind}")


def other_renames(me, address):
    """A file that is open is renamed by the other client: reads and writes go on, and arrive under the new name."""
    meeting = begin(me, address)
    path = f"{TOP}/renamed"
    if me == "1":
        fd = os.open(path, os.O_RDWR | os.O_CREAT)
        os.write(fd, b"before ")
        os.fsync(fd)
        meeting.meet("open")
        meeting.meet("renamed")
        os.write(fd, b"after")
        os.fsync(fd)
        expect_bytes(os.pread(fd, 100, 0), b"before after", "by the open file")
        os.close(fd)
        drop_caches()
        expect_error(2, lambda: os.stat(path), "the old name")
        meeting.meet("written")
    else:
        meeting.meet("open")
        os.makedirs(f"{TOP}/elsewhere")
        os.rename(path, f"{TOP}/elsewhere/new-name")
        meeting.meet("renamed")
        meeting.meet("written")
        expect_bytes(content(f"{TOP}/elsewhere/new-name"), b"before after", "by the new name")


def other_removes(me, address):
    """A file that is open is removed by the other client: ESTALE, once what is cached is asked for again; its name is free."""
    meeting = begin(me, address)
    path = f"{TOP}/removed"
    if me == "1":
        with open(path, "wb") as file:
            file.write(b"x" * 10_000)
        fd = os.open(path, os.O_RDONLY)
        meeting.meet("open")
        meeting.meet("removed")
        drop_caches()
        expect_error(116, lambda: (os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED), os.pread(fd, 100, 0)), "a read")
        os.close(fd)
        expect_error(2, lambda: os.open(path, os.O_RDONLY), "an open")
        with open(path, "xb") as file:
            file.write(b"another")
        meeting.meet("made again")
    else:
        meeting.meet("open")
        os.unlink(path)
        meeting.meet("removed")
        meeting.meet("made again")
        until(lambda: os.path.exists(path), "the file made again is not seen")
        expect_bytes(content(path), b"another", "the file made again")
        os.unlink(path)


def unlinked_while_open(me, address):
    """The client that unlinks a file it has open keeps it (.nfs name); the other reads it until then, and nothing is left."""
    meeting = begin(me, address)
    directory = f"{TOP}/unlinked"
    path = f"{directory}/file"
    if me == "1":
        os.makedirs(directory)
        fd = os.open(path, os.O_RDWR | os.O_CREAT)
        os.write(fd, b"first ")
        os.fsync(fd)
        meeting.meet("open here")
        meeting.meet("open there")
        os.unlink(path)
        os.write(fd, b"second")
        os.fsync(fd)
        meeting.meet("unlinked")
        expect_bytes(os.pread(fd, 100, 0), b"first second", "by the client that unlinked it")
        meeting.meet("read there")
        os.close(fd)
        until(lambda: not os.listdir(directory), "something is left after the last close")
        meeting.meet("closed")
    else:
        meeting.meet("open here")
        fd = os.open(path, os.O_RDONLY)
        meeting.meet("open there")
        meeting.meet("unlinked")
        until(lambda: not os.path.exists(path), "the name of the unlinked file is still there")
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        expect(os.pread(fd, 6, 0) == b"first ", "the other client reads what is unlinked and open")
        meeting.meet("read there")
        meeting.meet("closed")
        drop_caches()
        expect_error(116, lambda: (os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED), os.pread(fd, 100, 0)), "a read")
        os.close(fd)


def follow(me, address, lines):
    """`tail -f`: lines that one client appends and syncs are read by the other in order, each whole, with no zeros in between."""
    meeting = begin(me, address)
    path = f"{TOP}/followed"
    expected = "".join(f"line {at} {'-' * (at * 37 % 300)}\n" for at in range(int(lines))).encode()
    if me == "1":
        with open(path, "wb"):
            pass
        meeting.meet("made")
        with open(path, "ab", buffering=0) as file:
            for line in expected.splitlines(keepends=True):
                file.write(line)
                os.fsync(file.fileno())
        meeting.meet("appended")
        meeting.meet("followed")
    else:
        meeting.meet("made")
        fd = os.open(path, os.O_RDONLY)
        seen = b""
        end = time.monotonic() + 120
        while len(seen) < len(expected):
            expect(time.monotonic() < end, f"{len(seen)} bytes of {len(expected)} were seen")
            # As tail does: look at the size, and read on when it grew.
            if os.fstat(fd).st_size > len(seen):
                seen += os.read(fd, 1 << 16)
                expect_bytes(seen, expected[: len(seen)], "what was appended so far")
            else:
                time.sleep(0.01)
        os.close(fd)
        meeting.meet("appended")
        meeting.meet("followed")


def disjoint(me, address, mib):
    """Both write every other block of one file and sync now and then: in the end each block is its writer's."""
    meeting = begin(me, address)
    path, block, count = f"{TOP}/disjoint", 65_536, int(mib) * 16
    bytes_of = lambda at: random.Random(at).randbytes(block)
    if me == "1":
        with open(path, "wb"):
            pass
    meeting.meet("made")
    fd = os.open(path, os.O_RDWR)
    mine = [at for at in range(count) if str(at % 2 + 1) == me]
    random.Random(me).shuffle(mine)
    for written, at in enumerate(mine):
        os.pwrite(fd, bytes_of(at), at * block)
        if written % 23 == 22:
            os.fsync(fd)
    os.fsync(fd)
    os.close(fd)
    meeting.meet("written")
    drop_caches()
    with open(path, "rb") as file:
        for at in range(count):
            expect_bytes(file.read(block), bytes_of(at), f"block {at}, written by client {at % 2 + 1}")
        expect_equal(file.read(1), b"", "nothing behind")
    meeting.meet("compared")


if __name__ == "__main__":
    parts = (close_to_open, attributes, at_once, exclusive, other_renames, other_removes, unlinked_while_open, follow, disjoint)
    main({each.__name__: each for each in parts})
