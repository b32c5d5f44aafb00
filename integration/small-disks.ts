/**
 * Small disks of a daemon's own, each a file with ext4, mounted where nobody but what is started with `prefix` sees them: a mount namespace
 * that a shell holds. The shell runs in the test's network and ends with it (network-end.sh), and with it the mounts.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import type { Network } from './network.js';

const execute = promisify(execFile);

const MIB = 2 ** 20;
const BALLAST = 'ballast';
/** No more than a block, so that the last one is found. */
const LAST_BYTES = 512;

/** Why no disk can be mounted here; undefined when one can. */
export async function noDisksReason(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'a disk needs root, for its mount';
  const directory = await mkdtemp(join(tmpdir(), 's3nfsd-disk-'));
  try {
    await makeDisk(join(directory, 'disk'), 1);
    const script = `mount -o loop '${join(directory, 'disk')}' '${directory}'`;
    await execute('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', script]);
    return undefined;
  } catch (error) {
    return `a file can't be mounted as a disk: ${(error as Error).message}`;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function makeDisk(file: string, sizeMiB: number): Promise<void> {
  // No blocks that only root may have: the daemon of a test is root.
  await execute('mkfs.ext4', ['-q', '-F', '-m', '0', file, `${sizeMiB}M`]);
}

export class SmallDisks {
  /** Put before a command line, this runs it in the test's network with the disks mounted. The process id stays that of the command. */
  readonly prefix: readonly string[];
  readonly #holder: ChildProcess;

  private constructor(holder: ChildProcess) {
    this.#holder = holder;
    this.prefix = [
      'nsenter',
      '--target',
      String(holder.pid),
      '--mount',
      '--net',
      `--wdns=${resolve('.')}`,
      '--',
    ];
  }

  /** `sizesMiB`: by the absolute paths where they are mounted, in that order. The directories are made. */
  static async mount(network: Network, sizesMiB: ReadonlyMap<string, number>): Promise<SmallDisks> {
    const directory = join(network.directory, 'disks');
    await mkdir(directory);
    const lines: string[] = [];
    for (const [path, sizeMiB] of sizesMiB) {
      const file = join(directory, String(lines.length));
      await makeDisk(file, sizeMiB);
      lines.push(`mkdir -p '${path}' && mount -o loop '${file}' '${path}'`);
    }
    const [command = '', ...prefix] = network.prefix;
    // `read` waits for the end of its input.
    const script = `set -e; ${lines.join('; ')}; echo mounted; read -r end || exit 0`;
    const holder = spawn(command, [...prefix, 'sh', '-c', script], { stdio: ['pipe', 'pipe', 'inherit'] });
    const [line] = (await once(createInterface({ input: holder.stdout }), 'line')) as [string?];
    if (line !== 'mounted') throw new Error(`the disks were not mounted: ${line}`);
    return new SmallDisks(holder);
  }

  /** A path below one of the disks, as this process reaches it. */
  reached(path: string): string {
    return `/proc/${this.#holder.pid}/root${path}`;
  }

  /** Fills the disk at that path to its last byte with a file of somebody else. */
  async fill(path: string): Promise<void> {
    const ballast = await open(join(this.reached(path), BALLAST), 'a');
    try {
      for (const size of [MIB, LAST_BYTES]) await writeUntilFull(ballast, Buffer.alloc(size, 1));
      await ballast.sync();
    } finally {
      await ballast.close();
    }
  }

  /** Gives back what `fill` took. */
  async clear(path: string): Promise<void> {
    await rm(join(this.reached(path), BALLAST));
  }

  async unmount(): Promise<void> {
    const ended = once(this.#holder, 'close');
    this.#holder.stdin?.end();
    await ended;
  }
}

async function writeUntilFull(file: Awaited<ReturnType<typeof open>>, piece: Buffer): Promise<void> {
  for (;;) {
    try {
      await file.write(piece);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return;
      throw error;
    }
  }
}
