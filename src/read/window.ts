/**
 * The window policy of one object: from the READs seen so far, which bytes to fetch next. Pure: it knows neither store nor
 * memory; whoever asks subtracts what it already has.
 *
 * READs are sorted into streams (stream.ts). A READ belongs to the stream whose position it is nearest to, as long as it could be a
 * neighbour that was overtaken on its way. A stream is sequential once a few READs have covered at least half of the span they lie in:
 *
 *   - its window is four times what was read, so that it grows fivefold with each window read, and no more than four times of what is used
 *     is fetched in vain; up to what reaches the rate one client takes, or the stream's share of memory;
 *   - the window is fetched in parts (parts.ts);
 *   - where files are read on as a rule (beginnings.ts), a READ at a file's start begins with a window of some MiB.
 *
 * READs of one length at equal distances are a stream, too (strides.ts): its next pieces are fetched, one more with each READ. Any other
 * READ begins a stream, and only what it asked for is fetched; at the start of the file somewhat more, for most readers go on from there.
 *
 * A stream that isn't read while another one goes on was abandoned: its reader has gone there.
 */
import type { Beginnings } from './beginnings.js';
import type { ReadOptions, ReadPolicy } from './options.js';
import { Parts, sharesOf, type GetsWanted } from './parts.js';
import { lengthOf, type Span } from './span.js';
import { REORDERED_READS, Stream } from './stream.js';
import { Strides } from './strides.js';

/** Runs of pieces followed in one object. */
const STRIDED_MAX = 4;

/** A stream isn't abandoned before it has been silent for so long, and for so many of its usual pauses. */
const SILENT_MS = 100;
const SILENT_GAPS = 8;

/** What a READ meets. */
export interface Conditions {
  /** This stream's share of memory now. */
  readonly windowBytesMax: number;
  /** Bytes of the READ are neither there nor under way. */
  readonly missing: boolean;
  readonly wanted: GetsWanted;
  /** Default: that of the options. */
  readonly policy?: ReadPolicy;
}

export interface Plan {
  readonly stream: Stream;
  /** What to fetch for the READ, one GET each, adjacent; nothing when nothing is missing. Wider than the READ if there is memory for more. */
  readonly demand: readonly Span[];
  /** The demand is for this READ alone: one GET may fetch it together with its neighbours'. */
  readonly alone: boolean;
  /** What to fetch then, in order, as long as there is memory. Parts of it may have been fetched. */
  readonly ahead: readonly Span[];
  /** Streams that ended by this READ. */
  readonly dropped: readonly Stream[];
  /** Streams whose reader has gone elsewhere: what is on its way for them isn't wanted. */
  readonly abandoned: readonly Stream[];
}

export class Window {
  readonly #size: number;
  readonly #options: ReadOptions;
  readonly #beginnings: Beginnings | undefined;
  /** In order of use. */
  readonly #streams: Stream[] = [];
  readonly #strides = new Strides();
  #reads = 0;

  /** `size`: bytes of the object. `beginnings`: what is known of other files. */
  constructor(size: number, options: ReadOptions, beginnings?: Beginnings) {
    this.#size = size;
    this.#options = options;
    this.#beginnings = beginnings;
  }

  get streams(): readonly Stream[] {
    return this.#streams;
  }

  /**
   * Streams that have bytes left to read ahead: those that share the memory for it. One that has come to the end has none, whatever of it is to be
   * fetched again.
   */
  get sequentialStreams(): number {
    let streams = 0;
    for (const stream of this.#streams) {
      const hasMore = Math.max(stream.ahead, stream.next) < this.#size;
      if (stream.sequential && !stream.abandoned && hasMore) streams += 1;
    }
    return streams;
  }

