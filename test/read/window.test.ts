import t from 'tap';
import fc from '../support/fast-check.js';
import { READ_DEFAULTS, type ReadOptions } from '../../src/read/options.js';
import { Beginnings } from '../../src/read/beginnings.js';
import type { GetsWanted } from '../../src/read/parts.js';
import type { Span } from '../../src/read/span.js';
import { Window, type Conditions, type Plan } from '../../src/read/window.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const NO_LIMIT = 64 * MIB;
/** A store on the same machine. */
const NEAR: GetsWanted = { gets: 4, worthBytes: Infinity };
/** 30 ms to the first byte, 8 MB/s a connection. */
const FAR: GetsWanted = { gets: 32, worthBytes: 240_000 };

function options(more: Partial<ReadOptions> = {}): ReadOptions {
  return { ...READ_DEFAULTS, now: () => 0, ...more };
}

function met(more: Partial<Conditions> = {}): Conditions {
  return { windowBytesMax: NO_LIMIT, missing: true, wanted: NEAR, ...more };
}

/** A reader that always has memory: takes every plan, and keeps what was fetched. */
class Fetched {
  readonly window: Window;
  readonly spans: Span[] = [];
  /** Offsets fetched, by page. */
  readonly pages = new Set<number>();

  readonly #size: number;
  readonly #wanted: GetsWanted;

  constructor(size: number, more: Partial<ReadOptions> = {}, wanted = NEAR, beginnings?: Beginnings) {
    this.#size = size;
    this.#wanted = wanted;
    this.window = new Window(size, options(more), beginnings);
  }

