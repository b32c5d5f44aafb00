/** Random histories of one file against a plain Buffer: with faults, with little memory, with a spool that is small or none. */
import fc from '../support/fast-check.js';
import t, { type Test } from 'tap';
import type { WriteSession } from '../../src/write/write-session.js';
import { SpoolFullError } from '../../src/write/spool.js';
import {
  KIB,
  pattern,
  readAll,
  SessionBench,
  SMALL_PARTS,
  type SessionBenchOptions,
} from './session-bench.js';

const FILE_BYTES_MAX = 200 * KIB;
const RUNS = 150;

type Step =
  | { readonly kind: 'write'; readonly at: number; readonly length: number }
  | { readonly kind: 'together'; readonly at: number; readonly pieces: number }
  | { readonly kind: 'truncate'; readonly size: number }
  | { readonly kind: 'read'; readonly at: number; readonly length: number }
  | { readonly kind: 'publish'; readonly fault: number; readonly operation: string };

const OPERATIONS = [
  'CreateMultipartUpload',
  'UploadPart',
  'UploadPartCopy',
  'CompleteMultipartUpload',
  'PutObject',
];

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant('write' as const),
        at: fc.nat(FILE_BYTES_MAX - 1),
        length: fc.oneof(fc.nat(300), fc.nat(60 * KIB)),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('together' as const),
        at: fc.nat(100 * KIB),
        pieces: fc.nat(12),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constant('truncate' as const), size: fc.nat(FILE_BYTES_MAX) }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant('read' as const),
        at: fc.nat(FILE_BYTES_MAX),
        length: fc.nat(30 * KIB),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('publish' as const),
        /** The how many-th call of the operation fails; 0 for none. */
        fault: fc.nat(4),
        operation: fc.constantFrom(...OPERATIONS),
      }),
    },
  ),
  { maxLength: 25 },
);

/** The file as a plain array of bytes. */
class Model {
  bytes: Buffer = Buffer.alloc(0);

  write(at: number, data: Buffer): void {
    if (data.length === 0) return;
    this.truncate(Math.max(this.bytes.length, at + data.length));
    data.copy(this.bytes, at);
  }

  truncate(size: number): void {
    this.bytes = Buffer.concat([this.bytes.subarray(0, size)], size);
  }
}

interface World {
  readonly bench: SessionBench;
  readonly session: WriteSession;
  readonly model: Model;
  published: Uint8Array | undefined;
}

async function run(world: World, step: Step, seed: number): Promise<void> {
  const { session, model, bench } = world;
  switch (step.kind) {
    case 'write': {
      const data = pattern(Math.min(step.length, FILE_BYTES_MAX - step.at), seed);
      await session.write(step.at, data);
      model.write(step.at, data);
      break;
    }
    case 'together': {
      const pieces = Array.from({ length: step.pieces }, (_, at) => pattern(7 * KIB, seed * 20 + at));
      // Backwards, as clients that write pages back do; they don't overlap, so any order gives one result.
      const writes = pieces.map((data, at) => ({ at: step.at + at * data.length, data })).reverse();
      await Promise.all(writes.map(({ at, data }) => session.write(at, data)));
      for (const { at, data } of writes) model.write(at, data);
      break;
    }
    case 'truncate':
      await session.truncate(step.size);
      model.truncate(step.size);
      break;
    case 'read': {
      const read = await session.read(step.at, step.length);
      const expected = model.bytes.subarray(step.at, step.at + step.length);
      const got = Buffer.concat(read.slices);
      read.release();
      if (read.count !== expected.length || !got.equals(expected))
        throw new Error('a READ found other bytes');
      break;
    }
    case 'publish':
      await publish(world, step.fault, step.operation);
      break;
  }
  if (session.size !== model.bytes.length) {
    throw new Error(`expected ${model.bytes.length} bytes, the session says ${session.size}`);
  }
  if (bench.budget.usedBytes > bench.budget.limitBytes) throw new Error('over the memory budget');
  if (bench.spool.usedBytes > bench.spool.limitBytes) throw new Error('over the spool');
}

