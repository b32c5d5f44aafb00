import { toFattr3 } from './attributes.js';
import { answer, type Handler } from './procedure.js';

/** READLINK (RFC 1813 3.3.5). */
export const readlink: Handler<'READLINK'> = (options, { symlink }, call) =>
  answer(
    'READLINK',
    options,
    call,
    async (context) => {
      const { target, attributes } = await options.fs.readlink(context, symlink);
      return { status: 'NFS3_OK', resok: { symlink_attributes: toFattr3(attributes), data: target } };
    },
    (status) => ({ status, resfail: { symlink_attributes: undefined } }),
  );
