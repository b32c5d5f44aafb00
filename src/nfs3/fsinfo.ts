import {
  DATA_BYTES_MAX,
  FSF3_CANSETTIME,
  FSF3_HOMOGENEOUS,
  FSF3_SYMLINK,
} from '../../protocol/nfs3/types.js';
import { toFattr3 } from './attributes.js';
import { answer, type Handler } from './procedure.js';

/** Clients round their transfer sizes to this: a page. */
const TRANSFER_MULTIPLE_BYTES = 4096;
/** Some 300 entries with attributes: a page that is quick to make. */
const DIRECTORY_BYTES_PREFERRED = 64 * 1024;

/** FSINFO (RFC 1813 3.3.19). Linux starts its rsize and wsize from the preferred sizes, so they are the largest ones. */
export const fsinfo: Handler<'FSINFO'> = (options, { fsroot }, call) =>
  answer(
    'FSINFO',
    options,
    call,
    async (context) => {
      const limits = await options.fs.limits(context, fsroot);
      const readBytes = Math.min(limits.readBytesMax, DATA_BYTES_MAX);
      const writeBytes = Math.min(limits.writeBytesMax, DATA_BYTES_MAX);
      return {
        status: 'NFS3_OK',
        resok: {
          obj_attributes: toFattr3(limits.attributes),
          rtmax: readBytes,
          rtpref: readBytes,
          rtmult: TRANSFER_MULTIPLE_BYTES,
          wtmax: writeBytes,
          wtpref: writeBytes,
          wtmult: TRANSFER_MULTIPLE_BYTES,
          dtpref: DIRECTORY_BYTES_PREFERRED,
          maxfilesize: BigInt(limits.fileBytesMax),
          time_delta: { seconds: 0, nseconds: 1 },
          properties: FSF3_SYMLINK | FSF3_HOMOGENEOUS | FSF3_CANSETTIME,
        },
      };
    },
    (status) => ({ status, resfail: { obj_attributes: undefined } }),
  );
