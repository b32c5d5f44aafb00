/**
 * How the names of a directory spread, and from that a name that lies about so many entries ahead: where a listing can be taken up by a second
 * LIST. Pure; the answer is a guess, and whoever splits there may be wrong by any amount.
 *
 * A name is read as a number whose places have the characters seen there for digits: of `img-0417.jpg` the letters stay, and the
 * places of the number count from 0 to 9 though a page may have shown but a few of them. The entries of the pages seen last, over the distance
 * between their first and last names, are the density that is carried on.
 */

/** Entries of a listing that follow one another, by the names of the first and the last. */
export interface Stretch {
  readonly first: string;
  readonly last: string;
  readonly count: number;
}

/** Some names of a page in order, its first and its last among them. */
export interface SeenPage extends Stretch {
  readonly names: readonly string[];
}

export interface Guess {
  readonly name: string;
  /** How far from what was asked for it may well be, in entries. */
  readonly errorEntries: number;
}

/** Places behind what all names share that make a difference: 10 places of decimals tell 10^10 names apart. */
const PLACES_MAX = 12;
/** Characters that stand for each other in numbers and words: who shows one of a kind may show all. */
const KINDS = ['0123456789', '0123456789abcdef', '0123456789ABCDEF'] as const;
const WORDS = ['0123456789', 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'] as const;

/** One place's digits, lowest first; '' is the end of a name, which sorts before all. */
type Digits = readonly string[];

/** A name about so many entries ahead; undefined where it would be behind all names of their like. */
export type NamesAhead = (entries: number) => Guess | undefined;

/**
 * Guesses of names behind `from`, which is at or behind the last of the pages; undefined where the names don't tell. The pages are in order, and
 * at least two.
 */
export function namesAhead(pages: readonly SeenPage[], from: string): NamesAhead | undefined {
  const places = placesOf(pages, from);
  if (places === undefined) return undefined;
  let span = 0n;
  let count = 0;
  const spans: number[] = [];
  for (const page of pages) {
    if (page.count < 2) continue;
    const own = valueOf(page.last, places) - valueOf(page.first, places);
    if (own <= 0n) return undefined;
    span += own;
    count += page.count - 1;
    spans.push(Number(own) / (page.count - 1));
  }
  if (spans.length < 2) return undefined;
  const start = valueOf(from, places);
  const pageEntries = count / spans.length;
  const varies = variation(spans);
  return (entries) => {
    const name = nameOf(start + (span * BigInt(entries)) / BigInt(count), places);
    if (name === undefined) return undefined;
    const ahead = entries / pageEntries;
    // Of the pages that are skipped, and of the density that was found from so few.
    return { name, errorEntries: varies * pageEntries * Math.sqrt(ahead + ahead ** 2 / spans.length) };
  };
}

/** Standard deviation in multiples of the mean. */
function variation(values: readonly number[]): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return Math.sqrt(squares / (values.length - 1)) / mean;
}

/** The digits of each place that counts; undefined where all names are one. */
function placesOf(pages: readonly SeenPage[], from: string): readonly Digits[] | undefined {
  const names = pages.flatMap((page) => page.names.map((name) => [...name]));
  const start = [...from];
  const [sample = []] = names;
  let shared = 0;
  const isShared = (at: number): boolean =>
    at < sample.length && names.every((name) => name[at] === sample[at]) && start[at] === sample[at];
  while (isShared(shared)) shared++;
  const varying = new Set(names.flatMap((name) => name.slice(shared)));
  if (varying.size === 0) return undefined;
  const kind = KINDS.find((each) => [...varying].every((char) => each.includes(char) || !isWordly(char)));
  const alike = (char: string): string =>
    kind?.includes(char) === true ? kind : (WORDS.find((word) => word.includes(char)) ?? char);
  const length = Math.min(shared + PLACES_MAX, Math.max(...names.map((name) => name.length)));
  return Array.from({ length }, (_, at): Digits => {
    if (at < shared) {
      const own = sample[at] ?? '';
      // What all names share may be the higher places of a number.
      return [...(kind?.includes(own) === true ? kind : own)];
    }
    const seen = new Set<string>();
    let turns = 0;
    let before = '';
    for (const name of names) {
      const char = name[at] ?? '';
      if (char < before) turns++;
      before = char;
      seen.add(char);
    }
    // A place that has gone through its characters several times has shown all of them.
    if (turns < 3)
      for (const char of [...seen]) for (const other of char === '' ? '' : alike(char)) seen.add(other);
    return [...seen].sort(byCodePoint);
  });
}

const isWordly = (char: string): boolean => WORDS.some((word) => word.includes(char));

const byCodePoint = (a: string, b: string): number => (a.codePointAt(0) ?? -1) - (b.codePointAt(0) ?? -1);

function valueOf(name: string, places: readonly Digits[]): bigint {
  const chars = [...name];
  let value = 0n;
  for (const [at, digits] of places.entries()) {
    const char = chars[at] ?? '';
    let digit = digits.indexOf(char);
    if (digit === -1) {
      // Between two of them: as the lower one.
      digit = Math.max(0, digits.findIndex((each) => byCodePoint(each, char) > 0) - 1);
      if (byCodePoint(digits.at(-1) ?? '', char) < 0) digit = digits.length - 1;
    }
    value = value * BigInt(digits.length) + BigInt(digit);
  }
  return value;
}

/** Undefined beyond the greatest of its places. */
function nameOf(value: bigint, places: readonly Digits[]): string | undefined {
  let rest = value;
  const chars: string[] = [];
  for (const digits of [...places].reverse()) {
    const radix = BigInt(digits.length);
    chars.push(digits[Number(rest % radix)] ?? '');
    rest /= radix;
  }
  if (rest > 0n) return undefined;
  chars.reverse();
  const end = chars.indexOf('');
  return (end === -1 ? chars : chars.slice(0, end)).join('');
}
