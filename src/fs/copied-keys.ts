/**
 * The keys that a directory's rename has copied: for each, the ETag of the version that was copied and that of the copy. They are journaled some hundreds
 * at a time while the rename goes on. After a crash a copy is known by its own ETag, and an object that somebody else put at the new name isn't taken for it.
 */
import type { Volume } from './volume.js';

/** Copies in one record of the journal. Those that a crash finds without a record are compared by their bytes. */
const KEYS_A_RECORD = 256;

/** Of several keys, by index. */
interface KeyRecord {
  /** Below the directory. */
  readonly names: string[];
  /** ETags of the versions that were copied. */
  readonly etags: string[];
  /** ETags of the copies; empty where it is the same. */
  readonly copies: string[];
}

export class CopiedKeys {
  readonly #volume: Volume;
  /** The ref of the rename's intent. */
  readonly #ref: string;
  /** ETag of the version that was copied, by name below the directory. */
  readonly #sources = new Map<string, string>();
  /** ETag of the copy, where it has another one than its source. */
  readonly #copies = new Map<string, string>();
  readonly #refs: string[] = [];
  #unjournaled: KeyRecord = { names: [], etags: [], copies: [] };

  constructor(volume: Volume, ref: string) {
    this.#volume = volume;
    this.#ref = ref;
  }

  /** The keys that the journal has of an interrupted rename. */
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

  /** Called when a name below the directory was copied. */
  note(name: string, etag: string, copyEtag: string): void {
    const copy = copyEtag === etag ? '' : copyEtag;
    this.#remember(name, etag, copy);
    this.#unjournaled.names.push(name);
    this.#unjournaled.etags.push(etag);
    this.#unjournaled.copies.push(copy);
    if (this.#unjournaled.names.length >= KEYS_A_RECORD) this.#journal();
  }

  /** ETag of the version that was copied. */
  source(name: string): string | undefined {
    return this.#sources.get(name);
  }

  /** ETag of the copy when it was made. */
  copy(name: string): string | undefined {
    return this.#copies.get(name) ?? this.#sources.get(name);
  }

  names(): IterableIterator<string> {
    return this.#sources.keys();
  }

  /** Called when the rename is over: ends its records. */
  end(): void {
    for (const ref of this.#refs) this.#volume.intents.end(ref);
  }

  #remember(name: string, etag: string, copy: string): void {
    this.#sources.set(name, etag);
    if (copy === '') this.#copies.delete(name);
    else this.#copies.set(name, copy);
  }

  /** Doesn't wait: no promise rests on the record. */
  #journal(): void {
    const { intents, name: volume, log } = this.#volume;
    const record = this.#unjournaled;
    this.#unjournaled = { names: [], etags: [], copies: [] };
    const ref = `${this.#ref}:${this.#refs.length}`;
    this.#refs.push(ref);
    intents
      .put(ref, { kind: 'copied-keys', volume, rename: this.#ref, ...record })
      .catch((error: unknown) => {
        log.warn(
          { err: error },
          'copies of a directory rename were not journaled: after a crash they are compared',
        );
      });
  }
}
