/** Everything on one machine, as the README has it: daemon and client in the guest, `mount localhost:/bucket`, no ports named. */
import t, { type Test } from 'tap';
import { resolve } from 'node:path';
import { Bucket } from './bucket.js';
import { BUCKET, directoriesIn, storeEnvironment, StoreProcess } from './daemon.js';
import { Guest, noGuestReason } from './guest.js';
import { DAEMON_ADDRESS, Network } from './network.js';

/** Mounts of which the median is told. */
const RUNS = 9;
/** Node starts slowly in the guest. */
const TIMEOUT = { timeoutMs: 360_000 };

await t.test("a daemon on the client's machine", { skip: noGuestReason() ?? false }, async (t) => {
  const network = await Network.create('local');
  t.teardown(() => network.remove());
  const store = await StoreProcess.start(directoriesIn(t.testdir()).buckets, network);
  t.teardown(() => store.stop());
  const guest = await Guest.boot(network);
  t.teardown(() => guest.halt());
  const bucket = new Bucket(`http://${network.address}:${store.port}`);
  t.teardown(() => bucket.close());

  const variables = Object.entries(storeEnvironment(`http://${DAEMON_ADDRESS}:${store.port}`));
  const environment = variables.map(([name, value]) => `${name}='${value}'`).join(' ');
  const run = async (t: Test, script: string): Promise<string> => {
    const { status, output } = await guest.run(`set -e\n${script}`, TIMEOUT);
    t.equal(status, 0, `exit status of: ${script.split('\n')[0]}`, { output });
    return output;
  };
  /** Resolves to the object of the ready line. */
  const start = async (t: Test, options: string): Promise<{ portmap: { mode: string } }> => {
    const ready = await run(
      t,
      `: >/tmp/daemon.out; cd ${resolve('.')}; ${environment} ${process.execPath} dist/src/main.js serve s3://${BUCKET} \\
         --state-dir /tmp/state ${options} >/tmp/daemon.out 2>/tmp/daemon.err & echo $! >/tmp/daemon.pid
       while ! grep -q '^ready ' /tmp/daemon.out; do
         kill -0 $(cat /tmp/daemon.pid) || { cat /tmp/daemon.err; exit 1; }; sleep 0.2
       done
       cat /tmp/daemon.out`,
    );
    return JSON.parse(ready.slice('ready '.length)) as { portmap: { mode: string } };
  };
  /** SIGTERM; the port is free again when the process is gone. */
  const stop = `pid=$(cat /tmp/daemon.pid); kill -TERM $pid; while kill -0 $pid 2>/dev/null; do sleep 0.1; done; cat /tmp/daemon.err`;

  /** Mounts and unmounts RUNS times, after `before` each time. Milliseconds of each mount by the guest's clock, in order of size. */
  const mountTimes = async (t: Test, before: string): Promise<readonly number[]> => {
    const output = await run(
      t,
      `cat >/tmp/mounts <<'END'
set -e
for run in $(seq ${RUNS}); do
  ${before}
  start=$EPOCHREALTIME; mount -t nfs localhost:/${BUCKET} /mnt/s3; end=$EPOCHREALTIME
  umount /mnt/s3
  echo $(((\${end/./} - \${start/./}) / 1000))
done
END
bash /tmp/mounts`,
    );
    return output
      .trim()
      .split('\n')
      .map(Number)
      .sort((one, other) => one - other);
  };
  const endStatd =
    'if [ -s /run/rpc.statd.pid ]; then kill $(cat /run/rpc.statd.pid) && rm /run/rpc.statd.pid; fi';
  /** What `mount -t nfs localhost:/bucket` takes, where mount.nfs starts rpc.statd and where that runs. */
  const measured = async (t: Test, what: string): Promise<void> => {
    const starting = await mountTimes(t, endStatd);
    const running = await mountTimes(t, ':');
    for (const [when, times] of [
      ['with the start of rpc.statd', starting],
      ['with rpc.statd running', running],
    ] as const) {
      t.comment(`${what}, ${when}: median ${times[RUNS >> 1]} ms of ${times.join(', ')}`);
    }
    await run(t, `mount -t nfs localhost:/${BUCKET} /mnt/s3; grep -q 'local_lock=none' /proc/mounts`);
    await run(t, `echo ${what} >/mnt/s3/without-options; umount /mnt/s3`);
    t.equal(await bucket.text('without-options'), `${what}\n`);
  };
  const mountedFrom = async (t: Test): Promise<string> =>
    await run(
      t,
      `mount -t nfs localhost:/${BUCKET} /mnt/s3; grep -o ' addr=[^ ,]*\\|,addr=[^ ,]*' /proc/mounts; umount /mnt/s3`,
    );
  const ipv6First = 'modprobe ipv6; printf "::1 localhost guest\\n127.0.0.1 localhost guest\\n" >/etc/hosts';
  const ipv4Only = 'echo "127.0.0.1 localhost guest" >/etc/hosts';

  // As on a whole machine: mount.nfs tries versions 4.2, 4.1 and 4.0 first, and the daemon says at once that it has 3 alone.
  await run(t, 'modprobe nfsv4');

  await t.test('mount -t nfs -o nolock localhost:/bucket, with the portmapper of the daemon', async (t) => {
    t.equal((await start(t, '--portmap embedded')).portmap.mode, 'embedded');
    await run(t, `mount -t nfs -o nolock localhost:/${BUCKET} /mnt/s3`);
    await run(t, 'echo hello >/mnt/s3/greeting; umount /mnt/s3');
    t.equal(await bucket.text('greeting'), 'hello\n');
    await run(t, `mount -t nfs -o nolock localhost:/${BUCKET} /mnt/s3`);
    t.equal(await run(t, 'cat /mnt/s3/greeting; umount /mnt/s3'), 'hello\n');
  });

  await t.test(
    'mount -t nfs localhost:/bucket, without any option, with the portmapper of the daemon',
    async (t) => {
      await measured(t, 'own portmapper, IPv4');
      t.match(await run(t, 'rpcinfo 127.0.0.1'), /100024 +1 +tcp/, 'rpc.statd has registered here');
      t.equal(await run(t, `${endStatd}; ${stop}`), '');
      await run(t, ipv6First);
      t.equal((await start(t, '--portmap embedded')).portmap.mode, 'embedded');
      await measured(t, 'own portmapper, localhost is ::1 first');
      t.match(await mountedFrom(t), /addr=::1/);
      t.equal(await run(t, `${endStatd}; ${stop}; ${ipv4Only}`), '');
    },
  );

  await t.test('the same with the rpcbind of the system', async (t) => {
    await run(t, 'rpcbind; while ! rpcinfo -p >/dev/null 2>&1; do sleep 0.1; done');
    t.equal((await start(t, '--portmap auto')).portmap.mode, 'system');
    t.match(await run(t, 'rpcinfo -p'), /100003 +3 +tcp +2049/);
    await run(t, `mount -t nfs -o nolock localhost:/${BUCKET} /mnt/s3`);
    t.equal(await run(t, 'cat /mnt/s3/greeting; umount /mnt/s3'), 'hello\n');
    await measured(t, 'rpcbind, IPv4');
    await run(t, `${endStatd}; ${ipv6First}`);
    await measured(t, 'rpcbind, localhost is ::1 first');
    t.match(await mountedFrom(t), /addr=::1/);
  });

  await t.test('without nolock a lock is not had: there is no lock manager', async (t) => {
    await run(t, `mount -t nfs localhost:/${BUCKET} /mnt/s3`);
    const { status } = await guest.run('timeout 5 flock /mnt/s3/without-options true', TIMEOUT);
    t.not(status, 0);
    await run(t, 'umount /mnt/s3');
  });

  await t.test('the daemon unregisters as it ends', async (t) => {
    t.equal(await run(t, stop), '');
    t.notMatch(await run(t, 'rpcinfo -p'), /10000[35]/);
  });
});
