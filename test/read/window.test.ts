import t from 'tap';
import fc from 'fast-check';
import { READ_DEFAULTS, type ReadOptions } from '../../src/read/options.js';
import { Window, type Plan, type Span } from '../../src/read/window.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const NO_LIMIT = 64 * MIB;

function options(more: Partial<ReadOptions> = {}): ReadOptions {
  return { ...READ_DEFAULTS, now: () => 0, ...more };
}

/** A reader that always has memory: takes every plan, and keeps what was fetched. */
class Fetched {
  readonly window: Window;
  readonly spans: Span[] = [];
  /** Offsets fetched, by page. */
  readonly pages = new Set<number>();

  constructor(size: number, more: Partial<ReadOptions> = {}) {
    this.window = new Window(size, options(more));
  }

  read(start: number, count: number, windowBytesMax = NO_LIMIT): Plan {
    const read = { start, end: start + count };
    const missing = !this.has(read);
    const plan = this.window.observe(read, windowBytesMax, missing);
    for (const span of [...(missing ? [plan.demand] : []), ...plan.ahead]) {
      this.spans.push(span);
      for (let at = span.start; at < span.end; at += 4 * KIB) this.pages.add(Math.floor(at / (4 * KIB)));
      this.window.started(plan.stream, span.end);
    }
    return plan;
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
    const one = new Window(100 * MIB, options()).observe(
      { start: 50 * MIB + 5, end: 50 * MIB + 10 },
      NO_LIMIT,
      true,
    );
    t.same(one.demand, { start: 50 * MIB, end: 50 * MIB + 4096 });
    t.same(one.ahead, []);
    const first = new Window(100 * MIB, options()).observe({ start: 0, end: 128 * KIB }, NO_LIMIT, true);
    t.same(first.demand, { start: 0, end: 512 * KIB });
    t.same(first.ahead, []);
  },
);

await t.test('a small file is fetched whole by a READ at its start', async (t) => {
  const plan = new Window(2 * MIB, options()).observe({ start: 0, end: 1 }, NO_LIMIT, true);
  t.same(plan.demand, { start: 0, end: 2 * MIB });
  const larger = new Window(2 * MIB + 1, options()).observe({ start: 0, end: 1 }, NO_LIMIT, true);
  t.same(larger.demand, { start: 0, end: 512 * KIB });
});

await t.test(
  'a store whose GETs are slow gets more of them in flight, and no more than there is memory for',
  async (t) => {
    const inFlight = (
      gets: number,
      memoryBytes: number,
    ): { readonly parts: number; readonly partBytes: number } => {
      const window = new Window(4096 * MIB, options());
      let plan: Plan | undefined;
      for (let at = 0; at < 512 * MIB; at += MIB) {
        plan = window.observe({ start: at, end: at + MIB }, memoryBytes, at === 0, gets);
        for (const span of plan.ahead) window.started(plan.stream, span.end);
      }
      const stream = plan?.stream;
      if (stream === undefined) throw new Error('no stream');
      // From here on all of it is to be fetched again.
      stream.ahead = stream.next;
      const again = window.observe({ start: stream.next, end: stream.next + MIB }, memoryBytes, true, gets);
      const partBytes = Math.max(...again.ahead.map(({ start, end }) => end - start));
      return { parts: again.ahead.length, partBytes };
    };
    const plenty = 1024 * MIB;
    t.equal(inFlight(4, plenty).partBytes, 8 * MIB);
    t.ok(inFlight(4, plenty).parts <= 8);
    t.equal(inFlight(32, plenty).partBytes, 8 * MIB);
    t.ok(inFlight(32, plenty).parts >= 30, `${inFlight(32, plenty).parts} parts`);
    // Less memory: the parts become smaller before they become fewer, down to what a GET is worth.
    t.equal(inFlight(32, 128 * MIB).partBytes, 4 * MIB);
    t.ok(inFlight(32, 128 * MIB).parts >= 30);
    t.equal(inFlight(32, 32 * MIB).partBytes, 2 * MIB);
    t.equal(inFlight(32, 4 * MIB).partBytes, 1 * MIB);
  },
);

