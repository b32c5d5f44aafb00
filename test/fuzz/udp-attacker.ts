/**
 * Datagrams: the same calls, and what is no call. A reply may be missing where the server drops by rule (too many at a time, too long);
 * none may come twice, none may be wrong, and a plain call is answered in the end.
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { Shot } from './calls.js';
import { SILENT_BY_UDP } from './oracle.js';
import { Owed } from './owed.js';
import type { AttackerOptions } from './tcp-attacker.js';

const VOLLEY_MAX = 16;
/** How long a volley waits for its replies: those that are dropped never come. */
const PATIENCE_MS = 200;
/** Payload of a datagram. */
const DATAGRAM_BYTES_MAX = 60_000;

export class UdpAttacker {
  readonly #options: AttackerOptions;
  readonly #owed: Owed;
  /** xids of the volley before: its replies may still come, so that no other call has them. */
  #late = new Set<number>();
  #wake: () => void = () => undefined;

  constructor(options: AttackerOptions) {
    this.#options = options;
    this.#owed = new Owed(options);
  }

  async run(more: () => boolean): Promise<void> {
    const { host, port, calls, random, tally } = this.#options;
    const socket = createSocket('udp4');
    socket.on('message', (reply) => this.#receive(reply));
    // What the kernel could not send is a datagram that was lost.
    socket.on('error', () => undefined);
    socket.connect(port, host);
    await once(socket, 'connect');
    while (more()) {
      const sent = new Set<number>();
      for (let count = 1 + random.below(VOLLEY_MAX); count > 0; count--) {
        const shot = random.oneIn(20) ? undefined : calls.call();
        const message = shot?.message ?? calls.noCall();
        if (message.length > DATAGRAM_BYTES_MAX) continue;
        if (shot !== undefined) {
          const xid = message.readUInt32BE(0);
          sent.add(xid);
          if (this.#late.has(xid)) continue;
          if (!isSilent(shot)) this.#owed.expect(shot);
        }
        tally.records++;
        socket.send(message);
      }
      await this.#settle();
      this.#late = sent;
    }
    await close(socket);
  }

  #receive(reply: Buffer): void {
    // A reply that nobody waits for is to a volley before this one.
    this.#owed.receive(reply);
    if (this.#owed.count === 0) this.#wake();
  }

  async #settle(): Promise<void> {
    if (this.#owed.count > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, PATIENCE_MS);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.#wake = () => undefined;
    this.#options.tally.unanswered += this.#owed.count;
    this.#owed.clear();
  }
}

const isSilent = ({ expected: { about, stat } }: Shot): boolean =>
  stat === 'PROC_UNAVAIL' && SILENT_BY_UDP.has(about);

async function close(socket: Socket): Promise<void> {
  await new Promise<void>((resolve) => socket.close(() => resolve()));
}
