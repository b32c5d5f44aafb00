/**
 * What the rename of a directory has copied: which version of each key, and which version the copy is. The journal hears of it some hundreds
 * at a time, beside the rename: after a crash a copy is known by its own ETag, and what somebody else put at the new name is not taken for it.
 */
import type { Volume } from './volume.js';

/** Copies that the journal is told of at a time. One that it wasn't told of is compared after a crash. */
const TOLD_AT_A_TIME = 256;

interface Told {
  readonly names: string[];
  /** Of what was copied. */
  readonly etags: string[];
  /** Of the copies; empty where it is the same. */
  readonly copies: string[];
}

export class CopiedKeys {
  readonly #volume: Volume;
  /** Of the rename's intent. */
  readonly #ref: string;
  /** ETags of what has a copy, by its name below the directory. */
  readonly #sources = new Map<string, string>();
  /** ETags of copies that have others. */
  readonly #copies = new Map<string, string>();
  readonly #refs: string[] = [];
  #untold: Told = { names: [], etags: [], copies: [] };

  constructor(volume: Volume, ref: string) {
    this.#volume = volume;
    this.#ref = ref;
  }

  /** What the journal has of an interrupted rename. */
  static of(volume: Volume, ref: string): CopiedKeys {
    const copied = new CopiedKeys(volume, ref);
    for (const [each, intent] of volume.intents.live()) {
      if (intent.kind !== 'copied-keys' || intent.rename !== ref) continue;
      copied.#refs.push(each);
      for (const [at, name] of intent.names.entries()) {
        const etag = intent.etags[at] ?? '';
        copied.#remember(name, etag, intent.copies[at] ?? '');
      }
    }
    return copied;
  }

  /** A name below the directory has a copy. */
  note(name: string, etag: string, copyEtag: string): void {
    const copy = copyEtag === etag ? '' : copyEtag;
    this.#remember(name, etag, copy);
    this.#untold.names.push(name);
    this.#untold.etags.push(etag);
    this.#untold.copies.push(copy);
    if (this.#untold.names.length >= TOLD_AT_A_TIME) this.#tell();
  }

  /** The version that was copied. */
  source(name: string): string | undefined {
    return this.#sources.get(name);
  }

  /** The version that the copy was when it was made. */
  copy(name: string): string | undefined {
    return this.#copies.get(name) ?? this.#sources.get(name);
  }

  names(): IterableIterator<string> {
    return this.#sources.keys();
  }

  /** The rename is over. */
  end(): void {
    for (const ref of this.#refs) this.#volume.intents.end(ref);
  }

  #remember(name: string, etag: string, copy: string): void {
    this.#sources.set(name, etag);
    if (copy === '') this.#copies.delete(name);
    else this.#copies.set(name, copy);
  }

  /** Not waited for: nothing is promised by it. */
  #tell(): void {
    const { intents, name: volume, log } = this.#volume;
    const told = this.#untold;
    this.#untold = { names: [], etags: [], copies: [] };
    const ref = `${this.#ref}:${this.#refs.length}`;
    this.#refs.push(ref);
    intents.put(ref, { kind: 'copied-keys', volume, rename: this.#ref, ...told }).catch((error: unknown) => {
      log.warn(
        { err: error },
        'copies of a directory rename were not journaled: after a crash they are compared',
      );
    });
  }
}
