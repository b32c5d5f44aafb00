import t from 'tap';
import { oneForEachNetid, registrationsOf } from '../../src/portmap/registrations.js';

const nfs = { number: 100003, version: 3 };
const served = (...places: { host: string; port: number }[]): Parameters<typeof registrationsOf>[0] => [
  { program: nfs, transports: ['tcp', 'udp'], places },
];
const texts = (entries: ReturnType<typeof registrationsOf>): string[] =>
  entries.map(({ r_netid, r_addr }) => `${r_netid} ${r_addr}`);

void t.test('each place by each transport, by the network id of its family', async (t) => {
  const entries = registrationsOf(
    served({ host: '127.0.0.1', port: 2049 }, { host: '::1', port: 2050 }),
    'superuser',
  );
  t.same(entries[0], {
    r_prog: 100003,
    r_vers: 3,
    r_netid: 'tcp',
    r_addr: '127.0.0.1.8.1',
    r_owner: 'superuser',
  });
  t.same(texts(entries), ['tcp 127.0.0.1.8.1', 'udp 127.0.0.1.8.1', 'tcp6 ::1.8.2', 'udp6 ::1.8.2']);
});

void t.test('a place on :: takes IPv4 as well', async (t) => {
  const entries = registrationsOf(served({ host: '::', port: 2049 }), '1000');
  t.same(texts(entries), ['tcp6 ::.8.1', 'udp6 ::.8.1', 'tcp 0.0.0.0.8.1', 'udp 0.0.0.0.8.1']);
});

void t.test('for an rpcbind, the first place of each network id', async (t) => {
  const places = served(
    { host: '127.0.0.1', port: 2049 },
    { host: '192.0.2.1', port: 2050 },
    { host: '::1', port: 2049 },
  );
  t.same(texts(oneForEachNetid(registrationsOf(places, '0'))), [
    'tcp 127.0.0.1.8.1',
    'udp 127.0.0.1.8.1',
    'tcp6 ::1.8.1',
    'udp6 ::1.8.1',
  ]);
});
