import { toFattr3 } from './attributes.js';
import { answer, type Handler } from './procedure.js';

/** PATHCONF (RFC 1813 3.3.20). linkmax 1: no hard links. */
export const pathconf: Handler<'PATHCONF'> = (options, { object }, call) =>
  answer(
    'PATHCONF',
    options,
    call,
    async (context) => {
      const limits = await options.fs.limits(context, object);
      return {
        status: 'NFS3_OK',
        resok: {
          obj_attributes: toFattr3(limits.attributes),
          linkmax: 1,
          name_max: limits.nameBytesMax,
          no_trunc: true,
          chown_restricted: true,
          case_insensitive: false,
          case_preserving: true,
        },
      };
    },
    (status) => ({ status, resfail: { obj_attributes: undefined } }),
  );
