/** No secret in a log, at whatever level and whatever goes wrong. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { statusOf } from '../support/nfs-client.js';
import { Bucket, CREDENTIALS, mount, serveChild, writeFile, BUCKET } from './fixture.js';

/** Every way in which bytes could have been printed. */
const spellings = (secret: Buffer): string[] =>
  (['latin1', 'hex', 'base64', 'base64url'] as const).map((encoding) => secret.toString(encoding));

await t.test(
  'no secret in a log: --log-level trace, with a store that fails and clients that err',
  async (t) => {
    const bucket = await Bucket.start(t, ['file']);
    const handleSecret = Buffer.from('handle secret that must not be told to anybody');
    const secretFile = bucket.write('handle secret', handleSecret.toString('latin1'));
    const args = [`s3://${BUCKET}`, '--log-level', 'trace', '--handle-secret-file', secretFile];
    const { child, report } = await serveChild(t, bucket, args, {
      AWS_SESSION_TOKEN: 'session/token+secret',
    });
    const { nfs, root } = await mount(t, report);
    const handle = await writeFile({ nfs, root }, 'new', 'content');
    t.equal(await statusOf(nfs.lookup(root, 'none')), 'NFS3ERR_NOENT');
    t.equal(await statusOf(nfs.getattr(Buffer.alloc(36, 1))), 'NFS3ERR_BADHANDLE');
    await bucket.put('new', 'another');
    await nfs.write(handle, 0, Buffer.from('x'), 'UNSTABLE');
    t.not(await statusOf(nfs.commit(handle)), 'NFS3_OK');
    nfs.rpc.sendRaw(Buffer.from('GET / HTTP/1.1\r\n\r\n'));
    await nfs.rpc.closed;
    const ended = await child.end('SIGTERM');
    t.equal(ended.code, 0);
    const printed = [...ended.stdout, ...ended.stderr].join('\n');
    t.ok(ended.stderr.length > 0, 'something is logged');
    const secrets = [
      handleSecret,
      Buffer.from(CREDENTIALS.secretAccessKey),
      Buffer.from('session/token+secret'),
    ];
    for (const spelling of secrets.flatMap(spellings)) t.notOk(printed.includes(spelling), spelling);
    t.notOk(/Signature=[0-9a-f]{64}/.test(printed), 'no signature either');
  },
);

await t.test(
  'the secret that is made in the state directory is the owner’s alone, and not logged',
  async (t) => {
    const bucket = await Bucket.start(t);
    const { child, report } = await serveChild(t, bucket, [`s3://${BUCKET}`, '--log-level', 'trace']);
    const { nfs, root } = await mount(t, report);
    await nfs.getattr(root);
    const { stdout, stderr } = await child.end('SIGTERM');
    const printed = [...stdout, ...stderr].join('\n');
    const secrets = readdirSync(report.stateDir).filter((name) => /secret|key/.test(name));
    t.equal(secrets.length, 1, readdirSync(report.stateDir).join());
    for (const name of secrets) {
      const path = join(report.stateDir, name);
      t.equal(statSync(path).mode & 0o077, 0);
      for (const spelling of spellings(readFileSync(path))) t.notOk(printed.includes(spelling));
    }
  },
);

await t.test('a secret key that is wrong isn’t repeated in the error', async (t) => {
  const bucket = await Bucket.start(t);
  const wrong = 'a-secret-typed-wrong/0123456789+abcdefgh';
  const started = serveChild(t, bucket, [`s3://${BUCKET}`, '--log-level', 'trace'], {
    AWS_SECRET_ACCESS_KEY: wrong,
  });
  const error = await started.then(
    () => new Error('it started'),
    (failure: unknown) => failure as Error,
  );
  t.match(error.message, /credentials|access denied/);
  t.notOk(error.message.includes(wrong));
});
