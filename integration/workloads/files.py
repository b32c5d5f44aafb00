"""How programs change files: editors that save, locks by exclusive names, sizes, descriptors, pages. The model is a plain array of bytes."""

import mmap
import os
import random
import signal
import sqlite3
import stat
import subprocess
from checks import *


def spill(path, data, flags=os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode=0o644):
    fd = os.open(path, flags, mode)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        os.fsync(fd)
    finally:
        os.close(fd)


def content(path):
    with open(path, "rb") as file:
        return file.read()


def saves(top):
    """The calls that editors make to save; then the file has the new bytes and its mode, and nothing else is left."""
    os.makedirs(top)
    os.chdir(top)
    for at in range(5):
        text = f"text {at}\n".encode() * (1 + 3000 * at)

        # Emacs: the first save renames the file to the backup and writes a new one; lock files are dangling links.
        os.symlink("user@host.1234:1700000000", ".#emacs")
        if os.path.exists("emacs"):
            os.rename("emacs", "emacs~")
        spill("emacs", text, mode=0o640)
        os.chmod("emacs", 0o640)
        os.unlink(".#emacs")

        # LibreOffice: a lock file made exclusively, a temporary file renamed over the document.
        spill(".~lock.office.odt#", b",user,host,;", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        expect_error(17, lambda: os.open(".~lock.office.odt#", os.O_WRONLY | os.O_CREAT | os.O_EXCL), "the lock again")
        spill("lu4711.tmp", text, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        os.chmod("lu4711.tmp", 0o664)
        os.rename("lu4711.tmp", "office.odt")
        os.unlink(".~lock.office.odt#")

        # VS Code and nano: in place, SETATTR of the size to 0 and WRITEs, no CREATE.
        if at == 0:
            spill("in-place", b"the first bytes", mode=0o755)
        spill("in-place", text, os.O_WRONLY | os.O_TRUNC)

        # gedit, GLib: a temporary file beside it, synced, with the mode and times of the old one, then over it.
        spill(".goutputstream-X", text, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        if os.path.exists("glib"):
            os.chmod(".goutputstream-X", os.stat("glib").st_mode & 0o7777)
        os.rename(".goutputstream-X", "glib")
        os.chmod("glib", 0o604)

        # Backups by a hard link: refused, and Linux has no text for it (ENOTSUPP).
        expect_error(524, lambda: os.link("glib", "glib.bak"), "link()")

        for name in ("emacs", "office.odt", "in-place", "glib"):
            expect_bytes(content(name), text, f"{name} after save {at}")
    names = {"emacs": 0o640, "emacs~": 0o640, "office.odt": 0o664, "in-place": 0o755, "glib": 0o604}
    modes = {name: os.stat(name).st_mode & 0o7777 for name in os.listdir(".")}
    expect_equal(modes, names, "files and modes in the end")


def database(path):
    """SQLite with a rollback journal: transactions, a rollback, a process killed in the middle of one, VACUUM."""
    db = sqlite3.connect(path)
    expect_equal(db.execute("pragma journal_mode=delete").fetchone(), ("delete",), "journal mode")
    db.execute("create table t (id integer primary key, v blob)")
    for at in range(10):
        with db:
            db.executemany("insert into t (v) values (?)", ((bytes([at]) * 300,) for _ in range(100)))
    with db:
        db.execute("update t set v = zeroblob(700) where id % 3 = 0")
    db.execute("begin")
    db.execute("delete from t")
    db.rollback()
    db.close()

    child = os.fork()
    if child == 0:
        db = sqlite3.connect(path)
        db.execute("pragma cache_size=2")
        db.execute("begin")
        db.execute("update t set v = randomblob(1000)")
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    expect(os.path.getsize(f"{path}-journal") > 0, "the killed transaction left its journal")
    db = sqlite3.connect(path)
    expect_equal(db.execute("pragma integrity_check").fetchall(), [("ok",)], "integrity after the kill")
    sizes = db.execute("select length(v), count(*) from t group by 1 order by 1").fetchall()
    expect_equal(sizes, [(300, 667), (700, 333)], "rows after the kill")
    with db:
        db.execute("delete from t where id % 2 = 0")
    db.execute("vacuum")
    db.close()
    check_database(path)


def check_database(path):
    db = sqlite3.connect(path)
    expect_equal(db.execute("pragma integrity_check").fetchall(), [("ok",)], "integrity")
    expect_equal(db.execute("select count(*) from t").fetchone(), (500,), "rows")
    db.close()
    expect_equal([name for name in os.listdir(os.path.dirname(path)) if "journal" in name], [], "journals left")


def locks(top, rounds):
    """A name is made by one only: O_EXCL, mkdir, a symbolic link, `set -C` of the shell. Many processes of one client."""
    os.makedirs(top)
    os.chdir(top)
    makers = {
        "exclusive": lambda name: os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY)),
        "directory": os.mkdir,
        "link": lambda name: os.symlink("me", name),
    }
    children = []
    for child in range(4):
        if (pid := os.fork()) == 0:
            with open(f"/tmp/won-{child}", "w") as won:
                for at in range(int(rounds)):
                    for kind, make in makers.items():
                        try:
                            make(f"{kind}-{at}")
                            won.write(f"{kind}-{at}\n")
                        except FileExistsError:
                            pass
            os._exit(0)
        children.append(pid)
    for pid in children:
        expect_equal(os.waitpid(pid, 0)[1], 0, "status of a process that takes locks")
    won = [line for child in range(4) for line in open(f"/tmp/won-{child}").read().split()]
    expect_equal(repeated(won), [], "locks that two processes got")
    expect_equal(len(won), 3 * int(rounds), "locks got")
    for _ in range(2):
        shell = subprocess.run(["sh", "-c", "set -C; echo mine >shell"], capture_output=True)
    expect_equal(shell.returncode, 2, "`set -C` over a file that is there")
    expect_equal(content("shell"), b"mine\n", "what the first shell wrote")


def sizes(top):
    """Sizes are set, both ways and on no boundary, of files that are there: no CREATE comes before these WRITEs."""
    os.makedirs(top)
    path = f"{top}/file"
    data = bytes(random.Random(1).randbytes(300_000))
    spill(path, data)
    for size in (299_999, 4097, 4095, 1, 0, 5, 70_001, 0, 300_001):
        os.truncate(path, size)
        data = data[:size] + bytes(max(0, size - len(data)))
        expect_equal(os.stat(path).st_size, size, f"size after truncate to {size}")
        expect_bytes(content(path), data, f"bytes after truncate to {size}")
        patch = f"<{size}>".encode()
        with open(path, "r+b") as file:
            file.seek(size // 3)
            file.write(patch)
        data = data[: size // 3] + patch + data[size // 3 + len(patch) :]
        expect_bytes(content(path), data, f"bytes after a write in place at {size // 3}")
    for command, after in (
        (f": >{path}", b""),
        (f"echo one >{path}", b"one\n"),
        (f"printf XY | dd of={path} bs=1 seek=1 conv=notrunc status=none", b"oXY\n"),
        (f"printf Z | dd of={path} bs=1 seek=6 conv=notrunc,fsync status=none", b"oXY\n\0\0Z"),
        (f"echo two >>{path}", b"oXY\n\0\0Ztwo\n"),
        (f"cp /dev/null {path}; printf three | tee {path} >/dev/null", b"three"),
    ):
        subprocess.run(["sh", "-c", command], check=True)
        expect_bytes(content(path), after, command)
        drop_caches()
        expect_bytes(content(path), after, f"{command}, read from the server")


def descriptors(top):
    """Two descriptors that append, O_SYNC, O_DIRECT, an open descriptor over a truncation by its name."""
    os.makedirs(top)
    path = f"{top}/appended"
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    fds = [os.open(path, flags), os.open(path, flags)]
    expected = b""
    for at in range(200):
        line = f"{at} ".encode() * (at % 50 + 1) + b"\n"
        os.write(fds[at % 2], line)
        expected += line
        if at % 37 == 0:
            os.fsync(fds[0])
    for fd in fds:
        os.close(fd)
    drop_caches()
    expect_bytes(content(path), expected, "what two descriptors appended")

    path = f"{top}/synced"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_SYNC)
    for at in range(20):
        os.pwrite(fd, bytes([65 + at]) * 5000, at * 3000)
    os.truncate(path, 1000)
    expect_equal(os.fstat(fd).st_size, 1000, "size by a descriptor after truncate by name")
    os.pwrite(fd, b"end", 2000)
    os.close(fd)
    expect_bytes(content(path), b"A" * 1000 + bytes(1000) + b"end", "O_SYNC and truncate")

    path = f"{top}/direct"
    expected = bytearray(4 << 20)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_DIRECT)
    rng = random.Random(2)
    for at in rng.sample(range(64), 64):
        block = mmap.mmap(-1, 65536)
        block.write(rng.randbytes(65536))
        expected[at * 65536 : (at + 1) * 65536] = block[:]
        expect_equal(os.pwritev(fd, [block], at * 65536), 65536, "bytes of a direct write")
    read = mmap.mmap(-1, 4 << 20)
    expect_equal(os.preadv(fd, [read], 0), 4 << 20, "bytes of a direct read")
    expect_bytes(read[:], expected, "direct read")
    os.close(fd)
    expect_bytes(content(path), expected, "read through pages what was written directly")

    path = f"{top}/holes"
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    for at in (0, 5_000_001, 20_000_000):
        os.pwrite(fd, b"island", at)
    os.close(fd)
    drop_caches()
    expected = bytearray(20_000_006)
    for at in (0, 5_000_001, 20_000_000):
        expected[at : at + 6] = b"island"
    expect_bytes(content(path), expected, "islands in zeros")


def any_history(path, seed, count, size_max):
    """Calls in random order on one file, compared with a plain array of bytes after each read."""
    size_max = int(size_max)
    rng = random.Random(int(seed))
    data = bytearray()
    history = []
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)

    def check(name, at, actual, expected):
        if actual != expected:
            print("\n".join(history[-30:]))
            expect_bytes(actual, expected, f"seed {seed}, step {at}: {name}")

    def put(offset, piece):
        if offset > len(data):
            data.extend(bytes(offset - len(data)))
        data[offset : offset + len(piece)] = piece

    for at in range(int(count)):
        kind = rng.choice(
            "write write write read read truncate append map direct look fsync reopen drop empty".split()
        )
        offset = rng.randrange(size_max)
        length = rng.randrange(1, min(size_max - offset, rng.choice((100, 5000, 200_000, size_max))) + 1)
        history.append(f"{at}: {kind} offset {offset} length {length} size {len(data)}")
        if kind == "write":
            piece = rng.randbytes(length)
            expect_equal(os.pwrite(fd, piece, offset), length, "bytes written")
            put(offset, piece)
        elif kind == "read":
            check(kind, at, os.pread(fd, length, offset), bytes(data[offset : offset + length]))
        elif kind == "truncate":
            os.ftruncate(fd, offset)
            del data[offset:]
            data.extend(bytes(offset - len(data)))
        elif kind == "empty" and rng.random() < 0.3:
            os.truncate(path, 0)
            data.clear()
        elif kind == "append":
            piece = rng.randbytes(min(length, 5000, max(0, size_max - len(data))))
            with open(path, "ab") as file:
                file.write(piece)
            put(len(data), piece)
        elif kind == "map" and offset + length <= len(data):
            piece = rng.randbytes(length)
            with mmap.mmap(fd, len(data)) as pages:
                check("pages", at, pages[offset : offset + length], bytes(data[offset : offset + length]))
                pages[offset : offset + length] = piece
                if rng.random() < 0.5:
                    pages.flush()
            put(offset, piece)
        elif kind == "direct":
            start, blocks = offset // 4096 * 4096, min(length // 4096 + 1, 64)
            block = mmap.mmap(-1, blocks * 4096)
            block.write(rng.randbytes(blocks * 4096))
            direct = os.open(path, os.O_RDWR | os.O_DIRECT)
            expect_equal(os.pwritev(direct, [block], start), blocks * 4096, "bytes written directly")
            os.close(direct)
            put(start, block[:])
        elif kind == "look":
            start, blocks = offset // 4096 * 4096, min(length // 4096 + 1, 64)
            block = mmap.mmap(-1, blocks * 4096)
            direct = os.open(path, os.O_RDONLY | os.O_DIRECT)
            count = os.preadv(direct, [block], start)
            os.close(direct)
            check("read directly", at, block[:count], bytes(data[start : start + blocks * 4096]))
        elif kind == "fsync":
            os.fsync(fd)
        elif kind == "reopen":
            os.close(fd)
            fd = os.open(path, os.O_RDWR)
        elif kind == "drop":
            os.fsync(fd)
            drop_caches()
        if at % 10 == 9:
            expect_equal(os.fstat(fd).st_size, len(data), f"seed {seed}, step {at}: size after {kind}")
    os.close(fd)
    drop_caches()
    check("the whole file", count, content(path), bytes(data))


