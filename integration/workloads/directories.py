"""Listing directories: deep ones, large ones, and while their entries come and go."""

import os
import random
import subprocess
import time
from checks import *


def is_staying(path):
    return "staying" in os.path.basename(path) or os.path.basename(path).startswith("level")


def is_of_one_gone(complaint):
    """What came and went may be gone by the time find looks at it; that is no error of the listing."""
    path, _, reason = complaint.removeprefix("find: ").rpartition(": ")
    last = path.strip("\u2018\u2019'").rpartition("/")[2]
    return reason == "No such file or directory" and "staying" not in last and not last.startswith("level")


def churn(top, name, levels):
    """Makes, renames and removes entries at every level of the tree until /out/stop is there; none of these calls may fail."""
    levels = int(levels)
    path = top
    paths = [path]
    for level in range(1, levels):
        path = f"{path}/level{level}"
        paths.append(path)
    rng = random.Random(name)
    done = 0
    while not os.path.exists("/out/stop"):
        at = rng.choice(paths)
        one, other = f"{at}/{name}-a{done % 7}", f"{at}/{name}-b{done % 5}"
        if done % 3 == 0:
            os.mkdir(one)
            touch(f"{one}/inside")
            os.rename(one, other)
            os.unlink(f"{other}/inside")
            os.rmdir(other)
        else:
            with open(one, "w") as file:
                file.write(one)
            os.rename(one, other)
            os.unlink(other)
        done += 1
    with open(f"/out/churned-{name}", "w") as file:
        file.write(str(done))


def find_during_changes(top, expected, rounds):
    """`find` ends, without an error, and shows every entry that stayed once, with one inode number for good."""
    inodes = None
    for at in range(int(rounds)):
        if at % 2 == 1:
            drop_caches()
        found = subprocess.run(["find", top, "-printf", "%i %p\n"], capture_output=True, text=True, timeout=200)
        complaints = [line for line in found.stderr.splitlines() if not is_of_one_gone(line)]
        expect_equal(complaints, [], f"round {at}: what find complains of")
        lines = [line.split(" ", 1) for line in found.stdout.splitlines()]
        staying = [path for _, path in lines if is_staying(path)]
        expect_equal(repeated(staying), [], f"round {at}: entries shown more than once")
        expect_equal(len(staying), int(expected), f"round {at}: entries that stayed")
        now = {path: inode for inode, path in lines if is_staying(path)}
        expect_equal(len(set(now.values())), len(now), f"round {at}: different inode numbers")
        if inodes is not None:
            changed = [path for path in now if inodes[path] != now[path]]
            expect_equal(changed, [], f"round {at}: entries whose inode number changed")
        inodes = now


def list_during_changes(directory, expected, rounds):
    """Buffers of every size, and a reader that takes its time: entries that stay are seen once each, `.` and `..` as well."""
    for at in range(int(rounds)):
        for buffer_bytes in (300, 1024, 4096, 32768):
            names = []
            for count, (_, name, _) in enumerate(getdents(directory, buffer_bytes)):
                names.append(name)
                if count % 500 == 250:
                    time.sleep(0.01)
            where = f"round {at}, buffer of {buffer_bytes} bytes"
            staying = [name for name in names if "staying" in name]
            expect_equal(repeated(staying), [], f"{where}: entries shown more than once")
            expect_equal(len(staying), int(expected), f"{where}: entries that stayed")
            expect_equal([name for name in names if name in (".", "..")], [".", ".."], f"{where}: dot entries")
        if at % 2 == 0:
            drop_caches()


def size_of(index):
    return index % 97


def check_large(directory, count, saved):
    """Every name once, inode numbers unique and those of before, sizes right, dot entries right, by all ways of listing."""
    count = int(count)
    expected = {f"entry-{index:05}": size_of(index) for index in range(count)}
    here, above = os.stat(directory).st_ino, os.stat(os.path.dirname(directory)).st_ino
    for buffer_bytes in (1024, 32768, 1 << 20) if count < 10_000 else (32768,):
        entries = list(getdents(directory, buffer_bytes))
        where = f"{directory}, buffer of {buffer_bytes} bytes"
        names = [name for _, name, _ in entries]
        expect_equal(repeated(names), [], f"{where}: names shown more than once")
        expect_equal(len(names), count + 2, f"{where}: entries with . and ..")
        expect_equal(set(names) - {".", ".."}, set(expected), f"{where}: names")
        numbers = {name: inode for inode, name, _ in entries}
        expect_equal((numbers.pop("."), numbers.pop("..")), (here, above), f"{where}: inode numbers of . and ..")
        expect_equal(len(set(numbers.values())), count, f"{where}: different inode numbers")
    stats = {entry.name: entry.stat(follow_symlinks=False) for entry in os.scandir(directory)}
    wrong = {name: stat.st_size for name, stat in stats.items() if stat.st_size != expected[name]}
    expect_equal(wrong, {}, f"{directory}: wrong sizes")
    others = [name for name, stat in stats.items() if stat.st_ino != numbers[name]]
    expect_equal(others, [], f"{directory}: entries whose inode number is another by stat than by getdents")
    if os.path.exists(saved):
        with open(saved) as file:
            before = dict(line.split() for line in file)
        changed = [name for name, inode in numbers.items() if before[name] != str(inode)]
        expect_equal(changed, [], f"{directory}: entries whose inode number changed")
    with open(saved, "w") as file:
        file.writelines(f"{name} {inode}\n" for name, inode in numbers.items())
    ls = subprocess.run(["ls", "-la", directory], capture_output=True, text=True)
    expect_equal((ls.returncode, ls.stderr), (0, ""), f"{directory}: status and errors of ls -la")
    lines = [line.split() for line in ls.stdout.splitlines()[1:]]
    expect_equal([line[-1] for line in lines[:2]], [".", ".."], f"{directory}: first lines of ls -la")
    sizes = {line[-1]: int(line[4]) for line in lines[2:]}
    expect(len(lines) == count + 2 and sizes == expected, f"{directory}: names and sizes of ls -la")


def unlink_while_reading(directory, buffer_bytes):
    """One pass of readdir and unlink finds every entry, though those before it are gone."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    removed = 0
    for _, name, _ in getdents_of(fd, int(buffer_bytes)):
        if name not in (".", ".."):
            os.unlink(name, dir_fd=fd)
            removed += 1
    os.close(fd)
    expect_equal(os.listdir(directory), [], "what is left")
    os.rmdir(directory)
    print(f"{removed} removed")


if __name__ == "__main__":
    main(
        {
            each.__name__: each
            for each in (churn, find_during_changes, list_during_changes, check_large, unlink_while_reading)
        }
    )
