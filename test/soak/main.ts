/** `npm run soak -- --minutes 10 --seed 7`: readers over faults and replaced objects (soak.ts). Exit code 1 for anything that is wrong. */
import { parseArgs } from 'node:util';
import { CommandEnds } from '../support/command-ends.js';
import { runSoak } from './soak.js';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string' },
    'memory-limit': { type: 'string', default: '64MiB' },
    ttl: { type: 'string', default: '300' },
    weather: { type: 'string', default: '6' },
    'verify-reads': { type: 'string', default: 'auto' },
    'disk-cache': { type: 'boolean', default: false },
  },
});

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const ends = new CommandEnds();
try {
  const { told, ...report } = await runSoak(ends, {
    seed: values.seed === undefined ? Date.now() % 0x7fff_ffff : Number(values.seed),
    seconds: Number(values.minutes) * 60,
    weatherMs: Number(values.weather) * 1000,
    memoryLimit: values['memory-limit'],
    ttlMs: Number(values.ttl),
    verifyReads: values['verify-reads'] === 'off' ? 'off' : 'auto',
    diskCache: values['disk-cache'],
    say,
  });
  for (const line of told) say(line);
  say(JSON.stringify(report));
  if (!report.clean) process.exitCode = 1;
} finally {
  await ends.end();
}
