/** A daemon with a bucket of its own at an embedded store, which it reaches by a good road or a bad one, and which can be ended and begun. */
import type { DaemonReport } from '../../src/cli/daemon.js';
import { faultPlan, parseRule } from '../../src/store/faults/parse-plan.js';
import { startFaultProxy } from '../../src/store/faults/proxy.js';
import { Bucket, BUCKET, mount, type Ends } from '../end-to-end/fixture.js';
import { S3nfsdProcess } from '../support/s3nfsd-process.js';

/**
 * What the store does now and then: seldom enough for the daemon's retries to end well, so that every answer must be right. Bodies that
 * arrive corrupted are not among it: GETs don't notice them yet (docs/SEMANTICS.md).
 */
const FAULTS = [
  'latency time=1ms..20ms rate=20%',
  'error code=SlowDown rate=5%',
  'error code=InternalError rate=3%',
  // Carried out, and the answer is lost.
  'error code=InternalError moment=after rate=3%',
  'reset rate=3%',
  'reset in=request at=anywhere rate=2%',
  'reset in=answer at=anywhere rate=2%',
  'truncate rate=3% operation=GetObject',
];

export interface RigOptions {
  /** The store fails as FAULTS has it. */
  readonly faults: boolean;
  readonly seed: number;
  /** Of `--metadata-ttl`. */
  readonly ttl: string;
}

export class Rig {
  readonly bucket: Bucket;
  readonly #env: Readonly<Record<string, string>>;
  readonly #args: readonly string[];
  readonly #fired: () => number;
  #running: { readonly child: S3nfsdProcess; readonly report: DaemonReport } | undefined;
  #directories = 0;
  #starts = 0;

  private constructor(bucket: Bucket, endpoint: string, fired: () => number, ttl: string) {
    this.bucket = bucket;
    this.#env = { ...bucket.env, AWS_ENDPOINT_URL_S3: endpoint };
    this.#fired = fired;
    this.#args = ['serve', `s3://${BUCKET}`, '--uid', '0', '--gid', '0', '--metadata-ttl', ttl];
  }

  static async start(ends: Ends, { faults, seed, ttl }: RigOptions): Promise<Rig> {
    const bucket = await Bucket.start(ends);
    let road = { endpoint: bucket.endpoint, fired: () => 0 };
    if (faults) {
      const plan = faultPlan(
        FAULTS.map((line) => parseRule(line, line)),
        seed,
      );
      const proxy = await startFaultProxy({ to: bucket.endpoint, host: '127.0.0.1', port: 0, plan });
      ends.teardown(() => proxy.close());
      const fired = (): number =>
        Object.values(proxy.faults.report().fired).reduce((sum, count) => sum + count, 0);
      road = { endpoint: proxy.endpoint, fired };
    }
    const rig = new Rig(bucket, road.endpoint, road.fired, ttl);
    ends.teardown(() => rig.stop('SIGKILL'));
    await rig.begin();
    return rig;
  }

  get host(): string {
    return '127.0.0.1';
  }

  get port(): number {
    return this.#report.nfsPort;
  }

  /** Faults of the store that were carried out. */
  get faults(): number {
    return this.#fired();
  }

  /** Times that the daemon was started. */
  get starts(): number {
    return this.#starts;
  }

  get #report(): DaemonReport {
    if (this.#running === undefined) throw new Error('expected a running daemon');
    return this.#running.report;
  }

  async begin(): Promise<void> {
    const child = new S3nfsdProcess(this.#args, this.#env);
    this.#running = { child, report: await child.ready<DaemonReport>() };
    this.#starts++;
  }

  async stop(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    if (running === undefined) return;
    const { code, stderr } = await running.child.end(signal);
    if (signal === 'SIGTERM' && code !== 0)
      throw new Error(`the daemon ended with ${code}: ${stderr.join(' / ')}`);
    const defects = stderr.filter((line) => !line.startsWith('{') || /"level":(50|60)/.test(line));
    if (defects.length > 0) throw new Error(`the daemon told of a defect: ${defects.join(' / ')}`);
  }

  async restart(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    await this.stop(signal);
    await this.begin();
  }

  /** Runs when it should: a history that failed may have left it anyhow. */
  async ready(): Promise<void> {
    if (this.#running === undefined) await this.begin();
  }

  /** A new directory at the export's root, with mode 0777 and root's: its name and handle. */
  async directory(): Promise<{ readonly name: string; readonly handle: Buffer }> {
    const ends: (() => unknown)[] = [];
    const { nfs, root } = await mount(
      { teardown: (end: () => unknown) => void ends.push(end) },
      this.#report,
    );
    const name = `model${this.#directories++}`;
    try {
      return { name, handle: (await nfs.mkdir(root, name, { mode: 0o777 })).handle };
    } finally {
      for (const end of ends) await end();
    }
  }
}
