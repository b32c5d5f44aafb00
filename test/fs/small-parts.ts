/** Mounts whose parts are small, so that little data makes a large file, and the calls that tests of large files make. */
import type { Test } from 'tap';
import type { Handle } from '../../src/fs/file-system.js';
import { Mounted, type MountedOptions } from './mounted.js';

const KIB = 1024;
export const PART = 16 * KIB;
export const SMALL_PARTS: MountedOptions = {
  capabilities: { partBytesMin: PART },
  writeOptions: { partBytes: PART, putBytesMax: PART },
};
export const JOURNAL: MountedOptions = { ...SMALL_PARTS, exports: [{ commitPolicy: 'journal' }] };

export async function mounted(test: Test, options: MountedOptions): Promise<Mounted> {
  const m = await Mounted.start(options);
  test.teardown(() => m.end());
  return m;
}

export function pattern(bytes: number, seed = 1): Buffer {
  const data = Buffer.allocUnsafe(bytes);
  for (let at = 0; at < bytes; at += 1) data[at] = (at * seed + (at >>> 8) * 13 + seed) & 255;
  return data;
}

/** UNSTABLE WRITEs of 5,000 bytes, one after the other. */
export async function writeAll(m: Mounted, handle: Handle, offset: number, data: Buffer): Promise<void> {
  for (let at = 0; at < data.length; at += 5000)
    await m.fs.write(m.context, handle, offset + at, data.subarray(at, at + 5000), 'unstable');
}
