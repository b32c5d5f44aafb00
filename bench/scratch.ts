/** Where the stores of the cases keep their files: in memory where there is room, so that no disk is measured. */
import { mkdtemp, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const SHARED_MEMORY = '/dev/shm';
/** Containers get 64 MiB by default. */
const FREE_BYTES_MIN = 2 * 1024 ** 3;

export async function scratchDirectory(): Promise<string> {
  const free = await statfs(SHARED_MEMORY).then(
    ({ bavail, bsize }) => bavail * bsize,
    () => 0,
  );
  return mkdtemp(join(free >= FREE_BYTES_MIN ? SHARED_MEMORY : tmpdir(), 's3nfsd-bench-'));
}