  read(start: number, count: number, windowBytesMax = NO_LIMIT): Plan {
    const read = { start, end: Math.min(start + count, this.#size) };
    const missing = !this.has(read);
    const plan = this.window.observe(read, { windowBytesMax, missing, wanted: this.#wanted });
    for (const span of [...plan.demand, ...plan.ahead]) {
      if (!this.#isMissing(span)) continue;
      this.spans.push(span);
      for (let at = span.start; at < span.end; at += 4 * KIB) this.pages.add(Math.floor(at / (4 * KIB)));
      this.window.started(plan.stream, span.end);
    }
    return plan;
  }

  #isMissing(span: Span): boolean {
    for (let at = span.start; at < span.end; at += 4 * KIB)
      if (!this.pages.has(Math.floor(at / (4 * KIB)))) return true;
    return false;
  }

  has(read: Span): boolean {
    for (let at = read.start; at < read.end; at += 4 * KIB) {
      if (!this.pages.has(Math.floor(at / (4 * KIB)))) return false;
    }
    return true;
  }

  get bytes(): number {
    return this.pages.size * 4 * KIB;
  }
}

await t.test(
  'a first READ fetches what it asks for, in pages; at the start of the file a little more',
  async (t) => {
    const one = new Window(100 * MIB, options()).observe({ start: 50 * MIB + 5, end: 50 * MIB + 10 }, met());
    t.same(one.demand, [{ start: 50 * MIB, end: 50 * MIB + 4096 }]);
    t.same(one.ahead, []);
    const first = new Window(100 * MIB, options()).observe({ start: 0, end: 128 * KIB }, met());
    t.same(first.demand, [{ start: 0, end: 512 * KIB }]);
    t.same(first.ahead, []);
  },
);

await t.test('a small file is fetched whole by a READ at its start', async (t) => {
  const plan = new Window(2 * MIB, options()).observe({ start: 0, end: 1 }, met({ wanted: FAR }));
  t.same(plan.demand, [{ start: 0, end: 2 * MIB }]);
  const larger = new Window(2 * MIB + 1, options()).observe({ start: 0, end: 1 }, met());
  t.same(larger.demand, [{ start: 0, end: 512 * KIB }]);
});

await t.test(
  'where files are read on, the next one is fetched at its start in as many GETs as pay',
  async (t) => {
    const parts = (wanted: GetsWanted, size: number): Span[] => {
      const beginnings = new Beginnings();
      const before = new Fetched(5 * MIB, {}, wanted, beginnings);
      before.read(0, 128 * KIB);
      t.equal(before.spans.length, 1, 'nothing is known at first');
      for (let at = 128 * KIB; at < 5 * MIB; at += 128 * KIB) before.read(at, 128 * KIB);
      const file = new Fetched(size, {}, wanted, beginnings);
      file.read(0, 128 * KIB);
      return file.spans;
    };
    const near = parts(NEAR, 5 * MIB);
    t.equal(near.at(-1)?.end, 5 * MIB);
    t.ok(near.length <= 3, `${near.length} GETs of a store that is near`);
    const far = parts(FAR, 5 * MIB);
    t.equal(far.at(-1)?.end, 5 * MIB);
    t.equal(far.length, 20, 'of 256 KiB: less would take longer to begin than to arrive');
    const s3 = parts({ gets: 19, worthBytes: 5_400_000 }, 5 * MIB);
    t.ok(s3.length <= 3, `${s3.length} GETs of a store with 60 ms to the first byte and 90 MB/s`);
    const large = parts(FAR, 1024 * MIB);
    t.ok((large.at(-1)?.end ?? 0) <= 9 * MIB, 'no more than that of a large file');
  },
);

await t.test('the last GETs of a file end together: they share what is left', async (t) => {
  const file = new Fetched(1024 * MIB, {}, FAR);
  for (let at = 0; at < 1024 * MIB; at += MIB) file.read(at, MIB, 1024 * MIB);
  const lengths = file.spans.map(({ start, end }) => end - start);
  t.equal(Math.max(...lengths), 8 * MIB);
  const last = lengths.slice(-32);
  t.ok(Math.max(...last) <= 2 * MIB, `the last ones have up to ${Math.max(...last)} bytes`);
  t.ok(lengths.length < 1024 / 8 + 240, `${lengths.length} GETs`);
  t.equal(
    file.spans.reduce((sum, { start, end }) => sum + end - start, 0),
    1024 * MIB,
    'no byte twice',
  );
});

await t.test('while a window grows, all GETs that are wanted are soon in flight', async (t) => {
  const file = new Fetched(1024 * MIB, {}, FAR);
  let at = 0;
  for (; at < 4 * MIB; at += 128 * KIB) file.read(at, 128 * KIB, 512 * MIB);
  const under = file.spans.filter(({ end }) => end > at);
  t.ok(under.length >= 30, `${under.length} GETs beyond ${at / MIB} MiB`);
});

await t.test(
  'a store whose GETs are slow gets more of them in flight, and no more than there is memory for',
  async (t) => {
    const inFlight = (
      gets: number,
      windowBytesMax: number,
    ): { readonly parts: number; readonly partBytes: number } => {
      const window = new Window(4096 * MIB, options());
      const wanted = { gets, worthBytes: 240_000 };
      let plan: Plan | undefined;
      for (let at = 0; at < 512 * MIB; at += MIB) {
        plan = window.observe({ start: at, end: at + MIB }, { windowBytesMax, missing: at === 0, wanted });
        for (const span of plan.ahead) window.started(plan.stream, span.end);
      }
      const stream = plan?.stream;
      if (stream === undefined) throw new Error('no stream');
      // From here on all of it is to be fetched again.
      stream.ahead = stream.next;
      const read = { start: stream.next, end: stream.next + MIB };
      const again = window.observe(read, { windowBytesMax, missing: true, wanted });
      const partBytes = Math.max(...again.ahead.map(({ start, end }) => end - start));
      return { parts: again.ahead.length, partBytes };
    };
    const plenty = 1024 * MIB;
    t.equal(inFlight(4, plenty).partBytes, 8 * MIB);
    t.ok(inFlight(4, plenty).parts <= 8);
    t.equal(inFlight(32, plenty).partBytes, 8 * MIB);
    t.ok(inFlight(32, plenty).parts >= 30, `${inFlight(32, plenty).parts} parts`);
    // Less memory: the parts become smaller before they become fewer, down to what a GET is worth.
    t.equal(inFlight(32, 128 * MIB).partBytes, 3.5 * MIB);
    t.ok(inFlight(32, 128 * MIB).parts >= 30);
    t.equal(inFlight(32, 112 * MIB).partBytes, 3 * MIB, 'room for an eighth more than bring bytes');
    t.equal(inFlight(32, 32 * MIB).partBytes, 2 * MIB);
    t.equal(inFlight(32, 4 * MIB).partBytes, 1 * MIB);
  },
);

await t.test('the window grows with what was read, up to its limit, and parts grow with it', async (t) => {
  const reader = new Fetched(512 * MIB);
  for (let at = 0; at < 64 * MIB; at += 128 * KIB) {
    const { stream } = reader.read(at, 128 * KIB);
    const expected = at === 0 ? 0 : Math.min(4 * (at + 128 * KIB), NO_LIMIT);
    if (reader.window.windowOf(stream, NO_LIMIT) !== Math.max(expected, at === 0 ? 0 : 512 * KIB))
      t.fail(`window of ${reader.window.windowOf(stream, NO_LIMIT)} at ${at}`);
  }
  const parts = reader.spans.map((span) => span.end - span.start);
  t.equal(Math.max(...parts), 8 * MIB);
  t.same(
    [...parts].sort((a, b) => a - b),
    parts,
    'parts never shrink while memory is plentiful',
  );
});

await t.test('memory pressure shrinks the window, down to nothing', async (t) => {
  const reader = new Fetched(512 * MIB);
  for (let at = 0; at < 32 * MIB; at += MIB) reader.read(at, MIB);
  const { stream } = reader.read(32 * MIB, MIB);
  t.equal(reader.window.windowOf(stream, NO_LIMIT), 64 * MIB);
  t.equal(reader.window.windowOf(stream, 3 * MIB), 3 * MIB);
  const short = new Fetched(512 * MIB);
  for (let at = 0; at < 4 * MIB; at += 64 * KIB) {
    const plan = short.read(at, 64 * KIB, 100 * KIB);
    t.same(plan.ahead, []);
  }
});

await t.test('READs that overtake one another are one stream', async (t) => {
  const reader = new Fetched(512 * MIB);
  const shuffled = [3, 0, 1, 2, 6, 5, 4, 7, 9, 8, 11, 10, 15, 12, 13, 14];
  for (const at of shuffled) reader.read(100 * MIB + at * MIB, MIB);
  t.equal(reader.window.streams.length, 1);
  t.ok(reader.window.streams[0]?.sequential);
  t.equal(reader.window.streams[0]?.next, 116 * MIB);
});

await t.test(
  'in whatever order READs arrive by up to 16 slots, in one stream or several, little is fetched in vain',
  async (t) => {
    const slots = fc.shuffledSubarray(
      Array.from({ length: 16 }, (_, slot) => slot),
      { minLength: 16 },
    );
    fc.assert(
      fc.property(
        fc.array(slots, { minLength: 2, maxLength: 12 }),
        fc.integer({ min: 1, max: 6 }),
        fc.constantFrom(32, 128, 1024),
        (rounds, streams, readKib) => {
          const bytes = readKib * KIB;
          // Not at equal distances: several streams that begin so look like pieces of one at first.
          const base = (stream: number): number => (stream + 1) ** 2 * 1024 * MIB;
          const file = new Fetched(base(streams), {}, FAR);
          for (const [round, order] of rounds.entries())
            for (let stream = 0; stream < streams; stream++)
              for (const slot of order) file.read(base(stream) + (round * 16 + slot) * bytes, bytes);
          const used = rounds.length * 16 * bytes * streams;
          // The first of them may look like pieces, for a while.
          const found = file.window.streams.filter(({ stride }) => stride === undefined);
          if (found.length !== streams) throw new Error(`${found.length} streams`);
          if (file.bytes > 5 * used + streams * MIB)
            throw new Error(`${file.bytes} bytes fetched for ${used}`);
          const pieces = file.window.streams.filter(({ stride }) => stride !== undefined);
          for (const { sequential, start, next } of found) {
            // Until it has turned out what they are.
            const followed = pieces.some((run) => run.start < next && run.next > start);
            if (!sequential && !followed) throw new Error('not noticed');
          }
        },
      ),
      { numRuns: 60 },
    );
    t.pass('every run');
  },
);

await t.test('READs out of order that look like pieces at first are one stream again soon', (t) => {
  const rounds = [
    [3, 11, 9, 0, 10, 15, 5, 7, 1, 12, 8, 2, 4, 6, 13, 14],
    [13, 6, 10, 11, 15, 7, 5, 14, 2, 0, 8, 9, 3, 12, 1, 4],
    [11, 2, 6, 13, 14, 8, 0, 9, 5, 15, 7, 4, 3, 12, 10, 1],
    [15, 1, 9, 2, 4, 5, 13, 10, 3, 8, 7, 0, 6, 14, 12, 11],
  ];
  const bytes = 32 * KIB;
  const file = new Fetched(4096 * MIB, {}, FAR);
  for (const [round, order] of rounds.entries())
    for (const slot of order) file.read(1024 * MIB + (round * 16 + slot) * bytes, bytes);
  const stream = file.window.streams.at(-1);
  t.match(stream, { sequential: true, stride: undefined, start: 1024 * MIB, next: 1024 * MIB + 64 * bytes });
  t.end();
});

await t.test('interleaved streams are told apart, and the longest unused is dropped', async (t) => {
  const reader = new Fetched(1024 * MIB, { streamsMax: 4 });
  for (let at = 0; at < 2 * MIB; at += 128 * KIB) {
    for (const base of [100, 300, 500, 700]) reader.read(base * MIB + at, 128 * KIB);
  }
  t.equal(reader.window.sequentialStreams, 4);
  const plan = reader.read(950 * MIB, 128 * KIB);
  t.same(
    plan.dropped.map((stream) => [stream.start, stream.dropped]),
    [[100 * MIB, true]],
  );
  t.equal(reader.window.streams.length, 4);
});

await t.test('a stream that has come to the end shares no memory any more, whatever it misses', async (t) => {
  const size = 8 * MIB;
  const window = new Window(size, options());
  // No memory for readahead: each READ finds nothing, and fetches for itself.
  for (let start = 0; start < size; start += MIB) {
    t.equal(window.sequentialStreams, start > MIB ? 1 : 0, `at ${start / MIB} MiB`);
    window.observe({ start, end: start + MIB }, met());
  }
  t.equal(window.sequentialStreams, 0);
  // One that was overtaken comes late.
  window.observe({ start: size - 2 * MIB, end: size - MIB }, met());
  t.equal(window.sequentialStreams, 0);
});

await t.test('a stream with all of its file under way takes no share of the memory', async (t) => {
  const reader = new Fetched(64 * MIB);
  const counts = [];
  for (let at = 0; at < 64 * MIB; at += MIB) {
    reader.read(at, MIB);
    counts.push(reader.window.sequentialStreams);
  }
  t.equal(counts[1], 1);
  t.equal(counts.at(-1), 0);
});

await t.test('idle streams expire', async (t) => {
  let nowMs = 0;
  const window = new Window(100 * MIB, options({ now: () => nowMs }));
  window.observe({ start: 0, end: MIB }, met());
  nowMs = 10;
  window.observe({ start: 50 * MIB, end: 51 * MIB }, met());
  t.same(
    window.expire(5).map((stream) => stream.start),
    [0],
  );
  t.equal(window.streams.length, 1);
});

await t.test('readahead that was lost is planned again', async (t) => {
  const window = new Window(100 * MIB, options());
  for (let at = 0; at < 4 * MIB; at += MIB) {
    const plan = window.observe({ start: at, end: at + MIB }, met({ missing: false }));
    for (const span of plan.ahead) window.started(plan.stream, span.end);
  }
  const plan = window.observe({ start: 4 * MIB, end: 5 * MIB }, met());
  const end = plan.demand.at(-1)?.end ?? 0;
  t.ok(end > 5 * MIB, 'the READ is widened to its part');
  t.equal(plan.ahead[0]?.start, end);
});

await t.test('the policy may be told, for a mount or for a READ', async (t) => {
  const sequential = new Window(100 * MIB, options({ policy: 'sequential' }));
  const first = sequential.observe({ start: MIB, end: 2 * MIB }, met());
  t.ok((first.ahead.at(-1)?.end ?? 0) >= 60 * MIB);
  const told = new Window(100 * MIB, options());
  const second = told.observe({ start: MIB, end: 2 * MIB }, met({ policy: 'sequential' }));
  t.same(second.ahead, first.ahead);
  const random = new Window(MIB, options({ policy: 'random' }));
  for (let at = 0; at < MIB; at += 64 * KIB) {
    const plan = random.observe({ start: at, end: at + 64 * KIB }, met());
    t.same([plan.demand, plan.ahead], [[{ start: at, end: at + 64 * KIB }], []]);
  }
});

await t.test(
  'READs at equal distances are followed, in any order, and only their pieces fetched',
  async (t) => {
    const order = fc.shuffledSubarray([0, 1, 2, 3], { minLength: 4 });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 256 }),
        fc.integer({ min: 3, max: 64 }),
        // Not at the file's start, where more is fetched.
        fc.integer({ min: 1, max: 1000 }),
        order,
        (pages, times, from, four) => {
          const bytes = pages * 4 * KIB;
          const every = bytes * times;
          const file = new Fetched(from * 4 * KIB + 400 * every, {}, FAR);
          let missed = 0;
          for (let at = 0; at < 400; at += 4)
            for (const piece of four) {
              const start = from * 4 * KIB + (at + piece) * every;
              if (at >= 20 && !file.has({ start, end: start + bytes })) missed++;
              file.read(start, bytes);
            }
          // Pieces overlap with nothing, so each fetched span is a READ's.
          if (file.bytes > 480 * bytes) throw new Error(`${file.bytes / bytes} pieces fetched for 400`);
          if (missed > 20) throw new Error(`${missed} READs had to wait`);
        },
      ),
      // Close together, pieces are also a stream of READs that overtake one another until they turn out to be scattered.
      { numRuns: 100 },
    );
    t.pass('every run');
  },
);

