/**
 * A network of one test's own: a namespace with a tap device for the guest, and a cable to this process.
 *
 *   this process (10.98.x.y) --- veth --- namespace: store, daemon (10.99.0.1) --- tap0 --- guest (10.99.0.2)
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** As clients inside see it. */
export const DAEMON_ADDRESS = '10.99.0.1';
export const GUEST_ADDRESS = '10.99.0.2';
export const GUEST_NETWORK = '10.99.0.0/24';

/** Process ids go up to 2^22; each takes four addresses below 10.96.0.0/11, of which a machine's tests use a handful. */
const SUBNETS = 2 ** 14;

export class Network {
  readonly name: string;
  /** Of the namespace, as this process sees it. */
  readonly address: string;

  private constructor(name: string, address: string) {
    this.name = name;
    this.address = address;
  }

  /** Needs root and iproute2. `label` tells the namespaces of one process apart. */
  static async create(label: string): Promise<Network> {
    const name = `s3nfsd-${process.pid}-${label}`;
    const subnet = (process.pid * 4) % (SUBNETS * 4);
    const [ours, theirs] = [1, 2].map((host) => `10.98.${(subnet >> 8) & 255}.${(subnet & 255) + host}`);
    const network = new Network(name, theirs ?? '');
    const cable = `s3n${process.pid}`;
    await execute('ip', ['netns', 'add', name]);
    try {
      await network.#ip('link', 'set', 'lo', 'up');
      await network.#ip('tuntap', 'add', 'tap0', 'mode', 'tap');
      await network.#ip('address', 'add', `${DAEMON_ADDRESS}/24`, 'dev', 'tap0');
      await network.#ip('link', 'set', 'tap0', 'up');
      await execute('ip', ['link', 'add', cable, 'type', 'veth', 'peer', 'name', 'host0', 'netns', name]);
      await execute('ip', ['address', 'add', `${ours}/30`, 'dev', cable]);
      await execute('ip', ['link', 'set', cable, 'up']);
      await network.#ip('address', 'add', `${theirs}/30`, 'dev', 'host0');
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

  /** Its devices go with it. */
  async remove(): Promise<void> {
    await execute('ip', ['netns', 'delete', this.name]);
  }

  async #ip(...args: string[]): Promise<void> {
    await execute('ip', ['-netns', this.name, ...args]);
  }
}
