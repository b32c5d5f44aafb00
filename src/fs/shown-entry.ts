/** An entry of a directory as READDIR shows it. The handle is sealed when it is asked for, which only READDIRPLUS does. */
import type { Attributes, DirectoryEntry, Handle } from './file-system.js';
import type { Places } from './places.js';
import type { ScannedEntry } from './scan.js';

export class ShownEntry implements DirectoryEntry {
  readonly fileid: bigint;
  readonly cookie: bigint;
  readonly name: Buffer;
  readonly attributes: Attributes | undefined;
  readonly #places: Places;
  readonly #exportId: bigint;
  #handle: Handle | undefined;

  constructor(places: Places, exportId: bigint, entry: ScannedEntry, attributes: Attributes | undefined) {
    this.fileid = entry.id;
    this.cookie = entry.cookie;
    this.name = Buffer.from(entry.name, 'utf8');
    this.attributes = attributes;
    this.#places = places;
    this.#exportId = exportId;
  }

  get handle(): Handle {
    return (this.#handle ??= this.#places.sealOnce(this.#exportId, this.fileid));
  }
}
