/** What a write session works with, wired: the file's parts in memory and spool, who reads them, the upload they go to, and what is promised of them. */
import { ContentSource } from './content-source.js';
import { Durability } from './durability.js';
import { FileContent } from './file-content.js';
import { FileUpload } from './file-upload.js';
import type { OnePutParts } from './one-put.js';
import { createPartMap, PARTS_MAX } from './part-map.js';
import { partsUnderWay, WRITE_OPTIONS_DEFAULT, type WriteSessionOptions } from './session-options.js';

/** How a file is cut into parts. */
export interface Cut {
  readonly partBytes: number;
  readonly partsMax: number;
}

export interface SessionParts {
  readonly content: FileContent;
  readonly source: ContentSource;
  readonly upload: FileUpload;
  readonly onePut: OnePutParts;
  /** Largest file, in bytes. */
  readonly sizeMax: number;
  readonly durability: Durability | undefined;
}

/** `cut`: of an earlier run. `signal` ends what is under way. */
export function makeSessionParts(
  options: WriteSessionOptions,
  cut: Cut | undefined,
  signal: AbortSignal,
): SessionParts {
  const { store, budget, spool, log, durable } = options;
  const settings = { ...WRITE_OPTIONS_DEFAULT, ...options.options };
  const spiller = spool.spillerOf(budget);
  const least = Math.min(settings.partBytes, spiller.stagingBytesMax);
  const { partBytes, partsMax } = cut ?? {
    partBytes: Math.max(least, store.capabilities.partBytesMin),
    partsMax: Math.min(PARTS_MAX, store.capabilities.partsMax),
  };
  const partMap = createPartMap(partBytes, partsMax);
  const content = new FileContent({
    partMap,
    budget,
    spool,
    spiller,
    chunkBytesMax: settings.chunkBytesMax,
    base: options.base,
  });
  const source = new ContentSource({
    content,
    spiller,
    readBase: options.readBase,
    heldBase: options.heldBase,
    store,
  });
  const putBytesMax = Math.min(settings.putBytesMax, spiller.stagingBytesMax);
  const onePut = { store, spiller, content, source, bytesMax: putBytesMax, onPut: options.onPut };
  const upload: FileUpload = new FileUpload({
    place: { store, journal: options.uploads, log },
    spiller,
    content,
    source,
    target: options.target,
    parallel: partsUnderWay(settings, budget.wholeBytes, partBytes),
    copyBytesMax: Math.min(settings.copyPartBytesMax, store.capabilities.partBytesMax),
    signal,
    isPromised: (start) => durability?.isPromised(start) ?? false,
  });
  const { extentsMax } = settings;
  const durability =
    durable &&
    new Durability({ content, source, upload: () => upload, ...durable, partBytes, partsMax, extentsMax });
  return {
    content,
    source,
    upload,
    onePut,
    sizeMax: Math.max(partMap.fileBytesMax, putBytesMax),
    durability,
  };
}
