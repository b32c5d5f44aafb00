/** The daemon ends and comes back under a client that has files and directories open. */
import t from 'tap';
import { createHash, randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { noGuestReason, type Guest } from './guest.js';
import { stage, type Stage } from './mounted.js';

const MIB = 2 ** 20;
/** Enough for a listing of many pages, of which a pipe holds a part. */
const ENTRIES = 3000;

/** Waits in a script for what `guest.tell(name)` makes. */
const await_ = (name: string): string => `while [ ! -e /out/${name} ]; do sleep 0.05; done`;

/** How many calls of a procedure the client has had answered on this mount. */
const answered = (procedure: string): string =>
  `awk '/ mounted on \\/mnt\\/s3 /{on=1} on && $1 == "${procedure}:" {print $2; exit}' /proc/self/mountstats`;

/** Sources are written by halves: one before the daemon ends and one after. */
const SOURCE_MIB = 60;
const HALF_MIB = 30;

/** Writes the first half of /out/NAME.source, UNSTABLE and without a COMMIT; the other half is written after `go-NAME`. */
const writeInHalves = (name: string): string =>
  `perl ${resolve('integration/write-in-halves.pl')} /out/${name}.source /mnt/s3/${name} /out/written-${name} /out/go-${name}`;

async function randomFile(guest: Guest, name: string): Promise<Buffer> {
  const bytes = randomBytes(SOURCE_MIB * MIB);
  await writeFile(join(guest.directory, `${name}.source`), bytes);
  return bytes;
}

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** SIGTERM drains and SIGKILL doesn't: to the client both must be no more than a pause. */
const RESTARTS = [
  { name: 'SIGTERM', end: (stage: Stage) => stage.daemon.stop() },
  { name: 'SIGKILL', end: (stage: Stage) => stage.daemon.kill() },
] as const;

await t.test('a restart under a mounted client', { skip: noGuestReason() ?? false }, async (t) => {
  const s = await stage(t, { label: 'restart' });
  const { run, guest, bucket, daemon, mount } = s;
  await run(t, mount);

  for (const { name, end } of RESTARTS) {
    await t.test(`${name}: open files go on working`, async (t) => {
      const done = run(
        t,
        `cd /mnt/s3; exec 3<>open-${name}; echo before >&3; sync open-${name}
         exec 4<open-${name}; read first <&4; : >/out/opened-${name}; ${await_(`restarted-${name}`)}
         echo after >&3; sync open-${name}; read second <&4; exec 3>&- 4>&-; echo "$first $second"; cat open-${name}`,
      );
      await guest.mark(`opened-${name}`);
      await end(s);
      await daemon.start();
      await guest.tell(`restarted-${name}`);
      t.equal(await done, 'before after\nbefore\nafter\n');
      t.equal(await bucket.text(`open-${name}`), 'before\nafter\n');
    });

    await t.test(`${name}: a listing under way goes on and shows each entry once`, async (t) => {
      const directory = `many-${name}`;
      const long = 'so-long-that-a-pipe-does-not-hold-all-of-the-listing';
      for (let first = 0; first < ENTRIES; first += 100) {
        const numbers = Array.from({ length: 100 }, (_, index) => first + index);
        await Promise.all(numbers.map((n) => bucket.put(`${directory}/entry-${long}-${n}`, 'x')));
      }
      const done = run(
        t,
        `cd /mnt/s3; ls -U1 ${directory} | (read first; : >/out/listing-${name}; ${await_(`resumed-${name}`)}
         echo "$first"; cat) | sort >/tmp/listed; wc -l </tmp/listed; uniq /tmp/listed | wc -l; ls ${directory} | wc -l`,
      );
      await guest.mark(`listing-${name}`);
      await end(s);
      await daemon.start();
      await guest.tell(`resumed-${name}`);
      t.equal(await done, `${ENTRIES}\n`.repeat(3));
    });

    await t.test(`${name}: a file that is being written is whole in the end`, async (t) => {
      const source = await randomFile(guest, `whole-${name}`);
      const done = run(t, writeInHalves(`whole-${name}`), { timeoutMs: 240_000 });
      await guest.mark(`written-whole-${name}`);
      await end(s);
      await daemon.start();
      await guest.tell(`go-whole-${name}`);
      await done;
      const { size, sha256 } = await bucket.facts(`whole-${name}`);
      t.equal(size, source.length);
      t.equal(sha256, digest(source));
    });
  }

  await t.test('SIGTERM publishes what was acknowledged and never committed', async (t) => {
    const source = await randomFile(guest, 'drained');
    const commits = `commits=$(${answered('COMMIT')})`;
    const done = run(
      t,
      `${commits}; echo $commits >/out/commits-before
       ${writeInHalves('drained')} & while [ ! -e /out/written-drained ]; do kill -0 $!; sleep 0.05; done
       ${commits}; echo $commits >/out/commits-after; : >/out/counted; wait $!`,
      { timeoutMs: 240_000 },
    );
    await guest.mark('counted');
    await daemon.stop();
    const { size, sha256 } = await bucket.facts('drained');
    t.equal(size, HALF_MIB * MIB);
    t.equal(sha256, digest(source.subarray(0, size)));
    const [before, after] = await Promise.all(
      ['commits-before', 'commits-after'].map((file) => readFile(join(guest.directory, file), 'utf8')),
    );
    t.equal(after, before, 'the client had not asked for it');
    await daemon.start();
    await guest.tell('go-drained');
    await done;
    t.equal((await bucket.facts('drained')).sha256, digest(source), 'and the client goes on');
  });

  await t.test('the daemon ends well after all this', async (t) => {
    await run(t, 'umount /mnt/s3');
    await t.resolves(daemon.stop());
  });
});
