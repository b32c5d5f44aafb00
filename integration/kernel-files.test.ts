/** How programs save, lock, cut and write files through the Linux client; what they end with is looked at through S3. */
import t from 'tap';
import { createHash } from 'node:crypto';
import { noGuestReason } from './guest.js';
import { stage } from './mounted.js';
import type { ObjectFacts } from './bucket.js';
import { toldObjects } from './told-objects.js';
import { differencesAtRest } from './trees.js';
import { workload } from './workload.js';

/** S3NFSD_LONG=1: more histories, longer ones. */
const LONG = process.env['S3NFSD_LONG'] === '1';
const TIMEOUT = { timeoutMs: 480_000 };
const LOCK_ROUNDS = LONG ? 500 : 50;
/** Random calls on one file: how many, and how large it gets in bytes (parts are of 8 MiB). */
const HISTORIES = [
  { seeds: LONG ? 40 : 2, calls: 300, bytesMax: 300_000 },
  { seeds: LONG ? 10 : 1, calls: 60, bytesMax: 20_000_000 },
];
/** Random calls on a tree: how many times, with each way to mount. */
const TREE_SEEDS = LONG ? 60 : 2;
/** What mount is told besides; each changes when and how the client sends what it was given. */
const MOUNTS = ['', 'nconnect=4', 'noac', 'wsize=4096,rsize=4096'];

function object(text: string, mode: string): ObjectFacts {
  const sha256 = createHash('sha256').update(text).digest('hex');
  return { size: text.length, sha256, metadata: { 'file-permissions': mode } };
}

