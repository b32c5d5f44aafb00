import { fromNfstime3, toAttributeChanges, toWccData, UNKNOWN_WCC } from './attributes.js';
import { answer, type Handler } from './procedure.js';

/** SETATTR (RFC 1813 3.3.2). The guard is a ctime: the change happens only if the object still has it, else NOT_SYNC. */
export const setattr: Handler<'SETATTR'> = (options, { object, new_attributes, guard }, call) =>
  answer(
    'SETATTR',
    options,
    call,
    async (context) => {
      const changes = toAttributeChanges(new_attributes);
      const guardCtimeNs = guard && fromNfstime3(guard);
      const report = await options.fs.setattr(context, object, changes, guardCtimeNs);
      return { status: 'NFS3_OK', resok: { obj_wcc: toWccData(report) } };
    },
    (status) => ({ status, resfail: { obj_wcc: UNKNOWN_WCC } }),
  );
