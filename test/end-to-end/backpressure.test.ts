/** Many clients with many files whose gaps never fill: memory and spool keep their limits, every WRITE is answered, and what was taken is there. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { statusOf } from '../support/nfs-client.js';
import { anonymousKiB } from '../support/process-memory.js';
import { Bucket, BUCKET, MIB, mount, patternBytes, serveChild } from './fixture.js';

const KIB = 1024;
const CLIENTS = 4;
const FILES = 4;
/** Each of a file's, followed by a gap of as many bytes: no part is ever full. */
const PIECE_BYTES = 64 * KIB;
const PIECES = 160;
const IN_FLIGHT = 8;
/** Together a quarter of what is written. */
const MEMORY_MIB = 32;
const SPOOL_MIB = 16;

/** Bytes on the disk below a directory. */
async function diskBytes(directory: string): Promise<number> {
  const names = await readdir(directory).catch(() => []);
  const sizes = names.map((name) =>
    // Files come and go.
    stat(join(directory, name)).then(
      ({ blocks }) => blocks * 512,
      () => 0,
    ),
  );
  return (await Promise.all(sizes)).reduce((sum, bytes) => sum + bytes, 0);
}

await t.test(
  'write memory plus spool never pass their limits, whatever clients do; no reply waits for a gap to fill',
  { timeout: 300_000 },
  async (t) => {
    const bucket = await Bucket.start(t);
    const limits = ['--memory-limit', `${MEMORY_MIB}MiB`, '--spool-limit', `${SPOOL_MIB}MiB`];
    const { child, report } = await serveChild(t, bucket, [`s3://${BUCKET}`, ...limits]);
    const spool = join(report.stateDir, 'spool');
    const before = anonymousKiB(report.pid);
    let mostSpooled = 0;
    let most = before;
    let refused = 0;
    const data = patternBytes(PIECE_BYTES);
    const taken: { readonly file: string; readonly offset: number }[] = [];
    const clients = await Promise.all(Array.from({ length: CLIENTS }, () => mount(t, report)));
    await Promise.all(
      clients.map(async ({ nfs, root }, client) => {
        const names = Array.from({ length: FILES }, (_, at) => `file-${client}-${at}`);
        const made = await Promise.all(names.map((name) => nfs.create(root, name, {})));
        let next = 0;
        const lane = async (): Promise<void> => {
          for (let at = next++; at < FILES * PIECES; at = next++) {
            const offset = (2 * Math.floor(at / FILES) + 1) * PIECE_BYTES;
            const { handle } = made[at % FILES] ?? { handle: root };
            const status = await statusOf(nfs.write(handle, offset, data, 'UNSTABLE'));
            if (status === 'NFS3_OK') taken.push({ file: names[at % FILES] ?? '', offset });
            else if (status === 'NFS3ERR_NOSPC') refused += 1;
            else if (status !== 'NFS3ERR_JUKEBOX') t.fail(`WRITE: ${status}`);
            if (at % 32 > 0) continue;
            mostSpooled = Math.max(mostSpooled, await diskBytes(spool));
            most = Math.max(most, anonymousKiB(report.pid));
          }
        };
        await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
      }),
    );
    // What goes to the spool is counted before it goes, what leaves it when it is asked to leave: one part may be in between.
    t.ok(mostSpooled <= (SPOOL_MIB + 4) * MIB, `${mostSpooled} bytes on the disk`);
    t.ok(most - before <= (MEMORY_MIB + 96) * KIB, `${most - before} KiB more memory`);
    t.ok(taken.length * PIECE_BYTES >= SPOOL_MIB * MIB, `${taken.length} taken`);
    t.ok(refused > 0, 'there was no room for all of it');
    const [{ nfs, root } = await mount(t, report)] = clients;
    const kept = ['file-0-0', 'file-3-1'];
    const others = [...new Set(taken.map(({ file }) => file))].filter((file) => !kept.includes(file));
    for (const file of others) await nfs.remove(root, file);
    for (const name of kept) {
      await nfs.commit((await nfs.lookup(root, name)).handle);
      const body = await bucket.get(name);
      const wrong = taken.filter(
        ({ file, offset }) => file === name && !body.subarray(offset, offset + PIECE_BYTES).equals(data),
      );
      t.same(wrong, [], `${name} has all that was taken`);
    }
    const { handle } = await nfs.create(root, 'after', {});
    await nfs.write(handle, PIECE_BYTES, data, 'FILE_SYNC');
    t.ok((await bucket.get('after')).subarray(PIECE_BYTES).equals(data), 'room that was left is used');
    await child.end('SIGTERM');
  },
);
