/** DeleteObject and DeleteObjects. */
import { DeleteObjectsCommand, type _Error } from '@aws-sdk/client-s3';
import { StoreError } from '../errors.js';
import type { VersionToDelete } from '../object-store.js';
import type { S3Context } from './context.js';
import { retryClassOf, storeError, toStoreError } from './error-map.js';
import { headAnswer } from './head.js';
import { writeOnce } from './write-once.js';

/** S3's limit of keys in one DeleteObjects. */
const KEYS_MAX = 1_000;
/** Characters that XML 1.0 can't carry, escaped or not: such keys are deleted one by one. */
const NOT_XML = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/;

export async function deleteObject(
  context: S3Context,
  key: string,
  condition: { readonly ifMatch?: string } | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  try {
    await writeOnce<'deleted'>(context, {
      operation: 'DeleteObject',
      key,
      signal,
      send: async (attempt) => {
        const calls = await context.calls();
        await context.conditions.fallBack('DeleteObject', condition, (applied) =>
          calls.delete(key, applied, attempt),
        );
        return 'deleted';
      },
      refusals: ['precondition-failed'],
      find: async () =>
        (await headAnswer(context, key, signal, false)) === undefined ? 'deleted' : undefined,
    });
  } catch (error) {
    // Deleting what isn't there succeeds, with a condition as well as without.
    if (!(error instanceof StoreError) || error.kind !== 'not-found') throw error;
  }
}

/** What one key is to be deleted as. */
interface Deletion {
  readonly key: string;
  readonly ifMatch?: string;
}

export async function deleteMany(
  context: S3Context,
  keys: readonly (string | VersionToDelete)[],
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<string, StoreError>> {
  const failed = new Map<string, StoreError>();
  const deletions = keys.map((key): Deletion => (typeof key === 'string' ? { key } : key));
  const plain = deletions.filter(({ key }) => !NOT_XML.test(key));
  const odd = deletions.filter(({ key }) => NOT_XML.test(key));
  const batches: Promise<void>[] = [];
  for (let at = 0; at < plain.length; at += KEYS_MAX)
    batches.push(deleteBatch(context, plain.slice(at, at + KEYS_MAX), failed, signal));
  batches.push(deleteSingly(context, odd, failed, signal));
  const settled = await Promise.allSettled(batches);
  for (const each of settled) if (each.status === 'rejected') throw each.reason;
  return failed;
}

/** One request; keys that failed for a while (SlowDown, InternalError) go into the next attempt. */
async function deleteBatch(
  context: S3Context,
  deletions: readonly Deletion[],
  failed: Map<string, StoreError>,
  signal: AbortSignal | undefined,
): Promise<void> {
  let pending = deletions;
  const retryable = new Map<string, StoreError>();
  try {
    await context.requests.run('DeleteObjects', undefined, signal, async (attempt) => {
      const output = await context.clients.client.send(
        new DeleteObjectsCommand({
          Bucket: context.bucket,
          Delete: {
            Quiet: true,
            Objects: pending.map(({ key, ...condition }) => {
              const { ifMatch } = context.conditions.applied('DeleteObject', condition);
              return { Key: key, ...(ifMatch !== undefined && { ETag: ifMatch }) };
            }),
          },
        }),
        { abortSignal: attempt.signal },
      );
      retryable.clear();
      for (const entry of output.Errors ?? []) {
        const error = entryError(context, entry);
        if (error.kind === 'not-found') continue;
        (retryClassOf(error) === 'never' ? failed : retryable).set(entry.Key ?? '', error);
      }
      pending = pending.filter(({ key }) => retryable.has(key));
      const [first] = retryable.values();
      if (first !== undefined) throw first;
    });
  } catch (error) {
    if (!(error instanceof StoreError) || error.kind === 'aborted') throw error;
    // Servers that don't know the call, or ETags in it.
    const isRefused =
      error.kind === 'unsupported' || (error.kind === 'invalid' && pending.some(isConditional));
    if (isRefused) return deleteSingly(context, pending, failed, signal);
    for (const { key } of pending) failed.set(key, retryable.get(key) ?? error);
  }
}

const isConditional = ({ ifMatch }: Deletion): boolean => ifMatch !== undefined;

async function deleteSingly(
  context: S3Context,
  deletions: readonly Deletion[],
  failed: Map<string, StoreError>,
  signal: AbortSignal | undefined,
): Promise<void> {
  await Promise.all(
    deletions.map(async ({ key, ...condition }) => {
      try {
        await deleteObject(context, key, condition, signal);
      } catch (error) {
        if (!(error instanceof StoreError) || error.kind === 'aborted') throw error;
        failed.set(key, error);
      }
    }),
  );
}

/** An entry of the answer's error list, by the same table as whole errors. */
function entryError(context: S3Context, entry: _Error): StoreError {
  const about = { operation: 'DeleteObjects', bucket: context.bucket, key: entry.Key };
  const code = entry.Code ?? 'UnknownError';
  const kind = toStoreError(Object.assign(new Error(entry.Message), { name: code }), about).kind;
  return storeError(kind, `${code}: ${entry.Message ?? ''}`, about, code);
}
