import fc from '../support/fast-check.js';
import { isIPv6 } from 'node:net';
import { endianness } from 'node:os';
import t from 'tap';
import { canonicalAddress, formatUniversalAddress } from '../../protocol/portmap/universal-address.js';
import { sockaddrOf, universalAddressOf } from '../../src/portmap/transport-address.js';

const family = (number: number): string => {
  const hex = number.toString(16).padStart(2, '0');
  return endianness() === 'LE' ? `${hex}00` : `00${hex}`;
};

void t.test('Linux’s structures', async (t) => {
  t.equal(sockaddrOf('192.0.2.1.8.1', 'tcp').toString('hex'), `${family(2)}0801c00002010000000000000000`);
  t.equal(
    sockaddrOf('2001:db8::1.8.1', 'udp6').toString('hex'),
    `${family(10)}08010000000020010db800000000000000000000000100000000`,
  );
  t.equal(
    sockaddrOf('::ffff:192.0.2.1.8.1', 'tcp6').subarray(8, 24).toString('hex'),
    `${'00'.repeat(10)}ffffc0000201`,
  );
});

void t.test('what is none, or of another family than the caller’s', async (t) => {
  for (const text of ['', 'nonsense', '::1.8.1']) t.equal(sockaddrOf(text, 'tcp').length, 0, text);
  t.equal(sockaddrOf('127.0.0.1.8.1', 'tcp6').length, 0);
  const sockaddr = sockaddrOf('127.0.0.1.8.1', 'tcp');
  t.equal(universalAddressOf(sockaddr, 'tcp6'), '');
  t.equal(universalAddressOf(sockaddrOf('::1.8.1', 'tcp6'), 'udp'), '');
  for (let length = 0; length < sockaddr.length; length++) {
    t.equal(universalAddressOf(sockaddr.subarray(0, length), 'tcp'), '');
  }
});

void t.test('every address comes back', async (t) => {
  const host = fc.oneof(fc.ipV4(), fc.ipV6().filter(isIPv6));
  fc.assert(
    fc.property(host, fc.nat(0xffff), (host, port) => {
      const netid = host.includes(':') ? 'tcp6' : 'tcp';
      const text = formatUniversalAddress({ host: canonicalAddress(host), port });
      t.equal(universalAddressOf(sockaddrOf(text, netid), netid), text);
    }),
    { numRuns: 200 },
  );
});
