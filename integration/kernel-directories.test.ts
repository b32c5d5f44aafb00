/** Deep and large directories under the Linux client, and while their entries come and go by its own processes, another client and S3. */
import t, { type Test } from 'tap';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import pLimit from 'p-limit';
import { noGuestReason } from './guest.js';
import { stage, type Stage } from './mounted.js';
import { workload } from './workload.js';

/** S3NFSD_LONG=1: more rounds, larger directories. */
const LONG = process.env['S3NFSD_LONG'] === '1';
const PARALLEL = 32;
const LEVELS = 20;
const FILES_EACH = 130;
const FIND_ROUNDS = LONG ? 40 : 4;
const LIST_ENTRIES = 2500;
const LIST_ROUNDS = LONG ? 20 : 2;
/** Of peers' users: 1,024 hang, 2,500 are listed as 7,100. */
const COUNTS = LONG ? [1024, 2500, 20_000, 100_000] : [1024, 2500, 5000];
/** Below it directories are listed in more ways. */
const COUNT_QUICK = 5000;
const REMOVED = LONG ? 20_000 : 1000;
const TIMEOUT = { timeoutMs: 600_000 };
const REMOUNT = (mount: string): string => `cd /; umount /mnt/s3; ${mount}`;

async function putAll(
  s: Stage,
  keys: readonly string[],
  bytes: (index: number) => number = () => 1,
): Promise<void> {
  const limit = pLimit(PARALLEL);
  await Promise.all(keys.map((key, index) => limit(() => s.bucket.put(key, 'x'.repeat(bytes(index))))));
}

/** Adds, renames and removes entries in the directories by S3 and by a client in this process, until it is told to end. */
async function churn(
  s: Stage,
  directories: readonly string[],
  stop: AbortSignal,
): Promise<{ readonly byClient: number; readonly byS3: number }> {
  const { nfs, root } = await s.connect();
  const handles = await Promise.all(directories.map((each) => nfs.lookupPath(root, each)));
  let byClient = 0;
  let byS3 = 0;
  const client = async (): Promise<void> => {
    for (; !stop.aborted; byClient++) {
      const directory = handles[byClient % handles.length] as Buffer;
      await nfs.create(directory, 'peer-a');
      await nfs.rename(directory, 'peer-a', directory, 'peer-b');
      await nfs.mkdir(directory, 'peer-d');
      await nfs.rename(directory, 'peer-d', directory, 'peer-e');
      await nfs.rmdir(directory, 'peer-e');
      await nfs.remove(directory, 'peer-b');
    }
  };
  const s3 = async (): Promise<void> => {
    for (; !stop.aborted; byS3++) {
      const directory = directories[byS3 % directories.length] as string;
      await s.bucket.put(`${directory}/outside-${byS3 % 9}`, 'x');
      await s.bucket.put(`${directory}/outside-d/inside`, 'x');
      await s.bucket.remove(`${directory}/outside-d/inside`);
      await s.bucket.remove(`${directory}/outside-${(byS3 + 4) % 9}`);
    }
  };
  await Promise.all([client(), s3()]);
  return { byClient, byS3 };
}

/** Runs the listing in the guest while two of its processes, a client here and S3 change the tree. */
async function whileItChanges(
  t: Test,
  s: Stage,
  listing: string,
  { directories, levels }: { readonly directories: readonly string[]; readonly levels: number },
): Promise<void> {
  const over = new AbortController();
  const others = churn(s, directories, over.signal);
  // Without this a failure there would be nobody's while the guest works.
  others.catch(() => undefined);
  const top = `/mnt/s3/${directories[0]}`;
  const churns = ['one', 'two'].map(
    (name) => `${workload('directories', 'churn', top, name, levels)} & ${name}=$!`,
  );
  t.comment(
    await s.run(
      t,
      `rm -f /out/stop; ${churns.join('; ')}; status=0; ${listing} || status=$?
       : >/out/stop; wait $one; wait $two; exit $status`,
      TIMEOUT,
    ),
  );
  over.abort();
  const { byClient, byS3 } = await others;
  const [one, two] = await Promise.all(
    ['one', 'two'].map(async (name) =>
      Number(await readFile(join(s.guest.directory, `churned-${name}`), 'utf8')),
    ),
  );
  t.comment(
    `changes meanwhile: ${one} and ${two} in the guest, ${byClient} by another client, ${byS3} by S3`,
  );
  t.ok(Math.min(one ?? 0, two ?? 0, byClient, byS3) >= 10, 'the tree changed all the time');
}

