/** The Linux kernel's client with the tools that people use: every copy is compared through the mount and through S3. */
import t from 'tap';
import { cp } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { noGuestReason } from './guest.js';
import { MemoryGauge } from './memory-gauge.js';
import { stage } from './mounted.js';
import { differencesAtRest, expectedObjects, LIST_ATTRIBUTES } from './trees.js';

/** Thousands of files that every checkout has after `npm ci`. */
const MODULES = ['@aws-sdk'];
const SOURCES = resolve('src');
/** Far more than the daemon may hold in memory. */
const LARGE_MIB = 200;
const MEMORY_LIMIT_MIB = 64;
/** What waits for the garbage collector meanwhile. Together with the limit it is far less than the file. */
const GARBAGE_MIB = 96;

await t.test('the Linux NFS client', { skip: noGuestReason() ?? false }, async (t) => {
  const directory = t.testdir();
  const { run, bucket, mount, daemon } = await stage(t, {
    label: 'client',
    options: ['--memory-limit', `${MEMORY_LIMIT_MIB}MiB`],
  });
  await run(t, mount);
  /** Nothing of the client's cache is left after this. */
  const remount = `cd /; umount /mnt/s3; ${mount}`;

  await t.test('a real tree of thousands of files, by tar', async (t) => {
    const tree = join(directory, 'tree');
    for (const name of MODULES)
      await cp(resolve('node_modules', name), join(tree, name), { recursive: true });
    const expected = await expectedObjects(tree);
    t.ok(expected.size > 2000, `${expected.size} files and directories`);
    await run(
      t,
      `mkdir /mnt/s3/tree; tar -C ${tree} --format=posix -cf /tmp/tree.tar .; tar -C /mnt/s3/tree -xpf /tmp/tree.tar`,
      { timeoutMs: 840_000 },
    );
    t.same(
      await differencesAtRest(expected, bucket, 'tree/'),
      [],
      'every byte, mode, owner and time is in S3',
    );
    await run(t, `${remount}; diff -r ${tree} /mnt/s3/tree`, { timeoutMs: 360_000 });
    await run(
      t,
      `cd ${tree}; ${LIST_ATTRIBUTES} >/tmp/a; cd /mnt/s3/tree; ${LIST_ATTRIBUTES} >/tmp/b; diff /tmp/a /tmp/b`,
      { timeoutMs: 360_000 },
    );
    await run(t, `tar -C /mnt/s3/tree -df /tmp/tree.tar; rm /tmp/tree.tar`, { timeoutMs: 360_000 });
    const listing = await run(t, `ls -lR /mnt/s3/tree | grep -c '^[-d]'`, { timeoutMs: 360_000 });
    t.equal(Number(listing), expected.size, 'ls -lR shows each entry');
  });

  await t.test('tar round trip', async (t) => {
    await run(
      t,
      `mkdir /tmp/trip; tar -C /mnt/s3/tree -cf /mnt/s3/tree.tar @aws-sdk; tar -C /tmp/trip -xf /mnt/s3/tree.tar
       diff -r ${directory}/tree/@aws-sdk /tmp/trip/@aws-sdk; rm -r /tmp/trip`,
      { timeoutMs: 240_000 },
    );
  });

  await t.test('cp -a keeps what there is to keep', async (t) => {
    await run(t, `cp -a ${SOURCES} /mnt/s3/copy`, { timeoutMs: 360_000 });
    t.same(await differencesAtRest(await expectedObjects(SOURCES), bucket, 'copy/'), []);
    await run(
      t,
      `${remount}; diff -r ${SOURCES} /mnt/s3/copy
       cd ${SOURCES}; ${LIST_ATTRIBUTES} >/tmp/a; cd /mnt/s3/copy; ${LIST_ATTRIBUTES} >/tmp/b; diff /tmp/a /tmp/b`,
    );
  });

  await t.test('rsync -a finds nothing to do the second time', async (t) => {
    const first = await run(t, `rsync -ai ${SOURCES}/ /mnt/s3/rsync/`, { timeoutMs: 360_000 });
    t.match(first, '>f+++++++++ main.ts');
    t.equal(await run(t, `${remount}; rsync -ai ${SOURCES}/ /mnt/s3/rsync/`), '');
    await run(t, `diff -r ${SOURCES} /mnt/s3/rsync`);
  });

  await t.test(`dd of ${LARGE_MIB} MiB with a memory budget of ${MEMORY_LIMIT_MIB} MiB`, async (t) => {
    const memory = new MemoryGauge(daemon.report.pid);
    t.teardown(() => memory.stop());
    const digest = await run(
      t,
      `dd if=/dev/urandom of=/tmp/large bs=1M count=${LARGE_MIB} status=none
       dd if=/tmp/large of=/mnt/s3/large bs=1M conv=fsync status=none
       sha256sum </tmp/large; rm /tmp/large`,
      { timeoutMs: 360_000 },
    );
    const { sha256, size } = await bucket.facts('large');
    t.equal(size, LARGE_MIB * 2 ** 20);
    t.equal(`${sha256}  -\n`, digest, 'in S3');
    t.equal(
      await run(t, `${remount}; sha256sum </mnt/s3/large`, { timeoutMs: 240_000 }),
      digest,
      'by the mount',
    );
    const grownMib = memory.stop() - memory.firstMib;
    t.comment(`memory of the daemon: ${memory.firstMib} MiB before, at most ${memory.stop()} MiB`);
    t.ok(grownMib < MEMORY_LIMIT_MIB + GARBAGE_MIB, `the daemon grew by ${grownMib} MiB`);
  });

  await t.test('mv of a file and of a directory, rm -rf', async (t) => {
    await run(
      t,
      `cd /mnt/s3; mv large renamed; mv rsync moved; ! ls large rsync 2>/dev/null; diff -r ${SOURCES} moved
       echo new >over; echo old >target; mv over target; ! cat over 2>/dev/null; grep -qx new target`,
      { timeoutMs: 240_000 },
    );
    t.same(await bucket.keys('rsync/'), []);
    t.ok((await bucket.keys('moved/')).length > 100);
    t.equal((await bucket.facts('renamed')).size, LARGE_MIB * 2 ** 20);
    t.equal(await bucket.text('target'), 'new\n');
    await run(t, `cd /mnt/s3; rm -rf moved copy renamed; ! ls moved copy 2>/dev/null`, {
      timeoutMs: 360_000,
    });
    for (const gone of ['moved', 'copy', 'renamed']) t.same(await bucket.keys(gone), []);
  });

  await t.test('chmod, chown, touch -d and ln -s come back after a new mount', async (t) => {
    const show = `stat -c '%n %a %u:%g %y %s %F' file link dir`;
    const set = await run(
      t,
      `mkdir /mnt/s3/attributes; cd /mnt/s3/attributes; echo content >file; chmod 2751 file; chown 12:34 file
       chmod 2751 file; touch -d '2001-02-03 04:05:06.123456789' file; ln -s file link
       mkdir dir; chmod 1770 dir; touch -d '1999-12-31 23:59:59.5' dir; ${show}`,
    );
    t.match(set, 'file 2751 12:34 2001-02-03 04:05:06.123456789');
    t.match(set, /dir 1770 0:0 1999-12-31 23:59:59\.500000000/);
    t.equal(await run(t, `${remount}; cd /mnt/s3/attributes; ${show}`), set);
    t.equal(await run(t, 'cd /mnt/s3/attributes; readlink link; cat link'), 'file\ncontent\n');
  });

  await t.test('append, truncate, holes, overwriting in place', async (t) => {
    // The same commands on the guest's own file system say what is right.
    await run(
      t,
      `edit() {
         mkdir $1; cd $1; seq 100000 >appended; seq 5 >>appended; echo end >>appended
         seq 100000 >shrunk; truncate -s 1234 shrunk; seq 10 >grown; truncate -s 3000000 grown
         echo start >sparse; echo x | dd of=sparse bs=1 seek=9000000 conv=notrunc status=none
         seq 300000 >patched; printf PATCH | dd of=patched bs=1 seek=77777 conv=notrunc status=none
         seq 50 >emptied; : >emptied; seq 100000 >replaced; seq 7 >replaced
       }
       edit /tmp/edits; edit /mnt/s3/edits; ${remount}; diff -r /tmp/edits /mnt/s3/edits
       cd /tmp/edits; sha256sum * >/out/edits`,
      { timeoutMs: 240_000 },
    );
    const objects = await bucket.tree('edits/');
    const names = ['appended', 'emptied', 'grown', 'patched', 'replaced', 'shrunk', 'sparse'];
    t.same(
      [...objects.keys()].filter((key) => key !== ''),
      names,
    );
    const lines = names.map((name) => `${objects.get(name)?.sha256}  ${name}\n`);
    t.equal(await run(t, 'cat /out/edits'), lines.join(''));
  });

  await t.test('a file unlinked while it is open stays readable, and nothing of it is left', async (t) => {
    // The client removes the .nfs* name some time after the last close.
    const output = await run(
      t,
      `mkdir /mnt/s3/unlinked; cd /mnt/s3/unlinked; exec 3<>open; echo one >&3; rm open; echo two >&3
       cat /proc/self/fd/3; exec 3>&-; while ls -A | grep -q .; do sleep 0.05; done`,
    );
    t.equal(output, 'one\ntwo\n');
    t.same(await bucket.keys('unlinked/'), ['unlinked/']);
  });

  await t.test('hard links, devices and non-empty directories are refused', async (t) => {
    await run(
      t,
      `cd /mnt/s3; mkdir refused; touch refused/file; ! ln refused/file hard 2>/dev/null
       ! mknod refused/null c 1 3 2>/dev/null; ! rmdir refused 2>/dev/null; ls refused | grep -qx file`,
    );
  });

  await t.test('the daemon ends well after all this', async (t) => {
    await run(t, 'umount /mnt/s3');
    await t.resolves(daemon.stop());
    t.same(daemon.stderr, []);
  });
});
