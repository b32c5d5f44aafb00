import t from 'tap';
import { isLoopback, networkMatcher, parseListenAddress, parseNetwork } from '../../config/addresses.js';

await t.test('addresses to listen on, with and without a port', async (t) => {
  t.same(parseListenAddress('127.0.0.1'), [{ host: '127.0.0.1' }]);
  t.same(parseListenAddress('0.0.0.0:2049'), [{ host: '0.0.0.0', port: 2049 }]);
  t.same(parseListenAddress('::'), [{ host: '::' }]);
  t.same(parseListenAddress('[::1]:0'), [{ host: '::1', port: 0 }]);
  t.same(parseListenAddress('localhost:99'), [
    { host: '127.0.0.1', port: 99 },
    { host: '::1', port: 99, optional: true },
  ]);
  for (const text of ['', 'example.com', '1.2.3', '1.2.3.4:70000', '1.2.3.4:', '[1.2.3.4', '256.1.1.1']) {
    t.equal(parseListenAddress(text), undefined, text);
  }
});

await t.test('networks', async (t) => {
  t.equal(parseNetwork('10.0.0.0/8'), '10.0.0.0/8');
  t.equal(parseNetwork('10.1.2.3'), '10.1.2.3/32');
  t.equal(parseNetwork('fd00::/8'), 'fd00::/8');
  t.equal(parseNetwork('::1'), '::1/128');
  for (const text of ['', '10/8', '10.0.0.0/33', '10.0.0.0/', 'everybody'])
    t.equal(parseNetwork(text), undefined, text);
});

await t.test('a matcher lets in what its networks hold, whatever way the address is written', async (t) => {
  const matches = networkMatcher(['10.0.0.0/8', 'fd00::/8']);
  t.ok(matches('10.1.2.3'));
  t.ok(matches('::ffff:10.1.2.3'));
  t.ok(matches('fd00::1'));
  t.ok(matches('fd12::1%eth0'));
  t.notOk(matches('11.0.0.1'));
  t.notOk(matches('fe80::1'));
  t.notOk(matches('not an address'));
  t.notOk(networkMatcher([])('10.1.2.3'), 'no networks, nobody');
});

await t.test('loopback is 127.0.0.0/8, ::1, and the first written as IPv6', async (t) => {
  for (const host of ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1']) t.ok(isLoopback(host), host);
  for (const host of ['0.0.0.0', '::', '10.0.0.1']) t.notOk(isLoopback(host), host);
});
