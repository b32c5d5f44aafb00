/** The cases of `npm run bench`: what is set up once, and the work that is measured in each run. */
import { setImmediate } from 'node:timers/promises';
import type { NfsClient } from '../test/support/nfs-client.js';
import type { LeanClient } from './lean-client.js';
import { checkPattern, fillPattern } from './pattern.js';
import type { Rig } from './rig.js';

/** What one run does, and how often. */
export interface Run {
  /** File bytes that a run moves. */
  readonly bytes?: number;
  /** Calls, files or entries of a run: what `perCall` is by. */
  readonly calls?: number;
  /** `round` counts the runs: each may want files of its own. */
  work(round: number): Promise<void>;
}

export interface Case {
  readonly name: string;
  /** One line. */
  readonly about: string;
  prepare(rig: Rig): Promise<Run>;
}

export const KIB = 1024;
export const MIB = 1024 * KIB;
/** A kernel's rsize and wsize. */
export const TRANSFER_BYTES = 1024 * 1024;
/** READs and WRITEs in flight. */
export const DEPTH = 8;

/** Twice the memory limit that the cases run under: what one run has read is gone when the next begins. */
const LARGE_BYTES = 512 * MIB;
const RANDOM_READS = 2000;
const SMALL_FILES = 200;
const SMALL_BYTES = 16 * KIB;
const GETATTR_CALLS = 50_000;
const GETATTR_DEPTH = 32;
const LISTED_FILES = 10_000;

