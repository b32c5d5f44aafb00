"""What people's programs do to files: archives, films, databases, fio, git, npm, make, rsync. The guest's own file system says what is right."""

import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import stat
import struct
import subprocess
import time
import zipfile
from checks import *

MIB = 1 << 20


def sh(script, cwd=None):
    """Runs a shell script that must end well; what it wrote to standard output."""
    done = subprocess.run(["sh", "-ec", script], cwd=cwd, capture_output=True, text=True)
    if done.returncode != 0:
        fail(f"{script}\nended with {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout


def content(path):
    with open(path, "rb") as file:
        return file.read()


def expect_same(one, other):
    expect_bytes(content(one), content(other), one)


def objects(top, out):
    """Writes what S3 must hold for all below `top`, by key: the sizes, digests and attributes that programs see here."""
    found = {}
    for at, directories, files in os.walk(top):
        for name in directories + files:
            path = os.path.join(at, name)
            facts = os.lstat(path)
            key = os.path.relpath(path, top)
            if stat.S_ISDIR(facts.st_mode):
                key, body = f"{key}/", b""
            elif stat.S_ISLNK(facts.st_mode):
                body = os.readlink(path).encode()
            else:
                body = content(path)
                expect_equal(len(body), facts.st_size, f"bytes that are read of {path}")
            metadata = {
                "file-permissions": f"0{facts.st_mode:o}",
                "file-owner": str(facts.st_uid),
                "file-group": str(facts.st_gid),
            }
            found[key] = {"size": len(body), "sha256": hashlib.sha256(body).hexdigest(), "metadata": metadata}
    with open(out, "w") as file:
        json.dump(found, file)


def fields(top, times):
    """Every attribute of every entry that a copy keeps, by its path."""
    found = {}
    for at, directories, files in os.walk(top):
        for name in [".", *directories, *files]:
            path = os.path.join(at, name)
            facts = os.lstat(path)
            kind = stat.S_IFMT(facts.st_mode)
            found[os.path.relpath(path, top)] = {
                "type": oct(kind),
                "mode": oct(stat.S_IMODE(facts.st_mode)),
                "owner": (facts.st_uid, facts.st_gid),
                **({} if kind == stat.S_IFDIR else {"size": facts.st_size}),
                **({"mtime": facts.st_mtime_ns} if times else {}),
                **({"target": os.readlink(path)} if kind == stat.S_IFLNK else {}),
                **({"sha256": hashlib.sha256(content(path)).hexdigest()} if kind == stat.S_IFREG else {}),
            }
    return found


def expect_fields(actual, expected, what):
    expect_equal(sorted(actual), sorted(expected), f"{what}: paths")
    differing = [f"{path}: expected {wanted}, got {actual[path]}" for path, wanted in expected.items() if actual[path] != wanted]
    expect(not differing, "\n".join([f"{what}: {len(differing)} entries differ", *differing[:5]]))


def archive(top):
    """ZIP: local headers are patched once the size is known, entries are appended over the old directory."""
    for at in ("/tmp/archive", top):
        os.makedirs(at)
        rng = random.Random(1)
        for mode, count in (("w", 40), ("a", 10), ("a", 1)):
            with zipfile.ZipFile(f"{at}/archive.zip", mode, zipfile.ZIP_DEFLATED) as zipped:
                for _ in range(count):
                    info = zipfile.ZipInfo(f"entry-{len(zipped.namelist())}")
                    with zipped.open(info, "w") as entry:
                        for _ in range(rng.randrange(6)):
                            entry.write(rng.randbytes(rng.randrange(200_000)) + bytes(50_000))
        with zipfile.ZipFile(f"{at}/archive.zip") as zipped:
            expect_equal(zipped.testzip(), None, "entries of the archive that are broken")
    expect_same(f"{top}/archive.zip", "/tmp/archive/archive.zip")


def film(top):
    """MP4: the size of the media box is patched at the end; then the index moves to the front, through the same file."""
    for at in ("/tmp/film", top):
        os.makedirs(at)
        rng = random.Random(2)
        with open(f"{at}/film.mp4", "w+b") as file:
            file.write(struct.pack(">I4s", 16, b"ftyp") + b"isomisom")
            start = file.tell()
            file.write(struct.pack(">I4sQ", 1, b"mdat", 0))
            for _ in range(40):
                file.write(rng.randbytes(rng.randrange(MIB)))
            end = file.tell()
            index = b"moov" * 12_345
            file.write(index)
            file.seek(start + 8)
            file.write(struct.pack(">Q", end - start))
            # As `-movflags faststart` does: everything is moved up by the size of the index, block after block.
            file.seek(start)
            carried = index
            while block := file.read(len(index)):
                file.seek(-len(block), os.SEEK_CUR)
                file.write(carried[: len(block)])
                # Reading goes on behind what was written, so the last of it waits.
                carried = block + carried[len(block) :] if len(block) < len(index) else block
    expect_same(f"{top}/film.mp4", "/tmp/film/film.mp4")


def in_place(top):
    """dd conv=notrunc and rsync --inplace into a file of several parts: at its edges, across parts, beyond its end, shorter."""
    os.makedirs(top)
    os.makedirs("/tmp/in-place")
    sh("head -c 30000000 /dev/urandom >source; cp source dd", "/tmp/in-place")
    shutil.copy("/tmp/in-place/source", f"{top}/dd")
    for block, seek, count in ((512, 3, 1), (4096, 2048, 3), (1, 8_388_607, 2), (MIB, 28, 3), (7, 0, 1), (65536, 400, 9)):
        for at in ("/tmp/in-place", top):
            sh(f"dd if=/tmp/in-place/source of=dd bs={block} seek={seek} count={count} conv=notrunc status=none", at)
        expect_same(f"{top}/dd", "/tmp/in-place/dd")
    rng = random.Random(3)
    for turn in range(4):
        data = bytearray(content("/tmp/in-place/source"))
        for _ in range(5):
            at = rng.randrange(len(data) - 100_000)
            data[at : at + 50_000] = rng.randbytes(50_000)
        data = data[: -rng.randrange(MIB)] if turn % 2 else data + rng.randbytes(300_000)
        with open("/tmp/in-place/source", "wb") as file:
            file.write(data)
        sh(f"rsync --inplace --no-whole-file -t --ignore-times /tmp/in-place/source {top}/rsync")
        expect_same(f"{top}/rsync", "/tmp/in-place/source")
    with open("/tmp/in-place/source", "ab") as file:
        file.write(rng.randbytes(100_000))
    sh(f"rsync --append-verify -t /tmp/in-place/source {top}/rsync")
    drop_caches()
    expect_same(f"{top}/rsync", "/tmp/in-place/source")


def wal_database(path):
    """SQLite in WAL mode: by one process with locking_mode=exclusive, then by two with shared memory, one of them killed."""
    os.makedirs(os.path.dirname(path))
    blob = lambda at: random.Random(at).randbytes(400)
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("pragma locking_mode=exclusive")
    expect_equal(db.execute("pragma journal_mode=wal").fetchone(), ("wal",), "journal mode")
    db.execute("create table t (id integer primary key, v blob)")
    for at in range(8):
        db.execute("begin")
        db.executemany("insert into t values (?, ?)", ((id, blob(id)) for id in range(at * 100, at * 100 + 100)))
        db.execute("commit")
    expect(not os.path.exists(f"{path}-shm"), "no shared memory is made with locking_mode=exclusive")
    expect(os.path.getsize(f"{path}-wal") > 100_000, "the log has what was committed")
    db.close()

    child = os.fork()
    if child == 0:
        db = sqlite3.connect(path, isolation_level=None)
        db.execute("pragma synchronous=full")
        for at in range(800, 900):
            db.execute("insert into t values (?, ?)", (at, blob(at)))
        db.execute("pragma cache_size=2")
        db.execute("begin")
        db.execute("update t set v = zeroblob(5000)")
        os.kill(os.getpid(), signal.SIGKILL)
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("pragma mmap_size=10000000")
    seen = 800
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        rows = reader.execute("select id, v from t where id >= 700").fetchall()
        expect(len(rows) + 700 >= seen, "rows that were seen are seen again")
        seen = len(rows) + 700
        expect(all(v == blob(id) for id, v in rows), "rows while another process writes")
    expect(os.path.exists(f"{path}-shm"), "two processes share memory")
    check_wal_database(path, 900)
    reader.execute("delete from t where id % 3 = 0")
    reader.execute("pragma wal_checkpoint(truncate)")
    reader.execute("vacuum")
    reader.close()
    # What was removed while it was open goes with the client's own REMOVE, which close() doesn't wait for.
    deadline = time.monotonic() + 60
    while len(os.listdir(os.path.dirname(path))) > 1 and time.monotonic() < deadline:
        time.sleep(0.1)
    expect_equal(os.listdir(os.path.dirname(path)), [os.path.basename(path)], "files after the last close")
    check_wal_database(path, 600)


def check_wal_database(path, rows):
    db = sqlite3.connect(path)
    expect_equal(db.execute("pragma integrity_check").fetchall(), [("ok",)], "integrity")
    expect_equal(db.execute("select count(*) from t").fetchone(), (int(rows),), "rows")
    wrong = [id for id, v in db.execute("select id, v from t") if v != random.Random(id).randbytes(400)]
    expect_equal(wrong, [], "rows with other bytes")
    db.close()


FIO = """
[global]
directory={top}
size={size}m
verify=crc32c
verify_fatal=1
do_verify=1
randseed=7
group_reporting=0
invalidate=1
[buffered]
rw=randwrite
bsrange=512-64k
bs_unaligned=1
fsync=64
numjobs=2
[direct]
rw=randwrite
bs=4k
direct=1
io_size={direct}m
ioengine=libaio
iodepth=8
[mapped]
rw=randwrite
bs=4k
ioengine=mmap
[sequential]
rw=write
bs=128k
end_fsync=1
[mixed]
rw=randrw
bs=16k
fdatasync=16
"""


def fio(top, size_mib):
    """fio with verify: random writes of any length, direct, by pages and in order, all at once, and what they wrote read again."""
    os.makedirs(top)
    size = int(size_mib)
    with open("/tmp/jobs.fio", "w") as file:
        file.write(FIO.format(top=top, size=size, direct=max(1, size // 4)))
    sh("fio --output=/tmp/fio.out --minimal /tmp/jobs.fio || { cat /tmp/fio.out; exit 1; }")
    drop_caches()
    sh("fio --output=/tmp/fio.out --verify_only --minimal /tmp/jobs.fio || { cat /tmp/fio.out; exit 1; }")


def repository(top, origin):
    """git clone of a real repository, commits, a merge, a rebase, gc; another clone of that on the mount; fsck after each."""
    os.makedirs(top)
    identity = "-c user.name=Test -c user.email=test@example.com -c commit.gpgsign=false -c safe.directory='*'"
    git = lambda words, cwd="clone": sh(f"git {identity} {words}", f"{top}/{cwd}")
    git(f"clone -q {origin} clone", ".")
    head = git("rev-parse HEAD")
    drop_caches()
    expect_equal(git("status --porcelain"), "", "status of a fresh clone")
    git("fsck --full --strict --no-dangling")
    git("checkout -q -b side")
    sh("mkdir new; cp README.md new/read; echo side >>README.md; rm LICENSE; chmod +x package.json; ln -s README.md link", f"{top}/clone")
    git("add -A")
    git("commit -q -m side")
    git("checkout -q -")
    sh("echo main >>CHANGELOG.md", f"{top}/clone")
    git("commit -q -a -m main")
    git("merge -q --no-edit side")
    git("tag merged")
    git("reset -q --hard merged~1")
    git("reset -q --hard merged")
    git("gc -q --prune=now")
    drop_caches()
    git("fsck --full --strict")
    expect_equal(git("status --porcelain"), "", "status after gc")
    expect_equal(git("rev-list --count HEAD"), f"{int(git(f'rev-list --count {head.strip()}')) + 3}\n", "commits")
    # Its objects can't be linked: git copies them.
    git("clone -q --no-checkout clone again", ".")
    git("fsck --full --strict", "again")
    expect_equal(git("rev-parse HEAD", "again"), git("rev-parse merged"), "what was cloned again")


def packages(top, project):
    """`npm ci` twice, the second over the first, is what it is on a disk; what is in it runs."""
    shutil.copytree(project, top)
    install = "npm ci --offline --no-audit --no-fund --no-update-notifier --cache /tmp/npm-cache --loglevel=error"
    for _ in range(2):
        sh(install, top)
    drop_caches()
    shutil.copytree(project, "/tmp/project")
    sh(install, "/tmp/project")
    expect_fields(fields(top, times=False), fields("/tmp/project", times=False), "npm ci")
    said = sh("echo 'a: [1, 2]' | node_modules/.bin/yaml valid; node -p \"require('ipaddr.js').isValid('10.0.0.1')\"", top)
    expect_equal(said, "true\n", "what the packages say")


def build(top, source):
    """make -j of a C project: builds, has nothing left to do, builds again what a changed header asks for; what was built runs."""
    shutil.copytree(source, top)
    make = "make OPT=-O0 W="
    sh(f"{make} -j4", top)
    sh(f"{make} -q", top)
    drop_caches()
    sh(f"{make} -q", top)
    old = {name: os.stat(f"{top}/{name}").st_mtime_ns for name in os.listdir(top)}
    sh("touch lmdb.h", top)
    expect_equal(subprocess.run(f"{make} -q", shell=True, cwd=top).returncode, 1, "make -q after a header was touched")
    sh(f"{make} -j4", top)
    sh(f"{make} -q", top)
    new = {name for name in old if os.stat(f"{top}/{name}").st_mtime_ns > old[name]}
    expect({"mdb.o", "liblmdb.a", "mdb_stat", "mtest"} <= new, f"built again: {sorted(new)}")
    expect("Makefile" not in new and "chacha8.c" not in new, f"built again: {sorted(new)}")
    # The project's own test: a database that is mapped, written and read by other processes, on the mount as well.
    sh(f"{make} test", top)


def copies(top):
    """cp -a, tar and rsync -a keep every field of every entry, symlinks and times included; rsync has nothing to do twice."""
    tree = "/tmp/tree"
    os.makedirs(f"{tree}/d\u00e9j\u00e0 vu/deeper/empty")
    for at, name in enumerate(("plain", "d\u00e9j\u00e0 vu/in side", "d\u00e9j\u00e0 vu/deeper/last", "-dash", "new\nline", "star*")):
        path = f"{tree}/{name}"
        with open(path, "wb") as file:
            file.write(random.Random(at).randbytes(at * 7000))
        os.chown(path, 1000 + at, 2000 + at)
        os.chmod(path, (0o644, 0o4755, 0o2750, 0o600, 0o444, 0o1777)[at])
        os.symlink((name, "/nowhere", "../../..", "x" * 300, "\u00e9", ".")[at], f"{tree}/link-{at}")
        os.chown(f"{tree}/link-{at}", 3000, at, follow_symlinks=False)
    with open(f"{tree}/sparse", "wb") as file:
        file.truncate(9_000_000)
    os.chmod(f"{tree}/d\u00e9j\u00e0 vu/deeper", 0o3775)
    paths = [os.path.join(at, name) for at, directories, files in os.walk(tree) for name in directories + files]
    for at, path in enumerate([*paths, tree]):
        # Just after 1970 (of its very first second Linux' client sends no fraction) and beyond 2038.
        seconds = (1_000_000_000, 1, 1_700_000_000, 2_500_000_000, 4_294_967_294)[at % 5]
        os.utime(path, ns=(seconds * 10**9 + at, seconds * 10**9 + 123_456_789 + at), follow_symlinks=False)
    wanted = fields(tree, times=True)
    os.makedirs(top)
    sh(f"cp -a {tree} {top}/cp")
    sh(f"mkdir {top}/tar; tar -C {tree} --format=posix -cf - . | tar -C {top}/tar -xpf -")
    sh(f"rsync -a {tree}/ {top}/rsync/")
    for again in range(2):
        for name in ("cp", "tar", "rsync"):
            expect_fields(fields(f"{top}/{name}", times=True), wanted, f"{name}{', read again' if again else ''}")
        for name in ("cp", "tar", "rsync"):
            expect_equal(sh(f"rsync -ai --delete {tree}/ {top}/{name}/"), "", f"what rsync -a has to do to the copy by {name}")
            expect_equal(sh(f"rsync -aic --delete {top}/{name}/ {tree}/"), "", f"what rsync -ac has to do back from {name}")
        drop_caches()


def check_copies(top):
    wanted = fields(f"{top}/cp", times=True)
    for name in ("tar", "rsync"):
        expect_fields(fields(f"{top}/{name}", times=True), wanted, f"{name}, mounted again")


if __name__ == "__main__":
    parts = (objects, archive, film, in_place, wal_database, check_wal_database, fio, repository, packages, build, copies)
    main({each.__name__: each for each in (*parts, check_copies)})