async function publish(world: World, fault: number, operation: string): Promise<void> {
  const { session, model, bench } = world;
  const request = { key: 'a', headers: { metadata: {} } };
  let count = 0;
  bench.store.before = (call) => {
    if (call.operation === operation && ++count === fault) throw new Error('injected');
  };
  try {
    const version = await session.publish(request);
    world.published = Buffer.from(model.bytes);
    if (session.dirty || version.size !== model.bytes.length) throw new Error('not clean after publication');
    if (version.etag !== bench.store.objects.get('a')?.etag) throw new Error('another ETag than the object');
  } catch (error) {
    if (!(error instanceof Error) || error.message !== 'injected') throw error;
  } finally {
    bench.store.before = undefined;
  }
  const body = bench.body('a');
  const { published } = world;
  if (published === undefined ? body !== undefined : body === undefined || !body.equals(published)) {
    throw new Error('the object is not what was published last');
  }
}

/** Reads everything, publishes it, and looks for what is left. */
async function finish(world: World): Promise<void> {
  const { session, model, bench } = world;
  if (!(await readAll(session)).equals(model.bytes)) throw new Error('other bytes in the end');
  await publish(world, 0, '');
  if (world.published === undefined || !model.bytes.equals(world.published)) throw new Error('not published');
  if (bench.journal.size > 0 || bench.store.uploads.size > 0) throw new Error('an upload is left');
  if (bench.budget.usedBytes !== 0) throw new Error(`${bench.budget.usedBytes} bytes are still reserved`);
  const { takenBytes } = bench.budget.blocks;
  if (takenBytes !== 0) throw new Error(`${takenBytes} bytes of buffers were not given back`);
  await session.write(3, Buffer.from('more'));
}

async function check(t: Test, options: SessionBenchOptions, tolerateFull: boolean): Promise<void> {
  let refusals = 0;
  await fc.assert(
    fc.asyncProperty(steps, fc.option(fc.nat(FILE_BYTES_MAX)), async (history, baseBytes) => {
      const bench = await SessionBench.make(options);
      try {
        const model = new Model();
        const base = baseBytes === null ? undefined : bench.put('a', pattern(baseBytes, 999));
        if (baseBytes !== null) model.bytes = pattern(baseBytes, 999);
        const session = bench.session('a', base, SMALL_PARTS);
        const published = base === undefined ? undefined : Buffer.from(model.bytes);
        const world: World = { bench, session, model, published };
        try {
          for (const [index, step] of history.entries()) await run(world, step, index + 1);
          await finish(world);
        } catch (error) {
          if (!tolerateFull || !(error instanceof SpoolFullError)) throw error;
          refusals += 1;
        }
        // What is left over, written but not published, goes without a trace.
        await session.discard();
        if (bench.budget.usedBytes !== 0)
          throw new Error(`${bench.budget.usedBytes} bytes reserved after discard`);
        if (bench.spool.usedBytes !== 0)
          throw new Error(`${bench.spool.usedBytes} bytes spooled after discard`);
        if ((await bench.spooledFiles()).length > 0) throw new Error('files are left in the spool');
        if (bench.journal.size > 0 || bench.store.uploads.size > 0) throw new Error('an upload is left');
      } finally {
        await bench.close();
      }
    }),
    { numRuns: RUNS },
  );
  t.ok(refusals < RUNS / 2, `${refusals} of ${RUNS} histories were refused`);
}

await t.test('any history, with failing requests, is what a plain file would be', (t) => check(t, {}, false));

await t.test('the same with memory for three parts', (t) => check(t, { budgetBytes: 64 * KIB }, false));

await t.test('the same with hardly any spool: right, or refused', (t) =>
  check(t, { budgetBytes: 96 * KIB, spoolBytes: 40 * KIB }, true),
);

await t.test('the same without a spool: right, or refused', (t) =>
  check(t, { budgetBytes: 96 * KIB, spoolBytes: 0 }, true),
);
