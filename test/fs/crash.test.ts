/**
 * Random histories that end in a crash, also in the middle of a call: after the restart everything that was answered as safe is
 * there, and nothing is half there. S3NFSD_MODEL_RUNS sets the number of histories, S3NFSD_MODEL_SEED the seed.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import type { Handle } from '../../src/fs/file-system.js';
import { DurableReference, type Step } from './model/durable-reference.js';
import { mutation, perform, type Operation } from './model/operations.js';
import { objectsOf, treeOf } from './model/tree.js';
import { DIRECTORY_CAPABILITIES } from '../support/memory-store.js';
import { Mounted } from './mounted.js';

t.setTimeout(600_000);

const RUNS = Number(process.env['S3NFSD_MODEL_RUNS'] ?? 8);
const seed = process.env['S3NFSD_MODEL_SEED'];

interface History {
  readonly steps: readonly (Operation | { readonly op: 'advance'; readonly ms: number })[];
  /** The call that the crash comes into, and where: at which of its requests to the store, before or after that took effect. */
  readonly last: Operation;
  readonly request: number;
  readonly when: 'before' | 'after';
  readonly isDirectoryBucket: boolean;
}

const advance = fc.record({ op: fc.constant('advance' as const), ms: fc.constantFrom(1, 300, 6000) });
const history: fc.Arbitrary<History> = fc.record({
  steps: fc.array(fc.oneof({ weight: 8, arbitrary: mutation }, { weight: 1, arbitrary: advance }), {
    maxLength: 25,
    size: 'max',
  }),
  last: mutation,
  request: fc.integer({ min: 1, max: 6 }),
  when: fc.constantFrom('before' as const, 'after' as const),
  isDirectoryBucket: fc.boolean(),
});

async function play({ steps, last, request, when, isDirectoryBucket }: History): Promise<void> {
  const mounted = await Mounted.start({
    exports: [{ uid: 0, gid: 0, directoryMode: 0o777, fileMode: 0o644 }],
    metadataTtlMs: 0,
    capabilities: isDirectoryBucket ? DIRECTORY_CAPABILITIES : {},
  });
  const { context, clock, store } = mounted;
  const nowNs = (): bigint => BigInt(clock.nowMs()) * 1_000_000n;
  const startNs = nowNs();
  try {
    const handles = new Map<number, Handle>([[-1, await mounted.root()]]);
    const reference = await DurableReference.after(context, startNs, []);
    const played: Step[] = [];
    const run = async (operation: Operation, step: Step): Promise<Awaited<ReturnType<typeof perform>>> => {
      const slot = (index: number): Handle =>
        handles.get(step.slots[index % step.slots.length] ?? -1) as Handle;
      return perform(operation, { fs: mounted.fs, context, slot, step: played.length });
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
      if (ran.found !== undefined) handles.set(played.length, ran.found);
      const expected = await reference.play(step);
      assert.equal(ran.outcome.code, expected.outcome.code, JSON.stringify(operation.op));
      played.push(step);
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

    const withLast = await DurableReference.after(context, startNs, [...played, step]);
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
    const objects = Object.entries(objectsOf(shown)).map(([key, body]) => [
      key,
      Buffer.from(body, 'latin1').toString('utf8'),
    ]);
    assert.deepEqual(mounted.bucket(), Object.fromEntries(objects), 'the bucket');
    assert.equal(store.uploads.size, 0, 'no upload is left behind');
    await mounted.stop();
  } finally {
    await mounted.end();
  }
}

await t.test('after kill -9 and restart: what was answered is there, and nothing is half there', async () => {
  await fc.assert(fc.asyncProperty(history, play), {
    numRuns: RUNS * 3,
    ...(seed !== undefined && { seed: Number(seed) }),
  });
});