await t.test('random READs are never more GETs than READs, and fetch little else', async (t) => {
  fc.assert(
    fc.property(fc.infiniteStream(fc.noBias(fc.nat(256 * 512 - 1))), (places) => {
      const file = new Fetched(512 * MIB, {}, FAR);
      let reads = 0;
      for (const page of places) {
        if (page === 0) continue;
        file.read(page * 4 * KIB, 4 * KIB);
        if (file.spans.length > ++reads) throw new Error(`${file.spans.length} GETs for ${reads} READs`);
        if (reads === 500) break;
      }
      // Some are neighbours by chance.
      if (file.bytes > 1.1 * 500 * 4 * KIB) throw new Error(`${file.bytes} bytes for 500 pages`);
    }),
    { numRuns: 50 },
  );
  t.pass('every run');
});

await t.test(
  'a stream that is silent while another goes on is abandoned, unless it is only slow',
  async (t) => {
    let nowMs = 0;
    const window = new Window(1024 * MIB, options({ now: () => nowMs }));
    const read = (at: number): Plan => {
      const plan = window.observe({ start: at, end: at + MIB }, met({ missing: false }));
      for (const span of plan.ahead) window.started(plan.stream, span.end);
      return plan;
    };
    /** READs at 500 MiB, a millisecond each, and the streams that were abandoned by them. */
    const elsewhere = (reads: number, from: number): number[] => {
      const abandoned = [];
      for (let at = 0; at < reads; at++) {
        nowMs += 1;
        abandoned.push(...read(from + at * MIB).abandoned.map(({ start }) => start));
      }
      return abandoned;
    };
    for (let at = 0; at < 8; at++, nowMs += 20) read(at * MIB);
    t.same(elsewhere(100, 500 * MIB), [], 'five pauses of its own are nothing');
    t.equal(window.sequentialStreams, 2);
    t.same(elsewhere(100, 600 * MIB), [0], 'ten are');
    t.equal(window.sequentialStreams, 1, 'the memory is for the other one');
    const back = read(8 * MIB);
    t.equal(back.ahead[0]?.start, 9 * MIB, 'when it is read again all that is missing is fetched');
    t.equal(window.sequentialStreams, 2);
  },
);

