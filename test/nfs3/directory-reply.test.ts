import assert from 'node:assert/strict';

import fc from '../support/fast-check.js';
import t from 'tap';

import { READDIR3resok, READDIRPLUS3resok } from '../../protocol/nfs3/messages.js';
import { encode } from '../../protocol/xdr.js';
import type { DirectoryEntry, DirectoryPage, Handle } from '../../src/fs/file-system.js';
import { nfs3Service } from '../../src/nfs3/service.js';
import { directCall } from '../support/calls.js';
import { collectLog } from '../support/collected-log.js';
import { MemoryFileSystem, type MemoryFileSystemOptions } from '../support/memory-file-system.js';

const VERIFIER = Buffer.alloc(8);
const CONTEXT = {
  caller: { uid: 0, gid: 0, gids: [], address: '192.0.2.1' },
  signal: new AbortController().signal,
};

/** A directory with files of these names, and a service over it. */
async function start(names: readonly string[], fs: MemoryFileSystem = new MemoryFileSystem()) {
  const root = await fs.mount(CONTEXT, '/bucket');
  for (const name of names) {
    await fs.create(CONTEXT, root, Buffer.from(name), { how: 'guarded', attributes: {} });
  }
  const { READDIR, READDIRPLUS } = nfs3Service({ fs, log: collectLog().log }).handlers;
  return {
    fs,
    root,
    readdir: async (cookie: bigint, count: number, cookieverf: Buffer = VERIFIER) =>
      READDIR({ dir: root, cookie, cookieverf, count }, directCall()),
    readdirplus: async (cookie: bigint, dircount: number, maxcount: number, cookieverf: Buffer = VERIFIER) =>
      READDIRPLUS({ dir: root, cookie, cookieverf, dircount, maxcount }, directCall()),
  };
}

type Page = {
  readonly entries: readonly { readonly name: Buffer; readonly cookie: bigint }[];
  readonly eof: boolean;
};

/** All names, page by page. */
async function walk(next: (cookie: bigint) => Promise<Page>): Promise<string[]> {
  const names: string[] = [];
  for (let cookie = 0n; ;) {
    const { entries, eof } = await next(cookie);
    for (const entry of entries) {
      assert.ok(entry.cookie > cookie, 'cookies ascend');
      names.push(entry.name.toString());
      cookie = entry.cookie;
    }
    if (eof) return names;
    assert.ok(entries.length > 0, 'a page without end has an entry');
  }
}

await t.test('a cookie is good with any verifier, and the verifier is always the same', async (t) => {
  const { readdir, readdirplus } = await start(['a', 'b', 'c', 'd', 'e']);
  const verifiers = [VERIFIER, Buffer.alloc(8, 0xff), Buffer.from('of older')];
  const seen = new Set<string>();
  for (const calls of [
    async (cookie: bigint, verifier: Buffer) => readdir(cookie, 180, verifier),
    async (cookie: bigint, verifier: Buffer) => readdirplus(cookie, 180, 500, verifier),
  ]) {
    let turn = 0;
    const names = await walk(async (cookie) => {
      const result = await calls(cookie, verifiers[turn++ % verifiers.length] ?? VERIFIER);
      assert.ok(result.status === 'NFS3_OK');
      seen.add(result.resok.cookieverf.toString('hex'));
      return result.resok.reply;
    });
    t.same(names, ['.', '..', 'a', 'b', 'c', 'd', 'e']);
    t.ok(turn > 2, `${turn} calls`);
  }
  t.equal(seen.size, 1);
});

const namesArbitrary = fc.uniqueArray(
  fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 60 }),
  { maxLength: 40 },
);
const options: fc.Arbitrary<MemoryFileSystemOptions> = fc
  .integer({ min: 1, max: 20 })
  .map((pageEntriesMax) => ({ pageEntriesMax }));

await t.test(
  'READDIR: every entry once, no reply beyond count, whatever the pages of the file system',
  async () => {
    await fc.assert(
      fc.asyncProperty(
        namesArbitrary,
        options,
        fc.integer({ min: 188, max: 2000 }),
        async (names, memory, count) => {
          const { readdir } = await start(names, new MemoryFileSystem(memory));
          const seen = await walk(async (cookie) => {
            const result = await readdir(cookie, count);
            assert.equal(result.status, 'NFS3_OK');
            assert.ok('resok' in result);
            assert.ok(encode(READDIR3resok, result.resok).length <= count);
            return result.resok.reply;
          });
          assert.deepEqual(seen, ['.', '..', ...names]);
        },
      ),
    );
  },
);

