/** READDIR over directories that change, from cookies of any kind: what is there all the time comes once, and every scan ends. */
import fc from '../support/fast-check.js';
import t, { type Test } from 'tap';
import type { DirectoryEntry, EntryRun, Handle } from '../../src/fs/file-system.js';
import { StoreError } from '../../src/store/errors.js';
import { Mounted } from './mounted.js';

t.setTimeout(300_000);
const DOTS = new Set(['.', '..']);

async function directoryOf(test: Test, files: number, metadataTtlMs = 3000): Promise<Mounted> {
  const m = await Mounted.start({ metadataTtlMs });
  test.teardown(() => m.end());
  for (let i = 0; i < files; i++) m.store.putNow(`d/${nameOf(i)}`, Buffer.from('x'));
  m.store.putNow('d/', Buffer.alloc(0));
  return m;
}

const nameOf = (at: number): string => `f${String(at).padStart(5, '0')}`;

/** A page of at most so many entries, as READDIR takes it: with those of a run, if it has one. */
async function readPage(
  m: Mounted,
  directory: Handle,
  cookie: bigint,
  entriesMax: number,
  form: 'entries' | 'runs',
): Promise<{ readonly entries: readonly DirectoryEntry[]; readonly end: boolean; readonly hasRun: boolean }> {
  const page = await m.fs.readdir(m.context, directory, cookie, entriesMax, 'attributes', form);
  const { entries, more, end } = page;
  if (more === undefined) return { entries, end, hasRun: false };
  const all = [...entries, ...entriesOf(more.run).slice(more.from)];
  return { entries: all.slice(0, entriesMax), end: end && all.length <= entriesMax, hasRun: true };
}

const HANDLE_BYTES = 36;

const entriesOf = ({ ids, names, nameEnds, handles }: EntryRun): DirectoryEntry[] =>
  [...ids].map((id, at) => ({
    fileid: id,
    cookie: id,
    name: names.subarray(at === 0 ? 0 : nameEnds[at - 1], nameEnds[at]),
    attributes: undefined,
    handle: handles.subarray(at * HANDLE_BYTES, (at + 1) * HANDLE_BYTES),
  }));

const told = ({ fileid, cookie, name, attributes, handle }: DirectoryEntry): unknown => ({
  ...{ fileid, cookie, name: name.toString(), attributes },
  handle: handle?.toString('hex'),
});

await t.test(
  'a run has the very entries that are looked up one by one, until one of them changes',
  async (t) => {
    const m = await directoryOf(t, 0);
    for (let i = 0; i < 2500; i++)
      m.store.putNow(`d/${i % 7 === 3 ? 'ü' : 'a'}${nameOf(i)}`, Buffer.from('x'));
    for (let i = 0; i < 40; i++) m.store.putNow(`d/b${nameOf(i)}/below`, Buffer.from('x'));
    const directory = await m.at('d');
    let runs = 0;
    for (let cookie = 0n, end = false; !end;) {
      const run = await readPage(m, directory, cookie, 300, 'runs');
      const plain = await readPage(m, directory, cookie, run.entries.length, 'entries');
      t.strictSame(run.entries.map(told), plain.entries.map(told));
      if (run.hasRun) runs++;
      ({ end } = run);
      cookie = run.entries.at(-1)?.cookie ?? 0n;
    }
    t.ok(runs > 4, 'nearly all were runs');
    const first = await readPage(m, directory, 0n, 10, 'runs');
    const cookie = first.entries.at(-1)?.cookie ?? 0n;
    t.equal((await readPage(m, directory, cookie, 10, 'runs')).hasRun, true);
    const [next] = (await readPage(m, directory, cookie, 10, 'runs')).entries;
    await m.fs.lookup(m.context, directory, next?.name ?? Buffer.alloc(0));
    const looked = await readPage(m, directory, cookie, 10, 'runs');
    t.equal(looked.hasRun, false, 'one has attributes now');
    t.equal(looked.entries[0]?.attributes?.size, 1);
  },
);

