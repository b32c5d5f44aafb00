import { after } from '../fs/soon.js';
import { toFattr3 } from './attributes.js';
import { answer, type Handler } from './procedure.js';

/** LOOKUP (RFC 1813 3.3.3). The directory's own attributes are left out: they could cost a request to the store. */
export const lookup: Handler<'LOOKUP'> = (options, { what }, call) =>
  answer(
    'LOOKUP',
    options,
    call,
    (context) =>
      after(options.fs.lookup(context, what.dir, what.name), ({ handle, attributes }) => ({
        status: 'NFS3_OK',
        resok: { object: handle, obj_attributes: toFattr3(attributes), dir_attributes: undefined },
      })),
    (status) => ({ status, resfail: { dir_attributes: undefined } }),
  );
