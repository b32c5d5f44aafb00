/** The table of docs/requests.md: what workloads cost in S3 requests and in bytes through the daemon, beside the least there can be. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { requestLine } from '../support/request-log.js';
import { countOf, rowOf, runWorkload, told, WORKLOADS, type Policy, type Seen } from './request-workloads.js';

const DOCUMENT = 'docs/requests.md';
const rows = readFileSync(DOCUMENT, 'utf8').split('\n');

await t.test(
  'no workload costs more than one request above the least, for both commit policies',
  async (t) => {
    for (const workload of WORKLOADS) {
      await t.test(workload.name, async (t) => {
        const measured = async (policy: Policy): Promise<Seen> => {
          const seen = await runWorkload(t, workload, policy);
          const least = workload.least[policy];
          const lines = seen.log.map(requestLine).slice(0, 40);
          const costs = `${policy}: ${told(seen.requests)}; at least ${told(least)}`;
          t.ok(seen.count <= countOf(least) + 1, costs, { lines });
          const bytes = `${policy}: ${String(seen.bytes)} bytes through the daemon`;
          t.ok(seen.bytes <= workload.bytesMax, bytes, { lines });
          return seen;
        };
        const row = rowOf(workload, {
          publish: await measured('publish'),
          journal: await measured('journal'),
        });
        t.ok(rows.includes(row), `a row of ${DOCUMENT}`, { row });
      });
    }
  },
);
