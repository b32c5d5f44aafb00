/** Which program is at which port: this server's own programs, and those that others on this machine have set. */
import type { mapping } from '../../protocol/portmap/program.js';

/** Mappings that others may set: far more than a machine runs RPC programs. */
const FOREIGN_MAX = 256;
const PORT_MAX = 65_535;

export class PortRegistry {
  readonly #own: mapping[];
  readonly #foreign: mapping[] = [];

  constructor({ own = [] }: { readonly own?: readonly mapping[] } = {}) {
    this.#own = [...own];
  }

  /** Adds programs of this server, which nobody can take away or shadow. */
  add(...mappings: readonly mapping[]): void {
    this.#own.push(...mappings);
  }

  /** All mappings, this server's first. */
  mappings(): readonly mapping[] {
    return [...this.#own, ...this.#foreign];
  }

  /**
   * The port of a program, 0 if there is none. Where the version is not registered, another version's port, as rpcbind answers it: the
   * caller then learns from the program itself which versions it has (PROG_MISMATCH), and mount.nfs falls back from 4 to 3 by that.
   */
  port({ prog, vers, prot }: Pick<mapping, 'prog' | 'vers' | 'prot'>): number {
    const candidates = this.mappings().filter((known) => known.prog === prog && known.prot === prot);
    return (candidates.find((known) => known.vers === vers) ?? candidates[0])?.port ?? 0;
  }

  /** Sets a mapping of another program. False if it is taken by another port, or out of range, or one too many. */
  set({ prog, vers, prot, port }: mapping): boolean {
    const known = this.mappings().find((at) => at.prog === prog && at.vers === vers && at.prot === prot);
    if (known !== undefined) return known.port === port;
    if (port === 0 || port > PORT_MAX || this.#foreign.length >= FOREIGN_MAX) return false;
    this.#foreign.push({ prog, vers, prot, port });
    return true;
  }

  /** Removes a version of another program, by all protocols (RFC 1833 3.2). False if nothing was set, or if it is this server's. */
  unset({ prog, vers }: Pick<mapping, 'prog' | 'vers'>): boolean {
    const matches = (known: mapping): boolean => known.prog === prog && known.vers === vers;
    if (this.#own.some(matches)) return false;
    const before = this.#foreign.length;
    const kept = this.#foreign.filter((known) => !matches(known));
    this.#foreign.splice(0, before, ...kept);
    return kept.length < before;
  }
}
