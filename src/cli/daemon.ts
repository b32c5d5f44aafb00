/**
 * The daemon: state, stores, file system, listeners and portmapper, started in that order and ended in the opposite one.
 *
 *   start: state directory -> buckets probed -> disk cache -> file system (recovers) -> sockets -> portmapper -> report
 *   stop:  portmapper -> sockets closed, calls under way answered -> file system (publishes) -> disk cache -> stores -> state directory
 */
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { networkMatcher } from '../../config/addresses.js';
import type { ExportOptions } from '../../config/exports.js';
import type { ServeConfig } from '../../config/serve-config.js';
import { createFileSystem, type RunningFileSystem } from '../fs/create-file-system.js';
import type { ExportOptions as FileSystemExport } from '../fs/file-system-parts.js';
import { Spool } from '../write/spool.js';
import { MemoryBudget } from '../memory/memory-budget.js';
import { MountList } from '../mount3/mount-list.js';
import { mount1Service, mount3Service } from '../mount3/service.js';
import { nfs3Service } from '../nfs3/service.js';
import { RpcServer } from '../rpc/server.js';
import { DiskCache } from '../read/disk/disk-cache.js';
import {
  openStateDirectory,
  StateDirectoryLockedError,
  type StateDirectory,
} from '../state/state-directory.js';
import { isCommitFailure } from '../state/transaction-puts.js';
import type { Logger } from '../telemetry/log.js';
import { listenOnAll, type Listening } from './listeners.js';
import { mountLines, type MountLines } from './mount-lines.js';
import { startPortmap, type PortmapReport } from './portmap.js';
import { isSystemError, StartError, StopError } from './start-error.js';
import type { StoreCredentials } from './store-credentials.js';
import { Stores, volumeNameOf } from './stores.js';
import { Teardown } from './teardown.js';

/** What the `ready` line tells. */
export interface DaemonReport {
  readonly addresses: readonly string[];
  readonly nfsPort: number;
  readonly mountPort: number;
  readonly portmap: PortmapReport;
  readonly exports: readonly { readonly path: string; readonly source: string }[];
  /** Command lines, the surest first. */
  readonly mount: readonly string[];
  readonly stateDir: string;
  readonly pid: number;
}

export interface DaemonOptions {
  readonly log: Logger;
  /** Takes lines for the person who starts it. */
  readonly notice: (line: string) => void;
  /** For every store, in place of the SDK's chain. */
  readonly credentials?: StoreCredentials;
  /** Name of an export's store over restarts, where its endpoint doesn't tell: the demonstration's port changes. */
  readonly volumeName?: string;
}

export interface Daemon {
  readonly report: DaemonReport;
  /** For each export. */
  readonly mountLines: readonly MountLines[];
  /** Finishes what is under way within the configured time, makes acknowledged data safe, lets go of everything. Fails with StopError when
   * something could not be published, after letting go all the same. Repeatable. */
  stop(): Promise<void>;
}

/** Of the memory limit: calls that were received and are not answered. The rest is for what is read and written. */
const REQUESTS_SHARE = 1 / 8;

/** Fails with StartError or ConfigError, in one line, and then leaves nothing behind. */
export async function startDaemon(config: ServeConfig, options: DaemonOptions): Promise<Daemon> {
  const started = new Teardown();
  try {
    return await start(config, options, started);
  } catch (error) {
    for (const failure of await started.end()) options.log.warn({ error: failure.message }, 'cleanup failed');
    throw error;
  }
}

/** Commits of the node table that fail, on a full disk, don't end the process; any other rejection that nobody handled does. Call its result to end that. */
function passCommitFailures(log: Logger, directory: string): () => Promise<void> {
  const onRejection = (reason: unknown): void => {
    if (!isCommitFailure(reason)) throw reason;
    const what =
      'names could not be put into the database and wait in its log; goes on when there is room on that disk';
    log.error({ err: reason, directory }, what);
  };
  process.on('unhandledRejection', onRejection);
  return async () => void process.off('unhandledRejection', onRejection);
}

