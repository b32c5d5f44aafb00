/**
 * A machine whose power can be cut: a guest with a disk, on which the daemon keeps its state. The store is on another machine.
 *
 *   client here --- forward.ts ----- guest: daemon, ext4 on /dev/ubda
 *   store here  --- forward.ts ---'
 *
 * The disk is a file of the host. What the guest's kernel has written to it stays; what it holds in its page cache goes with the power, and
 * it writes nothing of that by itself: no flusher runs (guest-loop.sh), the journal of ext4 is committed by nothing but fsync.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import type { Machine } from '../test/crash/machine.js';
import { Guest } from './guest.js';
import type { Network } from './network.js';
import { CLIENT_NETWORK, DAEMON_ADDRESS } from './network.js';

const execute = promisify(execFile);

const DISK_SIZE = '512M';
const MEMORY = '768M';
/** Node starts slowly in the guest. */
const START_TIMEOUT_MS = 240_000;
const NFS_PORT = 2049;
/** Seconds between commits of the file system's journal that nobody asked for: none within a test. */
const COMMIT_S = 3600;

export class PowerMachine implements Machine {
  readonly #network: Network;
  readonly #disk: string;
  readonly #forward: ChildProcess;
  readonly #ports: readonly [number, number];
  #guest: Guest | undefined;
  #boots = 0;

  private constructor(
    network: Network,
    disk: string,
    forward: ChildProcess,
    ports: readonly [number, number],
  ) {
    this.#network = network;
    this.#disk = disk;
    this.#forward = forward;
    this.#ports = ports;
  }

  /** An empty disk, and no power yet. `storePort`: of a store on a port of `hostAddress` of the network. */
  static async create(network: Network, storePort: number): Promise<PowerMachine> {
    const disk = join(network.directory, 'disk');
    await execute('mkfs.ext4', ['-q', '-F', disk, DISK_SIZE]);
    const [place] = network.places;
    if (place === undefined) throw new Error('the network has no place for a guest');
    const [command = '', ...prefix] = network.prefix;
    const forward = spawn(
      command,
      [
        ...prefix,
        process.execPath,
        resolve('dist/integration/forward.js'),
        `${place.address}:${NFS_PORT}`,
        `${network.hostAddress}:${storePort}`,
      ],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    );
    const [line] = (await once(createInterface({ input: forward.stdout }), 'line')) as [string];
    return new PowerMachine(network, disk, forward, JSON.parse(line) as [number, number]);
  }

  /** Of the daemon, for clients here. */
  get host(): string {
    return this.#network.address;
  }

  get port(): number {
    return this.#ports[0];
  }

  /** Of the store, for the daemon. */
  get endpoint(): string {
    return `http://${DAEMON_ADDRESS}:${this.#ports[1]}`;
  }

  /** How often it has been switched on. */
  get boots(): number {
    return this.#boots;
  }

  /** Switches it on, and starts the daemon with its state on the disk. Rejects when the power is cut meanwhile. */
  async start(args: readonly string[], env: Readonly<Record<string, string>>): Promise<void> {
    this.#boots++;
    this.#forward.stdin?.write('+');
    const guest = await Guest.boot(this.#network, { memory: MEMORY, disk: this.#disk });
    this.#guest = guest;
    const variables = Object.entries(env).map(([name, value]) => `${name}='${value}'`);
    const options = ['--listen', '0.0.0.0', '--port', String(NFS_PORT), '--portmap', 'off'];
    const { status, output } = await guest.run(
      `set -e; modprobe ext4; mkdir -p /state; mount -t ext4 -o commit=${COMMIT_S} /dev/ubda /state; cd ${resolve('.')}
       # What it tells is written through to the host, so that a cut leaves it.
       mkfifo /tmp/told; (while read -r line; do echo "$line"; sync /out/told; done) </tmp/told >/out/told &
       (sh -c 'echo $$ >/tmp/pid; exec env "$@"' sh ${variables.join(' ')} ${process.execPath} dist/src/main.js serve ${args.join(' ')} \\
         --state-dir /state/s3nfsd ${options.join(' ')} --allow ${CLIENT_NETWORK} --log-level warn >/tmp/ready 2>/tmp/told; echo $? >/tmp/code) &
       while ! grep -q '^ready ' /tmp/ready; do [ ! -e /tmp/code ] || { cat /out/told; exit 1; }; sleep 0.1; done`,
      { timeoutMs: START_TIMEOUT_MS },
    );
    if (status !== 0) throw new Error(`the daemon does not start: ${output}`);
  }

  /** At this very moment. */
  cut(): void {
    this.#guest?.cutPower();
    this.#forward.stdin?.write('-');
  }

  /** Resolves when nothing of it runs, after `cut`; to what the daemon told. */
  async off(): Promise<readonly string[]> {
    const guest = this.#guest;
    this.#guest = undefined;
    if (guest === undefined) return [];
    const told = await readFile(join(guest.directory, 'told'), 'utf8');
    await guest.halt();
    return told.split('\n').filter((line) => line !== '');
  }

  /** Ends the daemon as an administrator does. Resolves to its exit code. */
  async drain(): Promise<number> {
    const wait = 'while [ ! -e /tmp/code ]; do sleep 0.1; done';
    return Number(await this.#run(`kill -TERM $(cat /tmp/pid); ${wait}; cat /tmp/code`));
  }

  async spooled(): Promise<readonly string[]> {
    const listed = await this.#run('ls /state/s3nfsd/spool 2>/dev/null || true');
    return listed.split('\n').filter((name) => name !== '');
  }

  async close(): Promise<void> {
    this.cut();
    await this.off();
    const ended = once(this.#forward, 'close');
    this.#forward.stdin?.end();
    await ended;
  }

  async #run(script: string): Promise<string> {
    const { status, output } = await this.#running.run(script);
    if (status !== 0) throw new Error(`${script}: ${output}`);
    return output;
  }

  get #running(): Guest {
    if (this.#guest === undefined) throw new Error('the machine is off');
    return this.#guest;
  }
}
