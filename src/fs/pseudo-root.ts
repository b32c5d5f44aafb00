/** The directories above the exports: `/`, and what lies between it and an export such as `/data/bucket`. Read-only, from memory. */
import { FsError } from './errors.js';
import { DIRECTORY_BYTES, idOf, type Export } from './exports.js';
import type { Attributes } from './file-system.js';

/** Export id of the pseudo directories in handles. */
export const PSEUDO_EXPORT_ID = 0n;

export interface PseudoDirectory {
  readonly id: bigint;
  readonly path: string;
}

/** What a path of the pseudo file system leads to. */
export type PseudoEntry =
  | { readonly kind: 'export'; readonly name: string; readonly found: Export }
  | { readonly kind: 'directory'; readonly name: string; readonly found: PseudoDirectory };

export class PseudoRoot {
  readonly #exports: ReadonlyMap<string, Export>;
  readonly #directories = new Map<string, PseudoDirectory>();
  readonly #byId = new Map<bigint, PseudoDirectory>();
  readonly #startedNs: bigint;

  constructor(exports: readonly Export[], startedNs: bigint) {
    this.#exports = new Map(exports.map((exported) => [exported.rules.path, exported]));
    this.#startedNs = startedNs;
    for (const path of this.#exports.keys()) {
      for (let parent = parentPath(path); ; parent = parentPath(parent)) {
        const directory = { id: idOf(`pseudo ${parent}`), path: parent };
        this.#directories.set(parent, directory);
        this.#byId.set(directory.id, directory);
        if (parent === '/') break;
      }
    }
  }

  byId(id: bigint): PseudoDirectory {
    const found = this.#byId.get(id);
    if (found === undefined)
      throw new FsError('ESTALE', 'no such directory above the exports; they were changed');
    return found;
  }

  get root(): PseudoDirectory {
    return this.byId(idOf('pseudo /'));
  }

  /** The export, or the directory above exports, at a path; with the rest of the path below an export. */
  resolve(
    path: string,
  ): { readonly found: Export | PseudoDirectory; readonly below: readonly string[] } | undefined {
    const segments = path.split('/').filter((segment) => segment !== '');
    for (let length = segments.length; length >= 0; length--) {
      const found = this.#exports.get(`/${segments.slice(0, length).join('/')}`);
      if (found !== undefined) return { found, below: segments.slice(length) };
    }
    const directory = this.#directories.get(`/${segments.join('/')}`);
    return directory === undefined ? undefined : { found: directory, below: [] };
  }

  entries(directory: PseudoDirectory): PseudoEntry[] {
    const children = new Map<string, PseudoEntry>();
    for (const found of this.#directories.values()) {
      if (found.path !== '/' && parentPath(found.path) === directory.path) {
        children.set(baseName(found.path), { kind: 'directory', name: baseName(found.path), found });
      }
    }
    for (const found of this.#exports.values()) {
      if (found.rules.path !== '/' && parentPath(found.rules.path) === directory.path) {
        children.set(baseName(found.rules.path), { kind: 'export', name: baseName(found.rules.path), found });
      }
    }
    return [...children.values()];
  }

  parent(directory: PseudoDirectory): PseudoDirectory {
    return directory.path === '/'
      ? directory
      : (this.#directories.get(parentPath(directory.path)) ?? this.root);
  }

  attributes(directory: PseudoDirectory): Attributes {
    return {
      type: 'directory',
      mode: 0o555,
      nlink: 2,
      uid: 0,
      gid: 0,
      size: DIRECTORY_BYTES,
      used: DIRECTORY_BYTES,
      fsid: idOf('pseudo file system'),
      fileid: directory.id,
      atimeNs: this.#startedNs,
      mtimeNs: this.#startedNs,
      ctimeNs: this.#startedNs,
    };
  }
}

const parentPath = (path: string): string => path.slice(0, Math.max(path.lastIndexOf('/'), 0)) || '/';
const baseName = (path: string): string => path.slice(path.lastIndexOf('/') + 1);