/** Runs `work` for 0 to `count - 1`, `depth` at a time, begun in this order. */
export async function inFlight(
  count: number,
  depth: number,
  work: (index: number, lane: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const lanes = Array.from({ length: Math.min(depth, count) }, async (_, lane) => {
    for (let index = next++; index < count; index = next++) await work(index, lane);
  });
  await Promise.all(lanes);
}

/** Writes a file of the pattern front to back, and COMMITs it; `commitEvery` bytes in between, too. */
export async function writePattern(
  client: LeanClient,
  handle: Buffer,
  seed: number,
  bytes: number,
  options: { readonly commitEvery?: number; readonly depth?: number } = {},
): Promise<void> {
  const { commitEvery = Infinity, depth = DEPTH } = options;
  const buffers = Array.from({ length: depth }, () => Buffer.allocUnsafeSlow(TRANSFER_BYTES));
  for (let from = 0; from < bytes;) {
    const end = Math.min(bytes, from + commitEvery);
    const began = from;
    await inFlight(Math.ceil((end - began) / TRANSFER_BYTES), depth, async (index, lane) => {
      const offset = began + index * TRANSFER_BYTES;
      const buffer = buffers[lane]?.subarray(0, Math.min(TRANSFER_BYTES, end - offset));
      if (buffer === undefined) throw new Error(`no buffer for lane ${lane}`);
      await client.write(handle, offset, fillPattern(buffer, seed, offset));
    });
    await client.commit(handle);
    from = end;
  }
}

/** As checkPattern, where the file's first page was written again: it is of generation `firstPage`. */
export function checkFile(data: Buffer, seed: number, offset: number, firstPage: number): void {
  const again = offset === 0 && firstPage > 0 ? 4096 : 0;
  if (again > 0) checkPattern(data.subarray(0, again), seed, 0, firstPage);
  checkPattern(data.subarray(again), seed, offset + again);
}

/** Reads a file front to back and looks at every byte. */
export async function readPattern(
  client: LeanClient,
  handle: Buffer,
  seed: number,
  bytes: number,
  depth = DEPTH,
  firstPage = 0,
): Promise<void> {
  await inFlight(Math.ceil(bytes / TRANSFER_BYTES), depth, async (index) => {
    const offset = index * TRANSFER_BYTES;
    const wanted = Math.min(TRANSFER_BYTES, bytes - offset);
    for (let done = 0; done < wanted;) {
      const at = offset + done;
      const got = await client.read(handle, at, wanted - done, (data) =>
        checkFile(data, seed, at, firstPage),
      );
      if (got === 0) throw new Error(`file ${seed} ended at ${at} of ${bytes}`);
      done += got;
    }
  });
}

export async function makeFile(nfs: NfsClient, directory: Buffer, name: string): Promise<Buffer> {
  return (await nfs.create(directory, name, { mode: 0o644 })).handle;
}

const sequentialWrite: Case = {
  name: 'sequential-write',
  about: `${LARGE_BYTES / MIB} MiB in UNSTABLE WRITEs of 1 MiB, ${DEPTH} in flight, then COMMIT`,
  prepare: async (rig) => {
    const { nfs, root } = await rig.mount();
    const client = await rig.client();
    return {
      bytes: LARGE_BYTES,
      work: async (round) => {
        const handle = await makeFile(nfs, root, `write-${round}`);
        await writePattern(client, handle, 100 + round, LARGE_BYTES);
      },
    };
  },
};

const sequentialRead: Case = {
  name: 'sequential-read',
  about: `${LARGE_BYTES / MIB} MiB in READs of 1 MiB, ${DEPTH} in flight, every byte compared`,
  prepare: async (rig) => {
    const { nfs, root } = await rig.mount();
    const client = await rig.client();
    const handle = await makeFile(nfs, root, 'sequential-read');
    await writePattern(client, handle, 1, LARGE_BYTES);
    return { bytes: LARGE_BYTES, work: () => readPattern(client, handle, 1, LARGE_BYTES) };
  },
};

const randomRead: Case = {
  name: 'random-read',
  about: `${RANDOM_READS} READs of 4 KiB at random pages of ${LARGE_BYTES / MIB} MiB, ${DEPTH} in flight`,
  prepare: async (rig) => {
    const { nfs, root } = await rig.mount();
    const client = await rig.client();
    const handle = await makeFile(nfs, root, 'random-read');
    await writePattern(client, handle, 2, LARGE_BYTES);
    return {
      calls: RANDOM_READS,
      work: async (round) => {
        const random = randomSequence(round + 1);
        await inFlight(RANDOM_READS, DEPTH, async () => {
          const offset = Math.floor(random() * (LARGE_BYTES / (4 * KIB))) * 4 * KIB;
          await client.read(handle, offset, 4 * KIB, (data) => checkPattern(data, 2, offset));
        });
      },
    };
  },
};

const smallCreate: Case = {
  name: 'small-create',
  about: `${SMALL_FILES} files of ${SMALL_BYTES / KIB} KiB: CREATE, one WRITE, COMMIT; ${DEPTH} at a time`,
  prepare: async (rig) => {
    const { nfs, root } = await rig.mount();
    const client = await rig.client();
    return { calls: SMALL_FILES, work: (round) => createSmall(nfs, client, root, `small-create-${round}`) };
  },
};

const smallRead: Case = {
  name: 'small-read',
  about: `${SMALL_FILES} files of ${SMALL_BYTES / KIB} KiB never read before: LOOKUP, READ; ${DEPTH} at a time`,
  prepare: async (rig) => {
    const { nfs, root } = await rig.mount();
    const client = await rig.client();
    return {
      calls: SMALL_FILES,
      work: async (round) => {
        const name = `small-create-${round}`;
        // Alone, this case has nothing to read yet.
        const { handle: directory } = await nfs.lookup(root, name).catch(async () => {
          await createSmall(nfs, client, root, name);
          return await nfs.lookup(root, name);
        });
        await inFlight(SMALL_FILES, DEPTH, async (index) => {
          const { handle } = await nfs.lookup(directory, `f${index}`);
          await client.read(handle, 0, SMALL_BYTES, (data) => checkPattern(data, index, 0));
        });
      },
    };
  },
};

async function createSmall(nfs: NfsClient, client: LeanClient, root: Buffer, name: string): Promise<void> {
  const { handle: directory } = await nfs.mkdir(root, name);
  await inFlight(SMALL_FILES, DEPTH, async (index) => {
    const handle = await makeFile(nfs, directory, `f${index}`);
    await client.write(handle, 0, fillPattern(Buffer.allocUnsafe(SMALL_BYTES), index, 0));
    await client.commit(handle);
  });
}

const getattr: Case = {
  name: 'getattr',
  about: `${GETATTR_CALLS} GETATTRs of one file, ${GETATTR_DEPTH} in flight`,
  prepare: async (rig) => {
    const { nfs, root } = await rig.mount();
    const client = await rig.client();
    const handle = await makeFile(nfs, root, 'getattr');
    await client.commit(handle);
    return {
      calls: GETATTR_CALLS,
      work: () => inFlight(GETATTR_CALLS, GETATTR_DEPTH, () => client.getattr(handle)),
    };
  },
};

const listing: Case = {
  name: 'listing',
  about: `READDIRPLUS of a directory of ${LISTED_FILES} files, put there by another S3 client`,
  prepare: async (rig) => {
    const store = rig.store();
    await inFlight(LISTED_FILES, 16, async (index) => {
      await store.put(`listing/file-${String(index).padStart(6, '0')}`, [], { metadata: {} });
    });
    await store.close();
    const { nfs, root } = await rig.mount();
    const { handle } = await nfs.lookup(root, 'listing');
    return {
      calls: LISTED_FILES,
      work: async () => {
        const entries = await nfs.readdirplus(handle);
        const files = entries.filter(({ name }) => name.toString().startsWith('file-'));
        if (files.length !== LISTED_FILES)
          throw new Error(`expected ${LISTED_FILES} entries, got ${files.length}`);
        await setImmediate();
      },
    };
  },
};

export const CASES: readonly Case[] = [
  sequentialWrite,
  sequentialRead,
  randomRead,
  smallCreate,
  smallRead,
  getattr,
  listing,
];

/** Numbers in [0, 1), the same for the same seed. */
export function randomSequence(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
