import t from 'tap';
import { PortRegistry } from '../../src/portmap/registry.js';

const nfs3 = { prog: 100003, vers: 3, prot: 6, port: 2049 };

void t.test(
  'a version that is not registered gives the port of another, by the same protocol only',
  async (t) => {
    const registry = new PortRegistry({ own: [nfs3] });
    t.equal(registry.port({ prog: 100003, vers: 3, prot: 6 }), 2049);
    t.equal(registry.port({ prog: 100003, vers: 4, prot: 6 }), 2049);
    t.equal(registry.port({ prog: 100003, vers: 3, prot: 17 }), 0);
    t.equal(registry.port({ prog: 100004, vers: 3, prot: 6 }), 0);
  },
);

void t.test('own programs cannot be replaced, removed or shadowed', async (t) => {
  const registry = new PortRegistry();
  registry.add(nfs3);
  t.equal(registry.set({ ...nfs3, port: 666 }), false);
  t.equal(registry.set(nfs3), true, 'what is so already');
  t.equal(registry.unset(nfs3), false);
  t.equal(registry.set({ ...nfs3, vers: 2, port: 666 }), true);
  t.equal(registry.port({ ...nfs3, vers: 4 }), 2049);
  t.same(registry.mappings()[0], nfs3);
});

void t.test('mappings of others come and go by version, all protocols together', async (t) => {
  const registry = new PortRegistry({ own: [nfs3] });
  const status = { prog: 100024, vers: 1, prot: 17, port: 700 };
  t.equal(registry.set(status), true);
  t.equal(registry.set({ ...status, prot: 6, port: 701 }), true);
  t.equal(registry.set({ ...status, port: 702 }), false, 'taken');
  t.equal(registry.unset({ prog: 100024, vers: 2 }), false);
  t.equal(registry.unset(status), true);
  t.same(registry.mappings(), [nfs3]);
});

void t.test('ports out of range and more than 256 foreign mappings are refused', async (t) => {
  const registry = new PortRegistry();
  t.equal(registry.set({ ...nfs3, port: 0 }), false);
  t.equal(registry.set({ ...nfs3, port: 65_536 }), false);
  for (let vers = 0; vers < 256; vers++) t.equal(registry.set({ ...nfs3, vers }), true);
  t.equal(registry.set({ ...nfs3, vers: 256 }), false);
});
