/** The tools of libnfs, a client that shares no code with the kernel's and needs no root: URLs with the ports in them. */
import t from 'tap';
import { execFile, type ExecFileException } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Bucket } from './bucket.js';
import { BUCKET, DaemonProcess, directoriesIn, StoreProcess } from './daemon.js';

interface ToolResult {
  readonly status: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** Runs a tool; a status other than 0 is a result as well. */
async function tool(name: string, ...args: string[]): Promise<ToolResult> {
  return await new Promise((resolve) => {
    const options = { encoding: 'buffer', maxBuffer: 2 ** 27, timeout: 60_000 } as const;
    execFile(name, args, options, (error: ExecFileException | null, stdout, stderr) => {
      const status = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      resolve({ status, stdout, stderr: stderr.toString() });
    });
  });
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

const missing = ['nfs-ls', 'nfs-cat', 'nfs-cp'].filter((name) => !existsSync(`/usr/bin/${name}`));
const skip = missing.length > 0 && `libnfs-utils is not installed: no ${missing.join(', ')}`;

await t.test('libnfs lists, reads and copies', { skip }, async (t) => {
  const directory = t.testdir({ small: 'a file of one line\n' });
  const directories = directoriesIn(directory);
  const store = await StoreProcess.start(directories.buckets);
  t.teardown(() => store.stop());
  const endpoint = `http://127.0.0.1:${store.port}`;
  const daemon = await DaemonProcess.start({ endpoint, stateDirectory: directories.state });
  t.teardown(() => daemon.kill());
  const bucket = new Bucket(endpoint);
  t.teardown(() => bucket.close());
  const { nfsPort } = daemon.report;
  const url = (path: string): string =>
    `nfs://127.0.0.1/${BUCKET}/${path}?nfsport=${nfsPort}&mountport=${nfsPort}`;

  await t.test('nfs-cp up: a small file is an object', async (t) => {
    const { status, stderr } = await tool('nfs-cp', join(directory, 'small'), url('small'));
    t.equal(status, 0, stderr);
    t.equal(await bucket.text('small'), 'a file of one line\n');
  });

  await t.test('nfs-cat: the bytes of a file', async (t) => {
    const { status, stdout, stderr } = await tool('nfs-cat', url('small'));
    t.equal(status, 0, stderr);
    t.equal(stdout.toString(), 'a file of one line\n');
  });

  await t.test('nfs-cp up and down: 50 MiB', async (t) => {
    const bytes = randomBytes(50 * 2 ** 20);
    const path = join(directory, 'large');
    await writeFile(path, bytes);
    const up = await tool('nfs-cp', path, url('large'));
    t.equal(up.status, 0, up.stderr);
    const { sha256: stored, size } = await bucket.facts('large');
    t.equal(size, bytes.length);
    t.equal(stored, sha256(bytes), 'as S3 has it');
    const down = await tool('nfs-cp', url('large'), join(directory, 'back'));
    t.equal(down.status, 0, down.stderr);
    t.equal(sha256(await readFile(join(directory, 'back'))), stored, 'as the client reads it');
    const read = await tool('nfs-cat', url('large'));
    t.equal(sha256(read.stdout), stored, 'as nfs-cat reads it');
  });

  await t.test('nfs-ls: names, sizes and modes', async (t) => {
    const { status, stdout, stderr } = await tool('nfs-ls', url(''));
    t.equal(status, 0, stderr);
    const lines = stdout.toString().split('\n');
    const of = (name: string): string => lines.find((line) => line.endsWith(` ${name}`)) ?? '';
    t.match(of('small'), /^-rw-/);
    t.match(of('small'), ` ${(await stat(join(directory, 'small'))).size} `);
    t.match(of('large'), ` ${50 * 2 ** 20} `);
  });

  await t.test('a file that is not there is an error', async (t) => {
    const { status, stderr } = await tool('nfs-cat', url('nowhere'));
    t.not(status, 0);
    t.match(stderr, /NOENT|No such file/);
  });

  await t.test('nfs-ls of an export that is not there is an error', async (t) => {
    const { status } = await tool('nfs-ls', `nfs://127.0.0.1/other/?nfsport=${nfsPort}&mountport=${nfsPort}`);
    t.not(status, 0);
  });

  await t.test('the daemon drains at the end', async (t) => {
    await t.resolves(daemon.stop());
  });
});
