/** A page of a walk (listing-walk.ts), and the memory that it takes: packed while it waits, as objects from when a client reads it. */
import type { HeldPage, PageReadings } from './listed-page.js';
import { bytesOfEntries, PackedEntries, type WaitingPage } from './packed-entries.js';

/** Memory for pages: whatever is taken is given back. */
export interface PageMemory {
  /** For a packed page ahead of the client: only what is free. */
  take(): boolean;
  give(): void;
  /** For a page that a client reads, of so many bytes: others may be asked to give up theirs. Where it is refused the page serves one call. */
  hold(bytes: number): boolean;
  release(bytes: number): void;
}

export interface WalkPage extends WaitingPage {
  readonly isAccounted: boolean;
  /** Held for its entries as objects. */
  heldBytes: number;
  /** What readers made of it, while it is held. */
  readings?: PageReadings;
}

/**
 * The page with its entries as objects. It stays so where there is memory for them, since a client reads a page by several calls; without, it stays packed or, `isKept`
 * being false, is not to be kept.
 */
export function openPage(
  page: WalkPage,
  memory: PageMemory,
  hasEnded: () => boolean,
): { readonly held: HeldPage; readonly isKept: boolean } {
  const { after, more, takenMs } = page;
  const isPacked = page.entries instanceof PackedEntries;
  const entries = page.entries instanceof PackedEntries ? page.entries.unpacked() : page.entries;
  const held: HeldPage = more === undefined ? { after, entries, takenMs } : { after, entries, takenMs, more };
  if (page.heldBytes === 0) {
    const bytes = bytesOfEntries(entries);
    if (!memory.hold(bytes)) return { held, isKept: isPacked };
    // Who was asked to give up pages for this one may have been the same walk.
    if (hasEnded()) {
      memory.release(bytes);
      return { held, isKept: true };
    }
    page.entries = entries;
    page.heldBytes = bytes;
  }
  return { held: { ...held, readings: (page.readings ??= {}) }, isKept: true };
}

export function letGoOf(page: WalkPage, memory: PageMemory): void {
  if (page.isAccounted) memory.give();
  if (page.heldBytes > 0) memory.release(page.heldBytes);
  page.heldBytes = 0;
  delete page.readings;
}
