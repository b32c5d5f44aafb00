/** Exports: which part of which volume is served at which path, to whom, and as whom they act. */
import { createHash } from 'node:crypto';
import ipaddr from 'ipaddr.js';
import type { ReadPolicy } from '../read/options.js';
import { Recent } from '../state/recent.js';
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
  /** What is fetched ahead of its readers. Default: `adaptive`. */
  readonly readPolicy?: ReadPolicy;
  /** A rename that would copy more bytes is refused (EXDEV). Default: none is. */
  readonly renameCopyLimitBytes?: number;
}

/** More than the connections that there are. */
const ADDRESSES_MAX = 4096;

export class Export {
  /** Names the export in handles, and its file system (fsid) to clients: the same for the same path, always. */
  readonly id: bigint;
  readonly rules: ExportRules;
  readonly volume: VolumeOperations;
  readonly #allowed: readonly [ipaddr.IPv4 | ipaddr.IPv6, number][];
  /** What was found of callers' addresses: it is asked with every call. */
  readonly #admitted = new Recent<string, boolean>(ADDRESSES_MAX);

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
    const known = this.#admitted.get(address);
    if (known !== undefined) return known;
    const admitted = this.#matches(address);
    this.#admitted.set(address, admitted);
    return admitted;
  }

  #matches(address: string): boolean {
    if (!ipaddr.isValid(address)) return false;
    const caller = ipaddr.process(address);
    return this.#allowed.some(
      ([network, bits]) => network.kind() === caller.kind() && caller.match(network, bits),
    );
  }

  /** The caller as this export sees them. */
  squash(caller: Caller): Caller {
    const { squash, anonymousUid, anonymousGid } = this.rules;
    const { uid, gid, gids, address } = caller;
    if (squash === 'all' || (squash === 'root' && uid === 0)) {
      return { uid: anonymousUid, gid: anonymousGid, gids: [], address };
    }
    if (squash === 'root' && gids.includes(0))
      return { uid, gid, gids: gids.filter((each) => each !== 0), address };
    return caller;
  }

  /** A node's attributes, with this export's defaults where the object says nothing. */
  attributes(node: FsNode): Attributes {
    const { uid, gid, fileMode, directoryMode } = this.rules;
    const isDirectory = node.kind === 'directory';
    const size = isDirectory ? DIRECTORY_BYTES : node.size;
    // In one literal: two that are joined cost more than all the rest of a GETATTR.
    return {
      type: node.type,
      mode: node.type === 'symlink' ? 0o777 : (node.mode ?? (isDirectory ? directoryMode : fileMode)),
      nlink: isDirectory ? 2 : 1,
      uid: node.uid ?? uid,
      gid: node.gid ?? gid,
      size,
      used: size,
      fsid: this.id,
      fileid: node.id,
      atimeNs: node.atimeNs,
      mtimeNs: node.mtimeNs,
      ctimeNs: node.ctimeNs,
    };
  }
}

/** What `ls` shows for a directory: the block that other file systems would use. */
export const DIRECTORY_BYTES = 4096;

/** A stable 62-bit number of a text, never 0 to 15. */
export function idOf(text: string): bigint {
  const hash = createHash('sha256').update(text).digest().readBigUInt64BE();
  return ((hash >> 2n) | 16n) & 0x3fffffffffffffffn;
}