for (const change of ['removed', 'renamed away', 'found absent'] as const) {
  await t.test(`a run without a file that was ${change} meanwhile`, async (t) => {
    const m = await directoryOf(t, 1500);
    const directory = await m.at('d');
    const first = await readPage(m, directory, 0n, 10, 'runs');
    const cookie = first.entries.at(-1)?.cookie ?? 0n;
    const before = await readPage(m, directory, cookie, 20, 'runs');
    t.equal(before.hasRun, true);
    const name = before.entries[5]?.name ?? Buffer.alloc(0);
    m.clock.advance(10);
    if (change === 'removed') await m.fs.remove(m.context, directory, name);
    else if (change === 'renamed away')
      await m.fs.rename(m.context, directory, name, directory, Buffer.from('z'));
    else {
      m.store.objects.delete(`d/${name.toString()}`);
      m.clock.advance(5000);
      await t.rejects(async () => m.fs.lookup(m.context, directory, name));
    }
    const after = await readPage(m, directory, cookie, 20, 'runs');
    t.notOk(after.entries.some((entry) => entry.name.equals(name)));
  });
}

/** A whole scan; `between` runs after each page. Fails where it doesn't end or a cookie comes twice. */
async function scan(
  m: Mounted,
  directory: Handle,
  pageEntries: number,
  options: { from?: bigint; callsMax?: number; between?: (call: number) => Promise<void> } = {},
): Promise<string[]> {
  const names: string[] = [];
  const cookies = new Set<bigint>();
  let cookie = options.from ?? 0n;
  for (let call = 0; ; call++) {
    if (call > (options.callsMax ?? 10_000)) throw new Error(`no end after ${call} calls`);
    const page = await readPage(m, directory, cookie, pageEntries, call % 3 === 2 ? 'entries' : 'runs');
    for (const entry of page.entries) {
      if (cookies.has(entry.cookie)) throw new Error(`${entry.name.toString()} came twice`);
      cookies.add(entry.cookie);
      cookie = entry.cookie;
      names.push(entry.name.toString());
    }
    if (page.end) return names.filter((name) => !DOTS.has(name));
    if (page.entries.length === 0) throw new Error('an empty page that is not the end');
    await options.between?.(call);
  }
}

for (const files of [0, 1, 2, 999, 1000, 1001, 2500]) {
  await t.test(`a directory of ${files} files, in pages of 1, 2, 3 and more`, async (t) => {
    const m = await directoryOf(t, files);
    const expected = Array.from({ length: files }, (_, at) => nameOf(at));
    const directory = await m.at('d');
    for (const pageEntries of files > 1001 ? [3, 5000] : files > 2 ? [1, 2, 3] : [1, 2, 3, 100])
      t.strictSame(await scan(m, directory, pageEntries), expected, `${pageEntries} a page`);
  });

  await t.test(`${files} files while others come, go and get other names`, async (t) => {
    const m = await directoryOf(t, files);
    const directory = await m.at('d');
    const staying = Array.from({ length: files }, (_, at) => nameOf(at)).filter((_, at) => at % 3 !== 0);
    const gone = new Set<string>();
    let made = 0;
    const names = await scan(m, directory, files > 100 ? 7 : 1, {
      callsMax: files + 200,
      between: async (call) => {
        // Removes or renames just behind, at and ahead of where the scan stands.
        const at = call * (files > 100 ? 7 : 1);
        if (call % 10 > 2 && files > 100) return;
        const victim = nameOf((at - (at % 3) + 3 * (call % 3)) % Math.max(files, 1));
        if (
          files > 0 &&
          !gone.has(victim) &&
          victim <= nameOf(files - 1) &&
          Number(victim.slice(1)) % 3 === 0
        ) {
          gone.add(victim);
          if (call % 2 === 0) await m.remove(`d/${victim}`);
          else await m.rename(`d/${victim}`, `d/a${victim}`);
        }
        if (made < 50) await m.write(`d/${nameOf(at + 1)}-new`, 'x', { commit: made++ % 2 === 0 });
        if (call % 7 === 0) m.clock.advance(3001);
        m.store.putNow(`d/theirs${call % 5}`, Buffer.from('y'));
      },
    });
    t.strictSame(
      names.filter((name) => staying.includes(name)),
      staying,
    );
    t.equal(new Set(names).size, names.length, 'no name twice');
  });
}

