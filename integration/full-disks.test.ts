/**
 * The daemon's disks are full: state directory and spool are each an ext4 of their own, filled to the last byte by somebody else, while the
 * Linux client goes on. Clients are told, nothing that was acknowledged is lost, reading goes on, and so does all else with room.
 */
import t from 'tap';
import { join } from 'node:path';
import type { ObjectFacts } from './bucket.js';
import { noGuestReason } from './guest.js';
import { stage } from './mounted.js';
import { noDisksReason } from './small-disks.js';
import { differencesAtRest } from './trees.js';

const DISK_MIB = 24;
/** Nothing is published by its rest alone: what is acknowledged is on the disks. */
const OPTIONS = ['--commit-policy', 'journal', '--journal-rest', '1h', '--memory-limit', '64MiB'];
const TIMEOUT = { timeoutMs: 240_000 };
const FRESH = 'sync; echo 3 >/proc/sys/vm/drop_caches';
const DIGESTS = `${FRESH}; cd /mnt/s3; for each in *; do echo $each $(stat -c %s $each) $(sha256sum <$each); done`;

/** The lines that DIGESTS wrote. */
function objectsOf(digests: string): Map<string, ObjectFacts> {
  const lines = digests.trim().split('\n');
  return new Map(
    lines.map((line) => {
      const [name = '', size, sha256 = ''] = line.split(' ');
      return [name, { size: Number(size), sha256, metadata: {} }];
    }),
  );
}

const skip = noGuestReason() ?? (await noDisksReason()) ?? false;

await t.test('full disks under the daemon', { skip }, async (t) => {
  const s = await stage(t, { label: 'full', options: OPTIONS, disksMiB: { '.': DISK_MIB, spool: DISK_MIB } });
  const { run, guest, daemon, disks, stateDirectory } = s;
  if (disks === undefined) throw new Error('the stage has no disks');
  const spool = join(stateDirectory, 'spool');
  await run(t, s.mount);
  await run(
    t,
    'cd /mnt/s3; for at in 1 2 3 4; do head -c 300000 /dev/urandom >kept-$at; sync kept-$at; done; : >made',
  );
  let before = '';

  await t.test('the state disk: ENOSPC for new names, bytes are safe, everything is read', async (t) => {
    await disks.fill(stateDirectory);
    const { output } = await guest.run('cd /mnt/s3; for at in $(seq 100); do : >new-$at || exit; done');
    t.match(output, /cannot create new-\d+: No space left on device/);
    const [, refused = ''] = /cannot create (new-\d+)/.exec(output) ?? [];
    const line = daemon.stderr.find((each) => each.includes(`\\"${refused}\\" in `));
    t.match(line, /bucket: .* could not be written: .*ENOSPC.*goes on when there is room on that disk/);
    t.match(line, stateDirectory, 'and which disk');
    await run(
      t,
      'cd /mnt/s3; echo more >>kept-1; sync kept-1; echo bytes | dd of=made conv=notrunc status=none; sync made',
    );
    t.equal(await s.bucket.text('made'), 'bytes\n', 'what has no room here is published');
    before = await run(t, DIGESTS);
    t.match(before, /^kept-1 300005 .*\nkept-2 300000 .*\nkept-3 300000 .*\nkept-4 300000 .*\nmade 6 /);
  });

  await t.test('kill -9 and a start on the full disk: all that was acknowledged is there', async (t) => {
    await daemon.kill();
    await daemon.start();
    t.equal(await run(t, DIGESTS), before);
  });

  await t.test('with room everything goes on, without a restart', async (t) => {
    await disks.clear(stateDirectory);
    await run(t, 'cd /mnt/s3; for at in 1 2 3; do echo $at >room-$at; sync room-$at; done; mv room-1 kept-4');
    before = await run(t, DIGESTS);
    t.match(
      before,
      /^kept-1 300005 .*\nkept-2 300000 .*\nkept-3 300000 .*\nkept-4 2 .*\nmade 6 .*\n(new-.*\n)*room-2 2 .*\nroom-3 2 /,
    );
  });

  await t.test('the spool disk: COMMITs publish, and a kill loses nothing', async (t) => {
    await disks.fill(spool);
    const patches =
      'for at in $(seq 0 4); do echo $at | dd of=large bs=1 seek=$((at * 5700000)) conv=notrunc status=none; done';
    await run(
      t,
      `cd /mnt/s3; head -c 100000 /dev/urandom >small; sync small
       head -c 30000000 /dev/urandom >large; sync large; ${patches}; sync large`,
      TIMEOUT,
    );
    t.ok(daemon.stderr.some((each) => each.includes('cannot write to the spool') && each.includes(spool)));
    before = await run(t, DIGESTS);
    await daemon.kill();
    await daemon.start();
    t.equal(await run(t, DIGESTS), before);
    await disks.clear(spool);
    await run(t, 'cd /mnt/s3; echo again >small; sync small');
    before = await run(t, DIGESTS);
  });

  await t.test('in the end the bucket has what the client read', async (t) => {
    await run(t, 'umount /mnt/s3');
    await t.resolves(daemon.stop());
    t.same(await differencesAtRest(objectsOf(before), s.bucket, ''), []);
  });
});
