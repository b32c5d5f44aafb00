import { toFattr3 } from './attributes.js';
import { answer, type Handler } from './procedure.js';

/** FSSTAT (RFC 1813 3.3.18). All that is free is available to everybody; invarsec 0: the figures may change at any time. */
export const fsstat: Handler<'FSSTAT'> = (options, { fsroot }, call) =>
  answer(
    'FSSTAT',
    options,
    call,
    async (context) => {
      const space = await options.fs.space(context, fsroot);
      return {
        status: 'NFS3_OK',
        resok: {
          obj_attributes: toFattr3(space.attributes),
          tbytes: space.totalBytes,
          fbytes: space.freeBytes,
          abytes: space.freeBytes,
          tfiles: space.totalFiles,
          ffiles: space.freeFiles,
          afiles: space.freeFiles,
          invarsec: 0,
        },
      };
    },
    (status) => ({ status, resfail: { obj_attributes: undefined } }),
  );