await t.test('streams that are read in turn are never abandoned', async (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 32 }), fc.integer({ min: 1, max: 1000 }), (streams, pauseMs) => {
      let nowMs = 0;
      const window = new Window(4096 * MIB, options({ now: () => nowMs }));
      for (let at = 0; at < 64 * MIB; at += MIB)
        for (let each = 0; each < streams; each++) {
          nowMs += pauseMs;
          const start = each * 128 * MIB + at;
          const plan = window.observe({ start, end: start + MIB }, met({ missing: false }));
          for (const span of plan.ahead) window.started(plan.stream, span.end);
          // Streams that begin at equal distances look like one of pieces at first.
          if (plan.abandoned.some(({ stride }) => stride === undefined))
            throw new Error(`abandoned at ${at}`);
        }
      const left = window.streams.filter(({ stride }) => stride === undefined).length;
      if (left !== streams) throw new Error(`${left} streams`);
    }),
    { numRuns: 40 },
  );
  t.pass('every run');
});

await t.test('plans lie in the object, contain the READ, and go forward without overlap', async (t) => {
  const reads = fc.array(
    fc.record({
      at: fc.nat(),
      count: fc.integer({ min: 1, max: 2 * MIB }),
      follow: fc.boolean(),
      limit: fc.nat(NO_LIMIT),
    }),
    { minLength: 1, maxLength: 60 },
  );
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 200 * MIB }),
      reads,
      fc.constantFrom('adaptive' as const, 'sequential' as const, 'random' as const),
      (size, steps, policy) => {
        const reader = new Fetched(size, { policy, streamsMax: 4 });
        let last = 0;
        for (const step of steps) {
          const start = step.follow && last < size ? last : step.at % size;
          const end = Math.min(start + step.count, size);
          const plan = reader.read(start, end - start, step.limit);
          last = end;
          const spans = [...plan.demand, ...plan.ahead];
          const [first] = plan.demand;
          const demandEnd = plan.demand.at(-1)?.end ?? end;
          if ((first?.start ?? start) > start || demandEnd < end || demandEnd > size)
            throw new Error('demand');
          if (plan.demand.some(({ start: from }, each) => each > 0 && from !== plan.demand[each - 1]?.end))
            throw new Error('the demand has gaps');
          if (spans.some(({ start: from, end: to }) => to <= from)) throw new Error('an empty span');
          let from = demandEnd;
          for (const span of plan.ahead) {
            if (span.start < from || span.end <= span.start || span.end > size) throw new Error('ahead');
            if (span.end - span.start > READ_DEFAULTS.partBytesMax * 1.5) throw new Error('part too large');
            from = span.end;
          }
          if (from - Math.max(end, plan.stream.next) > Math.max(step.limit, READ_DEFAULTS.smallFileBytes)) {
            throw new Error(`${from - end} bytes ahead, ${step.limit} allowed`);
          }
          if (reader.window.streams.length > 8) throw new Error('streams');
        }
      },
    ),
    { numRuns: 300 },
  );
  t.pass('every run');
});

await t.test(
  'a sequential reader never fetches more than five times what it used, and a minimum',
  async (t) => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100 }), fc.constantFrom(32, 128, 1024), (count, readKib) => {
        const reader = new Fetched(1024 * MIB);
        for (let at = 0; at < count; at += 1) reader.read(at * readKib * KIB, readKib * KIB);
        const used = count * readKib * KIB;
        if (reader.bytes > 5 * used + MIB) throw new Error(`${reader.bytes} bytes fetched for ${used}`);
        if (!reader.has({ start: 0, end: used })) throw new Error('not all was fetched');
      }),
    );
    t.pass('every run');
  },
);
