/** The Linux client while the store behind the daemon stalls or refuses: who needs it waits, all others go on, and nothing stays stuck. */
import t from 'tap';
import { createHash, randomBytes } from 'node:crypto';
import { parseFaultPlan } from '../src/store/faults/parse-plan.js';
import { startFaultProxy, type FaultProxy } from '../src/store/faults/proxy.js';
import { noGuestReason } from './guest.js';
import { stage } from './mounted.js';

const TIMEOUT = { timeoutMs: 480_000 };
/** Readers that wait at the same time. */
const STUCK = 16;
const STUCK_BYTES = 300_000;
/** Longer than the daemon tries on its own: it has to put its clients off. */
const BURST = '25s';

await t.test('a store that stalls or refuses', { skip: noGuestReason() ?? false }, async (t) => {
  let proxy: FaultProxy | undefined;
  const s = await stage(t, {
    label: 'stalls',
    storeBehind: async (endpoint, network) => {
      const started = await startFaultProxy({ to: endpoint, host: network.hostAddress, port: 0 });
      // After the daemon's end, which is the end of what is stalled.
      t.teardown(() => started.close());
      proxy = started;
      return proxy.endpoint;
    },
  });
  const faults = proxy?.faults;
  if (faults === undefined) throw new Error('the stage has taken no proxy');
  const { run, bucket, mount } = s;
  const setRules = (...rules: readonly string[]): void =>
    faults.setPlan(parseFaultPlan(JSON.stringify({ rules })));
  await run(t, mount);

  await t.test('a search and readers that are stuck leave everybody else alone', async (t) => {
    const bodies = Array.from({ length: STUCK }, () => randomBytes(STUCK_BYTES / 2).toString('hex'));
    await Promise.all(bodies.map((body, at) => bucket.put(`stuck/${at}`, body)));
    await Promise.all(Array.from({ length: 20 }, (_, at) => bucket.put(`well/before-${at}`, `${at}\n`)));
    setRules('stall operation=GetObject key=stuck/*');
    await run(
      t,
      `cd /mnt/s3; for at in $(seq 0 ${STUCK - 1}); do
         (sha256sum <stuck/$at >/tmp/stuck-$at; echo $? >/tmp/status-$at; mv /tmp/status-$at /tmp/ended-$at) &
       done
       (grep -rc . stuck >/tmp/found; mv /tmp/found /tmp/ended-search) &
       while [ $(ps ax -o stat=,args= | grep -c '^D.*\\(sha256sum\\|grep\\)') -lt ${STUCK} ]; do sleep 0.1; done`,
      TIMEOUT,
    );
    const others = await run(
      t,
      `cd /mnt/s3/well; cat before-* >/dev/null
       for at in $(seq 20); do
         echo $at >made-$at; sync made-$at; mkdir dir-$at; mv made-$at dir-$at/moved; cat dir-$at/moved; rm -r dir-$at
       done
       ls | wc -l; ls /tmp/ended-* 2>/dev/null | wc -l`,
      TIMEOUT,
    );
    const numbers = Array.from({ length: 20 }, (_, at) => `${at + 1}\n`).join('');
    t.equal(others, `${numbers}20\n0\n`, 'all was done while the others were stuck');
    setRules();
    const digests = await run(
      t,
      `while [ $(ls /tmp/ended-* 2>/dev/null | wc -l) -lt ${STUCK + 1} ]; do sleep 0.1; done
       cd /tmp; for at in $(seq 0 ${STUCK - 1}); do cat ended-$at stuck-$at; done; grep -c : ended-search`,
      TIMEOUT,
    );
    const expected = bodies.map((body) => `0\n${createHash('sha256').update(body).digest('hex')}  -\n`);
    t.equal(digests, `${expected.join('')}${STUCK}\n`, 'and then these ended well');
  });

  await t.test(`a burst of 503 for ${BURST} is a pause`, async (t) => {
    setRules(`error code=SlowDown until=${BURST}`);
    await run(
      t,
      `mkdir /mnt/s3/burst; cd /mnt/s3/burst
       for at in $(seq 12); do (seq $((at * 1000)) >file-$at; sync file-$at; echo $? >/tmp/burst-$at) & done; wait
       cat /tmp/burst-* | grep -c '^0$' | grep -qx 12
       for at in $(seq 12); do seq $((at * 1000)) | cmp - file-$at; done; ls | wc -l | grep -qx 12`,
      TIMEOUT,
    );
    t.ok((faults.report().fired.error ?? 0) > 0, 'the store refused');
    for (let at = 1; at <= 12; at++) {
      const numbers = Array.from({ length: at * 1000 }, (_, index) => `${index + 1}\n`).join('');
      t.equal(await bucket.text(`burst/file-${at}`), numbers);
    }
  });

  await t.test('a store that often fails or resets is slow, and every byte is right', async (t) => {
    setRules('error code=InternalError rate=30%', 'reset in=answer at=anywhere rate=10%');
    const digest = await run(
      t,
      `mkdir /mnt/s3/bad; cd /mnt/s3/bad; head -c 9000000 /dev/urandom >/tmp/source; cp /tmp/source large; sync large
       for at in $(seq 30); do echo $at >file-$at; done; ls | wc -l | grep -qx 31
       echo 3 >/proc/sys/vm/drop_caches; cmp /tmp/source large; for at in $(seq 30); do echo $at | cmp - file-$at; done
       sha256sum </tmp/source`,
      TIMEOUT,
    );
    setRules();
    t.equal(`${(await bucket.facts('bad/large')).sha256}  -\n`, digest);
  });

  await t.test('the daemon ends well after all this', async (t) => {
    await run(t, 'umount /mnt/s3');
    await t.resolves(s.daemon.stop());
  });
});