await t.test('the window doubles while READs go on, up to its limit, and parts grow with it', async (t) => {
  const reader = new Fetched(512 * MIB);
  const windows = new Set<number>();
  for (let at = 0; at < 64 * MIB; at += 128 * KIB) {
    const plan = reader.read(at, 128 * KIB);
    windows.add(reader.window.windowOf(plan.stream, NO_LIMIT));
  }
  t.same(
    [...windows],
    [0, 1, 2, 4, 8, 16, 32, 64].map((n) => n * MIB),
  );
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
  t.equal(reader.window.windowOf(stream, 3 * MIB), 2 * MIB);
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

await t.test('interleaved streams are told apart, and the longest unused is dropped', async (t) => {
  const reader = new Fetched(1024 * MIB, { streamsMax: 4 });
  for (let at = 0; at < 2 * MIB; at += 128 * KIB) {
    for (const base of [100, 300, 500, 700]) reader.read(base * MIB + at, 128 * KIB);
  }
  t.equal(reader.window.sequentialStreams, 4);
  const plan = reader.read(900 * MIB, 128 * KIB);
  t.same(
    plan.dropped.map((stream) => [stream.start, stream.dropped]),
    [[100 * MIB, true]],
  );
  t.equal(reader.window.streams.length, 4);
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
  window.observe({ start: 0, end: MIB }, NO_LIMIT, true);
  nowMs = 10;
  window.observe({ start: 50 * MIB, end: 51 * MIB }, NO_LIMIT, true);
  t.same(
    window.expire(5).map((stream) => stream.start),
    [0],
  );
  t.equal(window.streams.length, 1);
});

await t.test('readahead that was lost is planned again', async (t) => {
  const window = new Window(100 * MIB, options());
  for (let at = 0; at < 4 * MIB; at += MIB) {
    const plan = window.observe({ start: at, end: at + MIB }, NO_LIMIT, false);
    for (const span of plan.ahead) window.started(plan.stream, span.end);
  }
  const plan = window.observe({ start: 4 * MIB, end: 5 * MIB }, NO_LIMIT, true);
  t.ok(plan.demand.end > 5 * MIB, 'the READ is widened to its part');
  t.equal(plan.ahead[0]?.start, plan.demand.end);
});

await t.test('the policy may be told', async (t) => {
  const sequential = new Window(100 * MIB, options({ policy: 'sequential' }));
  const first = sequential.observe({ start: MIB, end: 2 * MIB }, NO_LIMIT, true);
  t.ok((first.ahead.at(-1)?.end ?? 0) >= 60 * MIB);
  const random = new Window(MIB, options({ policy: 'random' }));
  for (let at = 0; at < MIB; at += 64 * KIB) {
    const plan = random.observe({ start: at, end: at + 64 * KIB }, NO_LIMIT, true);
    t.same([plan.demand, plan.ahead], [{ start: at, end: at + 64 * KIB }, []]);
  }
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
          if (plan.demand.start > start || plan.demand.end < end || plan.demand.end > size)
            throw new Error('demand');
          let from = plan.demand.end;
          for (const span of plan.ahead) {
            if (span.start < from || span.end <= span.start || span.end > size) throw new Error('ahead');
            if (span.end - span.start > READ_DEFAULTS.partBytesMax * 1.5) throw new Error('part too large');
            from = span.end;
          }
          if (from - Math.max(end, plan.stream.next) > Math.max(step.limit, 2 * READ_DEFAULTS.partBytesMin)) {
            throw new Error(`${from - end} bytes ahead, ${step.limit} allowed`);
          }
          if (reader.window.streams.length > 4) throw new Error('streams');
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
