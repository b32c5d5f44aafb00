/**
 * Adds up the test points of TAP files, by the totals that tap writes at the end of each, and says again what failed: the runs print
 * tens of thousands of lines before. A file without totals is a failed run.
 */
import { readFileSync } from 'node:fs';

/** The lines of diagnostics that are shown of one failure. */
const DIAGNOSTIC_LINES = 60;

/** Each `not ok` with its diagnostics. A subtest's failure shows in the tests around it too, which have none. */
function failures(tap) {
  const lines = tap.split('\n');
  return lines.flatMap((line, at) => {
    if (!/^ *not ok /.test(line) || / # (todo|skip)\b/i.test(line)) return [];
    const indent = line.search(/\S/);
    const rest = lines.slice(at + 1, at + 1 + DIAGNOSTIC_LINES);
    const end = rest.findIndex((next) => next.trim() !== '' && next.search(/\S/) <= indent);
    return [line, ...(end === -1 ? rest : rest.slice(0, end))].filter((shown) => shown.trim() !== '');
  });
}

const sum = { pass: 0, fail: 0, skip: 0 };
for (const file of process.argv.slice(2)) {
  const tap = readFileSync(file, 'utf8');
  const failed = failures(tap);
  if (failed.length > 0) console.log(`== ${file.replace(/.*\//, '')}: what failed\n${failed.join('\n')}`);
  const totals = tap.match(/^# \{ total: [^}]*\}$/gm)?.at(-1);
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
