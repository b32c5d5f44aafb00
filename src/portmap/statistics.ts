/** What a port mapper was asked since it began, for GETSTAT (RFC 1833 section 2.1, rpcb_stat). */
import {
  RPCBSTAT_HIGHPROC,
  RPCBVERS_STAT,
  type rpcb_stat,
  type rpcbs_addrlist,
} from '../../protocol/portmap/rpcbind.js';

/** Programs whose queries are counted apart, for each version: the first so many that are asked for. GETSTAT's reply fits a datagram. */
const ASKED_MAX = 32;
/** The counters are ints on the wire. */
const COUNT_MAX = 0x7fff_ffff;

type PortmapVersion = 2 | 3 | 4;

/** rpcbs_addrlist, while it is counted. */
type Asked = { -readonly [K in keyof rpcbs_addrlist]: rpcbs_addrlist[K] };

interface Counts {
  readonly info: number[];
  setinfo: number;
  unsetinfo: number;
  readonly addrinfo: Map<string, Asked>;
}

export class PortmapStatistics {
  readonly #counts: readonly Counts[] = Array.from({ length: RPCBVERS_STAT }, () => ({
    info: Array.from({ length: RPCBSTAT_HIGHPROC }, () => 0),
    setinfo: 0,
    unsetinfo: 0,
    addrinfo: new Map<string, Asked>(),
  }));

  /** A call of the procedure with this number. */
  called(version: PortmapVersion, procedure: number): void {
    const { info } = this.#of(version);
    info[procedure] = next(info[procedure] ?? 0);
  }

  /** A SET; only those that were granted count. Returns what it is given. */
  set(version: PortmapVersion, granted: boolean): boolean {
    const counts = this.#of(version);
    if (granted) counts.setinfo = next(counts.setinfo);
    return granted;
  }

  /** An UNSET, in the same way. */
  unset(version: PortmapVersion, granted: boolean): boolean {
    const counts = this.#of(version);
    if (granted) counts.unsetinfo = next(counts.unsetinfo);
    return granted;
  }

  /** A query for a program's address or port. */
  asked(version: PortmapVersion, prog: number, vers: number, netid: string, found: boolean): void {
    const { addrinfo } = this.#of(version);
    const key = `${prog}.${vers}.${netid}`;
    let entry = addrinfo.get(key);
    if (entry === undefined) {
      if (addrinfo.size >= ASKED_MAX) return;
      entry = { prog, vers, success: 0, failure: 0, netid };
      addrinfo.set(key, entry);
    }
    if (found) entry.success = next(entry.success);
    else entry.failure = next(entry.failure);
  }

  /** For versions 2, 3 and 4. Calls in the name of others are refused, so there are none to count. */
  byVersion(): rpcb_stat[] {
    return this.#counts.map(({ info, setinfo, unsetinfo, addrinfo }) => ({
      info: [...info],
      setinfo,
      unsetinfo,
      addrinfo: [...addrinfo.values()].map((entry) => ({ ...entry })),
      rmtinfo: [],
    }));
  }

  #of(version: PortmapVersion): Counts {
    const counts = this.#counts[version - 2];
    if (counts === undefined) throw new Error(`no statistics for version ${version}`);
    return counts;
  }
}

function next(count: number): number {
  return Math.min(count + 1, COUNT_MAX);
}
