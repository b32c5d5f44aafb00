/** rpcbind, versions 3 and 4 of the port mapper's program (RFC 1833 section 2), types under the RFC's names. */
import { program } from '../program.js';
import { bool, fixedArray, i32, list, opaque, struct, u32, utf8, xvoid, type Infer } from '../xdr.js';

/** Bounds of what is decoded: network ids are words, universal addresses a path at most. The RFC has none. */
const NETID_BYTES_MAX = 64;
const ADDRESS_BYTES_MAX = 256;
const OWNER_BYTES_MAX = 256;
const LIST_MAX = 65_536;
const CALL_BYTES_MAX = 65_536;
const TRANSPORT_ADDRESS_BYTES_MAX = 256;

const netid = utf8(NETID_BYTES_MAX);
const uaddr = utf8(ADDRESS_BYTES_MAX);

/** A registration; of a query, what is asked for. */
export const rpcb = struct({
  r_prog: u32,
  r_vers: u32,
  r_netid: netid,
  /** Universal address. In a query: the one that the caller reached rpcbind by. */
  r_addr: uaddr,
  r_owner: utf8(OWNER_BYTES_MAX),
});
export type rpcb = Infer<typeof rpcb>;

/** RPCBPROC_DUMP's results. */
export const rpcblist = list(rpcb, LIST_MAX);

const rpcb_rmtcallargs = struct({ prog: u32, vers: u32, proc: u32, args: opaque(CALL_BYTES_MAX) });
const rpcb_rmtcallres = struct({ addr: uaddr, results: opaque(CALL_BYTES_MAX) });

/** A transport address as its system has it: on Linux a sockaddr. */
export const netbuf = struct({ maxlen: u32, buf: opaque(TRANSPORT_ADDRESS_BYTES_MAX) });
export type netbuf = Infer<typeof netbuf>;

/** `r_nc_semantics` (netconfig.h): datagrams, and streams with an orderly end. */
export const NC_TPI_CLTS = 1;
export const NC_TPI_COTS_ORD = 3;

const rpcb_entry = struct({
  r_maddr: uaddr,
  r_nc_netid: netid,
  r_nc_semantics: u32,
  r_nc_protofmly: utf8(NETID_BYTES_MAX),
  r_nc_proto: utf8(NETID_BYTES_MAX),
});
export type rpcb_entry = Infer<typeof rpcb_entry>;

export const rpcb_entry_list = list(rpcb_entry, LIST_MAX);

/** Procedures of version 4, and versions, that are counted. */
export const RPCBSTAT_HIGHPROC = 13;
export const RPCBVERS_STAT = 3;

const rpcbs_addrlist = struct({ prog: u32, vers: u32, success: i32, failure: i32, netid });
export type rpcbs_addrlist = Infer<typeof rpcbs_addrlist>;

const rpcbs_rmtcalllist = struct({
  prog: u32,
  vers: u32,
  proc: u32,
  success: i32,
  failure: i32,
  /** Whether by INDIRECT. */
  indirect: i32,
  netid,
});

const rpcb_stat = struct({
  /** Calls, by procedure number. */
  info: fixedArray(i32, RPCBSTAT_HIGHPROC),
  setinfo: i32,
  unsetinfo: i32,
  addrinfo: list(rpcbs_addrlist, LIST_MAX),
  rmtinfo: list(rpcbs_rmtcalllist, LIST_MAX),
});
export type rpcb_stat = Infer<typeof rpcb_stat>;

/** For versions 2, 3 and 4, in this order. */
export const rpcb_stat_byvers = fixedArray(rpcb_stat, RPCBVERS_STAT);

const common = {
  NULL: { number: 0, args: xvoid, result: xvoid },
  SET: { number: 1, args: rpcb, result: bool, nonIdempotent: true },
  UNSET: { number: 2, args: rpcb, result: bool, nonIdempotent: true },
  GETADDR: { number: 3, args: rpcb, result: uaddr },
  DUMP: { number: 4, args: xvoid, result: rpcblist },
} as const;

const conversions = {
  /** Seconds since 1970. */
  GETTIME: { number: 6, args: xvoid, result: u32 },
  UADDR2TADDR: { number: 7, args: uaddr, result: netbuf },
  TADDR2UADDR: { number: 8, args: netbuf, result: uaddr },
} as const;

const remoteCall = { args: rpcb_rmtcallargs, result: rpcb_rmtcallres } as const;

export const RPCBIND3 = program({
  name: 'RPCBIND3',
  number: 100000,
  version: 3,
  procedures: { ...common, CALLIT: { number: 5, ...remoteCall }, ...conversions },
});

export const RPCBIND4 = program({
  name: 'RPCBIND4',
  number: 100000,
  version: 4,
  procedures: {
    ...common,
    /** CALLIT of version 3 under another name. */
    BCAST: { number: 5, ...remoteCall },
    ...conversions,
    /** GETADDR, but never another version. */
    GETVERSADDR: { number: 9, args: rpcb, result: uaddr },
    /** BCAST, but a failure is answered. */
    INDIRECT: { number: 10, ...remoteCall },
    GETADDRLIST: { number: 11, args: rpcb, result: rpcb_entry_list },
    GETSTAT: { number: 12, args: xvoid, result: rpcb_stat_byvers },
  },
});
