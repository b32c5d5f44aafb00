/** LOOKUP and READDIR in the directories above the exports, and the entries `.` and `..` of every directory. */
import { FsError } from './errors.js';
import { Export } from './exports.js';
import type * as Fs from './file-system.js';
import type { Places } from './places.js';
import { PSEUDO_EXPORT_ID, type PseudoDirectory, type PseudoRoot } from './pseudo-root.js';

/** Cookies of `.` and `..`. */
const DOT_COOKIE = 1n;
export const DOT_DOT_COOKIE = 2n;

export class PseudoDirectories {
  readonly #pseudo: PseudoRoot;
  readonly #places: Places;

  constructor(pseudo: PseudoRoot, places: Places) {
    this.#pseudo = pseudo;
    this.#places = places;
  }

  async lookup(context: Fs.Context, directory: PseudoDirectory, name: Buffer): Promise<Fs.FoundFile> {
    const found = isDot(name)
      ? directory
      : isDotDot(name)
        ? this.#pseudo.parent(directory)
        : this.#pseudo.entries(directory).find((entry) => name.equals(Buffer.from(entry.name, 'utf8')))
            ?.found;
    if (found === undefined) throw new FsError('ENOENT', `no export below "${directory.path}" has this name`);
    if (!(found instanceof Export)) {
      return {
        handle: this.#places.seal(PSEUDO_EXPORT_ID, found.id),
        attributes: this.#pseudo.attributes(found),
      };
    }
    this.#places.requireAdmitted(found, context);
    const root = found.volume.rootAt(found.rules.prefix);
    await found.volume.freshness.directory(root);
    return this.#places.found(found, root);
  }

  readdir(
    context: Fs.Context,
    directory: PseudoDirectory,
    cookie: bigint,
    entriesMax: number,
  ): Fs.DirectoryPage {
    const dots = dotEntries(cookie, directory.id, this.#pseudo.parent(directory).id);
    const visible = this.#pseudo
      .entries(directory)
      .filter((entry) => entry.kind === 'directory' || entry.found.admits(context.caller.address))
      .map((entry) => ({
        fileid: entry.found.id,
        name: Buffer.from(entry.name, 'utf8'),
        cookie: entry.found.id,
      }))
      .sort((a, b) => (a.cookie < b.cookie ? -1 : 1))
      .filter((entry) => entry.cookie > cookie || cookie <= DOT_DOT_COOKIE);
    const all = [...dots, ...visible];
    return {
      entries: all.slice(0, entriesMax),
      end: all.length <= entriesMax,
      attributes: this.#pseudo.attributes(directory),
    };
  }
}

export const isDot = (name: Buffer): boolean => name.length === 1 && name[0] === 0x2e;
export const isDotDot = (name: Buffer): boolean => name.length === 2 && name[0] === 0x2e && name[1] === 0x2e;

export function dotEntries(cookie: bigint, self: bigint, parent: bigint): Fs.DirectoryEntry[] {
  const dots = [
    { fileid: self, name: Buffer.from('.'), cookie: DOT_COOKIE },
    { fileid: parent, name: Buffer.from('..'), cookie: DOT_DOT_COOKIE },
  ];
  return dots.filter((entry) => entry.cookie > cookie);
}