FILES, DIRECTORIES = ("a", "b", "c c"), ("d", "\u00e9")
FIELDS = ("st_mode", "st_uid", "st_gid", "st_size")


def any_tree(top, seed, count):
    """Calls in random order on a small tree, each made on the guest's own file system as well: the same results and the same errors."""
    rng = random.Random(int(seed))
    ours, theirs = f"/tmp/tree-{seed}", f"{top}/tree-{seed}"
    history, opened = [], []
    for root in (ours, theirs):
        os.makedirs(root)

    def path(last=FILES):
        """Names above are mostly those of directories, the last mostly not."""
        above = [rng.choice(DIRECTORIES) for _ in range(rng.choice((0, 0, 1, 1, 2)))]
        return "/".join([*above, rng.choice(rng.choice((last, last, last, FILES + DIRECTORIES)))])

    def outcome(call, root):
        try:
            return call(root)
        except OSError as error:
            return os.strerror(error.errno)

    def facts(where):
        found = os.lstat(where)
        kind = stat.S_IFMT(found.st_mode)
        told = {name: getattr(found, name) for name in FIELDS if kind == stat.S_IFREG or name != "st_size"}
        return {**told, "target": os.readlink(where) if kind == stat.S_IFLNK else None}

    def pick():
        kind = rng.choice(
            "save save save save open open open write write read close mkdir mkdir mkdir symlink rename rename rename rename"
            " rename unlink rmdir chmod chown utime truncate list stat drop".split()
        )
        if kind in ("write", "read", "close") and not opened:
            kind = "open"
        last = DIRECTORIES if kind in ("mkdir", "rmdir", "list") or rng.random() < 0.2 else FILES
        name, other, number, data = path(last), path(last), rng.randrange(1 << 16), rng.randbytes(rng.choice((0, 10, 5000, 70_000)))

        def save(root):
            with open(f"{root}/{name}", rng_mode) as file:
                file.write(data)

        def utime(root):
            os.utime(f"{root}/{name}", ns=(number, number * 10**9 + 987_654_321), follow_symlinks=False)
            return os.lstat(f"{root}/{name}").st_mtime_ns

        rng_mode = rng.choice(("wb", "ab", "r+b", "xb"))
        follows = {"chmod": rng.choice((0o644, 0o600, 0o755, 0o4711, 0o1777, 0o2770)), "chown": (number % 3000, number % 5000)}
        calls = {
            "save": save,
            "mkdir": lambda root: os.mkdir(f"{root}/{name}", 0o755),
            "symlink": lambda root: os.symlink(other, f"{root}/{name}"),
            "rename": lambda root: os.rename(f"{root}/{name}", f"{root}/{other}"),
            "unlink": lambda root: os.unlink(f"{root}/{name}"),
            "rmdir": lambda root: os.rmdir(f"{root}/{name}"),
            "chmod": lambda root: os.chmod(f"{root}/{name}", follows["chmod"]),
            "chown": lambda root: os.chown(f"{root}/{name}", *follows["chown"], follow_symlinks=False),
            "utime": utime,
            "truncate": lambda root: os.truncate(f"{root}/{name}", number),
            "list": lambda root: sorted(each for each in os.listdir(f"{root}/{name}") if not each.startswith(".nfs")),
            "stat": lambda root: facts(f"{root}/{name}"),
        }
        if kind in calls:
            # Files that are open and unlinked keep a name on the server, and their directory with it.
            if kind == "rmdir" or kind == "rename" and os.path.isdir(f"{ours}/{other}"):
                for pair in opened:
                    for fd in pair:
                        os.close(fd)
                opened.clear()
            return f"{kind} {name} {other} {rng_mode} {len(data)} {number} {follows}", calls[kind]
        if kind == "drop":
            return kind, lambda root: root == theirs and drop_caches() or None
        if kind == "open":
            flags = os.O_RDWR | rng.choice((0, os.O_CREAT, os.O_CREAT | os.O_EXCL, os.O_CREAT | os.O_TRUNC, os.O_APPEND))
            fds = {}

            def open_(root):
                fds[root] = os.open(f"{root}/{name}", flags, 0o640)
                if root == theirs and ours in fds:
                    opened.append((fds[ours], fds[theirs]))

            return f"open {name} {flags:o}", open_
        pair = rng.choice(opened)
        fd_of = lambda root: pair[root == theirs]
        if kind == "close":
            opened.remove(pair)
            return f"close {pair}", lambda root: os.close(fd_of(root))
        if kind == "write":
            return f"write {pair} {len(data)} at {number}", lambda root: os.pwrite(fd_of(root), data, number)
        return f"read {pair}", lambda root: hash(os.pread(fd_of(root), 1 << 18, 0))

    for at in range(int(count)):
        words, call = pick()
        history.append(words)
        wanted, got = outcome(call, ours), outcome(call, theirs)
        if got != wanted:
            print("\n".join(history[-40:]))
            fail(f"seed {seed}, step {at}: {words}: expected {shown(wanted)}, got {shown(got)}")
    for pair in opened:
        for fd in pair:
            os.close(fd)
    drop_caches()
    for at, directories, files in os.walk(ours):
        there = theirs + at[len(ours) :]
        names = [name for name in os.listdir(there) if not name.startswith(".nfs")]
        expect_equal(sorted(names), sorted(directories + files), f"seed {seed}: {there}")
        for name in directories + files:
            expect_equal(facts(f"{there}/{name}"), facts(f"{at}/{name}"), f"seed {seed}: {there}/{name}")
            if stat.S_ISREG(os.lstat(f"{at}/{name}").st_mode):
                expect_bytes(content(f"{there}/{name}"), content(f"{at}/{name}"), f"seed {seed}: {there}/{name}")


if __name__ == "__main__":
    parts = (saves, database, check_database, locks, sizes, descriptors, any_history, any_tree)
    main({each.__name__: each for each in parts})