async function start(config: ServeConfig, options: DaemonOptions, started: Teardown): Promise<Daemon> {
  const { log } = options;
  const deadline = new Deadline(config.drainTimeoutMs);
  const handleSecret =
    config.handleSecretFile === undefined ? undefined : await readSecret(config.handleSecretFile);
  const state = await openState(config.stateDirectory);
  started.add('state directory', () => state.close());
  started.add('rejections', passCommitFailures(log, state.path));

  const stores = new Stores({
    maxRequests: config.maxRequests,
    log,
    ...optional('credentials', options.credentials),
  });
  started.add('stores', () => stores.close());
  await stores.probe(config.exports);

  const requestBytesMax = Math.floor(config.memoryLimitBytes * REQUESTS_SHARE);
  const budget = MemoryBudget.withKept(config.memoryLimitBytes - requestBytesMax);
  const diskCache = await openDiskCache(config, budget, log);
  if (diskCache !== undefined) started.add('disk cache', () => diskCache.close());
  const spool = new Spool({ directory: state.spoolPath, limitBytes: config.spoolLimitBytes, log });
  started.add('spool', () => spool.close());
  const files = await createFileSystem({
    exports: config.exports.map((entry) => exportRules(entry, stores, options.volumeName)),
    state,
    budget,
    spool,
    log,
    writeOptions: { partBytes: config.partSizeBytes, putBytesMax: config.partSizeBytes },
    journalRestMs: config.journalRestMs,
    isStateEphemeral: config.isStateEphemeral,
    getsMax: config.maxRequests,
    smallFilesAhead: config.smallFilesAhead,
    janitor: {
      intervalMs: config.janitorIntervalMs,
      initiator: config.uploadInitiator,
      uploadAgeMs: config.uploadMaxAgeMs,
      conflictAgeMs: config.conflictMaxAgeMs,
      sillyAgeMs: config.sillyMaxAgeMs,
    },
    ...optional('handleSecret', handleSecret),
    ...optional('diskCache', diskCache),
  });
  started.add('file system', () => files.close());
  started.add('publishing', () => publish(files, deadline));

  const allow = admission(config.exports);
  const nfs = [nfs3Service({ fs: files.fs, log })];
  const mounts = new MountList();
  const mount = [mount3Service({ fs: files.fs, log, mounts }), mount1Service({ fs: files.fs, log, mounts })];
  const server = new RpcServer({
    services: [...nfs, ...mount],
    log,
    limits: { requestBytesMax },
    ...optional('allow', allow),
  });
  // A client that doesn't hang up takes no more than half of the time: the rest is for publishing.
  started.add('server', () => server.close(deadline.remainingMs() / 2));
  const listening = await listenOnAll(server, { ...config, nfs, mount });

  const portmap = await startPortmap({ mode: config.portmap, listening, log, ...optional('allow', allow) });
  started.add('portmapper', () => portmap.stop());

  const lines = config.exports.map((entry) => linesFor(entry, listening, portmap.report));
  return {
    report: {
      addresses: listening.addresses,
      nfsPort: listening.nfsPort,
      mountPort: listening.mountPort,
      portmap: portmap.report,
      exports: config.exports.map(({ path, source }) => ({ path, source })),
      mount: lines.flatMap(({ linux, linuxPortmapped, macos }) =>
        [linux, linuxPortmapped, macos].filter((line) => line !== undefined),
      ),
      stateDir: state.path,
      pid: process.pid,
    },
    mountLines: lines,
    stop: async () => {
      deadline.start();
      const failures = await started.end();
      if (failures.length > 0) throw new StopError(failures.map(({ message }) => message).join('; '));
    },
  };
}

/** The time that stopping may take, shared by its steps. */
class Deadline {
  readonly #timeoutMs: number;
  #endMs: number | undefined;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  start(): void {
    this.#endMs ??= performance.now() + this.#timeoutMs;
  }

  remainingMs(): number {
    this.start();
    return Math.max(0, (this.#endMs ?? 0) - performance.now());
  }
}

/** Names and attributes that can't be published in time stay journaled, and the next start goes on with them; unstable data is lost. */
async function publish(files: RunningFileSystem, deadline: Deadline): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<'timeout'>((resolve) => {
    timer = setTimeout(() => resolve('timeout'), deadline.remainingMs());
  });
  const outcome = await Promise.race([files.drain(), timeout]);
  clearTimeout(timer);
  if (outcome === 'timeout')
    throw new StopError('the drain timeout ended while files were still being published');
  if (outcome > 0) throw new StopError(`${outcome} files could not be published; the log says why`);
}

