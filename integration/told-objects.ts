/** What programs in the guest see below a directory of the mount, as the objects that S3 must have for it. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Test } from 'tap';
import type { ObjectFacts } from './bucket.js';
import type { Client } from './mounted.js';
import { workload } from './workload.js';

const TIMEOUT = { timeoutMs: 240_000 };

/** By key below `directory` of the bucket. */
export async function toldObjects(
  t: Test,
  { run, guest }: Client,
  directory: string,
): Promise<ReadonlyMap<string, ObjectFacts>> {
  await run(t, workload('programs', 'objects', `/mnt/s3/${directory}`, '/out/objects'), TIMEOUT);
  const told = await readFile(join(guest.directory, 'objects'), 'utf8');
  return new Map(Object.entries(JSON.parse(told) as Record<string, ObjectFacts>));
}
