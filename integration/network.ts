/**
 * A network of one test's own: a namespace with a tap device for each guest, and a cable to this process.
 *
 *   this process (10.98.x.y) --- veth --- namespace: store, daemon (10.99.0.1) --- tap0 --- first guest (10.99.0.2)
 *                                                                              --- tap1 --- second guest (10.99.1.2)
 *
 * Whatever ends this process, its network ends with everything in it (network-end.sh).
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** As guests see it. */
export const DAEMON_ADDRESS = '10.99.0.1';
/** All guests, and this process as the daemon sees it. */
export const CLIENT_NETWORK = '10.96.0.0/11';

/** Process ids go up to 2^22; each takes four addresses below 10.96.0.0/11, of which a machine's tests use a handful. */
const SUBNETS = 2 ** 14;

/** A guest's end of the network. */
export interface GuestPlace {
  readonly tap: string;
  readonly address: string;
}

export class Network {
  readonly name: string;
  /** Of the namespace, as this process sees it. */
  readonly address: string;
  /** Of this process, as the namespace sees it. */
  readonly hostAddress: string;
  /** One for each guest that there is room for. */
  readonly places: readonly GuestPlace[];
  /** For files of what runs inside; removed with the network. */
  readonly directory: string;
  readonly #end: ChildProcess;

  private constructor(
    name: string,
    addresses: readonly [string, string],
    directory: string,
    places: readonly GuestPlace[],
  ) {
    this.name = name;
    [this.hostAddress, this.address] = addresses;
    this.directory = directory;
    this.places = places;
    // A group of its own: a ^C in the terminal is not for it.
    this.#end = spawn('sh', [resolve('integration/network-end.sh'), name, directory], {
      stdio: ['pipe', 'ignore', 'inherit'],
      detached: true,
    });
  }

  /** Needs root and iproute2. `label` tells the namespaces of one process apart. */
  static async create(label: string, guests = 1): Promise<Network> {
    const name = `s3nfsd-${process.pid}-${label}`;
    const subnet = (process.pid * 4) % (SUBNETS * 4);
    const inSubnet = (host: number): string => `10.98.${(subnet >> 8) & 255}.${(subnet & 255) + host}`;
    const places = Array.from({ length: guests }, (_, index) => ({
      tap: `tap${index}`,
      address: `10.99.${index}.2`,
    }));
    const directory = await mkdtemp(join(tmpdir(), 's3nfsd-network-'));
    const cable = `s3n${process.pid}`;
    await execute('ip', ['netns', 'add', name]);
    const network = new Network(name, [inSubnet(1), inSubnet(2)], directory, places);
    try {
      await network.#ip('link', 'set', 'lo', 'up');
      for (const [index, { tap }] of places.entries()) {
        await network.#ip('tuntap', 'add', tap, 'mode', 'tap');
        await network.#ip('address', 'add', `10.99.${index}.1/24`, 'dev', tap);
        await network.#ip('link', 'set', tap, 'up');
      }
      await execute('ip', ['link', 'add', cable, 'type', 'veth', 'peer', 'name', 'host0', 'netns', name]);
      await execute('ip', ['address', 'add', `${network.hostAddress}/30`, 'dev', cable]);
      await execute('ip', ['link', 'set', cable, 'up']);
      await network.#ip('address', 'add', `${network.address}/30`, 'dev', 'host0');
      await network.#ip('link', 'set', 'host0', 'up');
    } catch (error) {
      await network.remove();
      throw error;
    }
    return network;
  }

  /** Put before a command line, this runs it inside. The process id stays that of the command. */
  get prefix(): readonly string[] {
    return ['ip', 'netns', 'exec', this.name];
  }

  /** Its devices go with it, and by force what still runs inside. */
  async remove(): Promise<void> {
    const ended = once(this.#end, 'close');
    this.#end.stdin?.end();
    await ended;
  }

  async #ip(...args: string[]): Promise<void> {
    await execute('ip', ['-netns', this.name, ...args]);
  }
}
