import { DATA_BYTES_MAX } from '../../protocol/nfs3/types.js';
import { after } from '../fs/soon.js';
import { toFattr3 } from './attributes.js';
import { answer, type Handler } from './procedure.js';

/** No file reaches this far, and adding a count to it still gives an exact number. */
const OFFSET_MAX = BigInt(Number.MAX_SAFE_INTEGER - DATA_BYTES_MAX);

/**
 * READ (RFC 1813 3.3.6). An offset at or beyond the end of the file is no error: no bytes, and eof. The bytes go out as the
 * slices that the file system lent; they are given back when the reply is on its way or dropped.
 */
export const read: Handler<'READ'> = (options, args, call) =>
  answer(
    'READ',
    options,
    call,
    (context) => {
      const offset = Number(args.offset < OFFSET_MAX ? args.offset : OFFSET_MAX);
      const count = Math.min(args.count, DATA_BYTES_MAX);
      return after(options.fs.read(context, args.file, offset, count), (result) => {
        // First of all, so that whatever fails from here on the buffers come back.
        call.onReplySent(() => result.release());
        return {
          status: 'NFS3_OK',
          resok: {
            file_attributes: result.attributes && toFattr3(result.attributes),
            count: result.count,
            eof: result.eof,
            data: result.slices,
          },
        };
      });
    },
    (status) => ({ status, resfail: { file_attributes: undefined } }),
  );
