/** A file system over an in-memory store and a fake clock, with the calls a client would make in fewer words. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createFileSystem, type RunningFileSystem } from '../../src/fs/create-file-system.js';
import { FsError, type FsErrorCode } from '../../src/fs/errors.js';
import type { ExportOptions } from '../../src/fs/file-system-parts.js';
import type { JanitorRules } from '../../src/fs/janitor.js';
import type { AttributeChanges, Attributes, Context, FileSystem, Handle } from '../../src/fs/file-system.js';
import { MemoryBudget } from '../../src/memory/memory-budget.js';
import { openStateDirectory, type StateDirectory } from '../../src/state/state-directory.js';
import type { Capabilities } from '../../src/store/object-store.js';
import type { Logger } from '../../src/telemetry/log.js';
import { Spool } from '../../src/write/spool.js';
import type { WriteOptions } from '../../src/write/session-options.js';
import { collectLog } from '../support/collected-log.js';
import { FakeClock } from '../support/fake-clock.js';
import { MemoryStore } from '../support/memory-store.js';

const MIB = 1024 * 1024;

export const callerOf = (uid: number, address = '127.0.0.1'): Context => ({
  caller: { uid, gid: uid, gids: [], address },
  signal: new AbortController().signal,
});

export interface MountedOptions {
  readonly exports?: readonly Partial<ExportOptions>[];
  readonly store?: MemoryStore;
  /** Of the store that is made where none is given. */
  readonly capabilities?: Partial<Capabilities>;
  readonly metadataTtlMs?: number;
  readonly writeOptions?: Partial<WriteOptions>;
  readonly memoryLimitBytes?: number;
  readonly spoolLimitBytes?: number;
  readonly journalRestMs?: number;
  readonly isStateEphemeral?: boolean;
  readonly smallFilesAhead?: boolean;
  readonly janitor?: Partial<JanitorRules>;
  /** Default: the state directory's own. */
  readonly handleSecret?: Buffer;
}

export class Mounted {
  readonly clock: FakeClock;
  readonly store: MemoryStore;
  readonly budget: MemoryBudget;
  readonly context = callerOf(0);
  /** What the log was told, of all lives. */
  readonly logged: readonly Record<string, unknown>[];
  readonly #log: Logger;
  readonly #directory: string;
  readonly #options: MountedOptions;
  #state: StateDirectory | undefined;
  #life = new Life();
  #running: RunningFileSystem | undefined;
  #spool: Spool | undefined;

  private constructor(directory: string, options: MountedOptions) {
    this.#directory = directory;
    const { log, lines } = collectLog();
    this.#log = log;
    this.logged = lines;
    this.#options = options;
    this.clock = new FakeClock();
    this.budget = MemoryBudget.withKept(options.memoryLimitBytes ?? 64 * MIB);
    this.store =
      options.store ??
      new MemoryStore({ now: () => this.clock.nowMs(), capabilities: options.capabilities ?? {} });
  }

  static async start(options: MountedOptions = {}): Promise<Mounted> {
    const mounted = new Mounted(await mkdtemp(join(tmpdir(), 's3nfsd-fs-')), options);
    await mounted.open();
    return mounted;
  }

