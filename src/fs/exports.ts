/** Exports: which part of which volume is served at which path, to whom, and as whom they act. */
import { createHash } from 'node:crypto';
import ipaddr from 'ipaddr.js';
import type { Attributes, Caller } from './file-system.js';
import type { FsNode } from './node.js';
import type { VolumeOperations } from './volume-operations.js';

/** Which callers act as the anonymous user: none, root, or all of them (exports(5)). */
export type Squash = 'none' | 'root' | 'all';

export interface ExportRules {
  /** Where it is mounted, such as `/bucket/prefix`. */
  readonly path: string;
  /** Key prefix that is its root: empty, or with a trailing slash. */
  readonly prefix: string;
  readonly readOnly: boolean;
  /** Addresses that may use it, as CIDRs; empty: all that reach the server. */
  readonly allow: readonly string[];
  readonly squash: Squash;
  readonly anonymousUid: number;
  readonly anonymousGid: number;
  /** Owner and modes of objects that say nothing of theirs. */
  readonly uid: number;
  readonly gid: number;
  readonly fileMode: number;
  readonly directoryMode: number;
}

export class Export {
  /** Names the export in handles, and its file system (fsid) to clients: the same for the same path, always. */
  readonly id: bigint;
  readonly rules: ExportRules;
  readonly volume: VolumeOperations;
  readonly #allowed: readonly [ipaddr.IPv4 | ipaddr.IPv6, number][];

  constructor(rules: ExportRules, volume: VolumeOperations) {
    this.id = idOf(`export ${rules.path}`);
    this.rules = rules;
    this.volume = volume;
    // There from the start: clients come back with handles before anybody mounts again.
    volume.rootAt(rules.prefix);
    this.#allowed = rules.allow.map((cidr) =>
      ipaddr.parseCIDR(cidr.includes('/') ? cidr : `${cidr}/${cidr.includes(':') ? 128 : 32}`),
    );
  }

  admits(address: string): boolean {
    if (this.#allowed.length === 0) return true;
    if (!ipaddr.isValid(address)) return false;
    const caller = ipaddr.process(address);
    return this.#allowed.some(
      ([network, bits]) => network.kind() === caller.kind() && caller.match(network, bits),
    );
  }

  /** The caller as this export sees them. */
  squash(caller: Caller): Caller {
    const { squash, anonymousUid, anonymousGid } = this.rules;
    if (squash === 'all' || (squash === 'root' && caller.uid === 0)) {
      return { ...caller, uid: anonymousUid, gid: anonymousGid, gids: [] };
    }
    if (squash === 'root') return { ...caller, gids: caller.gids.filter((gid) => gid !== 0) };
    return caller;
  }

  /** A node's attributes, with this export's defaults where the object says nothing. */
  attributes(node: FsNode): Attributes {
    const { uid, gid, fileMode, directoryMode } = this.rules;
    const common = {
      uid: node.uid ?? uid,
      gid: node.gid ?? gid,
      fsid: this.id,
      fileid: node.id,
      atimeNs: node.atimeNs,
      mtimeNs: node.mtimeNs,
      ctimeNs: node.ctimeNs,
    };
    if (node.kind === 'directory') {
      return {
        ...common,
        type: 'directory',
        mode: node.mode ?? directoryMode,
        nlink: 2,
        size: DIRECTORY_BYTES,
        used: DIRECTORY_BYTES,
      };
    }
    const mode = node.type === 'symlink' ? 0o777 : (node.mode ?? fileMode);
    return { ...common, type: node.type, mode, nlink: 1, size: node.size, used: node.size };
  }
}

/** What `ls` shows for a directory: the block that other file systems would use. */
export const DIRECTORY_BYTES = 4096;

/** A stable 62-bit number of a text, never 0 to 15. */
export function idOf(text: string): bigint {
  const hash = createHash('sha256').update(text).digest().readBigUInt64BE();
  return ((hash >> 2n) | 16n) & 0x3fffffffffffffffn;
}
