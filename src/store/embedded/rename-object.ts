/** RenameObject: an object takes another name in its directory bucket, at once (API reference, RenameObject). */
import { createHash } from 'node:crypto';
import { bucketOf, type Answer, type Call } from './call.js';
import { checkRead, writeCheck, type Version } from './conditions.js';
import { invalidArgument, S3Error } from './errors.js';

const KEY_BYTES_MAX = 1024;

const CONDITIONS = ['if-match', 'if-none-match', 'if-modified-since', 'if-unmodified-since'];

/** The key in `x-amz-rename-source`, which is URL-encoded. */
function sourceOf(call: Call): string {
  const header = call.headers.get('x-amz-rename-source');
  if (header === undefined || header === '') {
    throw invalidArgument('x-amz-rename-source', '', 'The name of the object to rename must be given');
  }
  let key: string;
  try {
    key = decodeURIComponent(header);
  } catch (error) {
    throw new S3Error(
      'InvalidArgument',
      'The source of a rename must be URL-encoded',
      { ArgumentName: 'x-amz-rename-source', ArgumentValue: header },
      { cause: error },
    );
  }
  if (Buffer.byteLength(key) > KEY_BYTES_MAX) throw new S3Error('KeyTooLongError');
  return key;
}

/** "A unique string with a max of 64 ASCII characters in the ASCII range of 33 - 126". */
function tokenOf(call: Call): string | undefined {
  const token = call.headers.get('x-amz-client-token');
  if (token !== undefined && !/^[\x21-\x7e]{1,64}$/.test(token)) {
    throw invalidArgument(
      'x-amz-client-token',
      token,
      'A client token has 1 to 64 printable ASCII characters',
    );
  }
  return token;
}

function conditionsOf(call: Call, prefix: string): ReadonlyMap<string, string> {
  return new Map(
    CONDITIONS.flatMap((name): [string, string][] => {
      const value = call.headers.get(prefix + name);
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

/** Fails with PreconditionFailed, `prefix` before the name of the condition. */
function checkVersion(conditions: ReadonlyMap<string, string>, version: Version, prefix: string): void {
  let condition: string | undefined;
  try {
    if (checkRead(conditions, version) === 'not-modified') {
      condition = conditions.has('if-none-match') ? 'If-None-Match' : 'If-Modified-Since';
    }
  } catch (error) {
    if (!(error instanceof S3Error)) throw error;
    condition = error.details['Condition'] ?? '';
  }
  if (condition !== undefined)
    throw new S3Error('PreconditionFailed', undefined, { Condition: prefix + condition });
}

/** What makes two requests the same: the names and the conditions. */
function requestDigest(call: Call, source: string): string {
  const conditions = ['', 'x-amz-rename-source-'].map((prefix) => [...conditionsOf(call, prefix)]);
  return createHash('sha256')
    .update(JSON.stringify([source, call.key, conditions]))
    .digest('base64');
}

export async function renameObject(call: Call): Promise<Answer> {
  const bucket = await bucketOf(call);
  const source = sourceOf(call);
  const { key } = call;
  if (source.endsWith('/') || key.endsWith('/')) {
    throw new S3Error('InvalidRequest', 'Objects whose names end in a slash can not be renamed.');
  }
  if (source === key)
    throw new S3Error('InvalidRequest', 'The source and the target of a rename are the same.');
  const sourceConditions = conditionsOf(call, 'x-amz-rename-source-');
  // If-Match and If-None-Match of the target are those of any write; its dates count where there is a target.
  const targetCheck = writeCheck(call.headers);
  const targetDates = new Map([...conditionsOf(call, '')].filter(([name]) => name.endsWith('-since')));
  const token = tokenOf(call);
  const repeat = token === undefined ? undefined : { token, request: requestDigest(call, source) };
  await bucket.rename(source, key, repeat, (from, to) => {
    if (from === undefined) throw new S3Error('NoSuchKey', undefined, { Key: source });
    checkVersion(sourceConditions, from, 'x-amz-rename-source-');
    targetCheck(to);
    if (to !== undefined) checkVersion(targetDates, to, '');
    else if (targetDates.has('if-modified-since'))
      throw new S3Error('PreconditionFailed', undefined, { Condition: 'If-Modified-Since' });
  });
  return { status: 200 };
}
