import t from 'tap';
import { mountLines } from '../../src/cli/mount-lines.js';

const TARGET = {
  host: '127.0.0.1',
  nfsPort: 2050,
  mountPort: 2051,
  exportPath: '/bucket',
  portmapped: false,
  readOnly: false,
};

await t.test('without a portmapper every port is named', async (t) => {
  t.same(mountLines(TARGET), {
    linux:
      'mount -t nfs -o vers=3,proto=tcp,port=2050,mountproto=tcp,mountport=2051,nolock 127.0.0.1:/bucket /mnt/s3',
    macos: 'mount_nfs -o vers=3,tcp,port=2050,mountport=2051,nolocks,noresvport 127.0.0.1:/bucket /mnt/s3',
  });
});

await t.test('with a portmapper the short form comes too', async (t) => {
  t.equal(
    mountLines({ ...TARGET, portmapped: true }).linuxPortmapped,
    'mount -t nfs -o vers=3,nolock 127.0.0.1:/bucket /mnt/s3',
  );
});

await t.test('IPv6 in brackets, odd names quoted, read-only said', async (t) => {
  const { linux } = mountLines({ ...TARGET, host: '::1', exportPath: "/it's here", readOnly: true });
  t.match(linux, '-o ro,vers=3');
  t.match(linux, "'[::1]:/it'\\''s here' /mnt/s3");
});
