/** The contract of the S3 store while the network and the server fail under it: every case must hold as if nothing were. */
import t from 'tap';
import { startEmbeddedStore } from '../../src/store/embedded/server.js';
import { createS3Store } from '../../src/store/s3/s3-store.js';
import { createLogger } from '../../src/telemetry/log.js';
import { S3Proxy, type Interference, type ProxiedRequest } from '../support/s3-proxy.js';
import { objectStoreContract } from './contract.js';

const FAULTS: readonly Interference[] = ['reset', 'lose-answer', 'truncate', '500', '503'];

/** In a row, below the attempts that the client makes of a call: so that a call never fails for bad luck. */
const FAULTS_IN_A_ROW_MAX = 3;

/** mulberry32: numbers in [0, 1), the same for the same seed. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Interferes with three requests in ten, and counts by kind. */
class Weather {
  readonly counts = new Map<Interference, number>();
  readonly #random: () => number;
  readonly #inARow = new Map<string, number>();

  constructor(seed: number) {
    this.#random = randomOf(seed);
  }

  readonly interfere = ({ operation, key = '', query }: ProxiedRequest): Interference | undefined => {
    const call = `${operation} ${key} ${query.get('partNumber') ?? ''}`;
    const before = this.#inARow.get(call) ?? 0;
    const fault = this.#random() < 0.3 ? FAULTS[Math.floor(this.#random() * FAULTS.length)] : undefined;
    // An upload whose id was lost stays behind, as it must: the janitor's business, and no case of the contract's.
    const orphans =
      operation === 'CreateMultipartUpload' && (fault === 'lose-answer' || fault === 'truncate');
    if (fault === undefined || orphans || before >= FAULTS_IN_A_ROW_MAX) {
      this.#inARow.delete(call);
      return undefined;
    }
    this.#inARow.set(call, before + 1);
    this.counts.set(fault, (this.counts.get(fault) ?? 0) + 1);
    return fault;
  };
}

for (const seed of [1, 2])
  await t.test(`contract under faults, seed ${String(seed)}`, async (t) => {
    const credentials = { accessKeyId: 'test', secretAccessKey: 'test-secret' };
    const directory = t.testdir({ bucket: {} });
    const server = await startEmbeddedStore({ directory, host: '127.0.0.1', port: 0, ...credentials });
    t.teardown(() => server.close());
    const weather = new Weather(seed);
    const proxy = await S3Proxy.start(server.endpoint, { interfere: weather.interfere });
    t.teardown(() => proxy.close());
    await t.test('every rule', async (t) => {
      const options = {
        bucket: 'bucket',
        region: 'us-east-1',
        endpointUrl: proxy.endpoint,
        credentials,
        log: createLogger('silent'),
        retry: { backoffMs: 1, throttledBackoffMs: 1, backoffMsMax: 2 },
      };
      await objectStoreContract(t, async () => createS3Store(options));
    });
    for (const fault of FAULTS) t.ok((weather.counts.get(fault) ?? 0) > 0, `${fault} happened`);
  });
