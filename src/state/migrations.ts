/**
 * From one layout of the state directory to the next. A step is made again from its beginning when the daemon died in the middle of
 * it: each can be.
 */
import { NodeStore } from './node-store.js';

/** What makes the layout of a version that of the next one. */
const STEPS: Readonly<Record<string, (directory: string) => Promise<void>>> = { '1': listRemovals };

/** The versions from which this daemon can go on. */
export const MIGRATED_VERSIONS: readonly string[] = Object.keys(STEPS);

/** Makes one step from `version`, which must be one of MIGRATED_VERSIONS, in the state directory `path`. */
export async function migrate(path: string, version: string): Promise<void> {
  const step = STEPS[version];
  if (step === undefined) throw new RangeError(`no way on from version ${version}`);
  await step(path);
}

/** Layout 1 kept the records of removed nodes for good, and no list of them. */
async function listRemovals(directory: string): Promise<void> {
  const store = new NodeStore({ directory, cachedMax: 1 });
  try {
    await store.listOldRemovals(Date.now());
  } finally {
    await store.close();
  }
}