await t.test(
  'cookies of other directories, of nothing, and of what is gone end the scan all the same',
  async (t) => {
    const m = await directoryOf(t, 1500);
    m.store.putNow('e/zzz', Buffer.from('x'));
    m.store.putNow('e/f00100/below', Buffer.from('x'));
    const directory = await m.at('d');
    const elsewhere = (await m.fs.readdir(m.context, await m.at('e'), 0n, 10)).entries.map(
      ({ cookie }) => cookie,
    );
    const forged = [3n, 4n, 0x7fffffffffffffffn, 1n << 40n, (await m.stat('d')).fileid, ...elsewhere];
    for (const from of forged) {
      const names = await scan(m, directory, 400, { from, callsMax: 20 });
      t.equal(new Set(names).size, names.length);
    }
  },
);

await t.test('a listing is sorted once, not at every call', async (t) => {
  const m = await directoryOf(t, 900);
  const directory = await m.at('d');
  await scan(m, directory, 100);
  let sorts = 0;
  const sort = Object.getOwnPropertyDescriptor(Array.prototype, 'sort') ?? {};
  const counted = function (this: unknown[], ...order: [((a: unknown, b: unknown) => number)?]): unknown {
    sorts += 1;
    return Reflect.apply(sort.value as typeof counted, this, order);
  };
  Object.defineProperty(Array.prototype, 'sort', { ...sort, value: counted });
  t.teardown(() => void Object.defineProperty(Array.prototype, 'sort', sort));
  t.equal((await scan(m, directory, 3)).length, 900);
  t.ok(sorts < 10, `${sorts} sorts for 300 calls`);
  // What changes is seen all the same.
  await m.write('d/f00000-new', 'x', { commit: false });
  await m.remove('d/f00001');
  t.strictSame((await scan(m, directory, 3)).slice(0, 3), ['f00000', 'f00000-new', 'f00002']);
  t.ok(sorts > 0, 'and sorted in');
});

await t.test(
  'while a client reads on, the next page is under way, and no page is asked for twice',
  async (t) => {
    const m = await directoryOf(t, 5000);
    const directory = await m.at('d');
    m.store.calls.length = 0;
    const lists = (): number => m.store.countOf('ListObjectsV2');
    const first = await m.fs.readdir(m.context, directory, 0n, 100);
    const begun = lists();
    await m.fs.readdir(m.context, directory, first.entries.at(-1)?.cookie ?? 0n, 100);
    t.equal(lists(), begun + 1, 'the second page is asked for while the first is read');
    const names = await scan(m, directory, 100, { from: first.entries.at(-1)?.cookie ?? 0n });
    t.equal(names.length, 5000 - 98);
    t.equal(lists(), begun + 5, 'the other pages, and one that was begun behind the end');
  },
);

await t.test('a page that could not be had ahead is asked for again when a client comes to it', async (t) => {
  const m = await directoryOf(t, 2500);
  const directory = await m.at('d');
  const first = await m.fs.readdir(m.context, directory, 0n, 100);
  const cookie = first.entries.at(-1)?.cookie ?? 0n;
  let failures = 0;
  m.store.before = (call) => {
    if (call.operation === 'ListObjectsV2' && failures++ === 0)
      throw new StoreError('unavailable', 'down', { operation: 'ListObjectsV2', bucket: 'bucket' });
  };
  const second = await m.fs.readdir(m.context, directory, cookie, 100);
  t.equal(failures, 1);
  t.equal(second.entries.length, 100, 'the client has not come to it');
  t.equal((await scan(m, directory, 100, { from: cookie })).length, 2500 - 98);
});

await t.test('a scan from the start does not take over a page that was asked for before', async (t) => {
  const m = await directoryOf(t, 2500);
  const directory = await m.at('d');
  const first = await m.fs.readdir(m.context, directory, 0n, 100);
  const held = new Promise<void>((resolve) => {
    m.store.before = async (call) => {
      if (call.operation !== 'ListObjectsV2') return;
      m.store.before = undefined;
      await new Promise<void>((go) => {
        release = go;
        resolve();
      });
    };
  });
  let release = (): void => undefined;
  await m.fs.readdir(m.context, directory, first.entries.at(-1)?.cookie ?? 0n, 100);
  await held;
  m.store.putNow('d/f02400-new', Buffer.from('x'));
  const scanning = scan(m, directory, 100);
  release();
  t.ok((await scanning).includes('f02400-new'));
});

