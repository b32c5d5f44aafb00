/** Two kernels with a client each on the same files of one daemon. */
import t, { type Test } from 'tap';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { noGuestReason } from './guest.js';
import { stage, type Stage } from './mounted.js';
import { DAEMON_ADDRESS } from './network.js';
import { contentAtRest } from './trees.js';
import { workload } from './workload.js';

/** S3NFSD_LONG=1: ten times the rounds. */
const TIMES = process.env['S3NFSD_LONG'] === '1' ? 10 : 1;
const TIMEOUT = { timeoutMs: 480_000 };
const DISJOINT_MIB = 24;

/** Starts the place where the clients meet; resolves to its address. It ends with the network. */
async function startRendezvous({ network, clients }: Stage): Promise<string> {
  const script = resolve('integration/workloads/rendezvous.py');
  const [command = '', ...prefix] = network.prefix;
  const child = spawn(
    command,
    [...prefix, '/usr/bin/python3', '-B', script, DAEMON_ADDRESS, `${clients.length}`],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const [port] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  return `${DAEMON_ADDRESS}:${port}`;
}

await t.test('two Linux clients', { skip: noGuestReason() ?? false }, async (t) => {
  const s = await stage(t, { label: 'two', guests: 2 });
  const { bucket, clients, mountWith } = s;
  const address = await startRendezvous(s);
  const onEach = async (t: Test, script: (number: number) => string): Promise<void> => {
    await Promise.all(clients.map(async ({ run }, index) => run(t, script(index + 1), TIMEOUT)));
  };
  const together = async (t: Test, part: string, ...args: number[]): Promise<void> =>
    onEach(t, (number) => workload('two-clients', part, number, address, ...args));
  const mountedWith = async (t: Test, options: string): Promise<void> =>
    onEach(t, () => `cd /; ! mountpoint -q /mnt/s3 || umount /mnt/s3; ${mountWith(options)}`);

  for (const options of ['', 'nconnect=4', 'noac']) {
    await t.test(`mounted with "${options}"`, async (t) => {
      await mountedWith(t, options);

      await t.test('close-to-open: each opens what the other closed', async (t) => {
        await together(t, 'close_to_open', 60 * TIMES);
      });

      await t.test('attributes that one sets the other sees at open', async (t) => {
        await together(t, 'attributes', 20 * TIMES);
      });
    });
  }

  await t.test('without attribute caches names and sizes are seen at once, noac', async (t) => {
    await together(t, 'at_once', 15 * TIMES);
  });

  await mountedWith(t, 'actimeo=1');

  await t.test(
    'exactly one client makes a name: O_EXCL, mkdir, symlink, rename of a directory',
    async (t) => {
      await together(t, 'exclusive', 100 * TIMES);
      for (let at = 0; at < 100; at++) {
        t.ok((await bucket.keys(`shared/exclusive-${at}`)).includes(`shared/exclusive-${at}`));
      }
    },
  );

  await t.test('an open file that the other client renames goes on, under its new name', async (t) => {
    await together(t, 'other_renames');
    t.equal(await bucket.text('shared/elsewhere/new-name'), 'before after');
  });

  await t.test('an open file that the other client removes is stale, and its name is free', async (t) => {
    await together(t, 'other_removes');
  });

  await t.test('a file unlinked while it is open is read by both clients until its last close', async (t) => {
    await together(t, 'unlinked_while_open');
    t.same(await bucket.keys('shared/unlinked/'), ['shared/unlinked/']);
  });

  await t.test('a file is followed while the other client appends: no zeros, no torn lines', async (t) => {
    await together(t, 'follow', 100 * TIMES);
  });

  await t.test('writers of alternating blocks with fsync: each block is its writer’s', async (t) => {
    await together(t, 'disjoint', DISJOINT_MIB);
    const [one = '', other] = await Promise.all(
      clients.map(({ run }) => run(t, 'sha256sum </mnt/s3/shared/disjoint', TIMEOUT)),
    );
    t.equal(one, other, 'both read the same');
    const [sha256 = ''] = one.split(' ');
    // Its last COMMITs were answered from the spool: S3 gets it after a rest.
    t.equal(await contentAtRest(sha256, bucket, 'shared/disjoint'), sha256, 'as S3 has it');
    t.equal((await bucket.facts('shared/disjoint')).size, DISJOINT_MIB * 2 ** 20);
  });

  await t.test('the daemon ends well after all this', async (t) => {
    await onEach(t, () => 'umount /mnt/s3');
    await t.resolves(s.daemon.stop());
    t.same(s.daemon.stderr, []);
  });
});
