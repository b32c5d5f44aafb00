/** The soak's short form, and what its judge makes of bytes that are wrong. `npm run soak` is the long form. S3NFSD_SOAK_SEED sets the seed. */
import t from 'tap';
import { bytesOf, judge, sizeOf, type SoakObject } from './content.js';
import { runSoak } from './soak.js';
import { WEATHERS } from './weather.js';

const SEED = Number(process.env['S3NFSD_SOAK_SEED'] ?? 20_260_101);
const WEATHER_MS = 2000;

const object: SoakObject = { key: 'a', id: 7, kind: { baseBytes: 4096, stepBytes: 64 } };
const none = (): number[] => [];

await t.test('bytes are judged by themselves: their version, or what is wrong with them', (t) => {
  for (const [offset, length] of [
    [0, 4096],
    [5, 100],
    [4090, 31],
  ] as const)
    t.strictSame(judge(object, offset, bytesOf(object, 3, offset, length), none), { version: 3 });
  t.strictSame(
    judge(object, 9, bytesOf(object, 4, 9, 8), () => [6, 5, 4]),
    { version: 4 },
  );
  const fault = (data: Buffer): unknown => {
    const verdict = judge(object, 160, data, none);
    return 'fault' in verdict ? verdict.fault : undefined;
  };
  t.equal(fault(bytesOf(object, 3, 176, 320)), 'wrong', 'of another place');
  t.equal(fault(bytesOf({ ...object, id: 8 }, 3, 160, 320)), 'wrong', 'of another object');
  t.equal(fault(Buffer.concat([bytesOf(object, 3, 160, 160), Buffer.alloc(160)])), 'wrong', 'zeros');
  t.equal(fault(Buffer.concat([bytesOf(object, 3, 160, 160), bytesOf(object, 4, 320, 160)])), 'mixed');
  const flipped = bytesOf(object, 3, 160, 320);
  flipped.writeUInt8(flipped.readUInt8(100) ^ 8, 100);
  t.equal(fault(flipped), 'flipped');
  t.not(sizeOf(object, 3), sizeOf(object, 4));
  t.end();
});

await t.test(
  'readers over a failing store, corrupted bodies and replaced objects: no wrong byte, no mixed version, none older than one before',
  async (t) => {
    const { told, clean, ...report } = await runSoak(t, {
      ...{ seed: SEED, seconds: (WEATHERS.length * WEATHER_MS) / 1000, weatherMs: WEATHER_MS },
      ...{ memoryLimit: '64MiB', ttlMs: 200, verifyReads: 'auto', diskCache: false },
      say: () => undefined,
    });
    t.comment(JSON.stringify(report));
    t.strictSame(told, [], `seed ${SEED}`);
    t.ok(clean);
    t.ok(report.reads > 0 && report.replaced > 0);
    t.ok(Object.values(report.faults).some((count) => count > 0));
  },
);
