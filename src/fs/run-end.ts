/**
 * Where a run of a listing (listing-walk.ts) is to end. Its last page is full only by chance, and what is missing is what the split costs: the guess is
 * aimed a little before the end of a page, so that it rarely runs over into one more, and the less it is worth the more pages share the cost.
 */
import type { NamesAhead } from './name-spread.js';

/** S3's pages. */
const PAGE_ENTRIES = 1000;
/** Pages of a run: the less it is known where it ends, the more of them bear what that costs. */
const RUN_PAGES_MIN = 4;
const RUN_PAGES_USUAL = 8;
const RUN_PAGES_MAX = 24;
/** Pages that were listed before runs have their usual length. */
const MANY_PAGES = 16;
/** Of a run's pages, what its end may be expected to cost. */
const RUN_WASTE_SHARE = 0.013;
/** What it costs by running a little over, on an average. */
const ERROR_BEYOND_MARGIN = 0.07;
/** Of the errors a guess is likely to have, so many are kept from the end of a run's last page. */
const MARGIN_ERRORS = 1.5;
/** Whether a directory hides the last entry of a page is told by what follows: without an entry to spare each run would take one more LIST. */
const MARGIN_ENTRIES_MIN = 2;

/** The name that it is to end with, and its pages; undefined where the names don't tell. */
export function runEnd(
  ahead: NamesAhead,
  listedPages: number,
): { readonly name: string; readonly pages: number } | undefined {
  const isEarly = listedPages < MANY_PAGES;
  for (let pages = isEarly ? RUN_PAGES_MIN : RUN_PAGES_USUAL; ; pages += RUN_PAGES_MIN) {
    const entries = pages * PAGE_ENTRIES;
    const about = ahead(entries);
    if (about === undefined) return undefined;
    const margin = Math.min(about.errorEntries * MARGIN_ERRORS, entries / 4);
    const isCheap = margin / PAGE_ENTRIES + ERROR_BEYOND_MARGIN <= pages * RUN_WASTE_SHARE;
    if (!isCheap && pages < RUN_PAGES_MAX && !isEarly) continue;
    const found = ahead(Math.round(entries - Math.max(MARGIN_ENTRIES_MIN, margin)));
    return found && { name: found.name, pages };
  }
}
