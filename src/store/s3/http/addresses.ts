/**
 * The addresses of an endpoint, in turn: S3 gives several with each answer and others a few seconds later, and expects a client
 * to spread over them. One that can't be reached is left aside for a while.
 */
import { ADDRCONFIG } from 'node:dns';
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';

/** S3's records live for a few seconds; a resolver's answer isn't asked for more often than this. */
const KEPT_MS = 10_000;
const LEFT_ASIDE_MS = 30_000;

export type Resolve = (host: string) => Promise<readonly string[]>;

/** By the machine's own rules: its hosts file, its order of families, and of those only the ones it has. */
async function resolveBySystem(host: string): Promise<readonly string[]> {
  const found = await lookup(host, { all: true, hints: ADDRCONFIG });
  return found.map(({ address }) => address);
}

interface Known {
  readonly addresses: readonly string[];
  readonly sinceMs: number;
}

export class Addresses {
  readonly #resolve: Resolve;
  readonly #now: () => number;
  readonly #known = new Map<string, Known>();
  /** Questions on their way: many requests begin at once, and the resolver has few threads. */
  readonly #asked = new Map<string, Promise<readonly string[]>>();
  /** Address -> until when it is left aside. */
  readonly #aside = new Map<string, number>();
  #turn = 0;

  constructor(options: { readonly resolve?: Resolve; readonly now?: () => number } = {}) {
    this.#resolve = options.resolve ?? resolveBySystem;
    this.#now = options.now ?? (() => performance.now());
  }

  /** The next address of the host. Fails with the resolver's error when it knows none. */
  async next(host: string): Promise<string> {
    if (isIP(host) !== 0) return host;
    const addresses = await this.#lookedUp(host);
    const now = this.#now();
    const good = addresses.filter((address) => (this.#aside.get(address) ?? 0) <= now);
    // With all of them left aside, each gets another chance.
    const choice = good.length > 0 ? good : addresses;
    this.#turn += 1;
    const address = choice[this.#turn % choice.length];
    if (address === undefined)
      throw Object.assign(new Error(`no address for ${host}`), { code: 'ENOTFOUND' });
    return address;
  }

  /** It couldn't be reached. */
  leaveAside(address: string): void {
    this.#aside.set(address, this.#now() + LEFT_ASIDE_MS);
  }

  async #lookedUp(host: string): Promise<readonly string[]> {
    const known = this.#known.get(host);
    if (known !== undefined && this.#now() - known.sinceMs < KEPT_MS) return known.addresses;
    let asked = this.#asked.get(host);
    if (asked === undefined) {
      asked = this.#ask(host, known).finally(() => this.#asked.delete(host));
      this.#asked.set(host, asked);
    }
    return asked;
  }

  async #ask(host: string, known: Known | undefined): Promise<readonly string[]> {
    try {
      const addresses = await this.#resolve(host);
      this.#known.set(host, { addresses, sinceMs: this.#now() });
      this.#forgetOld();
      return addresses;
    } catch (error) {
      // Old addresses serve better than none while the resolver is out of order.
      if (known !== undefined) return known.addresses;
      throw error;
    }
  }

  #forgetOld(): void {
    const now = this.#now();
    for (const [address, untilMs] of this.#aside) if (untilMs <= now) this.#aside.delete(address);
  }
}
