/**
 * The fuzzer's short form: some thousands of messages, good and broken, over TCP and UDP, to NFS, MOUNT and, as root, the portmapper.
 * `npm run fuzz` is the long form. S3NFSD_TEST_SEED sets the seed.
 */
import t from 'tap';
import { fuzz } from './fuzz-run.js';

const SEED = Number(process.env['S3NFSD_TEST_SEED'] ?? 20_260_101);
const RECORDS = 6_000;
/** Procedures that an honest call must have got through to, or the fuzzer stays outside. */
const INSIDE = [
  'GETATTR',
  'SETATTR',
  'LOOKUP',
  'READ',
  'WRITE',
  'CREATE',
  'READDIR',
  'READDIRPLUS',
  'COMMIT',
  'FSINFO',
];

await t.test(
  'no crash, no hang, no growth, and every call has its answer',
  { timeout: 110_000 },
  async (t) => {
    const portmap = process.getuid?.() === 0;
    const report = await fuzz(t, { records: RECORDS, seed: SEED, connections: 8, portmap });
    const { tally } = report;
    t.comment(`${tally.records} records in ${report.seconds.toFixed(1)} s, ${tally.replies} replies`);
    t.same(tally.faults, [], `${tally.faultCount} wrong replies; seed ${SEED}`);
    t.same(report.failures, [], `seed ${SEED}`);
    t.ok(tally.records >= RECORDS);
    t.ok(tally.cuts > 0, 'some connections had to be cut');
    for (const name of INSIDE) t.ok(tally.count(`NFS3.${name}`, 'NFS3_OK') > 0, `${name} was got into`);
  },
);
