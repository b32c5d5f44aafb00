/** A test's stage: a network, a store and a daemon in it, and a guest that has the bucket mounted at /mnt/s3. */
import type { Test } from 'tap';
import { Bucket } from './bucket.js';
import { BUCKET, DaemonProcess, directoriesIn, StoreProcess } from './daemon.js';
import { Guest, type GuestResult, type RunOptions } from './guest.js';
import { DAEMON_ADDRESS, GUEST_NETWORK, Network } from './network.js';

export interface Stage {
  readonly network: Network;
  readonly store: StoreProcess;
  readonly daemon: DaemonProcess;
  readonly guest: Guest;
  readonly bucket: Bucket;
  /** Fails the test, with what the script wrote, unless it exits with 0. Resolves to the output. */
  readonly run: (t: Test, script: string, options?: RunOptions) => Promise<string>;
  /** The line that mounts the bucket. */
  readonly mount: string;
}

export interface StageOptions {
  /** Tells the networks of one process apart. */
  readonly label: string;
  /** Options of `serve`. */
  readonly options?: readonly string[];
}

/** Everything is ended with the test. */
export async function stage(t: Test, { label, options = [] }: StageOptions): Promise<Stage> {
  const directories = directoriesIn(t.testdir());
  const network = await Network.create(label);
  t.teardown(() => network.remove());
  const store = await StoreProcess.start(directories.buckets, network);
  t.teardown(() => store.stop());
  const daemon = await DaemonProcess.start({
    endpoint: `http://127.0.0.1:${store.port}`,
    stateDirectory: directories.state,
    network,
    options: ['--listen', DAEMON_ADDRESS, '--allow', GUEST_NETWORK, '--squash', 'none', ...options],
  });
  t.teardown(() => daemon.kill());
  const guest = await Guest.boot(network);
  t.teardown(() => guest.halt());
  const bucket = new Bucket(`http://${network.address}:${store.port}`);
  t.teardown(() => bucket.close());
  const { nfsPort } = daemon.report;
  const mountOptions = `vers=3,tcp,nolock,port=${nfsPort},mountport=${nfsPort}`;
  return {
    network,
    store,
    daemon,
    guest,
    bucket,
    mount: `mount -t nfs -o ${mountOptions} ${DAEMON_ADDRESS}:/${BUCKET} /mnt/s3`,
    run: async (t, script, runOptions) => {
      const result = await guest.run(`set -e\n${script}`, runOptions);
      expectSuccess(t, result, script, daemon);
      return result.output;
    },
  };
}

function expectSuccess(
  t: Test,
  { status, output }: GuestResult,
  script: string,
  daemon: DaemonProcess,
): void {
  const name = script.trim().split('\n')[0] ?? '';
  t.equal(status, 0, `exit status of: ${name}`, {
    output: output.slice(-4000),
    daemon: daemon.stderr.slice(-20),
  });
}