await t.test('pages on which all keys are hidden lead on to what is behind them', async (t) => {
  const m = await Mounted.start();
  t.teardown(() => m.end());
  for (const name of ['a', 'b', 'z']) m.store.putNow(`d/${name}`, Buffer.from('x'));
  for (let at = 0; at < 2500; at++) m.store.putNow(`d/b${'x'.repeat(255)}${at}`, Buffer.from('x'));
  const directory = await m.at('d');
  m.store.calls.length = 0;
  t.strictSame(await scan(m, directory, 100), ['a', 'b', 'z']);
  t.equal(m.store.countOf('ListObjectsV2'), 2, 'the first page told of the directory before');
});

await t.test('a directory that is renamed while it is listed is listed to its end', async (t) => {
  for (const [from, to] of [
    ['d', 'e'],
    ['e', 'd'],
  ] as const) {
    const m = await Mounted.start();
    t.teardown(() => m.end());
    m.store.putNow(`${from}/`, Buffer.alloc(0));
    for (let at = 0; at < 2500; at++) m.store.putNow(`${from}/${nameOf(at)}`, Buffer.from('x'));
    const names = await scan(m, await m.at(from), 600, {
      between: async (call) => {
        if (call === 1) await m.rename(from, to);
      },
    });
    t.equal(names.length, 2500, `${from} to ${to}`);
  }
});

await t.test('what became a directory, or a file, behind a held page stays what it is', async (t) => {
  for (const files of [10, 1500]) {
    const m = await directoryOf(t, files);
    m.store.putNow('d/f00007-a/below', Buffer.from('x'));
    m.store.putNow('d/f00007-b/', Buffer.alloc(0));
    m.store.putNow('d/f00007-c/', Buffer.alloc(0));
    const directory = await m.at('d');
    const begun = await m.fs.readdir(m.context, directory, 0n, 5);
    const cookie = begun.entries.at(-1)?.cookie ?? 0n;

    await m.remove('d/f00005');
    const made = await m.mkdir('d/f00005');
    await m.fs.rmdir(m.context, directory, Buffer.from('f00007-b'));
    const file = await m.write('d/f00007-b', 'a file now');
    await m.fs.rmdir(m.context, directory, Buffer.from('f00007-c'));
    await m.rename('d/f00006', 'd/f00007-c');
    const renamed = await m.at('d/f00007-c');
    // Nothing else holds the directory's entries.
    await t.rejects(
      m.fs.create(m.context, directory, Buffer.from('z'), {
        how: 'unchecked',
        attributes: { size: 2 ** 52 },
      }),
    );

    const names = await scan(m, directory, 400, { from: cookie });
    t.equal(new Set(names).size, names.length, 'nothing comes twice');
    t.ok(names.includes('f00007-a') && names.includes(nameOf(8)), 'what was there all the time comes');
    t.equal(
      (await m.fs.getattr(m.context, made)).type,
      'directory',
      'the handle of a directory made meanwhile is good',
    );
    t.equal(await m.read(file), 'a file now', 'that of a file, too');
    t.equal(await m.read(renamed), 'x', 'and that of one that was renamed to a name of a directory');
    t.same(await m.at('d/f00005'), made);
    t.same(await m.at('d/f00007-b'), file);
    const after = await scan(m, directory, 400);
    for (const name of ['f00005', 'f00007-b', 'f00007-c'])
      t.ok(after.includes(name), `${name} is in a scan that begins now`);
  }
});

