/**
 * Filling a READDIR or READDIRPLUS reply: pages of the file system are taken until the reply's byte limits, knowing nothing
 * of what an entry costs except through `cost`.
 */
import { FsError } from '../fs/errors.js';
import type {
  Attributes,
  Context,
  DirectoryEntry,
  DirectoryPage,
  FileSystem,
  Handle,
} from '../fs/file-system.js';

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
  /** A typical entry's `replyBytes`: how many entries to ask for. */
  readonly entryBytesTypical: number;
}

export interface DirectoryReply {
  readonly entries: readonly DirectoryEntry[];
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
  const taken: DirectoryEntry[] = [];
  let replyBytes = 0;
  let directoryBytes = 0;
  let resumeCookie = cookie;
  for (;;) {
    const entriesMax = entriesToAsk(limits, replyBytes);
    const page = await fs.readdir(context, directory, resumeCookie, entriesMax, limits.wanted);
    for (const entry of page.entries) {
      const cost = limits.cost(entry);
      replyBytes += cost.replyBytes;
      directoryBytes += cost.directoryBytes;
      if (replyBytes > limits.replyBytes) {
        if (taken.length > 0) return { entries: taken, eof: false, attributes: page.attributes };
        throw tooSmall(cost.replyBytes, limits);
      }
      if (directoryBytes > limits.directoryBytes && taken.length > 0) {
        return { entries: taken, eof: false, attributes: page.attributes };
      }
      taken.push(entry);
      resumeCookie = entry.cookie;
    }
    if (page.end) return { entries: taken, eof: true, attributes: page.attributes };
    checkProgress(page, resumeCookie);
    // Half a reply is worth sending; less is worth another page, which mostly comes from memory.
    if (replyBytes * 2 >= limits.replyBytes || directoryBytes * 2 >= limits.directoryBytes) {
      return { entries: taken, eof: false, attributes: page.attributes };
    }
  }
}

function tooSmall(entryBytes: number, { replyBytes }: ReplyLimits): FsError {
  return new FsError('ETOOSMALL', `expected room for an entry of ${entryBytes} bytes, got ${replyBytes}`);
}

function entriesToAsk(limits: ReplyLimits, replyBytes: number): number {
  const entries = Math.ceil((limits.replyBytes - replyBytes) / limits.entryBytesTypical);
  return Math.min(Math.max(entries, 1), PAGE_ENTRIES_MAX);
}

function checkProgress(page: DirectoryPage, cookie: bigint): void {
  if (page.entries.length === 0) {
    throw new FsError('EFAULT', `expected an entry after cookie ${cookie} or the end, got an empty page`);
  }
}

/** Bytes of an opaque with its length and padding (RFC 4506 4.10). */
export const opaqueBytes = (length: number): number => 4 + ((length + 3) & ~3);
