import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { crc32 } from 'node:zlib';
import t, { type Test } from 'tap';
import { Journal, JournalError, type JournalEntry } from '../../src/state/journal.js';

async function entriesOf(path: string): Promise<JournalEntry[]> {
  const { journal, entries } = await Journal.open(path);
  await journal.close();
  return entries;
}

/** Runs `around` in place of every FileHandle's datasync until the test ends. */
async function interceptDatasync(
  t: Test,
  around: (datasync: () => Promise<void>) => Promise<void>,
): Promise<void> {
  const probe = await open(process.execPath, 'r');
  const prototype = Object.getPrototypeOf(probe) as FileHandle;
  await probe.close();
  const original = Object.getOwnPropertyDescriptor(prototype, 'datasync');
  if (original === undefined) throw new Error('FileHandle has no datasync');
  const datasync = original.value as (this: FileHandle) => Promise<void>;
  Object.defineProperty(prototype, 'datasync', {
    ...original,
    value(this: FileHandle) {
      return around(() => datasync.call(this));
    },
  });
  t.teardown(() => Object.defineProperty(prototype, 'datasync', original));
}

void t.test('entries come back in order after reopening', async (t) => {
  const path = join(t.testdir(), 'journal');
  const { journal, entries, tornBytes } = await Journal.open(path);
  t.same(entries, []);
  t.equal(tornBytes, 0);
  const written: JournalEntry[] = [{ put: 'ключ', size: '9007199254740993' }, ['a', null, true], 'x', 0];
  for (const entry of written) await journal.append(entry);
  t.equal(journal.size(), readFileSync(path).length);
  await journal.close();
  await t.rejects(journal.append('late'), JournalError);

  const again = await Journal.open(path);
  t.same(again.entries, written);
  await again.journal.append('more');
  await again.journal.close();
  t.same(await entriesOf(path), [...written, 'more']);
});

void t.test(
  'a tail torn at any byte is cut off, and appending goes on behind the whole records',
  async (t) => {
    const path = join(t.testdir(), 'journal');
    const { journal } = await Journal.open(path);
    const ends: number[] = [0];
    for (const entry of [{ a: 1 }, { b: 'two' }, { c: [3] }]) {
      await journal.append(entry);
      ends.push(journal.size());
    }
    await journal.close();
    const whole = readFileSync(path);
    for (let length = 0; length <= whole.length; length++) {
      for (const tail of [Buffer.alloc(0), Buffer.alloc(32)]) {
        writeFileSync(path, Buffer.concat([whole.subarray(0, length), tail]));
        const torn = await Journal.open(path);
        const records = ends.filter((end) => end <= length).length - 1;
        t.equal(torn.entries.length, records, `${length} bytes and ${tail.length} zeros`);
        t.equal(torn.tornBytes, length + tail.length - (ends[records] ?? 0));
        await torn.journal.append('after');
        await torn.journal.close();
        t.same((await entriesOf(path)).slice(records), ['after']);
      }
    }
  },
);

void t.test('a record with any bit flipped ends the replay before it', async (t) => {
  const path = join(t.testdir(), 'journal');
  const { journal } = await Journal.open(path);
  await journal.append('first');
  const start = journal.size();
  await journal.append('second');
  await journal.close();
  const whole = readFileSync(path);
  for (let bit = start * 8; bit < whole.length * 8; bit++) {
    const damaged = Buffer.from(whole);
    damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    writeFileSync(path, damaged);
    t.same(await entriesOf(path), ['first'], `bit ${bit}`);
  }
});

void t.test('a bit flipped in any record but the last is found out: the journal does not open', async (t) => {
  const path = join(t.testdir(), 'journal');
  const { journal } = await Journal.open(path);
  await journal.append('first');
  const end = journal.size();
  await journal.append('second');
  await journal.close();
  const whole = readFileSync(path);
  for (let bit = 0; bit < end * 8; bit++) {
    const damaged = Buffer.from(whole);
    damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    writeFileSync(path, damaged);
    await t.rejects(
      Journal.open(path),
      { name: 'JournalError', message: /is damaged at byte 0/ },
      `bit ${bit}`,
    );
    t.ok(readFileSync(path).equals(damaged), 'and stays as it is');
  }
});

void t.test('a write that finds no room is taken back, and the next one may succeed', async (t) => {
  const path = join(t.testdir(), 'journal');
  const { journal } = await Journal.open(path);
  await journal.append('safe');
  const probe = await open(process.execPath, 'r');
  const prototype = Object.getPrototypeOf(probe) as object;
  await probe.close();
  const original = Object.getOwnPropertyDescriptor(prototype, 'write') as PropertyDescriptor;
  t.teardown(() => Object.defineProperty(prototype, 'write', original));
  let calls = 0;
  Object.defineProperty(prototype, 'write', {
    ...original,
    // Half of it fits.
    async value(this: FileHandle, bytes: Buffer, at: number, length: number) {
      calls += 1;
      if (calls > 1) throw Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC' });
      const write = original.value as (...given: unknown[]) => Promise<unknown>;
      return write.call(this, bytes, at, Math.floor(length / 2));
    },
  });
  await t.rejects(journal.append('lost'), { name: 'JournalError', message: /ENOSPC/ });
  Object.defineProperty(prototype, 'write', original);
  await journal.append('after');
  await journal.close();
  t.same(await entriesOf(path), ['safe', 'after']);
});

