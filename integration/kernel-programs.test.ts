/** People's programs on the mount: archives, databases, fio, git, npm, make, rsync; in the end the bucket has what they believe. */
import t, { type Test } from 'tap';
import { execFile } from 'node:child_process';
import { cp, mkdir, realpath, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { noGuestReason } from './guest.js';
import { stage } from './mounted.js';
import { toldObjects } from './told-objects.js';
import { differencesAtRest } from './trees.js';
import { workload } from './workload.js';

const execute = promisify(execFile);

/** S3NFSD_LONG=1: more bytes and more histories. */
const LONG = process.env['S3NFSD_LONG'] === '1';
const TIMEOUT = { timeoutMs: 800_000 };
const FIO_MIB = LONG ? 64 : 4;
/** Commits of the repository. */
const HISTORY = LONG ? '1000' : '60';
/** Packages without dependencies of their own but these: declarations, a program, a link to it. */
const PACKAGES = ['yaml', 'ipaddr.js', '@types/node', 'undici-types'];
/** A C library with its Makefile, tools and tests that comes with a dependency. */
const C_PROJECT = 'node_modules/lmdb/dependencies/lmdb/libraries/liblmdb';

/** A repository of some history: this project's own, or one of a few commits where that can't be cloned. */
async function makeOrigin(directory: string): Promise<string> {
  const origin = join(directory, 'origin.git');
  const own = [
    '-c',
    'safe.directory=*',
    'clone',
    '-q',
    '--bare',
    '--depth',
    HISTORY,
    `file://${resolve('.')}`,
    origin,
  ];
  try {
    await execute('git', own);
  } catch {
    const made = join(directory, 'made');
    await mkdir(made);
    const git = ['-C', made, '-c', 'user.name=Test', '-c', 'user.email=test@example.com'];
    await execute('git', [...git, 'init', '-q', '-b', 'main']);
    for (const name of ['README.md', 'CHANGELOG.md', 'LICENSE', 'package.json', 'src', 'docs']) {
      await cp(resolve(name), join(made, name), { recursive: true });
      await execute('git', [...git, 'add', '.']);
      await execute('git', [...git, 'commit', '-q', '-m', name]);
    }
    await execute('git', ['clone', '-q', '--bare', made, origin]);
  }
  return origin;
}

/** A project whose packages are archives beside it, with its lock file: `npm ci` needs no registry. */
async function makeProject(directory: string): Promise<string> {
  const project = join(directory, 'project');
  await mkdir(project);
  const dependencies: Record<string, string> = {};
  for (const name of PACKAGES) {
    const archive = `${name.replaceAll('/', '-')}.tgz`;
    const from = ['--transform', 's,^\\.,package,', '-C', await realpath(join('node_modules', name)), '.'];
    await execute('tar', ['-czf', join(project, archive), ...from]);
    dependencies[name] = `file:${archive}`;
  }
  const manifest = { name: 'project', version: '1.0.0', dependencies };
  await writeFile(join(project, 'package.json'), JSON.stringify(manifest));
  const lock = ['install', '--package-lock-only', '--offline', '--ignore-scripts', '--no-audit', '--no-fund'];
  await execute('npm', lock, { cwd: project });
  return project;
}

await t.test('programs under the Linux client', { skip: noGuestReason() ?? false }, async (t) => {
  const scratch = t.testdir();
  const s = await stage(t, { label: 'programs' });
  const { run, bucket, mount } = s;
  await run(t, mount);

  /** Runs a part, and compares what it left below its directory with what S3 has. */
  const program = async (t: Test, part: string, ...args: (string | number)[]): Promise<void> => {
    const top = `/mnt/s3/${part}`;
    t.comment(await run(t, workload('programs', part, top, ...args), TIMEOUT));
    await sameInS3(t, part);
  };
  const sameInS3 = async (t: Test, part: string): Promise<void> => {
    t.same(await differencesAtRest(await toldObjects(t, s, part), bucket, `${part}/`), []);
  };

  await t.test('zip: headers are patched, entries appended', async (t) => {
    await program(t, 'archive');
  });

  await t.test('MP4: a size is patched, the index moves to the front', async (t) => {
    await program(t, 'film');
  });

  await t.test('dd conv=notrunc, rsync --inplace, rsync --append-verify', async (t) => {
    await program(t, 'in_place');
  });

  await t.test('SQLite in WAL mode: exclusive, and by two processes that share memory', async (t) => {
    const path = '/mnt/s3/wal/db';
    t.comment(await run(t, workload('programs', 'wal_database', path), TIMEOUT));
    await sameInS3(t, 'wal');
    await run(t, `cd /; umount /mnt/s3; ${mount}; ${workload('programs', 'check_wal_database', path, 600)}`);
  });

  await t.test('fio with verify: random, direct, mapped, in order, all at once', async (t) => {
    await program(t, 'fio', FIO_MIB);
  });

  await t.test('git: clone, commit, merge, gc, fsck, a clone of the clone', async (t) => {
    await program(t, 'repository', await makeOrigin(scratch));
  });

  await t.test('npm ci of a project', async (t) => {
    await program(t, 'packages', await makeProject(scratch));
  });

  await t.test('make -j of a C project, nothing the second time, what a header asks for', async (t) => {
    await program(t, 'build', await realpath(C_PROJECT));
  });

  await t.test('cp -a, tar and rsync -a keep every field; rsync finds nothing to do', async (t) => {
    await program(t, 'copies');
    await run(
      t,
      `cd /; umount /mnt/s3; ${mount}; ${workload('programs', 'check_copies', '/mnt/s3/copies')}`,
      TIMEOUT,
    );
  });

  await t.test('the daemon ends well after all this', async (t) => {
    await run(t, 'umount /mnt/s3');
    await t.resolves(s.daemon.stop());
    t.same(s.daemon.stderr, []);
  });
});
