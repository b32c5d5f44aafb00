import fc from '../../support/fast-check.js';
import { isIPv6 } from 'node:net';
import t from 'tap';
import {
  canonicalAddress,
  formatUniversalAddress,
  internetTransport,
  netidOf,
  parseUniversalAddress,
} from '../../../protocol/portmap/universal-address.js';

void t.test('golden texts', async (t) => {
  const cases = [
    ['192.0.2.1', 2049, '192.0.2.1.8.1'],
    ['0.0.0.0', 111, '0.0.0.0.0.111'],
    ['::', 65_535, '::.255.255'],
    ['::1', 2049, '::1.8.1'],
    ['2001:db8::1', 20_048, '2001:db8::1.78.80'],
    ['::ffff:192.0.2.1', 2049, '::ffff:192.0.2.1.8.1'],
  ] as const;
  for (const [host, port, text] of cases) {
    t.equal(formatUniversalAddress({ host, port }), text);
    t.same(parseUniversalAddress(text), { host, port });
  }
  t.equal(formatUniversalAddress({ host: 'fe80::1%eth0', port: 1 }), 'fe80::1.0.1', 'a zone is left off');
  t.equal(formatUniversalAddress({ host: '0:0:0:0:0:0:0:1', port: 1 }), '::1.0.1');
});

void t.test('what is none', async (t) => {
  const texts = ['', '.', '1.2.3.4', '1.2.3.8.1', '1.2.3.4.8.1.1', '1.2.3.4.256.1', '1.2.3.4.1.256', '::'];
  for (const text of [...texts, '::1.8', '1.2.3.4.8.', '1.2.3.4..1', '/run/rpcbind.sock', '1.2.3.4.-1.1']) {
    t.equal(parseUniversalAddress(text), undefined, text);
  }
});

void t.test('every address and port comes back', async (t) => {
  const host = fc.oneof(fc.ipV4(), fc.ipV6().filter(isIPv6));
  fc.assert(
    fc.property(host, fc.nat(0xffff), (host, port) => {
      const text = formatUniversalAddress({ host, port });
      t.same(parseUniversalAddress(text), { host: canonicalAddress(host), port }, text);
    }),
    { numRuns: 200 },
  );
});

void t.test('network ids', async (t) => {
  t.equal(netidOf('tcp', '127.0.0.1'), 'tcp');
  t.equal(netidOf('udp', '::1'), 'udp6');
  t.same(internetTransport('UDP6'), { protocol: 17, family: 6 });
  t.same(internetTransport('tcp'), { protocol: 6, family: 4 });
  for (const netid of ['', 'local', 'toString', 'rdma']) t.equal(internetTransport(netid), undefined, netid);
});
