/** Entries of a directory as READDIR shows them. Handles are sealed together where they are wanted, which only READDIRPLUS does; else when one is asked for. */
import type { Export } from './exports.js';
import type { Attributes, DirectoryEntry, EntryRun, Handle } from './file-system.js';
import type { ScannedRun } from './listed-page.js';
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

/** Runs as an export shows them: each once, for as long as a page is held that it was made of. */
export class ShownRuns {
  readonly #places: Places;
  /** By the export that showed it last: mostly there is one. */
  readonly #shown = new WeakMap<ScannedRun, { readonly exportId: bigint; readonly run: EntryRun }>();

  constructor(places: Places) {
    this.#places = places;
  }

  shown({ id: exportId }: Export, scanned: ScannedRun): EntryRun {
    const known = this.#shown.get(scanned);
    if (known?.exportId === exportId) return known.run;
    const run = new ShownRun(this.#places, exportId, scanned);
    this.#shown.set(scanned, { exportId, run });
    return run;
  }
}

class ShownRun implements EntryRun {
  readonly ids: BigUint64Array;
  readonly names: Buffer;
  readonly nameEnds: Uint32Array;
  readonly #places: Places;
  readonly #exportId: bigint;
  #handles: Buffer | undefined;

  constructor(places: Places, exportId: bigint, { ids, names, nameEnds }: ScannedRun) {
    this.ids = ids;
    this.names = names;
    this.nameEnds = nameEnds;
    this.#places = places;
    this.#exportId = exportId;
  }

  /** Made where they are wanted, which only READDIRPLUS does. */
  get handles(): Buffer {
    return (this.#handles ??= this.#places.sealAll(this.#exportId, this.ids));
  }
}
