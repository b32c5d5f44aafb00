/** A crash at each request of a call that changes names: the call was made or it was not, and nothing else. */
import t, { type Test } from 'tap';
import { callUntilHung } from './hold.js';
import type { Mounted, MountedOptions } from './mounted.js';
import { JOURNAL, mounted } from './small-parts.js';

const REQUESTS_MAX = 12;

interface Case {
  readonly options: MountedOptions;
  readonly before: (m: Mounted) => Promise<unknown>;
  readonly call: (m: Mounted) => Promise<unknown>;
  /** What the bucket and the root's names may be afterwards, as JSON. */
  readonly allowed: readonly {
    readonly bucket: Readonly<Record<string, string>>;
    readonly names: readonly string[];
  }[];
}

/** True where the call was over before so many requests. */
async function crashAt(t: Test, each: Case, request: number, when: 'before' | 'after'): Promise<boolean> {
  const m = await mounted(t, each.options);
  await each.before(m);
  const ended = await callUntilHung(m, when, request, () => each.call(m));
  await m.crash();
  m.store[when] = undefined;
  await m.open();
  await m.rest(60_000);
  const found = JSON.stringify({ bucket: m.bucket(), names: (await m.list('')).sort() });
  const allowed = each.allowed.map((state) => JSON.stringify(state));
  const last = allowed.at(-1);
  t.ok(
    ended === 'over' ? found === last : allowed.includes(found),
    `${when} request ${request} (${ended}): ${found}, expected ${allowed.join(' or ')}`,
  );
  return ended === 'over';
}

async function crashEverywhere(t: Test, each: Case): Promise<void> {
  for (const when of ['before', 'after'] as const) {
    for (let request = 1; request <= REQUESTS_MAX; request++)
      if (await crashAt(t, each, request, when)) break;
  }
}

await t.test('a rename over a file whose bytes are in the journal', async (t) =>
  crashEverywhere(t, {
    options: JOURNAL,
    before: async (m) => {
      await m.write('target', 'old');
      await m.write('source', 'new');
    },
    call: (m) => m.rename('source', 'target'),
    allowed: [
      { bucket: { source: 'new', target: 'old' }, names: ['source', 'target'] },
      { bucket: { target: 'new' }, names: ['target'] },
    ],
  }),
);

await t.test('a rename over an object with changes in the journal', async (t) =>
  crashEverywhere(t, {
    options: JOURNAL,
    before: async (m) => {
      await m.write('target', 'first');
      await m.rest(10_000);
      await m.write('target', 'second');
      await m.write('source', 'new');
    },
    call: (m) => m.rename('source', 'target'),
    allowed: [
      { bucket: { source: 'new', target: 'second' }, names: ['source', 'target'] },
      { bucket: { target: 'new' }, names: ['target'] },
    ],
  }),
);

await t.test('a removal of a file with changes in the journal', async (t) =>
  crashEverywhere(t, {
    options: JOURNAL,
    before: async (m) => {
      await m.write('kept', 'kept');
      await m.write('f', 'first');
      await m.rest(10_000);
      await m.write('f', 'second');
    },
    call: (m) => m.remove('f'),
    allowed: [
      { bucket: { f: 'second', kept: 'kept' }, names: ['f', 'kept'] },
      { bucket: { kept: 'kept' }, names: ['kept'] },
    ],
  }),
);

await t.test('a file renamed over a symlink is a file after a crash', async (t) => {
  for (const metadata of ['objects', 'state'] as const) {
    const m = await mounted(t, { exports: [{ commitPolicy: 'journal', metadata }] });
    await m.fs.symlink(m.context, await m.root(), Buffer.from('target'), Buffer.from('elsewhere'), {});
    await m.write('source', 'bytes');
    await m.rename('source', 'target');
    await m.crash();
    await m.open();
    await m.rest(60_000);
    t.equal((await m.stat('target')).type, 'file');
    t.equal(await m.read('target'), 'bytes');
    t.same(m.bucket(), { target: 'bytes' });
    t.not(m.store.objects.get('target')?.headers.metadata['file-permissions']?.startsWith('012'), true);
  }
});
