/** The configuration of `s3nfsd serve` once everything that follows from other things has been worked out. */
import { homedir } from 'node:os';
import { join } from 'node:path';
import { isLoopback, type ListenAddress } from './addresses.js';
import { ConfigError } from './config-error.js';
import { resolveExports, type ExportOptions } from './exports.js';
import { defaultMemoryLimitBytes } from './memory-default.js';
import { flagName } from './option.js';
import { formatSize } from './quantities.js';
import type { Resolved } from './resolve.js';
import type { SERVE_OPTIONS, ServeValues } from './schema.js';

export interface ServeConfig {
  readonly exports: readonly ExportOptions[];
  readonly listen: readonly ListenAddress[];
  /** 0: any free port. */
  readonly port: number;
  /** Undefined: the NFS port. */
  readonly mountPort: number | undefined;
  readonly portmap: 'auto' | 'embedded' | 'off';
  readonly stateDirectory: string;
  /** Nothing may rest on the state directory. */
  readonly isStateEphemeral: boolean;
  readonly handleSecretFile: string | undefined;
  readonly memoryLimitBytes: number;
  readonly spoolLimitBytes: number;
  /** Undefined: no disk cache. */
  readonly diskCacheDirectory: string | undefined;
  readonly diskCacheLimitBytes: number;
  readonly partSizeBytes: number;
  readonly maxRequests: number;
  readonly journalRestMs: number;
  readonly smallFilesAhead: boolean;
  readonly janitorIntervalMs: number;
  /** Undefined: uploads that the state directory doesn't know are left alone. */
  readonly uploadInitiator: string | undefined;
  readonly uploadMaxAgeMs: number;
  /** Undefined: losers of conflicts stay. */
  readonly conflictMaxAgeMs: number | undefined;
  /** Infinity for `indefinite`. */
  readonly sillyMaxAgeMs: number;
  readonly drainTimeoutMs: number;
  readonly logLevel: ServeValues['logLevel'];
}

/** Parts that must fit into memory together: one being filled and some on their way. */
const PARTS_IN_MEMORY = 4;

/** The process as the configuration sees it. */
export interface ProcessFacts {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly uid: number;
  readonly gid: number;
}

export function processFacts(env: ProcessFacts['env']): ProcessFacts {
  return { env, uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
}

/** Fails with ConfigError where options contradict each other. */
export function serveConfig(resolved: Resolved<typeof SERVE_OPTIONS>, facts: ProcessFacts): ServeConfig {
  const { values, origins } = resolved;
  const open = values.listen.filter(({ host }) => !isLoopback(host));
  const exports = resolveExports(values.exports, origins.get('exports') ?? 'arguments', values, {
    uid: facts.uid,
    gid: facts.gid,
    squash: open.length === 0 ? 'none' : 'root',
  });
  if (exports.length === 0) {
    throw new ConfigError(
      'nothing to serve: name at least one s3://bucket, or exports in the configuration file',
    );
  }
  const unguarded = exports.find(({ allow }) => allow.length === 0);
  if (open.length > 0 && unguarded !== undefined) {
    throw new ConfigError(
      `option ${flagName('listen')}: ${open.map(({ host }) => host).join(', ')} is not loopback, so --allow CIDR ` +
        `must say whose clients may mount ${unguarded.path} (0.0.0.0/0 and ::/0: everybody)`,
    );
  }
  const journaled = exports.find(({ commitPolicy }) => commitPolicy === 'journal');
  if (values.stateEphemeral && journaled !== undefined) {
    throw new ConfigError(
      `option stateEphemeral: ${journaled.path} has the commit policy journal, which rests on the state directory`,
    );
  }
  const memoryLimitBytes = values.memoryLimit ?? defaultMemoryLimitBytes();
  if (values.partSize * PARTS_IN_MEMORY > memoryLimitBytes) {
    throw new ConfigError(
      `option partSize: ${formatSize(values.partSize)} is more than a quarter of the memory limit, ${formatSize(memoryLimitBytes)}`,
    );
  }
  return {
    exports,
    listen: values.listen,
    port: values.port,
    mountPort: values.mountPort ?? undefined,
    portmap: values.portmap,
    stateDirectory: values.stateDir ?? defaultStateDirectory(facts),
    isStateEphemeral: values.stateEphemeral,
    handleSecretFile: values.handleSecretFile ?? undefined,
    memoryLimitBytes,
    spoolLimitBytes: values.spoolLimit,
    diskCacheDirectory: values.diskCache ?? undefined,
    diskCacheLimitBytes: values.diskCacheLimit,
    partSizeBytes: values.partSize,
    maxRequests: values.maxRequests,
    journalRestMs: values.journalRest,
    smallFilesAhead: values.smallFilesAhead === 'on',
    janitorIntervalMs: values.janitorInterval,
    uploadInitiator: values.uploadInitiator ?? undefined,
    uploadMaxAgeMs: values.uploadMaxAge,
    conflictMaxAgeMs: values.conflictMaxAge ?? undefined,
    sillyMaxAgeMs: values.sillyMaxAge,
    drainTimeoutMs: values.drainTimeout,
    logLevel: values.logLevel,
  };
}

/** XDG base directories for people; the FHS's place for root's daemons. */
export function defaultStateDirectory({ env, uid }: ProcessFacts): string {
  const xdg = env['XDG_STATE_HOME'];
  // The specification has relative paths ignored.
  if (xdg?.startsWith('/') === true) return join(xdg, 's3nfsd');
  if (uid === 0) return '/var/lib/s3nfsd';
  return join(env['HOME'] ?? homedir(), '.local/state/s3nfsd');
}
