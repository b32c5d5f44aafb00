/** The port mapper, version 2 (RFC 1833 section 3), types under the RFC's names. */
import { program } from '../program.js';
import { bool, list, opaque, struct, u32, xvoid, type Infer } from '../xdr.js';

/** Where a port mapper listens (PMAP_PORT). */
export const PMAP_PORT = 111;
/** Values of a mapping's `prot`. */
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;

/** Bounds of what is decoded. */
const LIST_MAX = 65_536;
const CALL_BYTES_MAX = 65_536;

export const mapping = struct({ prog: u32, vers: u32, prot: u32, port: u32 });
export type mapping = Infer<typeof mapping>;

const call_args = struct({ prog: u32, vers: u32, proc: u32, args: opaque(CALL_BYTES_MAX) });
const call_result = struct({ port: u32, res: opaque(CALL_BYTES_MAX) });

export const PORTMAP2 = program({
  name: 'PORTMAP2',
  number: 100000,
  version: 2,
  procedures: {
    NULL: { number: 0, args: xvoid, result: xvoid },
    SET: { number: 1, args: mapping, result: bool, nonIdempotent: true },
    UNSET: { number: 2, args: mapping, result: bool, nonIdempotent: true },
    GETPORT: { number: 3, args: mapping, result: u32 },
    DUMP: { number: 4, args: xvoid, result: list(mapping, LIST_MAX) },
    CALLIT: { number: 5, args: call_args, result: call_result },
  },
});
