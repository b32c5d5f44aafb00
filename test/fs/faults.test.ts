/**
 * Random histories over a store whose requests fail, some of them after they took effect. A client that is told to come back repeats
 * the call; in the end everything is as if nothing had failed. S3NFSD_MODEL_RUNS sets the number of histories.
 */
import assert from 'node:assert/strict';
import fc from '../support/fast-check.js';
import t from 'tap';
import type { Handle } from '../../src/fs/file-system.js';
import { StoreError } from '../../src/store/errors.js';
import { DurableReference, type Step } from './model/durable-reference.js';
import { mutation, perform, type Operation, type Ran } from './model/operations.js';
import { objectsOf, treeOf } from './model/tree.js';
import { Mounted } from './mounted.js';

t.setTimeout(600_000);

const RUNS = Number(process.env['S3NFSD_MODEL_RUNS'] ?? 8);
const seed = process.env['S3NFSD_MODEL_SEED'];

interface FaultyStep {
  readonly operation: Operation;
  /** Which request of the call fails; 0: none. */
  readonly request: number;
  readonly when: 'before' | 'after';
}

const faultyStep: fc.Arbitrary<FaultyStep> = fc.record({
  operation: mutation,
  request: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 4 })),
  when: fc.constantFrom('before' as const, 'after' as const),
});

/** What a call that was repeated may answer, because the first one had its effect. */
const REPEATED: Readonly<Record<string, readonly string[]>> = {
  create: [],
  mkdir: ['EEXIST'],
  symlink: ['EEXIST'],
  remove: ['ENOENT'],
  rmdir: ['ENOENT'],
  rename: ['ENOENT'],
};

type Policy = 'publish' | 'journal';

async function play(
  steps: readonly FaultyStep[],
  ttlMs: number,
  commitPolicy: Policy,
  metadata: 'objects' | 'state',
  directoryMarkers: boolean,
): Promise<void> {
  const mounted = await Mounted.start({
    exports: [
      { uid: 0, gid: 0, directoryMode: 0o777, fileMode: 0o644, commitPolicy, metadata, directoryMarkers },
    ],
    metadataTtlMs: ttlMs,
  });
  const { context, clock, store } = mounted;
  const startNs = BigInt(clock.nowMs()) * 1_000_000n;
  try {
    const handles = new Map<number, Handle>([[-1, await mounted.root()]]);
    const reference = await DurableReference.after(context, startNs, []);
    for (const [at, { operation, request, when }] of steps.entries()) {
      const step: Step = { operation, nowNs: startNs, slots: [...handles.keys()] };
      const slot = (index: number): Handle =>
        handles.get(step.slots[index % step.slots.length] ?? -1) as Handle;
      const run = (): Promise<Ran> => perform(operation, { fs: mounted.fs, context, slot, step: at });
      let requests = 0;
      store[when] = (call) => {
        if (++requests !== request) return;
        throw new StoreError('unavailable', 'fails by plan', { operation: call.operation, bucket: 'bucket' });
      };
      let ran = await run();
      store[when] = undefined;
      const failed = ran.outcome.code === 'EJUKEBOX';
      if (failed) ran = await run();
      const expected = await reference.play(step);
      const what = `step ${at}: ${operation.op}${failed ? ', repeated' : ''}`;
      const repeated = failed && REPEATED[operation.op]?.includes(ran.outcome.code ?? '') === true;
      if (!repeated) assert.equal(ran.outcome.code, expected.outcome.code, what);
      if (expected.found !== undefined) {
        const found = ran.found ?? (await lookedUp(mounted, operation, slot));
        handles.set(at, found);
      }
      const shown = await treeOf(mounted.fs, context, await mounted.root());
      const tree = await treeOf(reference.fs, context, await reference.fs.mount(context, '/bucket'));
      assert.deepEqual(shown, tree, what);
    }
    await mounted.rest(60_000);
    const tree = await treeOf(reference.fs, context, await reference.fs.mount(context, '/bucket'));
    assert.deepEqual(mounted.bucket(), objectsOf(tree, directoryMarkers), 'the bucket');
    assert.equal(store.uploads.size, 0, 'no upload is left behind');
    for (const [at, handle] of handles) {
      const theirs = reference.handles.get(at) as Handle;
      const codeOf = async (fs: typeof mounted.fs, file: Handle): Promise<string | undefined> =>
        (await perform({ op: 'getattr', file: 0 }, { fs, context, slot: () => file, step: 0 })).outcome.code;
      assert.equal(
        await codeOf(mounted.fs, handle),
        await codeOf(reference.fs, theirs),
        `the handle of step ${at}`,
      );
    }
    await mounted.stop();
    assert.equal(mounted.budget.usedBytes, 0);
  } finally {
    await mounted.end();
  }
}

async function lookedUp(
  mounted: Mounted,
  operation: Operation,
  slot: (index: number) => Handle,
): Promise<Handle> {
  assert.ok('dir' in operation && 'name' in operation);
  return (await mounted.fs.lookup(mounted.context, slot(operation.dir), Buffer.from(operation.name))).handle;
}

await t.test(
  'requests that fail, or whose answer is lost: repeated calls end as if nothing had failed',
  async () => {
    const policy = fc.constantFrom<Policy[]>('publish', 'journal');
    const steps = fc.array(faultyStep, { minLength: 1, maxLength: 25, size: 'max' });
    const metadata = fc.constantFrom('objects' as const, 'state' as const);
    await fc.assert(fc.asyncProperty(steps, fc.constantFrom(0, 3000), policy, metadata, fc.boolean(), play), {
      numRuns: RUNS * 2,
      ...(seed !== undefined && { seed: Number(seed) }),
    });
  },
);

await t.test('a rename whose DELETE had its effect, and whose answers are lost, loses nothing', async (t) => {
  for (const lost of ['the answer of DELETE', 'that and what came after']) {
    const mounted = await Mounted.start();
    t.teardown(() => mounted.end());
    await mounted.write('from', 'bytes');
    let failing = false;
    mounted.store.after = ({ operation }) => {
      const isFirst = operation === 'DeleteObject' && !failing;
      failing ||= operation === 'DeleteObject';
      if (!isFirst && !(failing && lost !== 'the answer of DELETE')) return;
      throw new StoreError('unavailable', 'reset', { operation, bucket: 'bucket' });
    };
    await mounted.rename('from', 'to').catch(() => undefined);
    mounted.store.after = undefined;
    t.same(mounted.bucket(), { to: 'bytes' }, lost);
    await mounted.rest(60_000);
    t.same(await mounted.list(''), ['to']);
    t.equal(await mounted.read('to'), 'bytes');
  }
});
