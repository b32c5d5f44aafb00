/** Adds up the test points of TAP files, by the totals that tap writes at the end of each. A file without totals is a failed run. */
import { readFileSync } from 'node:fs';

const sum = { pass: 0, fail: 0, skip: 0 };
for (const file of process.argv.slice(2)) {
  const totals = readFileSync(file, 'utf8')
    .match(/^# \{ total: [^}]*\}$/gm)
    ?.at(-1);
  if (totals === undefined) {
    console.error(`${file}: the run did not end`);
    sum.fail += 1;
    continue;
  }
  for (const name of Object.keys(sum))
    sum[name] += Number(totals.match(new RegExp(`\\b${name}: (\\d+)`))?.[1] ?? 0);
}
console.log(`${sum.pass} passed, ${sum.fail} failed, ${sum.skip} skipped`);
process.exit(sum.fail > 0 || sum.pass === 0 ? 1 : 0);
