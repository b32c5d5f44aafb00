/** What the loads move: files of the pattern written and read by the lean client, work in lanes, a seeded sequence. */
import type { NfsClient } from '../test/support/nfs-client.js';
import type { LeanClient } from './lean-client.js';
import { checkPattern, fillPattern } from './pattern.js';

/** A kernel's rsize and wsize. */
export const TRANSFER_BYTES = 1024 * 1024;
/** READs and WRITEs in flight. */
const DEPTH = 8;

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
