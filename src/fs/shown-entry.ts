/** Entries of a directory as READDIR shows them. Handles are sealed together where they are wanted, which only READDIRPLUS does; else when one is asked for. */
import type { Export } from './exports.js';
import type { Attributes, DirectoryEntry, Handle } from './file-system.js';
import type { Places } from './places.js';
import type { ScannedEntry } from './scan.js';

export function shownEntries(
  places: Places,
  exported: Export,
  entries: readonly ScannedEntry[],
  wanted: 'names' | 'attributes',
): DirectoryEntry[] {
  const handles =
    wanted === 'attributes'
      ? places.sealMany(
          exported.id,
          entries.map(({ id }) => id),
        )
      : undefined;
  return entries.map((entry, at) => {
    const attributes = entry.node && exported.attributes(entry.node);
    return new ShownEntry(places, exported.id, entry, attributes, handles?.[at]);
  });
}

class ShownEntry implements DirectoryEntry {
  readonly fileid: bigint;
  readonly cookie: bigint;
  readonly name: Buffer;
  readonly attributes: Attributes | undefined;
  readonly #places: Places;
  readonly #exportId: bigint;
  #handle: Handle | undefined;

  constructor(
    places: Places,
    exportId: bigint,
    entry: ScannedEntry,
    attributes: Attributes | undefined,
    handle: Handle | undefined,
  ) {
    this.fileid = entry.id;
    this.cookie = entry.cookie;
    this.name = Buffer.from(entry.name, 'utf8');
    this.attributes = attributes;
    this.#places = places;
    this.#exportId = exportId;
    this.#handle = handle;
  }

  get handle(): Handle {
    return (this.#handle ??= this.#places.sealOnce(this.#exportId, this.fileid));
  }
}
