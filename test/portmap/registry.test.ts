import t from 'tap';
import type { rpcb } from '../../protocol/portmap/rpcbind.js';
import { SUPERUSER } from '../../src/portmap/caller.js';
import { PortRegistry } from '../../src/portmap/registry.js';

const nfs: rpcb = {
  r_prog: 100003,
  r_vers: 3,
  r_netid: 'tcp',
  r_addr: '127.0.0.1.8.1',
  r_owner: SUPERUSER,
};
const status: rpcb = { ...nfs, r_prog: 100024, r_vers: 1, r_netid: 'udp', r_addr: '0.0.0.0.2.188' };
const wanted = { prog: 100003, vers: 3, netid: 'tcp' };

void t.test('a version that is not registered gives another, by the same network id only', async (t) => {
  const registry = new PortRegistry({ own: [nfs] });
  t.same(registry.find(wanted), nfs);
  t.same(registry.find({ ...wanted, vers: 4 }), nfs);
  t.same(registry.find({ ...wanted, netid: 'TCP' }), nfs, 'network ids have no case');
  t.equal(registry.find({ ...wanted, vers: 4, exact: true }), undefined);
  t.equal(registry.find({ ...wanted, netid: 'udp' }), undefined);
  t.equal(registry.find({ ...wanted, netid: 'tcp6' }), undefined);
  t.equal(registry.find({ ...wanted, prog: 100004 }), undefined);
});

void t.test(
  'of several places the one that the caller came to, else all addresses, else the first',
  async (t) => {
    const elsewhere = { ...nfs, r_addr: '192.0.2.1.8.2' };
    const everywhere = { ...nfs, r_addr: '0.0.0.0.8.3' };
    const registry = new PortRegistry({ own: [nfs, elsewhere] });
    t.same(registry.find({ ...wanted, at: '192.0.2.1' }), elsewhere);
    t.same(registry.find({ ...wanted, at: '127.0.0.1' }), nfs);
    t.same(registry.find({ ...wanted, at: '192.0.2.9' }), nfs);
    registry.add(everywhere);
    t.same(registry.find({ ...wanted, at: '192.0.2.9' }), everywhere);
  },
);

void t.test('own programs cannot be replaced, removed or shadowed', async (t) => {
  const registry = new PortRegistry();
  registry.add(nfs);
  t.equal(registry.set({ ...nfs, r_addr: '127.0.0.1.2.154' }), false);
  t.equal(registry.set(nfs), true, 'what is so already');
  t.equal(registry.setMapping({ prog: 100003, vers: 3, prot: 6, port: 666 }, SUPERUSER), false);
  t.equal(registry.setMapping({ prog: 100003, vers: 3, prot: 6, port: 2049 }, SUPERUSER), true);
  t.equal(registry.unset(nfs, SUPERUSER), false);
  t.equal(registry.unset({ ...nfs, r_netid: '' }, SUPERUSER), false);
  t.equal(registry.unsetMapping({ prog: 100003, vers: 3 }, SUPERUSER), false);
  t.equal(registry.set({ ...nfs, r_vers: 2, r_addr: '127.0.0.1.2.154' }), true);
  t.same(registry.find({ ...wanted, vers: 4 }), nfs);
  t.same(registry.entries()[0], nfs);
});

void t.test('registrations of others come and go, by one network id or by all', async (t) => {
  const registry = new PortRegistry({ own: [nfs] });
  const byTcp = { ...status, r_netid: 'tcp', r_addr: '0.0.0.0.2.189' };
  const byUdp6 = { ...status, r_netid: 'udp6', r_addr: '::.2.189' };
  for (const entry of [status, byTcp, byUdp6]) t.equal(registry.set(entry), true);
  t.equal(registry.set({ ...status, r_addr: '0.0.0.0.2.190' }), false, 'taken');
  t.equal(registry.unset({ ...status, r_vers: 2 }, SUPERUSER), true, 'nothing there');
  t.equal(registry.unset(status, SUPERUSER), true);
  t.same(registry.entries(), [nfs, byTcp, byUdp6]);
  t.equal(registry.unset({ ...status, r_netid: '' }, SUPERUSER), true);
  t.same(registry.entries(), [nfs]);
});

void t.test('version 2 sets and removes what is over IPv4', async (t) => {
  const registry = new PortRegistry();
  const mapping = { prog: 100024, vers: 1, prot: 17, port: 700 };
  const byUdp6 = { ...status, r_netid: 'udp6', r_addr: '::.2.189' };
  t.equal(registry.setMapping(mapping, SUPERUSER), true);
  t.equal(registry.setMapping({ ...mapping, prot: 6 }, SUPERUSER), true);
  t.equal(registry.setMapping({ ...mapping, prot: 1 }, SUPERUSER), false, 'no such protocol');
  registry.set(byUdp6);
  t.same(registry.entries()[0], status);
  t.same(registry.mappings(), [mapping, { ...mapping, prot: 6 }]);
  t.equal(registry.unsetMapping(mapping, SUPERUSER), true);
  t.same(registry.entries(), [byUdp6]);
});

void t.test('a registration is its owner’s to remove, and the superuser’s', async (t) => {
  const registry = new PortRegistry();
  const byTcp = { ...status, r_netid: 'tcp', r_addr: '0.0.0.0.2.189', r_owner: '1001' };
  registry.set({ ...status, r_owner: '1000' });
  registry.set(byTcp);
  t.equal(registry.unset(status, '1001'), false);
  t.equal(registry.unset(status, 'unknown'), false);
  t.equal(registry.unset({ ...status, r_netid: '' }, '1000'), false, 'one of them is another’s');
  t.equal(registry.entries().length, 2);
  t.equal(registry.unset(status, '1000'), true);
  t.same(registry.entries(), [byTcp]);
  t.equal(registry.unsetMapping({ prog: 100024, vers: 1 }, SUPERUSER), true);
  t.same(registry.entries(), []);
});

void t.test('what makes no sense, and more than 256 registrations of others, are refused', async (t) => {
  const registry = new PortRegistry();
  for (const r_addr of ['', 'nonsense', '0.0.0.0', '0.0.0.0.0.0', '0.0.0.0.1.256', '::.8.1']) {
    t.equal(registry.set({ ...status, r_addr }), false, r_addr);
  }
  t.equal(registry.set({ ...status, r_netid: 'udp6' }), false, 'an IPv4 address');
  t.equal(registry.set({ ...status, r_netid: '' }), false);
  const mapping = { prog: 100024, vers: 1, prot: 17, port: 700 };
  for (const port of [0, 65_536]) t.equal(registry.setMapping({ ...mapping, port }, SUPERUSER), false);
  t.equal(registry.set({ ...status, r_netid: 'local', r_addr: '/run/some.sock' }), true, 'other transports');
  for (let vers = 1; vers < 256; vers++) t.equal(registry.set({ ...status, r_vers: vers }), true);
  t.equal(registry.set({ ...status, r_vers: 256 }), false);
});