void t.test(
  'of what one sync takes the disk may have any page after a crash: the journal opens',
  async (t) => {
    const path = join(t.testdir(), 'journal');
    const { journal } = await Journal.open(path);
    const crashes: Buffer[] = [];
    const safe: number[] = [];
    await interceptDatasync(t, async (datasync) => {
      // The first page of what this sync is to make safe didn't reach the disk, what is behind it did.
      const written = readFileSync(path);
      const from = safe.at(-1) ?? 0;
      crashes.push(Buffer.from(written).fill(0, from, Math.min(from + 4096, written.length)));
      await datasync();
      safe.push(written.length);
    });
    const large = 'x'.repeat(9 * 1024 * 1024);
    await Promise.all([journal.append('first'), journal.append(large), journal.append(large)]);
    await journal.append('last');
    await journal.close();
    for (const crash of crashes) {
      writeFileSync(path, crash);
      const again = await Journal.open(path);
      await again.journal.close();
    }
    t.ok(crashes.length > 1);
  },
);

void t.test('a journal of one entry a record is read, too', async (t) => {
  const path = join(t.testdir(), 'journal');
  const records = ['{"ref":"a"}', '{"ref":"b"}'].map((text) => {
    const record = Buffer.alloc(8 + text.length);
    record.writeUInt32BE(text.length, 0);
    record.write(text, 8);
    record.writeUInt32BE(crc32(record.subarray(8), crc32(record.subarray(0, 4))), 4);
    return record;
  });
  writeFileSync(path, Buffer.concat(records));
  t.same(await entriesOf(path), [{ ref: 'a' }, { ref: 'b' }]);
});

void t.test(
  'appends that arrive during a sync share the next one, and none resolves before its own',
  async (t) => {
    let syncs = 0;
    let letGo = (): void => undefined;
    let started = (): void => undefined;
    const firstStarted = new Promise<void>((resolve) => (started = resolve));
    const held = new Promise<void>((resolve) => (letGo = resolve));
    await interceptDatasync(t, async (datasync) => {
      if (++syncs === 1) {
        started();
        await held;
      }
      await datasync();
    });
    const path = join(t.testdir(), 'journal');
    const { journal } = await Journal.open(path);
    let resolved = 0;
    const first = journal.append('first').then(() => resolved++);
    await firstStarted;
    const others = Array.from({ length: 100 }, (_, i) => journal.append(i).then(() => resolved++));
    await new Promise(setImmediate);
    t.equal(resolved, 0);
    letGo();
    await first;
    await Promise.all(others);
    t.equal(syncs, 2);
    await journal.close();
    t.same(await entriesOf(path), ['first', ...Array.from({ length: 100 }, (_, i) => i)]);
  },
);

void t.test('after a sync has failed, that append and every later one is rejected', async (t) => {
  let failing = false;
  await interceptDatasync(t, async (datasync) => {
    if (failing) throw Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' });
    await datasync();
  });
  const path = join(t.testdir(), 'journal');
  const { journal } = await Journal.open(path);
  await journal.append('safe');
  failing = true;
  await t.rejects(journal.append('lost'), { name: 'JournalError', message: /could not be written.*EIO/ });
  failing = false;
  await t.rejects(journal.append('later'), JournalError);
  await t.rejects(journal.compact([]), JournalError);
  await journal.close();
  t.equal((await entriesOf(path))[0], 'safe');
});

void t.test('compaction replaces the content and keeps what is appended around it', async (t) => {
  const path = join(t.testdir(), 'journal');
  const { journal } = await Journal.open(path);
  for (let i = 0; i < 100; i++) await journal.append({ dead: i });
  const before = journal.size();
  const unacknowledged = journal.append('unacknowledged');
  const compacted = journal.compact(['live 1', 'live 2']);
  const after = journal.append('after');
  await Promise.all([unacknowledged, compacted, after]);
  t.ok(journal.size() < before);
  t.equal(journal.size(), readFileSync(path).length);
  await journal.append('last');
  await journal.close();
  t.same(await entriesOf(path), ['live 1', 'live 2', 'unacknowledged', 'after', 'last']);
});

void t.test('a compaction that fails before the rename leaves the journal as it is', async (t) => {
  const path = join(t.testdir({ 'journal.new': { folder: 'in the way' } }), 'journal');
  const { journal } = await Journal.open(path);
  await journal.append('kept');
  await t.rejects(journal.compact([]), { message: /could not be compacted/ });
  await journal.append('more');
  await journal.close();
  t.same(await entriesOf(path), ['kept', 'more']);
});

const CHILD = `
  import { Journal } from ${JSON.stringify(new URL('../../src/state/journal.js', import.meta.url).href)};
  const { journal } = await Journal.open(process.argv[1]);
  const live = [];
  const append = async (writer) => {
    for (let i = 0; ; i++) {
      const entry = writer + ' ' + i + ' ' + 'x'.repeat(i % 700);
      live.push(entry);
      await journal.append(entry);
      process.stdout.write(entry + '\\n');
      if (writer === 0 && i % 50 === 49) await journal.compact(live);
    }
  };
  await Promise.all([0, 1, 2, 3].map(append));
`;

void t.test('kill -9 in the middle of appends and compactions keeps everything acknowledged', async (t) => {
  for (const acknowledgedMax of [1, 150, 700]) {
    const path = join(t.testdir(), `journal ${acknowledgedMax}`);
    const child = spawn(process.execPath, ['--input-type=module', '-e', CHILD, path], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exited = once(child, 'exit');
    const acknowledged: string[] = [];
    for await (const line of createInterface({ input: child.stdout })) {
      acknowledged.push(line);
      if (acknowledged.length === acknowledgedMax) child.kill('SIGKILL');
    }
    await exited;
    // The last line may be cut short by the kill.
    const found = new Set(await entriesOf(path));
    const missing = acknowledged.slice(0, acknowledgedMax).filter((entry) => !found.has(entry));
    t.same(missing, [], `${acknowledged.length} acknowledged`);
  }
});
