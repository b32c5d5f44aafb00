/** A directory that tests rename. */
import type { Mounted } from './mounted.js';

/** Below the directory; each file's bytes are `bytes of` and its name. */
export const FILES: readonly string[] = ['a', 'b', 'large', 'sub/c', 'sub/deep/d', 'z'];

/** Puts the files as another S3 user. `large` was uploaded in parts: its copy has another ETag. */
export async function makeTree(m: Mounted, prefix: string): Promise<void> {
  for (const name of FILES) m.store.putNow(`${prefix}${name}`, Buffer.from(`bytes of ${name}`));
  const upload = await m.store.createUpload(`${prefix}large`, { metadata: {} });
  const part = await m.store.uploadPart(`${prefix}large`, upload, 1, [Buffer.from('bytes of large')]);
  await m.store.completeUpload(`${prefix}large`, upload, [part]);
  m.clock.advance(10_000);
}
