import { after } from '../fs/soon.js';
import { toFattr3 } from './attributes.js';
import { answer, type Handler } from './procedure.js';

/** GETATTR (RFC 1813 3.3.1). */
export const getattr: Handler<'GETATTR'> = (options, { object }, call) =>
  answer(
    'GETATTR',
    options,
    call,
    (context) =>
      after(options.fs.getattr(context, object), (attributes) => ({
        status: 'NFS3_OK',
        resok: { obj_attributes: toFattr3(attributes) },
      })),
    (status) => ({ status }),
  );
