/**
 * Random histories that end in a crash, also in the middle of a call: after the restart everything that was answered as safe is
 * there, and nothing is half there. S3NFSD_MODEL_RUNS sets the number of histories, S3NFSD_MODEL_SEED the seed.
 */
import assert from 'node:assert/strict';
import fc from '../support/fast-check.js';
import t from 'tap';
import type { Handle } from '../../src/fs/file-system.js';
import { DurableReference, type Step } from './model/durable-reference.js';
import { mutation, perform, type Operation } from './model/operations.js';
import { objectsOf, treeOf } from './model/tree.js';
import { DIRECTORY_CAPABILITIES } from '../support/memory-store.js';
import { Mounted } from './mounted.js';

t.setTimeout(600_000);

/** How long a COMMIT in a stream waits for more. */
const HOLD_MS = 250;

const RUNS = Number(process.env['S3NFSD_MODEL_RUNS'] ?? 8);
const seed = process.env['S3NFSD_MODEL_SEED'];

interface History {
  readonly steps: readonly (Operation | { readonly op: 'advance'; readonly ms: number })[];
  /** The call that the crash comes into, and where: at which of its requests to the store, before or after that took effect. */
  readonly last: Operation;
  readonly request: number;
  readonly when: 'before' | 'after';
  readonly isDirectoryBucket: boolean;
  readonly commitPolicy: 'publish' | 'journal';
  readonly metadata: 'objects' | 'state';
  readonly directoryMarkers: boolean;
  /** Files go out in parts of so few bytes that these histories fill some. */
  readonly hasSmallParts: boolean;
}

const advance = fc.record({ op: fc.constant('advance' as const), ms: fc.constantFrom(1, 300, 6000) });
const histories: fc.Arbitrary<History> = fc.record({
  steps: fc.array(fc.oneof({ weight: 8, arbitrary: mutation }, { weight: 1, arbitrary: advance }), {
    maxLength: 25,
    size: 'max',
  }),
  last: mutation,
  request: fc.integer({ min: 1, max: 6 }),
  when: fc.constantFrom('before' as const, 'after' as const),
  isDirectoryBucket: fc.boolean(),
  commitPolicy: fc.constantFrom('publish' as const, 'journal' as const),
  metadata: fc.constantFrom('objects' as const, 'state' as const),
  directoryMarkers: fc.boolean(),
  hasSmallParts: fc.boolean(),
});

async function play(played: History): Promise<void> {
  const {
    steps,
    last,
    request,
    when,
    isDirectoryBucket,
    commitPolicy,
    metadata,
    directoryMarkers,
    hasSmallParts,
  } = played;
  const mounted = await Mounted.start({
    exports: [
      { uid: 0, gid: 0, directoryMode: 0o777, fileMode: 0o644, commitPolicy, metadata, directoryMarkers },
    ],
    metadataTtlMs: 0,
    capabilities: {
      ...(isDirectoryBucket && DIRECTORY_CAPABILITIES),
      ...(hasSmallParts && { partBytesMin: 256 }),
    },
    ...(hasSmallParts && { writeOptions: { partBytes: 256, putBytesMax: 256 } }),
  });
  const { context, clock, store } = mounted;
  const nowNs = (): bigint => BigInt(clock.nowMs()) * 1_000_000n;
  const startNs = nowNs();
  // A COMMIT that is held is held to its end.
  const after = clock.after.bind(clock);
  let isCommitting = false;
  clock.after = (delayMs, task) => {
    if (delayMs === HOLD_MS && isCommitting) setImmediate(() => clock.advance(HOLD_MS));
    return after(delayMs, task);
  };
  try {
    const handles = new Map<number, Handle>([[-1, await mounted.root()]]);
    const reference = await DurableReference.after(context, startNs, []);
    const history: Step[] = [];
    const run = async (operation: Operation, step: Step): Promise<Awaited<ReturnType<typeof perform>>> => {
      const slot = (index: number): Handle =>
        handles.get(step.slots[index % step.slots.length] ?? -1) as Handle;
      isCommitting = operation.op === 'commit' || operation.op === 'write';
      return perform(operation, { fs: mounted.fs, context, slot, step: history.length });
    };
    const stepOf = (operation: Operation): Step => ({
      operation,
      nowNs: nowNs(),
      slots: [...handles.keys()],
    });

    for (const operation of steps) {
      if (operation.op === 'advance') {
        clock.advance(operation.ms);
        continue;
      }
      const step = stepOf(operation);
      const ran = await run(operation, step);
      if (ran.found !== undefined) handles.set(history.length, ran.found);
      const expected = await reference.play(step);
      assert.equal(ran.outcome.code, expected.outcome.code, JSON.stringify(operation.op));
      history.push(step);
    }

    const step = stepOf(last);
    let requests = 0;
    const hung = new Promise<'hung'>((resolve) => {
      store[when] = () => {
        if (++requests < request) return;
        resolve('hung');
        return new Promise<void>(() => undefined);
      };
    });
    const ended = await Promise.race([run(last, step), hung]);
    await mounted.crash();
    store[when] = undefined;
    await mounted.open();

    const withLast = await DurableReference.after(context, startNs, [...history, step]);
    const shown = await treeOf(mounted.fs, context, await mounted.root());
    const allowed = (await withLast.allows(shown)) || (ended === 'hung' && (await reference.allows(shown)));
    const expected = await treeOf(withLast.fs, context, await withLast.fs.mount(context, '/bucket'));
    if (!allowed)
      assert.deepEqual(
        shown,
        expected,
        `after a crash in ${JSON.stringify(last.op)} (${ended === 'hung' ? 'hung' : 'answered'})`,
      );

    await mounted.rest(60_000);
    assert.deepEqual(mounted.bucket(), objectsOf(shown, directoryMarkers), 'the bucket');
    // An upload whose id never arrived is known to nobody but S3.
    const heardOf = [...store.uploads.keys()].filter((id) =>
      store.calls.some(({ uploadId }) => uploadId === id),
    );
    assert.deepEqual(heardOf, [], 'no upload is left behind');
    await mounted.stop();
  } finally {
    await mounted.end();
  }
}

await t.test('after kill -9 and restart: what was answered is there, and nothing is half there', async () => {
  await fc.assert(fc.asyncProperty(histories, play), {
    numRuns: RUNS * 3,
    ...(seed !== undefined && { seed: Number(seed) }),
  });
});
