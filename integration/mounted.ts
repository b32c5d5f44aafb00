/** A test's stage: a network, a store and a daemon in it, and guests that mount the bucket at /mnt/s3. */
import { join, resolve } from 'node:path';
import type { Test } from 'tap';
import { NfsClient } from '../test/support/nfs-client.js';
import { Bucket } from './bucket.js';
import { BUCKET, DaemonProcess, directoriesIn, StoreProcess } from './daemon.js';
import { Guest, type GuestResult, type RunOptions } from './guest.js';
import { CLIENT_NETWORK, DAEMON_ADDRESS, Network } from './network.js';
import { SmallDisks } from './small-disks.js';

/** A guest as a test uses it. */
export interface Client {
  readonly guest: Guest;
  /** Fails the test, with what the script wrote, unless it exits with 0. Resolves to the output. */
  readonly run: (t: Test, script: string, options?: RunOptions) => Promise<string>;
}

/** The guest and `run` of the stage itself are those of its first client. */
export interface Stage extends Client {
  readonly network: Network;
  readonly store: StoreProcess;
  readonly daemon: DaemonProcess;
  readonly clients: readonly Client[];
  readonly bucket: Bucket;
  /** By `disksMiB`. */
  readonly disks: SmallDisks | undefined;
  readonly stateDirectory: string;
  /** The line that mounts the bucket. */
  readonly mount: string;
  /** The same with options besides. */
  readonly mountWith: (options: string) => string;
  /** A client in this process, with the export's root. JUKEBOX is retried. Ended with the test. */
  readonly connect: () => Promise<{ readonly nfs: NfsClient; readonly root: Buffer }>;
}

export interface StageOptions {
  /** Tells the networks of one process apart. */
  readonly label: string;
  /** Options of `serve`. */
  readonly options?: readonly string[];
  /** How many guests. Default 1. */
  readonly guests?: number;
  /** What the daemon takes for the store, by the store's URL. Default: the store. */
  readonly storeBehind?: (endpoint: string, network: Network) => Promise<string>;
  /** Disks for the daemon, by their paths below its state directory and their sizes in MiB. Default: its state is on this machine's. */
  readonly disksMiB?: Readonly<Record<string, number>>;
}

const JUKEBOX_RETRY_MS = 500;

/** Everything is ended with the test. */
export async function stage(
  t: Test,
  { label, options = [], guests = 1, storeBehind, disksMiB }: StageOptions,
): Promise<Stage> {
  const directories = directoriesIn(t.testdir());
  const network = await Network.create(label, guests);
  t.teardown(() => network.remove());
  const store = await StoreProcess.start(directories.buckets, network);
  t.teardown(() => store.stop());
  const endpoint = `http://${network.address}:${store.port}`;
  const disks =
    disksMiB &&
    (await SmallDisks.mount(
      network,
      new Map(Object.entries(disksMiB).map(([path, size]) => [join(directories.state, path), size])),
    ));
  t.teardown(() => disks?.unmount());
  const daemon = await DaemonProcess.start({
    endpoint: (await storeBehind?.(endpoint, network)) ?? `http://127.0.0.1:${store.port}`,
    stateDirectory: directories.state,
    network: disks ?? network,
    options: ['--listen', '0.0.0.0', '--allow', CLIENT_NETWORK, '--squash', 'none', ...options],
  });
  t.teardown(() => daemon.kill());
  const booting = Array.from({ length: guests }, async (_, place) => Guest.boot(network, { place }));
  const booted = await Promise.all(booting);
  for (const guest of booted) t.teardown(() => guest.halt());
  const clients = booted.map((guest, place) =>
    clientOf(guest, guests > 1 ? `guest ${place + 1}: ` : '', daemon),
  );
  const [first] = clients;
  if (first === undefined) throw new Error('a stage has at least one guest');
  const bucket = new Bucket(endpoint);
  t.teardown(() => bucket.close());
  const { nfsPort } = daemon.report;
  const mountWith = (more: string): string =>
    `mount -t nfs -o ${['vers=3,tcp,nolock', `port=${nfsPort},mountport=${nfsPort}`, more].filter((each) => each !== '').join()} ${DAEMON_ADDRESS}:/${BUCKET} /mnt/s3`;
  return {
    network,
    store,
    daemon,
    ...first,
    clients,
    bucket,
    disks,
    stateDirectory: directories.state,
    mount: mountWith(''),
    mountWith,
    connect: async () => {
      const nfs = await NfsClient.connect({
        host: network.address,
        port: nfsPort,
        jukeboxRetryMs: JUKEBOX_RETRY_MS,
      });
      t.teardown(() => nfs.close());
      return { nfs, root: await nfs.mnt(`/${BUCKET}`) };
    },
  };
}

function clientOf(guest: Guest, whose: string, daemon: DaemonProcess): Client {
  return {
    guest,
    run: async (t, script, runOptions) => {
      const result = await guest.run(`set -e\n${script}`, runOptions);
      expectSuccess(
        t,
        result,
        `${whose}${
          script
            .trim()
            .split('\n')[0]
            ?.replaceAll(`${resolve('.')}/`, '') ?? ''
        }`,
        daemon,
      );
      return result.output;
    },
  };
}

function expectSuccess(t: Test, { status, output }: GuestResult, name: string, daemon: DaemonProcess): void {
  t.equal(status, 0, `exit status of: ${name}`, {
    output: output.slice(-4000),
    daemon: daemon.stderr.slice(-20),
  });
}
