/** `ls -l` and `find` by a client in TypeScript: READDIRPLUS, then a GETATTR for each entry that came without attributes. */
import pLimit from 'p-limit';
import type { NfsClient } from '../../test/support/nfs-client.js';
import type { NfsLoad } from './nfs-load.js';

/** GETATTRs at a time. A kernel has one under way for each program that asks. */
const DEPTH = 8;
/** The size that the Linux kernel mostly asks for. */
const REPLY_BYTES = 64 * 1024;
const DIRECTORY = 'NF3DIR';

/** Looks at all that lies in the directory, or below it. Directories come one after another. */
export async function treeLoad(
  nfs: NfsClient,
  directory: Buffer,
  reach: 'in it' | 'below',
): Promise<NfsLoad> {
  const cpuBefore = process.cpuUsage();
  const beganMs = performance.now();
  let [calls, entries] = [0, 0];
  const limit = pLimit(DEPTH);
  const left = [directory];
  for (let at = left.pop(); at !== undefined; at = left.pop()) {
    const listed = await nfs.readdirplus(at, REPLY_BYTES);
    calls++;
    const others = listed.filter(({ name }) => !['.', '..'].includes(name.toString('latin1')));
    const told = await Promise.all(
      others.map(async ({ name, name_attributes, name_handle }) => {
        if (name_handle === undefined) throw new Error(`no handle of ${name.toString()}`);
        if (name_attributes !== undefined) return { handle: name_handle, type: name_attributes.type };
        calls++;
        const { type } = await limit(() => nfs.getattr(name_handle));
        return { handle: name_handle, type };
      }),
    );
    entries += told.length;
    if (reach === 'below')
      for (const { handle, type } of told.reverse()) if (type === DIRECTORY) left.push(handle);
  }
  const { user, system } = process.cpuUsage(cpuBefore);
  return {
    ...{ calls, entries, bytes: 0, jukebox: 0, checkSeconds: 0, readMedianMs: 0, readP99Ms: 0 },
    seconds: (performance.now() - beganMs) / 1000,
    cpuSeconds: (user + system) / 1e6,
  };
}
