/** What users of other NFS servers over object stores complain of, where no other test has it: docs/testing.md has the list. */
import assert from 'node:assert/strict';
import t, { type Test } from 'tap';
import type { Handle } from '../../src/fs/file-system.js';
import { Mounted, codeOf } from './mounted.js';

async function mounted(test: Test): Promise<Mounted> {
  const m = await Mounted.start();
  test.teardown(() => m.end());
  return m;
}

/** More than are held in memory at a time. */
const FILES = 4500;

await t.test(
  'handles that find was given are good when thousands of others have been used since',
  async (t) => {
    const m = await mounted(t);
    const nameOf = (at: number): string => `d/f${String(at).padStart(4, '0')}`;
    for (let at = 0; at < FILES; at++) m.store.putNow(nameOf(at), Buffer.from(String(at)));
    const directory = await m.at('d');
    const handles: Handle[] = [];
    const ids = new Set<bigint>();
    for (let cookie = 0n; ;) {
      const page = await m.fs.readdir(m.context, directory, cookie, 1000);
      for (const { name, fileid } of page.entries) {
        if (!name.toString().startsWith('f')) continue;
        ids.add(fileid);
        const found = await m.fs.lookup(m.context, directory, name);
        assert.equal(found.attributes.fileid, fileid);
        handles.push(found.handle);
      }
      cookie = page.entries.at(-1)?.cookie ?? cookie;
      if (page.end) break;
    }
    t.equal(handles.length, FILES);
    t.equal(ids.size, FILES, 'no fileid is there twice');
    t.notOk(ids.has(0n));
    for (const at of [0, 1, 2000, FILES - 1]) {
      const handle = handles[at];
      t.equal(handle && (await m.read(handle)), String(at));
    }
  },
);

await t.test(
  'a WRITE that was answered is not lost in silence when somebody removes its object',
  async (t) => {
    const m = await mounted(t);
    const handle = await m.write('f', 'before');
    await m.fs.write(m.context, handle, 0, Buffer.from('after!'), 'unstable');
    m.store.objects.delete('f');
    m.clock.advance(4000);
    const committed = await codeOf(m.fs.commit(m.context, handle));
    const kept = Object.entries(m.bucket()).filter(([, body]) => body === 'after!');
    t.equal(kept.length, 1, 'it is kept beside the object');
    t.equal(committed, 'EIO');
    const gone = await m.write('g', 'before');
    m.store.objects.delete('g');
    m.clock.advance(4000);
    t.equal(await codeOf(m.fs.write(m.context, gone, 0, Buffer.from('after!'), 'unstable')), 'ESTALE');
  },
);
