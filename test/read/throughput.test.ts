import t from 'tap';
import { Beginnings } from '../../src/read/beginnings.js';
import { newPace, simulatedRead, type Link } from './simulated-link.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const FAR: Link = { firstByteMs: 30, bytesPerMs: 8000 };
const CONNECTIONS = 32;

/** Of what so many connections give without a pause. */
function shareOfLink(link: Link, bytes: number, ms: number): number {
  return bytes / ms / (CONNECTIONS * link.bytesPerMs);
}

await t.test('a long sequential read takes all that 32 connections give', async (t) => {
  for (const depth of [2, 8]) {
    const mount = { windowBytesMax: 448 * MIB, pace: newPace(), beginnings: new Beginnings() };
    const arriving: number[] = [];
    const of = (mib: number): number => {
      const read = simulatedRead(FAR, mib * MIB, { readBytes: 128 * KIB, depth }, mount);
      const { ms, bytes, getsMax, arrivingMax } = read;
      t.equal(bytes, mib * MIB, 'no byte twice');
      t.ok(getsMax <= CONNECTIONS * 1.5, `${getsMax} GETs in flight`);
      // Nothing is known of the store before the first GETs, and READs ask for what they need beside what is read ahead.
      if (mount.beginnings.likely) arriving.push(arrivingMax);
      return shareOfLink(FAR, mib * MIB, ms);
    };
    const [short, long, longer] = [of(256), of(1024), of(4096)];
    t.ok(short > 0.8, `${short} of 256 MiB, start and end included, nothing known before`);
    t.ok(long > 0.96, `${long} of 1 GiB`);
    t.ok(longer > 0.98, `${longer} of 4 GiB`);
    t.ok(Math.max(...arriving.slice(1)) <= CONNECTIONS, `${arriving.join(', ')} GETs bring bytes at a time`);
  }
});

await t.test('with half a budget of 224 MiB it takes them, too', async (t) => {
  const mount = { windowBytesMax: 112 * MIB, pace: newPace() };
  const { ms } = simulatedRead(FAR, 4096 * MIB, { readBytes: 128 * KIB, depth: 2 }, mount);
  const share = shareOfLink(FAR, 4096 * MIB, ms);
  t.ok(share > 0.95, `${share} of 4 GiB`);
});

await t.test('files of 5 MiB come more than eight times as fast as by one GET each', async (t) => {
  const link = { firstByteMs: 15, bytesPerMs: 8000 };
  const mount = { windowBytesMax: 112 * MIB, pace: newPace(), beginnings: new Beginnings() };
  const oneMs = link.firstByteMs + (5 * MIB) / link.bytesPerMs;
  const [first = 0, ...others] = Array.from(
    { length: 5 },
    () => simulatedRead(link, 5 * MIB, { readBytes: 128 * KIB, depth: 2 }, mount).ms,
  );
  t.ok(oneMs / first > 2.5, `the first one, of which nothing is known: ${oneMs / first} times`);
  for (const ms of others) t.ok(oneMs / ms > 8, `${oneMs / ms} times`);
});

await t.test('where a connection is fast, few GETs are made of a file', async (t) => {
  for (const link of [
    { firstByteMs: 60, bytesPerMs: 90_000 },
    { firstByteMs: 1, bytesPerMs: 1_000_000 },
  ]) {
    const mount = { windowBytesMax: 112 * MIB, pace: newPace(), beginnings: new Beginnings() };
    const files = Array.from({ length: 5 }, () =>
      simulatedRead(link, 5 * MIB, { readBytes: 128 * KIB, depth: 2 }, mount),
    );
    for (const { gets } of files.slice(1)) t.ok(gets <= 4, `${gets} GETs`);
  }
});
