import t from 'tap';
import { mergedAddress, type InterfaceAddress } from '../../src/portmap/reached-address.js';

const loopback: InterfaceAddress = {
  address: '127.0.0.1',
  family: 'IPv4',
  internal: true,
  cidr: '127.0.0.1/8',
};
const lan: InterfaceAddress = {
  address: '192.0.2.7',
  family: 'IPv4',
  internal: false,
  cidr: '192.0.2.7/24',
};
const pods: InterfaceAddress = { ...lan, address: '198.51.100.1', cidr: '198.51.100.1/24' };
const loopback6: InterfaceAddress = { address: '::1', family: 'IPv6', internal: true, cidr: '::1/128' };
const lan6: InterfaceAddress = {
  address: '2001:db8::7',
  family: 'IPv6',
  internal: false,
  cidr: '2001:db8::7/64',
};
const interfaces = (): readonly InterfaceAddress[] => [loopback, loopback6, lan, lan6, pods];
const caller = { localAddress: '192.0.2.7', remoteAddress: '192.0.2.9', hint: '', interfaces };
const fromAll = { ...caller, localAddress: '0.0.0.0' };
const fromAll6 = { ...caller, localAddress: '::', remoteAddress: '2001:db8::9' };

void t.test('where the socket tells, the address that the call came to', async (t) => {
  t.equal(mergedAddress('0.0.0.0.8.1', caller), '192.0.2.7.8.1');
  t.equal(mergedAddress('0.0.0.0.8.1', { ...caller, hint: '198.51.100.1.0.111' }), '192.0.2.7.8.1');
  t.equal(mergedAddress('::.8.1', { ...caller, localAddress: '::1' }), '::1.8.1');
  t.equal(mergedAddress('::.8.1', { ...caller, localAddress: 'fe80::1%eth0' }), 'fe80::1.8.1');
});

void t.test('what names a host, or is of no Internet family, stays', async (t) => {
  for (const address of ['10.0.0.1.8.1', 'fd00::1.8.1', '/run/some.sock', 'nonsense']) {
    t.equal(mergedAddress(address, caller), address);
  }
});

void t.test('by a socket on all addresses: the hint, if it is this machine’s', async (t) => {
  t.equal(mergedAddress('0.0.0.0.8.1', { ...fromAll, hint: '198.51.100.1.0.111' }), '198.51.100.1.8.1');
  t.equal(mergedAddress('0.0.0.0.8.1', { ...fromAll, hint: '203.0.113.1.0.111' }), '192.0.2.7.8.1');
  t.equal(mergedAddress('0.0.0.0.8.1', { ...fromAll, hint: '::1.0.111' }), '192.0.2.7.8.1', 'other family');
});

void t.test('by a socket on all addresses: the one in the caller’s network', async (t) => {
  const from = (remoteAddress: string): string => mergedAddress('0.0.0.0.8.1', { ...fromAll, remoteAddress });
  t.equal(from('127.0.0.1'), '127.0.0.1.8.1');
  t.equal(from('198.51.100.200'), '198.51.100.1.8.1');
  t.equal(from('203.0.113.1'), '192.0.2.7.8.1', 'from elsewhere: the first that is not loopback');
  t.equal(mergedAddress('::.8.1', fromAll6), '2001:db8::7.8.1');
  t.equal(mergedAddress('::.8.1', { ...fromAll6, remoteAddress: '::1' }), '::1.8.1');
  t.equal(
    mergedAddress('0.0.0.0.8.1', { ...fromAll6, remoteAddress: '192.0.2.9' }),
    '192.0.2.7.8.1',
    'IPv4 through a socket on ::',
  );
});

void t.test('a machine that lists no addresses: as it was registered', async (t) => {
  t.equal(mergedAddress('0.0.0.0.8.1', { ...fromAll, interfaces: () => [] }), '0.0.0.0.8.1');
});