  /** One reader at most is on its way through the object, as far as its READs tell. */
  get hasOneReader(): boolean {
    let readers = 0;
    for (const stream of this.#streams)
      if (stream.sequential && !stream.abandoned && stream.next < this.#size)
        readers += stream.shared ? 2 : 1;
    return readers <= 1;
  }

  /** A READ of `read`, within the object and not empty. */
  observe(read: Span, conditions: Conditions): Plan {
    const { missing, policy = this.#options.policy } = conditions;
    const dropped: Stream[] = [];
    const stream = this.#follow(read, dropped);
    const abandoned = this.#abandonedFor(stream);
    if (read.start === 0 && this.#size > this.#options.smallFileBytes) this.#beginnings?.began(this);
    if (stream.start === 0 && 2 * stream.covered >= Math.min(this.#options.beginningBytes, this.#size))
      this.#beginnings?.wentOn(this);
    // Readahead was lost to memory pressure or an error: begin again from here.
    if (missing) stream.ahead = Math.min(stream.ahead, Math.max(read.start, stream.start));
    if (stream.stride !== undefined && policy === 'adaptive') {
      const demand = missing ? [this.#pages(read)] : [];
      const ahead = this.#piecesOf(stream, conditions);
      return { stream, demand, alone: true, ahead, dropped, abandoned };
    }
    const { parts, windowBytes } = this.#partsOf(stream, conditions);
    const demand = missing ? this.#demandOf(read, parts, policy, windowBytes) : [];
    const from = Math.max(stream.ahead, demand.at(-1)?.end ?? read.end);
    const ahead = parts.bytes === 0 ? [] : this.#aheadOf(from, stream.next + windowBytes, parts);
    return { stream, demand, alone: parts.bytes === 0, ahead, dropped, abandoned };
  }

  /** What to fetch for a stream without another READ of it: there was no room for all of its plan, and now there is more. */
  onward(stream: Stream, conditions: Omit<Conditions, 'missing'>): readonly Span[] {
    if (stream.dropped || stream.abandoned || stream.stride !== undefined) return [];
    const { parts, windowBytes } = this.#partsOf(stream, conditions);
    return parts.bytes === 0 ? [] : this.#aheadOf(stream.ahead, stream.next + windowBytes, parts);
  }

  /** Fetches of this stream were started up to `end`. */
  started(stream: Stream, end: number): void {
    stream.ahead = Math.max(stream.ahead, end);
  }

  /** Drops the streams that weren't read since `beforeMs`, and returns them. */
  expire(beforeMs: number): readonly Stream[] {
    const idle = this.#streams.filter((stream) => stream.usedMs < beforeMs);
    for (const stream of idle) this.#drop(stream);
    return idle;
  }

  /** Bytes to have fetched beyond the stream's position, of `most`; 0 while it isn't sequential. */
  windowOf(stream: Stream, most: number, policy: ReadPolicy = this.#options.policy): number {
    if (policy === 'random') return 0;
    if (policy === 'sequential') return most;
    const { windowBytesMin, beginningBytes } = this.#options;
    const readOn = stream.start === 0 && this.#beginnings?.likely === true ? beginningBytes : 0;
    if (readOn === 0 && !stream.sequential) return 0;
    return Math.min(Math.max(4 * stream.covered, readOn, windowBytesMin), most);
  }

  #partsOf(
    stream: Stream,
    conditions: Omit<Conditions, 'missing'>,
  ): { readonly parts: Parts; readonly windowBytes: number } {
    const { wanted, policy = this.#options.policy } = conditions;
    const most = this.#mostOf(conditions);
    const windowBytes = this.windowOf(stream, most, policy);
    return {
      parts: new Parts(windowBytes, windowBytes < most, wanted, this.#size, this.#options),
      windowBytes,
    };
  }

  #mostOf({ windowBytesMax, wanted }: Pick<Conditions, 'windowBytesMax' | 'wanted'>): number {
    const { windowBytesMax: usual, partBytesMax } = this.#options;
    return Math.min(windowBytesMax, Math.max(usual, sharesOf(wanted) * partBytesMax));
  }

  /** The stream this READ belongs to, moved on by it; put last in the order of use. */
  #follow(read: Span, dropped: Stream[]): Stream {
    const nowMs = this.#options.now();
    const at = ++this.#reads;
    const near = this.#nearest(read);
    if (near?.sequential !== true) {
      const run = this.#strides.find(read);
      if (run !== undefined) {
        const strided = new Stream(read, nowMs, at, run);
        strided.start = run.start;
        strided.next = run.end;
        strided.ahead = run.end;
        return this.#add(strided, dropped);
      }
    }
    if (near !== undefined) {
      this.#streams.splice(this.#streams.indexOf(near), 1);
      if (near.advance(read, nowMs, at)) {
        this.#streams.push(near);
        return near;
      }
      near.dropped = true;
      dropped.push(near);
    }
    return this.#add(new Stream(read, nowMs, at), dropped);
  }

  /** Runs of pieces have places of their own: many streams that begin at equal distances look like one at first. */
  #add(stream: Stream, dropped: Stream[]): Stream {
    this.#streams.push(stream);
    const strided = stream.stride !== undefined;
    const alike = this.#streams.filter(({ stride }) => (stride !== undefined) === strided);
    const [oldest] = alike;
    if (oldest !== undefined && alike.length > (strided ? STRIDED_MAX : this.#options.streamsMax)) {
      this.#drop(oldest);
      dropped.push(oldest);
    }
    return stream;
  }

  /** What lies on the way of a sequential stream is its own, also where it happens to lie at equal distances. */
  #nearest(read: Span): Stream | undefined {
    let best: Stream | undefined;
    let bestDistance = Infinity;
    let bestRank = 0;
    for (const stream of this.#streams) {
      const distance = stream.distance(read);
      if (distance === undefined) continue;
      const rank = stream.stride === undefined && stream.sequential ? 1 : 0;
      if (rank < bestRank || (rank === bestRank && distance >= bestDistance)) continue;
      best = stream;
      bestDistance = distance;
      bestRank = rank;
    }
    return best;
  }

  #drop(stream: Stream): void {
    stream.dropped = true;
    this.#streams.splice(this.#streams.indexOf(stream), 1);
    if (stream.start === 0) this.#beginnings?.ended(this);
  }

  /** Streams with something on its way that were silent while this one had 16 READs. Looked at with every 16th. */
  #abandonedFor(stream: Stream): Stream[] {
    if (stream.reads % REORDERED_READS !== 0) return [];
    const { sixteenAt, usedMs } = stream;
    stream.sixteenAt = stream.usedAt;
    const abandoned = this.#streams.filter((other) => {
      const silentMs = usedMs - other.usedMs;
      const silent = other.usedAt < sixteenAt && silentMs > Math.max(SILENT_MS, SILENT_GAPS * other.gapMs);
      return silent && other.ahead > other.next;
    });
    for (const other of abandoned) {
      other.abandoned = true;
      other.ahead = other.next;
    }
    return abandoned;
  }

  #demandOf(read: Span, parts: Parts, policy: ReadPolicy, windowBytes: number): Span[] {
    const { smallFileBytes, windowBytesMin } = this.#options;
    const pages = this.#pages(read);
    if (policy === 'random') return [pages];
    if (read.start === 0 && this.#size <= smallFileBytes) return [{ start: 0, end: this.#size }];
    if (read.start === 0 && windowBytes === 0)
      return [{ start: 0, end: Math.max(pages.end, Math.min(windowBytesMin, this.#size)) }];
    if (parts.bytes === 0) return [pages];
    const spans: Span[] = [];
    for (let from = pages.start; from < pages.end;) {
      const end = parts.end(from);
      spans.push({ start: from, end });
      from = end;
    }
    return spans;
  }

  #aheadOf(start: number, most: number, parts: Parts): Span[] {
    const spans: Span[] = [];
    for (let from = start; from < this.#size;) {
      const end = parts.end(from);
      if (end > most) break;
      spans.push({ start: from, end });
      from = end;
    }
    return spans;
  }

  /** As many pieces as READs have met the run, and as there are GETs wanted and memory for. */
  #piecesOf(stream: Stream, { windowBytesMax, wanted }: Conditions): Span[] {
    if (stream.stride === undefined) return [];
    const { every, bytes } = stream.stride;
    const pieces = Math.min(stream.reads, wanted.gets, Math.floor(windowBytesMax / bytes));
    const end = Math.min(stream.next + pieces * every, this.#size);
    const spans: Span[] = [];
    for (const piece of stream.pieces(end)) if (lengthOf(piece) > 0) spans.push(this.#pages(piece));
    return spans;
  }

  /** Whole pages around the bytes. */
  #pages({ start, end }: Span): Span {
    const { alignBytes } = this.#options;
    return {
      start: start - (start % alignBytes),
      end: Math.min(Math.ceil(end / alignBytes) * alignBytes, this.#size),
    };
  }
}
