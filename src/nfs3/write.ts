import { FsError } from '../fs/errors.js';
import { toWccData, UNKNOWN_WCC } from './attributes.js';
import { answer, type Handler } from './procedure.js';
import { STABILITY_OF, STABLE_HOW_OF } from './stability.js';

/** WRITE (RFC 1813 3.3.7). All of the data or an error: what a client makes of a short write differs too much. */
export const write: Handler<'WRITE'> = (options, args, call) =>
  answer(
    'WRITE',
    options,
    call,
    async (context) => {
      if (args.count !== args.data.length) {
        throw new FsError('EINVAL', `expected ${args.count} bytes of data, got ${args.data.length}`);
      }
      const offset = offsetOf(args.offset, args.count);
      const result = await options.fs.write(context, args.file, offset, args.data, STABILITY_OF[args.stable]);
      return {
        status: 'NFS3_OK',
        resok: {
          file_wcc: toWccData(result.file),
          count: result.count,
          committed: STABLE_HOW_OF[result.committed],
          verf: result.verifier,
        },
      };
    },
    (status) => ({ status, resfail: { file_wcc: UNKNOWN_WCC } }),
  );

function offsetOf(offset: bigint, count: number): number {
  if (offset + BigInt(count) > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new FsError('EFBIG', `expected data that ends below 2^53, got ${count} bytes at ${offset}`);
  }
  return Number(offset);
}