await t.test('a cookie goes on behind the name that it was given out for', async (t) => {
  /** Stands at `f00003` of ten, in pages of one. */
  const standing = async (
    t: Test,
    files = 10,
  ): Promise<{ m: Mounted; directory: Handle; cookie: bigint }> => {
    const m = await directoryOf(t, files);
    const directory = await m.at('d');
    const before = await m.fs.readdir(m.context, directory, 0n, 6);
    t.equal(before.entries.at(-1)?.name.toString(), nameOf(3));
    return { m, directory, cookie: before.entries.at(-1)?.cookie ?? 0n };
  };
  const rest = [4, 5, 6, 7, 8, 9].map(nameOf);

  for (const files of [10, 1500]) {
    await t.test(`its entry was renamed, and another scan passed it there (${files} files)`, async (t) => {
      const { m, directory, cookie } = await standing(t, files);
      await m.rename('d/f00003', 'd/z');
      t.equal((await scan(m, directory, 400)).at(-1), 'z');
      const names = await scan(m, directory, 400, { from: cookie });
      t.strictSame(names.slice(0, 6), rest);
      t.equal(names.at(-1), 'z');
      t.equal(names.length, files - 4 + 1);
    });
  }

  await t.test('the daemon was restarted behind that', async (t) => {
    const { m, directory, cookie } = await standing(t);
    await m.rename('d/f00003', 'd/z');
    await scan(m, directory, 1);
    await m.crash();
    await m.open();
    t.strictSame(await scan(m, directory, 2, { from: cookie }), [...rest, 'z']);
  });

  await t.test('its entry went to another directory, and came back under another name', async (t) => {
    const { m, directory, cookie } = await standing(t);
    await m.mkdir('e');
    await m.rename('d/f00003', 'e/a');
    t.strictSame(await scan(m, directory, 2, { from: cookie }), rest);
    await scan(m, await m.at('e'), 1);
    t.strictSame(await scan(m, directory, 2, { from: cookie }), rest);
    await m.rename('e/a', 'd/f00006-a');
    t.strictSame(await scan(m, directory, 2, { from: cookie }), [
      ...rest.slice(0, 3),
      'f00006-a',
      ...rest.slice(3),
    ]);
  });

  await t.test('each name of an entry that is renamed on and on has its own', async (t) => {
    const { m, directory } = await standing(t);
    const given: { readonly name: string; readonly cookie: bigint }[] = [];
    const names = ['f00003', 'y', 'f00007-a', 'a', 'f00003', 'f00005-b'];
    for (const [at, name] of names.entries()) {
      if (at > 0) await m.rename(`d/${names[at - 1] ?? ''}`, `d/${name}`);
      const page = await m.fs.readdir(m.context, directory, 0n, 100);
      const entry = page.entries.find((each) => each.name.toString() === name);
      given.push({ name, cookie: entry?.cookie ?? 0n });
    }
    t.equal(new Set(given.map(({ cookie }) => cookie)).size, names.length - 1, 'back where it was: the same');
    const all = await scan(m, directory, 3);
    for (const restarted of [false, true]) {
      if (restarted) {
        await m.crash();
        await m.open();
      }
      for (const { name, cookie } of given) {
        const behind = await scan(m, directory, 3, { from: cookie });
        t.strictSame(
          behind,
          all.filter((each) => each > name),
          name,
        );
      }
    }
    await m.remove('d/f00005-b');
    for (const { name, cookie } of given)
      t.strictSame(
        await scan(m, directory, 3, { from: cookie }),
        all.filter((each) => each > name && each !== 'f00005-b'),
        `${name}, removed`,
      );
  });

  await t.test('a directory that is renamed while a scan stands at it', async (t) => {
    const { m, directory } = await standing(t);
    await m.mkdir('d/f00003-d');
    m.store.putNow('d/f00003-d.txt', Buffer.from('x'));
    m.clock.advance(3001);
    const page = await m.fs.readdir(m.context, directory, 0n, 100);
    const at = page.entries.findIndex(({ name }) => name.toString() === 'f00003-d');
    const behind = page.entries.slice(at + 1).map(({ name }) => name.toString());
    await m.rename('d/f00003-d', 'd/a');
    await scan(m, directory, 1);
    t.strictSame(await scan(m, directory, 2, { from: page.entries[at]?.cookie ?? 0n }), behind);
  });
});

