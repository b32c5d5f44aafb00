/**
 * `rclone serve nfs` as a peer, with the options that its documentation recommends for S3 (docs/decisions/0026-comparison.md). Its cache lies
 * in the scratch directory, in memory as a rule: no disk slows it down.
 */
import { execFile, spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { access, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { NfsClient } from '../../test/support/nfs-client.js';
import { Missing } from '../native.js';
import { scratchDirectory } from '../scratch.js';
import type { NfsServer, Peer, ServerOptions } from '../server.js';
import { cpuSeconds } from '../usage.js';

/** Why each: docs/decisions/0026-comparison.md. */
const OPTIONS = [
  '--vfs-cache-mode=full',
  '--vfs-read-chunk-streams=16',
  '--vfs-read-chunk-size=4M',
  '--vfs-fast-fingerprint',
  '--use-server-modtime',
  '--dir-cache-time=1h',
  '--nfs-cache-type=memory',
  '--transfers=16',
  '--s3-upload-concurrency=8',
  '--s3-chunk-size=8Mi',
  '--s3-no-head',
];

/** What makes it talk to a plain S3 server. */
const STORE_OPTIONS = [
  '--s3-provider=Other',
  '--s3-region=us-east-1',
  '--s3-force-path-style',
  '--s3-list-version=2',
  '--s3-list-url-encode=true',
  '--s3-no-check-bucket',
  // The sink's ETags are no MD5.
  '--s3-use-multipart-etag=false',
];

const READY_MS_MAX = 20_000;
const STORED_MS_MAX = 120_000;
const POLL_MS = 50;

/** The installed rclone. Fails with Missing. */
export async function rclonePeer(): Promise<Peer> {
  const program = await findRclone();
  const { stdout } = await promisify(execFile)(program, ['version']);
  return {
    name: 'rclone',
    version: stdout.split('\n')[0] ?? '',
    options: OPTIONS,
    start: (options) => Rclone.start(program, options),
  };
}

/** In the PATH, or where `go install` leaves it. */
async function findRclone(): Promise<string> {
  const directories = [...(process.env['PATH'] ?? '').split(':'), join(homedir(), 'go/bin')];
  for (const directory of directories) {
    const path = join(directory, 'rclone');
    const found = await access(path).then(
      () => true,
      () => false,
    );
    if (found) return path;
  }
  throw new Missing('no rclone: go install github.com/rclone/rclone@latest');
}

class Rclone implements NfsServer {
  readonly port: number;
  readonly #process: ChildProcessByStdio<null, null, Readable>;
  readonly #directory: string;
  readonly #controlPort: number;
  readonly #clients: NfsClient[] = [];

  private constructor(
    child: ChildProcessByStdio<null, null, Readable>,
    directory: string,
    ports: { readonly nfs: number; readonly control: number },
  ) {
    this.#process = child;
    this.#directory = directory;
    this.port = ports.nfs;
    this.#controlPort = ports.control;
  }

  static async start(program: string, options: ServerOptions): Promise<Rclone> {
    const directory = await scratchDirectory();
    const child = spawn(program, [...argumentsOf(options), `--cache-dir=${directory}`], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: environment(),
    });
    try {
      return new Rclone(child, directory, await ports(child));
    } catch (error) {
      child.kill('SIGKILL');
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  cpuSeconds(): number {
    return cpuSeconds(this.pid);
  }

  async mount(): Promise<{ readonly nfs: NfsClient; readonly root: Buffer }> {
    const nfs = await NfsClient.connect({ host: '127.0.0.1', port: this.port, jukeboxRetryMs: 200 });
    this.#clients.push(nfs);
    return { nfs, root: await nfs.mnt('/') };
  }

  /** Uploads begin 5 s after the last close (`--vfs-write-back`). */
  async stored(): Promise<boolean> {
    let waited = false;
    for (const beganMs = performance.now(); performance.now() - beganMs < STORED_MS_MAX;) {
      const answer = await fetch(`http://127.0.0.1:${this.#controlPort}/vfs/stats`, { method: 'POST' });
      const { diskCache } = (await answer.json()) as {
        diskCache?: { uploadsInProgress: number; uploadsQueued: number };
      };
      if (diskCache === undefined || diskCache.uploadsInProgress + diskCache.uploadsQueued === 0)
        return waited;
      waited = true;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    throw new Error(`rclone had not uploaded everything after ${STORED_MS_MAX / 1000} s`);
  }

  async cachedMiB(): Promise<number> {
    const { stdout } = await promisify(execFile)('du', ['-sk', this.#directory]);
    return Number.parseInt(stdout, 10) / 1024;
  }

  async close(): Promise<void> {
    for (const client of this.#clients.splice(0)) await client.close();
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const exited = once(this.#process, 'exit');
      this.#process.kill('SIGKILL');
      await exited;
    }
    await rm(this.#directory, { recursive: true, force: true });
  }
}

function argumentsOf({ storeUrl, certificateFile }: ServerOptions): string[] {
  return [
    'serve',
    'nfs',
    ':s3:bench',
    '--config=',
    '--addr=127.0.0.1:0',
    '--rc',
    '--rc-addr=127.0.0.1:0',
    '--rc-no-auth',
    '--log-level=NOTICE',
    ...OPTIONS,
    ...STORE_OPTIONS,
    `--s3-endpoint=${storeUrl}`,
    ...(certificateFile === undefined ? [] : [`--ca-cert=${certificateFile}`]),
  ];
}

/** Ours, without what would configure rclone or its SDK behind the bench's back. */
function environment(): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(AWS|RCLONE)_/.test(name));
  return {
    ...Object.fromEntries(inherited),
    RCLONE_S3_ACCESS_KEY_ID: 'BENCHBENCHBENCHBENCH',
    RCLONE_S3_SECRET_ACCESS_KEY: 'bench-secret-bench-secret-bench-secret',
  };
}

/** As it logs them. Fails with what it logged when it ends, or doesn't say them in time. */
async function ports(
  child: ChildProcessByStdio<null, null, Readable>,
): Promise<{ readonly nfs: number; readonly control: number }> {
  const lines: string[] = [];
  let [nfs, control] = [0, 0];
  return await new Promise((resolve, reject) => {
    const fail = (why: string): void => reject(new Error(`rclone ${why}: ${lines.slice(-5).join(' / ')}`));
    const timer = setTimeout(() => fail('was not ready in time'), READY_MS_MAX);
    createInterface({ input: child.stderr }).on('line', (line) => {
      lines.push(line);
      nfs ||= Number(/NFS Server running at [^ ]*:(\d+)/i.exec(line)?.[1] ?? 0);
      control ||= Number(/Serving remote control on https?:\/\/[^ ]*:(\d+)/i.exec(line)?.[1] ?? 0);
      if (nfs === 0 || control === 0) return;
      clearTimeout(timer);
      resolve({ nfs, control });
    });
    child.once('error', reject);
    child.once('exit', () => fail('ended'));
  });
}
