/** Somebody who changes, cuts and removes the files of a disk cache while it is used. */
import { constants } from 'node:fs';
import { open, readdir, stat, truncate, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const REST_MS = 50;
const PAGE_BYTES = 4096;

/** Resolves to how often a file was harmed. `random`: numbers in [0, 1). */
export async function harmFiles(
  directory: string,
  random: () => number,
  stopped: () => boolean,
): Promise<number> {
  let harmed = 0;
  while (!stopped()) {
    await delay(random() * REST_MS);
    const names = (await readdir(directory).catch(() => [])).filter((name) => /\.(blocks|index)$/.test(name));
    const path = names[Math.floor(random() * names.length)];
    if (path === undefined) continue;
    // It may go meanwhile.
    if (await harm(join(directory, path), random).catch(() => false)) harmed += 1;
  }
  return harmed;
}

async function harm(path: string, random: () => number): Promise<boolean> {
  const kind = random();
  const pages = Math.floor((await stat(path)).size / PAGE_BYTES);
  if (pages === 0) return false;
  const page = (): number => Math.floor(random() * pages) * PAGE_BYTES;
  if (kind < 0.01) await unlink(path);
  else if (kind < 0.03) await truncate(path, page() + Math.floor(random() * PAGE_BYTES));
  else await movePages(path, page(), page(), Math.ceil(random() * 64) * PAGE_BYTES);
  return true;
}

/** As a disk does that writes to the wrong place. */
async function movePages(path: string, from: number, to: number, bytes: number): Promise<void> {
  const file = await open(path, constants.O_RDWR);
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(bytes), 0, bytes, from);
    await file.write(buffer, 0, bytesRead, to);
  } finally {
    await file.close();
  }
}