await t.test('a scan that goes on asks for its pages alone, however long it takes', async (t) => {
  const m = await directoryOf(t, 2500);
  const directory = await m.at('d');
  m.store.calls.length = 0;
  const begun = await m.fs.readdir(m.context, directory, 0n, 100);
  t.ok(begun.attributes);
  let attributes: unknown;
  const names = await scan(m, directory, 100, {
    from: begun.entries.at(-1)?.cookie ?? 0n,
    between: async () => {
      m.clock.advance(1900);
      const page = await m.fs.readdir(m.context, directory, begun.entries.at(-1)?.cookie ?? 0n, 1);
      attributes = page.attributes;
    },
  });
  t.equal(names.length, 2500 - 98);
  t.equal(attributes, undefined, 'what it has is too old to be told');
  t.ok(m.store.countOf('ListObjectsV2') <= 6, `${m.store.countOf('ListObjectsV2')} LISTs`);
  t.equal(m.store.countOf('HeadObject'), 0);
  t.ok((await m.fs.readdir(m.context, directory, 0n, 100)).attributes, 'who begins is told');
});

await t.test('handles that find was given are good after a restart', async (t) => {
  const m = await Mounted.start();
  t.teardown(() => m.end());
  for (let at = 0; at < 4000; at++) m.store.putNow(`t/d${at % 20}/${nameOf(at)}`, Buffer.from('x'));
  const handles: Handle[] = [];
  const find = async (directory: Handle): Promise<void> => {
    for (let cookie = 0n; ;) {
      const page = await m.fs.readdir(m.context, directory, cookie, 130);
      for (const { name, handle, cookie: own } of page.entries) {
        cookie = own;
        if (handle === undefined || DOTS.has(name.toString())) continue;
        handles.push(handle);
        if (name.toString().startsWith('d')) await find(handle);
      }
      if (page.end) return;
    }
  };
  await find(await m.at('t'));
  t.equal(handles.length, 4020);
  await m.crash();
  await m.open();
  let stale = 0;
  for (const handle of handles) {
    try {
      await m.fs.getattr(m.context, handle);
    } catch {
      stale++;
    }
  }
  t.equal(stale, 0);
});

await t.test('a scan over restarts, removals, new names and renames: what stays is seen once', async () => {
  type Step = readonly ['remove' | 'rename' | 'make' | 'restart' | 'scan' | 'time', number];
  const step: fc.Arbitrary<Step> = fc.tuple(
    fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom('remove' as const, 'rename' as const, 'make' as const) },
      { weight: 1, arbitrary: fc.constantFrom('restart' as const, 'scan' as const, 'time' as const) },
    ),
    fc.nat(999),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(step, { maxLength: 3 }), { minLength: 1, maxLength: 12 }),
      fc.integer({ min: 2, max: 9 }),
      async (steps, pageEntries) => {
        const m = await Mounted.start();
        try {
          for (let at = 0; at < 40; at++) m.store.putNow(`d/${nameOf(at)}`, Buffer.from('x'));
          /** Those that others change: every second one, under the names that they have by now. */
          const changing = Array.from({ length: 20 }, (_, at) => nameOf(2 * at));
          const staying = Array.from({ length: 20 }, (_, at) => nameOf(2 * at + 1));
          let made = 0;
          const names = await scan(m, await m.at('d'), pageEntries, {
            between: async (call) => {
              for (const [what, number] of steps[call] ?? []) {
                const at = number % changing.length;
                const victim = changing[at];
                const fresh = `${nameOf(number % 40)}-${made++}`;
                if (what === 'make') await m.write(`d/${fresh}`, 'y');
                else if (what === 'restart') {
                  await m.stop();
                  await m.open();
                } else if (what === 'scan') await scan(m, await m.at('d'), 7);
                else if (what === 'time') m.clock.advance(3001);
                else if (victim !== undefined && what === 'rename') {
                  await m.rename(`d/${victim}`, `d/${fresh}`);
                  changing[at] = fresh;
                } else if (victim !== undefined) {
                  await m.remove(`d/${victim}`);
                  changing.splice(at, 1);
                }
              }
            },
          });
          const seen = names.filter((each) => staying.includes(each));
          if (seen.join() !== staying.join()) throw new Error(`seen: ${seen.join()}`);
        } finally {
          await m.end();
        }
      },
    ),
    { numRuns: 20 },
  );
});
