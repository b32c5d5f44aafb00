/** The table of names in docs/requests.md: what calls on names cost in S3 requests, beside the least there can be. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { requestLine } from '../support/request-log.js';
import { NAME_WORKLOADS } from './name-workloads.js';
import { countOf, rowOf, runWorkload, told, type Policy, type Seen } from './request-workloads.js';

const DOCUMENT = 'docs/requests.md';
const rows = readFileSync(DOCUMENT, 'utf8').split('\n');

await t.test('no call on a name costs more than one request above the least', async (t) => {
  for (const workload of NAME_WORKLOADS) {
    const measured = async (policy: Policy): Promise<Seen> => {
      const seen = await runWorkload(t, workload, policy);
      const least = workload.least[policy];
      const lines = seen.log.map(requestLine).slice(0, 20);
      t.ok(
        seen.count <= countOf(least) + 1,
        `${workload.name}: ${told(seen.requests)}; at least ${told(least)}`,
        {
          lines,
        },
      );
      t.ok(seen.bytes <= workload.bytesMax, `${String(seen.bytes)} bytes through the daemon`, { lines });
      return seen;
    };
    const row = rowOf(workload, { publish: await measured('publish'), journal: await measured('journal') });
    t.ok(rows.includes(row), `a row of ${DOCUMENT}`, { row });
  }
});