async function openState(path: string): Promise<StateDirectory> {
  try {
    return await openStateDirectory(path);
  } catch (error) {
    const reason = isSystemError(error)
      ? `${error.code}: ${error.message}`
      : String((error as Error).message);
    throw new StartError(`cannot use state directory ${path}: ${reason}`, { cause: error });
  }
}

async function openDiskCache(
  { diskCacheDirectory: directory, diskCacheLimitBytes: limitBytes }: ServeConfig,
  budget: MemoryBudget,
  log: Logger,
): Promise<DiskCache | undefined> {
  if (directory === undefined) return undefined;
  try {
    return await DiskCache.open({ directory, limitBytes, budget, log });
  } catch (error) {
    const reason =
      error instanceof StateDirectoryLockedError
        ? `another s3nfsd has it (pid ${error.pid})`
        : (error as Error).message;
    throw new StartError(`cannot use disk cache directory ${directory}: ${reason}`, { cause: error });
  }
}

/** Bytes below which a secret could be guessed. */
const SECRET_BYTES_MIN = 16;

async function readSecret(path: string): Promise<Buffer> {
  const secret = await readFile(path).catch((error: unknown) => {
    throw new StartError(`cannot read handle secret file ${path}: ${(error as Error).message}`, {
      cause: error,
    });
  });
  if (secret.length >= SECRET_BYTES_MIN) return secret;
  throw new StartError(
    `handle secret file ${path}: expected at least ${SECRET_BYTES_MIN} bytes, found ${secret.length}`,
  );
}

function exportRules(entry: ExportOptions, stores: Stores, volumeName: string | undefined): FileSystemExport {
  const {
    path,
    prefix,
    readOnly,
    allow,
    squash,
    uid,
    gid,
    fileMode,
    dirMode,
    metadataTtlMs,
    negativeTtlMs,
    exclusiveCreate,
    metadata,
    directoryMarkers,
    readPolicy,
    commitPolicy,
    renameCopyLimit,
  } = entry;
  return {
    store: stores.storeOf(entry),
    volumeName: volumeName ?? volumeNameOf(entry),
    path,
    prefix,
    readOnly,
    allow,
    squash,
    anonymousUid: uid,
    anonymousGid: gid,
    uid,
    gid,
    fileMode,
    directoryMode: dirMode,
    metadataTtlMs,
    negativeTtlMs,
    exclusiveCreate,
    metadata,
    directoryMarkers,
    readPolicy,
    commitPolicy,
    ...optional('renameCopyLimitBytes', renameCopyLimit),
  };
}

/** Who may connect at all: whoever may use some export. Undefined when an export admits everybody. */
function admission(exports: readonly ExportOptions[]): ((address: string) => boolean) | undefined {
  if (exports.some(({ allow }) => allow.length === 0)) return undefined;
  return networkMatcher(exports.flatMap(({ allow }) => allow));
}

function linesFor(entry: ExportOptions, listening: Listening, portmap: PortmapReport): MountLines {
  return mountLines({
    host: clientHost(listening.hosts),
    nfsPort: listening.nfsPort,
    mountPort: listening.mountPort,
    exportPath: entry.path,
    portmapped: portmap.mode !== 'off',
    readOnly: entry.readOnly,
  });
}

/** The address that most clients reach: of this machine if every address is listened to. */
function clientHost(hosts: readonly string[]): string {
  const [first = '127.0.0.1'] = hosts;
  return first === '0.0.0.0' || first === '::' ? hostname() : first;
}

/** exactOptionalPropertyTypes: a property that isn't there, rather than one that is undefined. */
function optional<K extends string, V>(key: K, value: V | undefined): { readonly [P in K]?: V } {
  return (value === undefined ? {} : { [key]: value }) as { readonly [P in K]?: V };
}
