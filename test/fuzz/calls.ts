/** Messages to send: good calls, calls whose arguments or header are wrong somewhere, and what is no call at all. */
import type { Program } from '../../protocol/program.js';
import {
  acceptedReply,
  AUTH_NONE,
  AUTH_SYS,
  authsys_parms,
  rpc_msg,
  RPC_VERSION,
} from '../../protocol/rpc.js';
import { encode, struct, u32, opaque } from '../../protocol/xdr.js';
import { mutated } from './mutations.js';
import { expectedOf, type Expected } from './oracle.js';
import { affordable, type Pool } from './pool.js';
import type { Random } from './random.js';
import { invent, NOTABLE_U32, trace, type Traced } from './traced-xdr.js';

export interface Shot {
  readonly message: Buffer;
  readonly expected: Expected;
}

/** A call's header without RFC 5531's bounds: credentials of any length. */
const header = struct({
  xid: u32,
  mtype: u32,
  rpcvers: u32,
  prog: u32,
  vers: u32,
  proc: u32,
  credFlavor: u32,
  credBody: opaque(1 << 20),
  verfFlavor: u32,
  verfBody: opaque(1 << 20),
});
type Header = Parameters<typeof header.encode>[1];

const REPLY = 1;

export class CallGenerator {
  readonly #programs: readonly Program[];
  readonly #pool: Pool;
  readonly #random: Random;
  #xid: number;
  #last: Shot | undefined;

  /** `programs`: those served where the calls go. */
  constructor(programs: readonly Program[], pool: Pool, random: Random) {
    this.#programs = programs;
    this.#pool = pool;
    this.#random = random;
    this.#xid = random.u32();
  }

  /** A message that is a call, good or bad: it has a reply. */
  call(): Shot {
    for (;;) {
      const message = this.#message();
      const expected = expectedOf(message, this.#programs);
      if (expected.stat === 'cut' || !affordable(expected.args)) continue;
      this.#last = { message, expected };
      return this.#last;
    }
  }

  /** A message that is none: a reply, or too little for one. */
  noCall(): Buffer {
    const random = this.#random;
    switch (random.below(4)) {
      case 0:
        return encode(rpc_msg, acceptedReply(this.#nextXid(), { stat: 'SUCCESS' }));
      case 1:
        return random.bytes(random.below(8));
      case 2:
        return encode(header, { ...this.#header(), mtype: random.oneIn(2) ? REPLY : 2 + random.below(1000) });
      default:
        return Buffer.concat([
          random.bytes(4),
          Buffer.from([0xff, 0xff, 0xff, 0xff]),
          random.bytes(random.below(100)),
        ]);
    }
  }

  #message(): Buffer {
    const random = this.#random;
    const kind = random.below(100);
    if (kind < 3 && this.#last !== undefined) return this.#last.message;
    if (kind < 15) return this.#withWrongHeader();
    const { target, args } = this.#target();
    // The same xid for another call: nothing forbids it, and a reply cache must tell them apart.
    const reused = kind < 18 && this.#last !== undefined ? this.#last.message.readUInt32BE(0) : undefined;
    const head = { ...this.#header(), ...target, ...(reused !== undefined && { xid: reused }) };
    if (kind < 60) return Buffer.concat([encode(header, head), args.bytes]);
    if (kind < 92) return Buffer.concat([encode(header, head), mutated(args, random)]);
    return this.#mutatedWhole(head, args);
  }

  /** Header and arguments as one value: mutations cross the border. */
  #mutatedWhole(head: Header, args: Traced): Buffer {
    const { bytes, fields } = trace(header, head);
    const shifted = args.fields.map((field) => ({ ...field, at: field.at + bytes.length }));
    return mutated(
      { bytes: Buffer.concat([bytes, args.bytes]), fields: [...fields, ...shifted] },
      this.#random,
    );
  }

  #target(): { readonly target: Pick<Header, 'prog' | 'vers' | 'proc'>; readonly args: Traced } {
    const random = this.#random;
    const program = random.pick(this.#programs);
    const procedure = random.pick(Object.values(program?.procedures ?? {}));
    if (program === undefined || procedure === undefined)
      throw new Error('expected a program with procedures');
    const invented: unknown = invent(procedure.args, random);
    const args = trace(procedure.args, random.oneIn(12) ? invented : this.#pool.enliven(invented, random));
    return { target: { prog: program.number, vers: program.version, proc: procedure.number }, args };
  }

  #header(): Header {
    const target = { prog: 100_003, vers: 3, proc: 0 };
    const verifier = { verfFlavor: AUTH_NONE, verfBody: Buffer.alloc(0) };
    return {
      xid: this.#nextXid(),
      mtype: 0,
      rpcvers: RPC_VERSION,
      ...target,
      ...this.#credential(),
      ...verifier,
    };
  }

  #credential(): Pick<Header, 'credFlavor' | 'credBody'> {
    const random = this.#random;
    if (random.oneIn(20)) return { credFlavor: AUTH_NONE, credBody: Buffer.alloc(0) };
    const uid = random.oneIn(5) ? random.pick([1000, 65534, 0xffffffff]) : 0;
    const gids = random.oneIn(8) ? Array.from({ length: random.below(17) }, () => random.u32()) : [];
    const machinename = random.oneIn(8) ? random.bytes(random.below(256)) : Buffer.from('fuzz');
    return {
      credFlavor: AUTH_SYS,
      credBody: encode(authsys_parms, { stamp: 0, machinename, uid, gid: uid, gids }),
    };
  }

  #withWrongHeader(): Buffer {
    const random = this.#random;
    const { target, args } = this.#target();
    const notable = (): number => (random.oneIn(2) ? random.below(12) : random.pick(NOTABLE_U32));
    const wrong: Partial<Header>[] = [
      { rpcvers: notable() },
      { prog: random.oneIn(2) ? 99_990 + random.below(40) : notable() },
      { vers: notable() },
      { proc: notable() },
      { credFlavor: notable() },
      { credFlavor: AUTH_SYS, credBody: random.bytes(random.below(64)) },
      {
        credFlavor: AUTH_SYS,
        credBody: mutated(trace(authsys_parms, invent(authsys_parms, random)), random),
      },
      { credBody: Buffer.alloc(random.pick([400, 401, 404, 1024, 65_536]), 1) },
      { verfFlavor: notable(), verfBody: random.bytes(random.below(410)) },
    ];
    return Buffer.concat([
      encode(header, { ...this.#header(), ...target, ...random.pick(wrong) }),
      args.bytes,
    ]);
  }

  #nextXid(): number {
    this.#xid = (this.#xid + 1) >>> 0;
    return this.#xid;
  }
}
