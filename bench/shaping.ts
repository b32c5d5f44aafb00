/**
 * Whether shaping holds what it promises: `node dist/bench/shaping.js [--connections 32] [--speed 8MB/s] [--mib 48]`. A store of its own
 * process is asked over so many connections at a time, unshaped for its own limits, then at that speed on each connection, then at four times
 * that speed for all together, down and up. Rates are of bodies: from the request to the last byte of the answer.
 */
import { parseArgs } from 'node:util';
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseSpeed } from '../config/shaping.js';
import { clearFaults, setFaults } from '../test/support/fault-client.js';
import { S3nfsdProcess } from '../test/support/s3nfsd-process.js';
import { ACCESS_KEY, SECRET_KEY, sign } from '../test/store/embedded/support.js';

const { values } = parseArgs({
  options: {
    connections: { type: 'string', default: '32' },
    speed: { type: 'string', default: '8MB/s' },
    mib: { type: 'string', default: '48' },
  },
});
const connections = Number(values.connections);
const bytesPerSecond = parseSpeed(values.speed) ?? NaN;
const body = Buffer.alloc(Number(values.mib) * 2 ** 20, 'shaping');
const small = Buffer.alloc(1024, 's');

const directory = await mkdtemp(join(tmpdir(), 's3nfsd-shaping-'));
const store = new S3nfsdProcess([
  'store',
  `--dir=${directory}`,
  '--port=0',
  '--bucket=bench',
  `--access-key-id=${ACCESS_KEY}`,
  `--secret-access-key=${SECRET_KEY}`,
]);
const port = Number(new URL((await store.ready<{ endpoint: string }>()).endpoint).port);
const agent = new Agent({ keepAlive: true, maxSockets: connections });

/** Sends one request and reads its answer to the end; seconds. */
async function exchange(method: 'GET' | 'PUT', key: string, content?: Buffer): Promise<number> {
  const path = `/bench/${key}`;
  const { headers } = sign({ port }, { method, path }, { payload: 'UNSIGNED-PAYLOAD' });
  const beganMs = performance.now();
  await new Promise<void>((resolve, reject) => {
    const length = content === undefined ? {} : { 'content-length': String(content.length) };
    const request = httpRequest(
      { host: '127.0.0.1', port, method, path, agent, headers: { ...headers, ...length } },
      (answer) => {
        if (answer.statusCode !== 200) reject(new Error(`${method} ${path}: ${answer.statusCode}`));
        answer.resume().once('end', resolve).once('error', reject);
      },
    );
    request.once('error', reject).end(content);
  });
  return (performance.now() - beganMs) / 1000;
}

/** All connections at once. */
async function transfer(
  name: string,
  method: 'GET' | 'PUT',
  expected?: number,
  together = false,
): Promise<void> {
  const beganMs = performance.now();
  const seconds = await Promise.all(
    Array.from({ length: connections }, (_, index) =>
      method === 'GET' ? exchange('GET', 'object') : exchange('PUT', `up-${index}`, body),
    ),
  );
  const rates = seconds.map((each) => body.length / each).sort((a, b) => a - b);
  const total = (body.length * connections) / ((performance.now() - beganMs) / 1000);
  const [slowest = 0, fastest = 0] = [rates[0], rates.at(-1)];
  const off = (rate: number): string =>
    expected === undefined ? '' : ` (${((rate / expected - 1) * 100).toFixed(1)}%)`;
  const mb = (rate: number): string => `${(rate / 1e6).toFixed(2)} MB/s${off(rate)}`;
  process.stdout.write(
    together || expected === undefined
      ? `${name}: all together ${mb(total)}\n`
      : `${name}: each connection ${mb(slowest)} to ${mb(fastest)}\n`,
  );
}

/** One request after another, of 1 KiB. */
async function calls(name: string, count: number): Promise<void> {
  const seconds: number[] = [];
  for (let each = 0; each < count; each++) seconds.push(await exchange('GET', 'small'));
  const sorted = seconds.sort((a, b) => a - b);
  const at = (part: number): string => ((sorted[Math.floor(count * part)] ?? 0) * 1000).toFixed(2);
  process.stdout.write(`${name}: median ${at(0.5)} ms, 99th percentile ${at(0.99)} ms\n`);
}

try {
  await exchange('PUT', 'object', body);
  await exchange('PUT', 'small', small);
  await transfer('no plan, down', 'GET');
  await transfer('no plan, up', 'PUT');
  await calls('no plan, GETs of 1 KiB', 2000);
  await setFaults(port, '- error operation=ListBuckets');
  await calls('a rule for other operations, GETs of 1 KiB', 2000);
  await setFaults(port, '- latency time=30ms');
  await calls('latency 30 ms, GETs of 1 KiB', 200);
  await setFaults(port, `- bandwidth speed=${values.speed}`);
  await transfer(`${values.speed} a connection, down`, 'GET', bytesPerSecond);
  await transfer(`${values.speed} a connection, up`, 'PUT', bytesPerSecond);
  await setFaults(port, `- bandwidth speed=${bytesPerSecond * 4}B/s scope=total`);
  await transfer(`four times that in total, down`, 'GET', bytesPerSecond * 4, true);
  await transfer(`four times that in total, up`, 'PUT', bytesPerSecond * 4, true);
  await clearFaults(port);
  await calls('no plan any more, GETs of 1 KiB', 2000);
} finally {
  agent.destroy();
  await store.end();
  await rm(directory, { recursive: true, force: true });
}
