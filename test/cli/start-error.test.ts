import t from 'tap';
import { StoreError, type StoreErrorKind } from '../../src/store/errors.js';
import { failureLine, isForeseen, probeFailure, StartError } from '../../src/cli/start-error.js';

function storeError(kind: StoreErrorKind, message: string): StoreError {
  return new StoreError(kind, message, { operation: 'ListObjectsV2', bucket: 'b' });
}

await t.test('a probe’s failure says what is wrong and where, in one line', async (t) => {
  for (const [kind, line] of [
    ['no-such-bucket', /^cannot serve s3:\/\/b: there is no bucket b at http:\/\/x$/],
    ['credentials', /^cannot serve s3:\/\/b: http:\/\/x does not accept the credentials \(why\)/],
    ['access-denied', /access denied \(why\); the credentials need s3:ListBucket on b/],
    ['unavailable', /http:\/\/x does not answer \(why\)/],
    ['invalid', /: why$/],
  ] as const) {
    const failure = probeFailure('s3://b', 'http://x', storeError(kind, 'why\nand a second line'));
    t.type(failure, StartError);
    t.match(failureLine(failure), line, kind);
    t.notMatch(failure.message, /\n/);
  }
});

await t.test('defects carry their name, foreseen failures don’t', async (t) => {
  t.equal(failureLine(new TypeError('oops')), 'TypeError: oops');
  t.equal(failureLine(new StartError('shut')), 'shut');
  t.equal(failureLine('thrown text'), 'thrown text');
  t.notOk(isForeseen(new TypeError('oops')));
  t.ok(isForeseen(Object.assign(new Error('ENOSPC'), { code: 'ENOSPC', syscall: 'write' })));
});
