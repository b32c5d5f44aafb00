/**
 * Filling a READDIR or READDIRPLUS reply: pages of the file system are taken until the reply's byte limits, knowing nothing
 * of what an entry costs except through `cost`.
 */
import type { EncodedEntries } from '../../protocol/nfs3/directory-list.js';
import { FsError } from '../fs/errors.js';
import type {
  Attributes,
  Context,
  DirectoryEntry,
  DirectoryPage,
  EntryRun,
  FileSystem,
  Handle,
} from '../fs/file-system.js';
import type { RunEncoder } from './encoded-run.js';

/** Zero, for ever: cookies stay good whatever happens to the directory, so there is nothing to verify (RFC 1813 3.3.16). */
export const COOKIE_VERIFIER = Buffer.alloc(8);

/** A page is asked for with this many entries at most, so that one call doesn't hold the event loop. */
const PAGE_ENTRIES_MAX = 2048;

export interface ReplyLimits {
  /** Bytes that the entries may take in the reply. At least one entry fits, or the call fails with ETOOSMALL. */
  readonly replyBytes: number;
  /** Bytes of names, cookies and fileids. Only ever a reason to stop after the first entry. */
  readonly directoryBytes: number;
  /** What one entry adds to each. */
  readonly cost: (entry: DirectoryEntry) => { readonly replyBytes: number; readonly directoryBytes: number };
  /** What the reply has of entries. */
  readonly wanted: 'names' | 'attributes';
  /** Makes of runs what the reply has of them. */
  readonly encoder: RunEncoder;
  /** A typical entry's `replyBytes`: how many entries to ask for. */
  readonly entryBytesTypical: number;
}

export interface DirectoryReply {
  readonly entries: readonly DirectoryEntry[];
  /** Those of them that are encoded already. */
  readonly encoded: readonly EncodedEntries[];
  readonly eof: boolean;
  readonly attributes: Attributes | undefined;
}

/** Entries after `cookie` that fit the limits. `eof` only when the directory's last entry is among them. */
export async function directoryReply(
  fs: FileSystem,
  context: Context,
  directory: Handle,
  cookie: bigint,
  limits: ReplyLimits,
): Promise<DirectoryReply> {
  if (limits.replyBytes < 0) throw tooSmall(0, limits);
  const filling = new Filling(limits);
  let resumeCookie = cookie;
  for (;;) {
    const entriesMax = entriesToAsk(limits, filling.replyBytes);
    const page = await fs.readdir(context, directory, resumeCookie, entriesMax, limits.wanted, 'runs');
    const last = filling.add(page);
    if (last === 'full') return filling.reply(false, page.attributes);
    if (page.end) return filling.reply(true, page.attributes);
    resumeCookie = last ?? resumeCookie;
    if (last === undefined) throw noProgress(resumeCookie);
    // Half a reply is worth sending; less is worth another page, which mostly comes from memory.
    if (filling.isHalfFull) return filling.reply(false, page.attributes);
  }
}

/** What a reply has so far. */
class Filling {
  readonly #limits: ReplyLimits;
  readonly #entries: DirectoryEntry[] = [];
  readonly #encoded: EncodedEntries[] = [];
  replyBytes = 0;
  #directoryBytes = 0;

  constructor(limits: ReplyLimits) {
    this.#limits = limits;
  }

  get isHalfFull(): boolean {
    const { replyBytes, directoryBytes } = this.#limits;
    return this.replyBytes * 2 >= replyBytes || this.#directoryBytes * 2 >= directoryBytes;
  }

  reply(eof: boolean, attributes: Attributes | undefined): DirectoryReply {
    return { entries: this.#entries, encoded: this.#encoded, eof, attributes };
  }

  /** Takes what fits. Returns the last one's cookie, undefined where there is none; 'full' when some were left. Fails with ETOOSMALL if the first doesn't fit. */
  add({ entries, more }: DirectoryPage): bigint | 'full' | undefined {
    let cookie: bigint | undefined;
    for (const entry of entries) {
      const cost = this.#limits.cost(entry);
      if (!this.#takes(cost.replyBytes, cost.directoryBytes)) return 'full';
      this.#entries.push(entry);
      ({ cookie } = entry);
    }
    return more === undefined ? cookie : (this.#addRun(more.run, more.from) ?? cookie);
  }

  #addRun(run: EntryRun, from: number): bigint | 'full' | undefined {
    const { bytes, starts, directoryStarts } = this.#limits.encoder.encoded(run);
    const count = run.ids.length;
    const sizeAt = (sums: Uint32Array, at: number): number => (sums[at + 1] ?? 0) - (sums[at] ?? 0);
    let to = from;
    while (to < count && this.#takes(sizeAt(starts, to), sizeAt(directoryStarts, to))) to++;
    if (to > from)
      this.#encoded.push({ before: this.#entries.length, bytes: bytes.subarray(starts[from], starts[to]) });
    if (to < count) return 'full';
    return to > from ? run.ids[to - 1] : undefined;
  }

  /** Whether an entry fits, which is counted then. */
  #takes(replyBytes: number, directoryBytes: number): boolean {
    const isFirst = this.replyBytes === 0;
    const limits = this.#limits;
    if (this.replyBytes + replyBytes > limits.replyBytes) {
      if (isFirst) throw tooSmall(replyBytes, limits);
      return false;
    }
    if (this.#directoryBytes + directoryBytes > limits.directoryBytes && !isFirst) return false;
    this.replyBytes += replyBytes;
    this.#directoryBytes += directoryBytes;
    return true;
  }
}

function tooSmall(entryBytes: number, { replyBytes }: ReplyLimits): FsError {
  return new FsError('ETOOSMALL', `expected room for an entry of ${entryBytes} bytes, got ${replyBytes}`);
}

function entriesToAsk(limits: ReplyLimits, replyBytes: number): number {
  const entries = Math.ceil((limits.replyBytes - replyBytes) / limits.entryBytesTypical);
  return Math.min(Math.max(entries, 1), PAGE_ENTRIES_MAX);
}

const noProgress = (cookie: bigint): FsError =>
  new FsError('EFAULT', `expected an entry after cookie ${cookie} or the end, got an empty page`);
