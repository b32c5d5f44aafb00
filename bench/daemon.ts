/** The daemon as a process of its own, and what it uses. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { DaemonReport } from '../src/cli/daemon.js';
import { NfsClient } from '../test/support/nfs-client.js';
import type { NfsServer, ServerOptions } from './server.js';
import { cpuSeconds } from './usage.js';

const PROBE = join(import.meta.dirname, 'event-loop-probe.js');
const MAIN = join(import.meta.dirname, '../src/main.js');

export class DaemonProcess implements NfsServer {
  readonly #process: ChildProcess;
  readonly #directory: string;
  readonly #report: DaemonReport;
  readonly #clients: NfsClient[] = [];

  private constructor(child: ChildProcess, directory: string, report: DaemonReport) {
    this.#process = child;
    this.#directory = directory;
    this.#report = report;
  }

  static async start(options: ServerOptions): Promise<DaemonProcess> {
    const directory = await mkdtemp(join(tmpdir(), 's3nfsd-bench-state-'));
    const child = spawn(
      process.execPath,
      [
        ...(options.nodeArguments ?? []),
        `--import=${PROBE}`,
        MAIN,
        'serve',
        's3://bench',
        '--port=0',
        '--portmap=off',
        `--state-dir=${directory}`,
        '--log-level=warn',
        '--force-path-style',
        `--endpoint-url=${options.storeUrl}`,
        `--memory-limit=${options.memoryLimit}`,
        ...(options.serveArguments ?? []),
      ],
      { stdio: ['ignore', 'pipe', 'inherit', 'ipc'], env: environment(options.certificateFile) },
    );
    const { stdout } = child;
    if (stdout === null) throw new Error('no standard output');
    try {
      const report = await new Promise<DaemonReport>((resolve, reject) => {
        createInterface({ input: stdout }).on('line', (line) => {
          if (line.startsWith('ready ')) resolve(JSON.parse(line.slice('ready '.length)) as DaemonReport);
        });
        child.once('exit', () => reject(new Error('the daemon ended before it was ready')));
      });
      return new DaemonProcess(child, directory, report);
    } catch (error) {
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  get port(): number {
    return this.#report.nfsPort;
  }

  cpuSeconds(): number {
    return cpuSeconds(this.pid);
  }

  /** A client with all procedures, and the root of the export. */
  async mount(): Promise<{ readonly nfs: NfsClient; readonly root: Buffer }> {
    const nfs = await NfsClient.connect({ host: '127.0.0.1', port: this.port, jukeboxRetryMs: 200 });
    this.#clients.push(nfs);
    return { nfs, root: await nfs.mnt(this.#report.exports[0]?.path ?? '') };
  }

  /** How late the event loop was since the last time: the 99th percentile, in milliseconds. */
  async eventLoopP99Ms(): Promise<number> {
    this.#process.send('tell');
    const [{ p99Ms }] = (await once(this.#process, 'message')) as [{ p99Ms: number }];
    return p99Ms;
  }

  async close(): Promise<void> {
    for (const client of this.#clients.splice(0)) await client.close();
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const exited = once(this.#process, 'exit');
      this.#process.kill('SIGTERM');
      await exited;
    }
    await rm(this.#directory, { recursive: true, force: true });
  }
}

/** Ours, without what would configure the daemon or the SDK behind the bench's back. */
function environment(certificateFile: string | undefined): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(AWS|S3NFSD)_/.test(name));
  return {
    ...Object.fromEntries(inherited),
    AWS_REGION: 'us-east-1',
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_ACCESS_KEY_ID: 'BENCHBENCHBENCHBENCH',
    AWS_SECRET_ACCESS_KEY: 'bench-secret-bench-secret-bench-secret',
    ...(certificateFile !== undefined && { NODE_EXTRA_CA_CERTS: certificateFile }),
  };
}
