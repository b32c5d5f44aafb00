import t from 'tap';
import { AUTH_SYS, authsys_parms, NULL_AUTH, opaque_auth } from '../../protocol/rpc.js';
import { XdrReader } from '../../protocol/xdr-cursors.js';
import { encode } from '../../protocol/xdr.js';
import { Credentials } from '../../src/rpc/credential.js';
import { RpcAuthError } from '../../src/rpc/service.js';

/** Credential and verifier of a call by AUTH_SYS, and four bytes of arguments. */
function call(uid: number, gids: number[] = []): Buffer {
  const parms = { stamp: 1, machinename: Buffer.from('host'), uid, gid: 100, gids };
  return Buffer.concat([
    encode(opaque_auth, { flavor: AUTH_SYS, body: encode(authsys_parms, parms) }),
    encode(opaque_auth, NULL_AUTH),
    Buffer.from('args'),
  ]);
}

await t.test('equal bytes are the same credential, others are read anew', async (t) => {
  const credentials = new Credentials();
  const read = (bytes: Buffer) => {
    const reader = new XdrReader(bytes);
    const credential = credentials.read(reader);
    t.equal(reader.rest().toString(), 'args', 'the arguments come next');
    return credential;
  };
  const record = call(7);
  const first = read(record);
  t.match(first, { flavor: 'AUTH_SYS', uid: 7, gid: 100, gids: [] });
  t.equal(read(call(7)), first);
  record.fill(0xff);
  t.equal(read(call(7)), first, 'what is remembered is no part of the record');
  t.match(read(call(8)), { uid: 8 });
  t.match(read(call(7, [4, 5])), { uid: 7, gids: [4, 5] });
  t.match(read(call(7)), { uid: 7, gids: [] });
  t.same(new Credentials().read(new XdrReader(call(7))), first, 'and equal to what a first call gives');
});

await t.test('a record that ends within the remembered bytes is refused', async (t) => {
  const credentials = new Credentials();
  const bytes = call(7);
  credentials.read(new XdrReader(bytes));
  for (let length = 0; length < bytes.length - 4; length++) {
    t.throws(() => credentials.read(new XdrReader(bytes.subarray(0, length))), RpcAuthError);
  }
});
