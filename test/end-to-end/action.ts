/** An action of a client and the exact S3 requests that it must cause, as data; and what runs it. */
import type { Test } from 'tap';
import { assertRequests, requestDifference, type Expected } from '../support/request-comparison.js';
import { bytesOf, requestLine, type LoggedRequest } from '../support/request-log.js';
import { Bucket, BUCKET, serveBucket, type Serving } from './fixture.js';

/** There before each action, written by another S3 user; the daemon has seen nothing of it. */
const SEED = ['dir/one', 'dir/two', 'top'];
/** The first look at the root. */
export const ROOT = 'ListObjectsV2 delimited';

export interface Action {
  readonly name: string;
  readonly run: (serving: Serving) => Promise<unknown>;
  readonly requests: Expected;
  /** What they may be as well, where the machine is slow. */
  readonly or?: Expected;
  /** Further objects that are there before. */
  readonly seed?: Readonly<Record<string, string | Buffer>>;
  /** Files that lie in the bucket's directory before, each with its name as its content: quicker, where they are many. */
  readonly files?: readonly string[];
  /**
   * For reads whose ranges depend on what has come so far: GETs are not in `requests`, but must fetch these bytes of one object,
   * no more than so many in all, by no more than so many requests.
   */
  readonly gets?: {
    readonly first: number;
    readonly last: number;
    readonly bytesMax: number;
    readonly countMax: number;
  };
}

/** Runs `change` and waits for the request that publishes it after a rest. */
export async function published(
  { bucket }: Serving,
  operation: string,
  key: string,
  change: () => Promise<unknown>,
): Promise<void> {
  const seen = bucket.requests.next(operation, key);
  await change();
  await seen;
}

const isGet = ({ operation }: LoggedRequest): boolean => operation === 'GetObject';

/** The first byte of `first` to `last` that no range covers. */
function bytesMissing(reads: readonly LoggedRequest[], first: number, last: number): number | undefined {
  const ranges = reads
    .map(({ range = '' }) => range.split('-').map(Number))
    .sort(([a = 0], [b = 0]) => a - b);
  let next = first;
  for (const [from = 0, to = 0] of ranges) if (from <= next) next = Math.max(next, to + 1);
  return next > last ? undefined : next;
}

export async function runAction(
  t: Test,
  { name, run, requests, or, seed = {}, files = [], gets }: Action,
): Promise<void> {
  await t.test(name, async (t) => {
    // Whatever the machine is doing meanwhile: nothing is asked for twice because it took long.
    const bucket = await Bucket.start(t, files);
    const serving = await serveBucket(t, bucket, [`s3://${BUCKET}`, '--metadata-ttl', '1h']);
    for (const key of SEED) await serving.bucket.put(key, key);
    for (const [key, content] of Object.entries(seed)) await serving.bucket.put(key, content);
    const made = await serving.bucket.requestsOf(() => run(serving));
    if (gets === undefined) {
      const slow = or !== undefined && requestDifference(made.map(requestLine), or) === undefined;
      return assertRequests(t, made, slow ? or : requests);
    }
    const [reads, others] = [made.filter(isGet), made.filter((request) => !isGet(request))];
    assertRequests(t, others, requests);
    t.ok(reads.length <= gets.countMax, `${String(reads.length)} GETs`);
    t.ok(bytesOf(reads).out <= gets.bytesMax, `${String(bytesOf(reads).out)} bytes`);
    const missing = bytesMissing(reads, gets.first, gets.last);
    t.equal(missing, undefined, 'every byte was fetched');
  });
}