await t.test('files under the Linux client', { skip: noGuestReason() ?? false }, async (t) => {
  const s = await stage(t, { label: 'files' });
  const { run, bucket, mount, mountWith } = s;
  await run(t, mount);

  await t.test('editors save: by rename, in place, with lock files made exclusively', async (t) => {
    await run(t, workload('files', 'saves', '/mnt/s3/saved'), TIMEOUT);
    const [before, last] = [3, 4].map((at) => `text ${at}\n`.repeat(1 + 3000 * at)) as [string, string];
    const expected = new Map([
      ['emacs', object(last, '0100640')],
      ['emacs~', object(before, '0100640')],
      ['office.odt', object(last, '0100664')],
      ['in-place', object(last, '0100755')],
      ['glib', object(last, '0100604')],
    ]);
    t.same(await differencesAtRest(expected, bucket, 'saved/'), []);
  });

  await t.test('vim saves by rename and in place; sed -i', async (t) => {
    // vim.tiny is what prepare.sh brings; a machine may have another.
    const vim = `$(command -v vim.tiny || command -v vim) -u NONE -n -es`;
    const swap = `$(command -v vim.tiny || command -v vim) -u NONE -es`;
    await run(
      t,
      `mkdir /mnt/s3/vim; cd /mnt/s3/vim; seq 2000 >renamed; seq 2000 >in-place; seq 2000 >swapped; seq 2000 >streamed
       chmod 640 renamed in-place swapped; chmod 600 streamed
       ${vim} -c 'set backup backupcopy=no | %s/1000/vim/ | wq' renamed
       ${vim} -c 'set nobackup writebackup backupcopy=yes | %s/1000/vim/ | wq' in-place
       ${swap} -c 'set swapfile fsync | %s/1000/vim/ | wq' swapped
       sed -i s/1000/vim/ streamed; ls -A`,
      TIMEOUT,
    );
    const numbers = Array.from({ length: 2000 }, (_, at) => `${at + 1}\n`);
    const old = numbers.join('');
    const changed = old.replace('1000', 'vim');
    const expected = new Map([
      ['renamed', object(changed, '0100640')],
      ['renamed~', object(old, '0100640')],
      ['in-place', object(changed, '0100640')],
      ['swapped', object(changed, '0100640')],
      ['streamed', object(changed, '0100600')],
    ]);
    t.same(
      await differencesAtRest(expected, bucket, 'vim/'),
      [],
      'nothing but files and backups, and their modes',
    );
  });

  await t.test('SQLite with a rollback journal, also after a kill in a transaction', async (t) => {
    await run(t, `mkdir /mnt/s3/sqlite; ${workload('files', 'database', '/mnt/s3/sqlite/db')}`, TIMEOUT);
    const [size, sha256 = ''] = (await run(t, 'cd /mnt/s3/sqlite; stat -c %s db; sha256sum <db')).split(
      /\s+/,
    );
    // VACUUM ends with a size that is set: that reaches S3 after a rest.
    const expected = new Map([['db', { size: Number(size), sha256, metadata: {} }]]);
    t.same(await differencesAtRest(expected, bucket, 'sqlite/'), [], 'and no journal is left');
    await run(
      t,
      `cd /; umount /mnt/s3; ${mount}; ${workload('files', 'check_database', '/mnt/s3/sqlite/db')}`,
      TIMEOUT,
    );
  });

  await t.test('exclusive names have one maker: O_EXCL, mkdir, symlink, set -C', async (t) => {
    await run(t, workload('files', 'locks', '/mnt/s3/locks', LOCK_ROUNDS), TIMEOUT);
  });

  await t.test(
    'sizes set, writes without CREATE, descriptors, pages: what a plain array of bytes would be',
    async (t) => {
      for (const [index, options] of MOUNTS.entries()) {
        await t.test(`mounted with "${options}"`, async (t) => {
          const top = `/mnt/s3/mount-${index}`;
          await run(
            t,
            `cd /; umount /mnt/s3; ${mountWith(options)}; mkdir ${top} ${top}/histories
         ${workload('files', 'sizes', `${top}/sizes`)}
         ${workload('files', 'descriptors', `${top}/descriptors`)}`,
            TIMEOUT,
          );
          const expected = new Map<string, ObjectFacts>();
          for (const { seeds, calls, bytesMax } of HISTORIES) {
            // Reads and writes of 4 KiB take their time.
            if (bytesMax > 2 ** 20 && options.includes('4096') && !LONG) continue;
            for (let seed = 1; seed <= seeds; seed++) {
              const name = `${bytesMax}-${seed}`;
              const path = `${top}/histories/${name}`;
              const history = workload(
                'files',
                'any_history',
                path,
                seed * MOUNTS.length + index,
                calls,
                bytesMax,
              );
              const script = `${history} >/tmp/told || { cat /tmp/told; exit 1; }; stat -c %s ${path}; sha256sum <${path}`;
              const [size, sha256 = ''] = (await run(t, script, TIMEOUT)).split(/\s+/);
              expected.set(name, { size: Number(size), sha256, metadata: {} });
            }
          }
          t.same(await differencesAtRest(expected, bucket, `mount-${index}/histories/`), []);
        });
      }
    },
  );

  await t.test(
    'names, attributes and bytes of a tree: what the guest does on its own file system',
    async (t) => {
      for (const [index, options] of MOUNTS.slice(0, 3).entries()) {
        const trees = `trees-${index}`;
        await run(t, `cd /; umount /mnt/s3; ${mountWith(options)}; mkdir /mnt/s3/${trees}`, TIMEOUT);
        for (let seed = 1; seed <= TREE_SEEDS; seed++) {
          const history = workload(
            'files',
            'any_tree',
            `/mnt/s3/${trees}`,
            seed * MOUNTS.length + index,
            400,
          );
          await run(t, history, TIMEOUT);
        }
        t.same(await differencesAtRest(await toldObjects(t, s, trees), bucket, `${trees}/`), []);
      }
    },
  );

  await t.test('the daemon ends well after all this', async (t) => {
    await run(t, 'umount /mnt/s3');
    await t.resolves(s.daemon.stop());
    t.same(s.daemon.stderr, []);
  });
});
