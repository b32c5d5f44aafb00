import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { open } from 'lmdb';
import t from 'tap';
import { NodeTable } from '../../src/state/node-table.js';
import { openStateDirectory, StateDirectoryLockedError } from '../../src/state/state-directory.js';

const CHILD = `
  import { openStateDirectory } from ${JSON.stringify(new URL('../../src/state/state-directory.js', import.meta.url).href)};
  try {
    await openStateDirectory(process.argv[1]);
    process.stdout.write('open\\n');
    setInterval(() => {}, 1000);
  } catch (error) {
    process.stdout.write(error.name + '\\n');
  }
`;

/** A process that opens the directory and stays; `said` is its first line. */
async function holder(directory: string): Promise<{ child: ChildProcess; said: string }> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', CHILD, directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return { child, said: line.toString().trim() };
}

async function kill({ child }: { child: ChildProcess }): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

void t.test('the directory is made private, and its secret stays the same', async (t) => {
  const path = join(t.testdir(), 'deep', 'state');
  const first = await openStateDirectory(path);
  const { secret } = first;
  t.equal(secret.length, 32);
  t.equal(statSync(path).mode & 0o777, 0o700);
  t.equal(statSync(join(path, 'secret')).mode & 0o777, 0o600);
  t.ok(statSync(first.spoolPath).isDirectory());
  await first.close();
  const second = await openStateDirectory(path);
  t.same(second.secret, secret);
  await second.close();
});

void t.test(
  'a second daemon fails at once, in one line that names the directory and the holder',
  async (t) => {
    const path = t.testdir();
    const first = await openStateDirectory(path);
    const error: unknown = await openStateDirectory(path).catch((cause: unknown) => cause);
    t.ok(error instanceof StateDirectoryLockedError);
    if (!(error instanceof StateDirectoryLockedError)) return;
    t.equal(error.message, `state directory ${path} is in use by another s3nfsd (pid ${process.pid})`);
    t.equal((await holder(path)).said, 'StateDirectoryLockedError', 'also from another process');
    await first.close();
    await (await openStateDirectory(path)).close();
  },
);

void t.test('the directory can be had again after kill -9 of its holder', async (t) => {
  const path = t.testdir();
  for (let round = 0; round < 3; round++) {
    const other = await holder(path);
    t.equal(other.said, 'open');
    await t.rejects(openStateDirectory(path), new StateDirectoryLockedError(path, other.child.pid ?? 0));
    await kill(other);
  }
  await (await openStateDirectory(path)).close();
  t.equal(readdirSync(path).filter((file) => file.startsWith('lock.')).length, 1, 'old claims are gone');
  t.equal(readdirSync(path).filter((file) => file.endsWith('.sock')).length, 0, 'old sockets are gone');
});

void t.test('of many that start at the same time over a stale lock, one gets it', async (t) => {
  for (let round = 0; round < 5; round++) {
    const path = t.testdir({});
    symlinkSync('1.dead.sock', join(path, 'lock.7'));
    const outcomes = await Promise.allSettled(Array.from({ length: 12 }, () => openStateDirectory(path)));
    const opened = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
    t.equal(opened.length, 1);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') t.ok(outcome.reason instanceof StateDirectoryLockedError);
    }
    await Promise.all(opened.map((directory) => directory.close()));
    rmSync(path, { recursive: true });
  }
});

void t.test('a path longer than a socket address works', async (t) => {
  const path = join(t.testdir(), 'x'.repeat(120), 'y'.repeat(120));
  mkdirSync(path, { recursive: true });
  const first = await openStateDirectory(path);
  await t.rejects(openStateDirectory(path), StateDirectoryLockedError);
  await first.close();
  await (await openStateDirectory(path)).close();
  t.equal(readdirSync(path).filter((file) => file.endsWith('.sock')).length, 0);
});

void t.test('state of another version and a damaged secret are refused by name', async (t) => {
  const other = t.testdir({ version: '99\n' });
  await t.rejects(openStateDirectory(other), {
    message:
      /version: expected state of version 1 or 2, found "99"; start the version of s3nfsd that wrote it/,
  });
  rmSync(join(other, 'version'));
  writeFileSync(join(other, 'secret'), 'short');
  await t.rejects(openStateDirectory(other), { message: /secret: expected 32 bytes, found 5/ });
  rmSync(join(other, 'secret'));
  await (await openStateDirectory(other)).close();
});

void t.test('the write verifier of a clean shutdown is given once', async (t) => {
  const path = t.testdir();
  const first = await openStateDirectory(path);
  const fresh = await first.takeWriteVerifier();
  t.equal(fresh.length, 8);
  t.notSame(await first.takeWriteVerifier(), fresh);
  await first.saveWriteVerifier(fresh);
  await t.rejects(first.saveWriteVerifier(Buffer.alloc(7)), RangeError);
  await first.close();

  const second = await openStateDirectory(path);
  t.same(await second.takeWriteVerifier(), fresh);
  await second.close();

  const third = await openStateDirectory(path);
  t.notSame(await third.takeWriteVerifier(), fresh, 'after a crash it is another');
  await third.close();
});

void t.test(
  'state of version 1 is brought to this one: ids stay, and what was removed is collected',
  async (t) => {
    const directory = t.testdir();
    const first = await openStateDirectory(directory);
    const table = NodeTable.open(directory, { secret: first.secret });
    const root = table.root('bucket').id;
    const file = table.intern(root, 'file').id;
    const top = table.intern(root, 'top').id;
    const below = table.intern(top, 'below').id;
    table.remove(top);
    await table.close();
    await first.close();
    // Version 1 had no list of removals.
    const database = open({ path: join(directory, 'nodes.lmdb'), noSubdir: true, keyEncoding: 'binary' });
    await database.openDB('removals', { keyEncoding: 'binary' }).drop();
    await database.close();
    writeFileSync(join(directory, 'version'), '1\n');

    const second = await openStateDirectory(directory);
    t.same(second.secret, first.secret);
    const again = NodeTable.open(directory, { secret: second.secret });
    t.equal(again.child(root, 'file')?.id, file);
    while (await again.collect(Date.now() + 1, 10, () => false));
    t.equal(again.get(top), undefined);
    t.equal(again.get(below), undefined);
    t.not(again.intern(root, 'top').id, top);
    await again.close();
    await second.close();
    t.equal(readFileSync(join(directory, 'version'), 'utf8'), '2\n');
  },
);