await t.test('READDIRPLUS: every entry once, no reply beyond maxcount, names within dircount', async () => {
  await fc.assert(
    fc.asyncProperty(
      namesArbitrary,
      options,
      fc.integer({ min: 0, max: 500 }),
      fc.integer({ min: 300, max: 4000 }),
      async (names, memory, dircount, maxcount) => {
        const { readdirplus } = await start(names, new MemoryFileSystem(memory));
        const seen = await walk(async (cookie) => {
          const result = await readdirplus(cookie, dircount, maxcount);
          assert.equal(result.status, 'NFS3_OK');
          assert.ok('resok' in result);
          assert.ok(encode(READDIRPLUS3resok, result.resok).length <= maxcount);
          const { entries } = result.resok.reply;
          const nameBytes = entries.reduce((sum, { name }) => sum + 20 + ((name.length + 3) & ~3), 0);
          assert.ok(nameBytes <= dircount || entries.length === 1);
          return result.resok.reply;
        });
        assert.deepEqual(seen, ['.', '..', ...names]);
      },
    ),
  );
});

await t.test('a limit in which no entry fits is TOOSMALL', async (t) => {
  const { readdir, readdirplus } = await start(['f']);
  t.match(await readdir(0n, 131), { status: 'NFS3ERR_TOOSMALL', resfail: { dir_attributes: undefined } });
  t.match(await readdir(0n, 132), { status: 'NFS3_OK', resok: { reply: { entries: [{ cookie: 1n }] } } });
  t.match(await readdir(0n, 0), { status: 'NFS3ERR_TOOSMALL' });
  t.match(await readdir(3n, 0), { status: 'NFS3ERR_TOOSMALL' });
  t.match(await readdirplus(0n, 4096, 100), { status: 'NFS3ERR_TOOSMALL' });
});

await t.test('after the last entry: no entries, and eof', async (t) => {
  const { readdir, readdirplus } = await start(['f']);
  const end = { status: 'NFS3_OK', resok: { reply: { entries: [], eof: true }, cookieverf: VERIFIER } };
  t.match(await readdir(3n, 4096), end);
  t.match(await readdirplus(3n, 4096, 4096), end);
});

await t.test('a reply is filled from several pages of the file system', async (t) => {
  const names = Array.from({ length: 30 }, (_, i) => `file-${i}`);
  const { readdir } = await start(names, new MemoryFileSystem({ pageEntriesMax: 4 }));
  t.match(await readdir(0n, 65536), { resok: { reply: { eof: true, entries: { length: 32 } } } });
});

/** Lists its entries without attributes and handles, as where only a request to the store could tell them. */
class Unknowing extends MemoryFileSystem {
  override async readdir(...args: Parameters<MemoryFileSystem['readdir']>): Promise<DirectoryPage> {
    const page = await super.readdir(...args);
    const entries = page.entries.map(({ fileid, name, cookie }): DirectoryEntry => ({
      fileid,
      name,
      cookie,
    }));
    return { ...page, entries };
  }
}

await t.test('READDIRPLUS leaves out attributes and handles that are not known', async (t) => {
  const { readdirplus } = await start(['f'], new Unknowing());
  const result = await readdirplus(2n, 4096, 4096);
  t.match(result, { status: 'NFS3_OK' });
  if (result.status !== 'NFS3_OK') return;
  t.same(result.resok.reply.entries, [
    { fileid: 2n, name: Buffer.from('f'), cookie: 3n, name_attributes: undefined, name_handle: undefined },
  ]);
});

await t.test('READDIRPLUS gives attributes and handles that are known', async (t) => {
  const { fs, root, readdirplus } = await start(['f']);
  const result = await readdirplus(2n, 4096, 4096);
  if (result.status !== 'NFS3_OK') throw new Error(result.status);
  const [entry] = result.resok.reply.entries;
  const expected = await fs.lookup(CONTEXT, root, Buffer.from('f'));
  t.same(entry?.name_handle, expected.handle);
  t.equal(entry?.name_attributes?.fileid, expected.attributes.fileid);
});

/** Never comes to an end, nor to an entry. */
class Stuck extends MemoryFileSystem {
  override async readdir(context: typeof CONTEXT, directory: Handle): Promise<DirectoryPage> {
    return { entries: [], end: false, attributes: await this.getattr(context, directory) };
  }
}

await t.test(
  'a file system that makes no progress is answered SERVERFAULT, not asked for ever',
  async (t) => {
    const { readdir } = await start([], new Stuck());
    t.match(await readdir(0n, 4096), { status: 'NFS3ERR_SERVERFAULT' });
  },
);