await t.test('directories under the Linux client', { skip: noGuestReason() ?? false }, async (t) => {
  const s = await stage(t, { label: 'directories' });
  const { run, bucket, mount } = s;
  await run(t, mount);

  await t.test(
    'find over a deep tree during changes ends, and shows each entry that stays once',
    async (t) => {
      const directories = Array.from({ length: LEVELS }, (_, level) =>
        ['deep', ...Array.from({ length: level }, (_, at) => `level${at + 1}`)].join('/'),
      );
      const files = directories.flatMap((directory) =>
        Array.from(
          { length: FILES_EACH },
          (_, at) => `${directory}/${String.fromCharCode(97 + (at % 26))}-staying-${at}`,
        ),
      );
      await putAll(s, files);
      const entries = files.length + LEVELS - 1;
      const find = workload('directories', 'find_during_changes', '/mnt/s3/deep', entries, FIND_ROUNDS);
      await whileItChanges(t, s, find, { directories, levels: LEVELS });
    },
  );

  await t.test('a listing while entries come and go shows each entry that stays once', async (t) => {
    await putAll(
      s,
      Array.from({ length: LIST_ENTRIES }, (_, at) => `listed/${at % 100}-staying-${at}`),
    );
    const list = workload('directories', 'list_during_changes', '/mnt/s3/listed', LIST_ENTRIES, LIST_ROUNDS);
    await whileItChanges(t, s, list, { directories: ['listed'], levels: 1 });
  });

  await t.test(
    'large directories: each entry once, sizes, inode numbers that stay, dot entries',
    async (t) => {
      for (const count of COUNTS) {
        await t.test(`${count} entries`, async (t) => {
          const directory = `large-${count}`;
          const names = Array.from(
            { length: count },
            (_, at) => `${directory}/entry-${String(at).padStart(5, '0')}`,
          );
          await putAll(s, names, (index) => index % 97);
          const check = workload(
            'directories',
            'check_large',
            `/mnt/s3/${directory}`,
            count,
            `/tmp/${directory}`,
          );
          t.comment(await run(t, check, TIMEOUT));
          if (count < COUNT_QUICK)
            t.comment(await run(t, `echo 3 >/proc/sys/vm/drop_caches; ${check}`, TIMEOUT));
          t.comment(await run(t, `${REMOUNT(mount)}; ${check}`, TIMEOUT));
        });
      }
    },
  );

  await t.test('readdir and unlink in one pass remove everything', async (t) => {
    for (const bufferBytes of [1024, 32_768]) {
      const directory = `unlinked-${bufferBytes}`;
      await putAll(
        s,
        Array.from({ length: REMOVED }, (_, at) => `${directory}/entry-${at}`),
      );
      const unlink = workload('directories', 'unlink_while_reading', `/mnt/s3/${directory}`, bufferBytes);
      t.comment(await run(t, unlink, TIMEOUT));
      t.same(await bucket.keys(`${directory}/`), []);
    }
  });

  await t.test('rm -rf of a large directory and of a deep tree leaves nothing', async (t) => {
    t.comment(
      await run(t, `${REMOUNT(mount)}; cd /mnt/s3; time rm -rf large-${COUNTS[0]} deep; ls`, TIMEOUT),
    );
    for (const gone of [`large-${COUNTS[0]}/`, 'deep/']) t.same(await bucket.keys(gone), []);
  });

  await t.test('the daemon ends well after all this', async (t) => {
    await run(t, 'umount /mnt/s3');
    await t.resolves(s.daemon.stop());
    t.same(s.daemon.stderr, []);
  });
});