  get fs(): FileSystem {
    if (this.#running === undefined) throw new Error('not open');
    return this.#running.fs;
  }

  /** The state directory. */
  get directory(): string {
    return this.#directory;
  }

  get spool(): Spool {
    if (this.#spool === undefined) throw new Error('not open');
    return this.#spool;
  }

  /** `changed`: options that are others than those it was started with. */
  async open(changed: Omit<MountedOptions, 'store' | 'capabilities'> = {}): Promise<void> {
    const life = new Life();
    this.#life = life;
    this.#state = await openStateDirectory(this.#directory);
    const options = { ...this.#options, ...changed };
    const { spoolLimitBytes = 256 * MIB, writeOptions, journalRestMs, isStateEphemeral } = options;
    this.#spool = new Spool({
      directory: this.#state.spoolPath,
      limitBytes: spoolLimitBytes,
      log: this.#log,
    });
    const state = this.#state;
    this.#running = await createFileSystem({
      exports: (options.exports ?? [{}]).map((given) => ({
        store: mortal(this.store, life),
        volumeName: 'memory/bucket',
        path: '/bucket',
        prefix: '',
        readOnly: false,
        allow: [],
        squash: 'none',
        anonymousUid: 65534,
        anonymousGid: 65534,
        uid: 1000,
        gid: 1000,
        fileMode: 0o644,
        directoryMode: 0o755,
        metadataTtlMs: options.metadataTtlMs ?? 3000,
        ...given,
      })),
      state: this.#state,
      budget: this.budget,
      spool: this.spool,
      log: this.#log,
      ...(writeOptions !== undefined && { writeOptions }),
      ...(journalRestMs !== undefined && { journalRestMs }),
      ...(isStateEphemeral !== undefined && { isStateEphemeral }),
      smallFilesAhead: options.smallFilesAhead ?? true,
      ...(options.janitor !== undefined && { janitor: options.janitor }),
      ...(options.handleSecret !== undefined && { handleSecret: options.handleSecret }),
      clock: {
        nowMs: () => this.clock.nowMs(),
        after: (delayMs, task) => this.clock.after(delayMs, () => !life.ended && task()),
      },
    }).catch(async (error: unknown) => {
      await state.close();
      throw error;
    });
  }

  /** Ends without publishing anything, as a crash would, but for the database's own closing. What was under way is never heard of again. */
  async crash(): Promise<void> {
    this.#life.end();
    await this.#running?.close();
    await this.#state?.close();
    this.#running = undefined;
  }

  /** Drains and ends, as SIGTERM does. */
  async stop(): Promise<void> {
    await this.#running?.drain();
    await this.crash();
  }

  async end(): Promise<void> {
    if (this.#running !== undefined) await this.crash();
    await rm(this.#directory, { recursive: true, force: true });
  }

  async root(path = '/bucket'): Promise<Handle> {
    return this.fs.mount(this.context, path);
  }

  /** The handle at a path below the export. */
  async at(path: string): Promise<Handle> {
    let handle = await this.root();
    for (const name of path.split('/').filter((segment) => segment !== '')) {
      handle = (await this.fs.lookup(this.context, handle, Buffer.from(name))).handle;
    }
    return handle;
  }

  async stat(path: string): Promise<Attributes> {
    return this.fs.getattr(this.context, await this.at(path));
  }

  /** Creates and writes a file, and commits it unless told otherwise. */
  async write(
    path: string,
    bytes: string | Buffer,
    options: { commit?: boolean; attributes?: AttributeChanges } = {},
  ): Promise<Handle> {
    const [directory, name] = splitPath(path);
    const created = await this.fs.create(this.context, await this.at(directory), name, {
      how: 'unchecked',
      attributes: { mode: 0o640, ...options.attributes },
    });
    await this.fs.write(this.context, created.handle, 0, Buffer.from(bytes), 'unstable');
    if (options.commit !== false) await this.fs.commit(this.context, created.handle);
    return created.handle;
  }

  async read(file: string | Handle): Promise<string> {
    const handle = typeof file === 'string' ? await this.at(file) : file;
    const chunks: Buffer[] = [];
    for (let offset = 0; ;) {
      const result = await this.fs.read(this.context, handle, offset, MIB);
      chunks.push(...result.slices.map((slice) => Buffer.from(slice)));
      offset += result.count;
      result.release();
      if (result.eof) return Buffer.concat(chunks).toString('utf8');
    }
  }

  async mkdir(path: string): Promise<Handle> {
    const [directory, name] = splitPath(path);
    return (await this.fs.mkdir(this.context, await this.at(directory), name, { mode: 0o750 })).handle;
  }

  async remove(path: string): Promise<void> {
    const [directory, name] = splitPath(path);
    await this.fs.remove(this.context, await this.at(directory), name);
  }

  async rename(from: string, to: string): Promise<void> {
    const [fromDirectory, fromName] = splitPath(from);
    const [toDirectory, toName] = splitPath(to);
    await this.fs.rename(
      this.context,
      await this.at(fromDirectory),
      fromName,
      await this.at(toDirectory),
      toName,
    );
  }

  /** Names of a directory, without dots, in the order they come, `pageEntries` a call. */
  async list(path: string, pageEntries = 100): Promise<string[]> {
    const directory = await this.at(path);
    const names: string[] = [];
    for (let cookie = 0n; ;) {
      const page = await this.fs.readdir(this.context, directory, cookie, pageEntries);
      names.push(...page.entries.map((entry) => entry.name.toString('utf8')));
      cookie = page.entries.at(-1)?.cookie ?? cookie;
      if (page.end) return names.filter((name) => name !== '.' && name !== '..');
    }
  }

  /** What the bucket holds, as another S3 user would see it. */
  bucket(): Record<string, string> {
    return Object.fromEntries(
      [...this.store.objects].sort().map(([key, { body }]) => [key, body.toString('utf8')]),
    );
  }

  /** Lets background work that is due run to its end. */
  async rest(ms = 300): Promise<void> {
    this.clock.advance(ms);
    await this.#running?.drain();
  }

  /** Operations of the store's calls since `from`, in order. */
  callsSince(from: number): string[] {
    return this.store.calls.slice(from).map(({ operation, key }) => `${operation} ${key ?? ''}`.trim());
  }
}

/** One run of the daemon, up to its crash. */
class Life {
  ended = false;
  readonly #listeners: (() => void)[] = [];

  end(): void {
    this.ended = true;
    for (const listener of this.#listeners) listener();
  }

  onEnd(listener: () => void): void {
    this.#listeners.push(listener);
  }
}

/** The store as a process reaches it: once that has ended, none of its calls begins or is answered. */
function mortal(store: MemoryStore, life: Life): MemoryStore {
  const never = new Promise<never>(() => undefined);
  return new Proxy(store, {
    get: (target, property) => {
      const value: unknown = Reflect.get(target, property, target);
      if (typeof value !== 'function') return value;
      return async (...args: unknown[]): Promise<unknown> => {
        // Readers wait for their GETs before they close, and for those that they make then.
        if (life.ended && property === 'get') throw new Error('the process has ended');
        if (life.ended) return never;
        const cut = new Promise<never>((_, reject) => {
          if (property === 'get') life.onEnd(() => reject(new Error('the process has ended')));
        });
        const call = (value as (...given: unknown[]) => unknown).apply(target, args);
        const answer: unknown = await Promise.race([call, cut]);
        return life.ended && property !== 'get' ? never : answer;
      };
    },
  });
}

/** The directory of a path, and the name in it. */
export function splitPath(path: string): [directory: string, name: Buffer] {
  const at = path.lastIndexOf('/');
  return [path.slice(0, Math.max(at, 0)), Buffer.from(path.slice(at + 1))];
}

/** The code that an operation fails with: a function, where it may throw at once. */
export async function codeOf(operation: Promise<unknown> | (() => unknown)): Promise<FsErrorCode | 'none'> {
  try {
    await (typeof operation === 'function' ? operation() : operation);
    return 'none';
  } catch (error) {
    if (error instanceof FsError) return error.code;
    throw error;
  }
}
