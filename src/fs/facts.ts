/** What the state database remembers of a node, so that a restart finds times, owners and proven attributes again. */
import { DirectoryNode, FileNode, type FsNode } from './node.js';

/** Short keys, because there is one record a file. Times are decimal nanoseconds. */
interface FileFacts {
  readonly k: 'f' | 'l';
  readonly m?: number;
  readonly u?: number;
  readonly g?: number;
  readonly t?: readonly [mtime: string, atime: string, ctime: string];
  readonly v?: readonly [etag: string, size: number, lastModifiedMs: number];
  readonly p?: boolean;
  /** Mode and owner are kept in the state directory, not on the object (`attributesInState`). */
  readonly o?: true;
  readonly x?: string;
  readonly s?: string;
}

interface DirectoryFacts {
  readonly k: 'd';
  readonly m?: number;
  readonly u?: number;
  readonly g?: number;
  readonly t?: readonly [mtime: string, atime: string, ctime: string];
  readonly o?: true;
  readonly v?: readonly [etag: string, lastModifiedMs: number] | null;
}

export type Facts = FileFacts | DirectoryFacts;

/** The kind of node that a record is of; undefined for one that was never seen in the store. */
export function kindOf(facts: unknown): 'file' | 'directory' | undefined {
  const kind = (facts as Facts | undefined)?.k;
  return kind === undefined ? undefined : kind === 'd' ? 'directory' : 'file';
}

/** Attributes that a listing may confirm, of a file. */
export const hasProof = (facts: unknown): boolean => (facts as Partial<FileFacts> | undefined)?.p === true;

const BARE_FILE: Facts = Object.freeze({ k: 'f' });
const BARE_DIRECTORY: Facts = Object.freeze({ k: 'd' });

/** The least that a listing tells. All files share one object, and all directories one: a large listing makes a million records. */
export const bareFacts = (kind: 'file' | 'directory'): Facts =>
  kind === 'directory' ? BARE_DIRECTORY : BARE_FILE;

export function factsOf(node: FsNode): Facts {
  const common = {
    ...(node.mode !== undefined && { m: node.mode }),
    ...(node.uid !== undefined && { u: node.uid }),
    ...(node.gid !== undefined && { g: node.gid }),
    ...(node.attributesInState && { o: true as const }),
    t: timesOf(node),
  };
  if (node.kind === 'directory') {
    const { marker } = node;
    const known = marker === null || marker?.lastModifiedMs !== undefined;
    return {
      k: 'd',
      ...common,
      ...(known &&
        marker !== undefined && {
          v: marker === null ? null : ([marker.etag, marker.lastModifiedMs ?? 0] as const),
        }),
    };
  }
  const { version } = node;
  return {
    k: node.type === 'symlink' ? 'l' : 'f',
    ...common,
    ...(version?.lastModifiedMs !== undefined && {
      v: [version.etag, version.size, version.lastModifiedMs] as const,
    }),
    ...(node.proven && { p: true }),
    ...(node.exclusiveVerifier !== undefined && { x: node.exclusiveVerifier }),
    ...(node.symlinkTarget !== undefined && { s: node.symlinkTarget }),
  };
}

/** Equal times share one string, and one bigint in `nodeFromFacts`: those of most files are equal, and tens of thousands of files are in memory. */
function timesOf({ mtimeNs, atimeNs, ctimeNs }: FsNode): [mtime: string, atime: string, ctime: string] {
  const mtime = String(mtimeNs);
  return [
    mtime,
    atimeNs === mtimeNs ? mtime : String(atimeNs),
    ctimeNs === mtimeNs ? mtime : String(ctimeNs),
  ];
}

/** A node as the database remembers it, to be validated before it is believed. */
export function nodeFromFacts(id: bigint, value: unknown): FsNode {
  const facts = value as Facts;
  const node = facts.k === 'd' ? new DirectoryNode(id) : new FileNode(id);
  node.mode = facts.m;
  node.uid = facts.u;
  node.gid = facts.g;
  node.attributesInState = facts.o === true;
  if (facts.t !== undefined) {
    const [mtime, atime, ctime] = facts.t;
    node.mtimeNs = BigInt(mtime);
    node.atimeNs = atime === mtime ? node.mtimeNs : BigInt(atime);
    node.ctimeNs = ctime === mtime ? node.mtimeNs : BigInt(ctime);
  }
  if (node.kind === 'directory') {
    const marker = (facts as DirectoryFacts).v;
    node.marker = marker == null ? marker : { etag: marker[0], lastModifiedMs: marker[1] };
    return node;
  }
  const file = facts as FileFacts;
  node.type = file.k === 'l' ? 'symlink' : 'file';
  if (file.v !== undefined) {
    node.version = { etag: file.v[0], size: file.v[1], lastModifiedMs: file.v[2] };
    node.size = file.v[1];
  }
  node.proven = file.p === true;
  node.exclusiveVerifier = file.x;
  node.symlinkTarget = file.s;
  return node;
}
