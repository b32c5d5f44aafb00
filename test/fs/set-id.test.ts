/** Set-user-ID and set-group-ID bits over changes of the bytes. */
import t from 'tap';
import { Mounted, callerOf } from './mounted.js';

await t.test(
  'bytes that another than root writes or cuts off take setuid and setgid from a file',
  async (t) => {
    const m = await Mounted.start();
    t.teardown(() => m.end());
    const handle = await m.write('f', 'bytes', { attributes: { mode: 0o6777 } });
    const modeOf = async (): Promise<string> => (await m.fs.getattr(m.context, handle)).mode.toString(8);
    const [directory, name] = [await m.root(), Buffer.from('f')];
    const changes: Readonly<Record<string, (context: typeof m.context) => Promise<unknown>>> = {
      WRITE: (context) => m.fs.write(context, handle, 0, Buffer.from('x'), 'unstable'),
      'SETATTR of the size': (context) => m.fs.setattr(context, handle, { size: 3 }),
      'CREATE over it': (context) =>
        m.fs.create(context, directory, name, { how: 'unchecked', attributes: { size: 0 } }),
    };
    await m.fs.setattr(m.context, directory, { mode: 0o777 });
    for (const [what, change] of Object.entries(changes)) {
      await m.fs.setattr(m.context, handle, { mode: 0o6777 });
      await change(callerOf(0));
      t.equal(await modeOf(), '6777', `${what}, root`);
      await change(callerOf(7));
      t.equal(await modeOf(), '777', what);
      await m.fs.setattr(m.context, handle, { mode: 0o6767 });
      await change(callerOf(7));
      t.equal(await modeOf(), '2767', `${what}: setgid of what the group may not run is no set-group-ID`);
    }
    await m.fs.setattr(m.context, handle, { mode: 0o6777 });
    await m.fs.write(callerOf(7), handle, 0, Buffer.alloc(0), 'unstable');
    t.equal(await modeOf(), '6777', 'nothing was written');
    const tooFar = m.fs.write(callerOf(7), handle, 2 ** 52, Buffer.from('x'), 'unstable');
    await t.rejects(tooFar, { code: 'EFBIG' });
    t.equal(await modeOf(), '6777', 'a WRITE that is refused');
    await m.fs.write(callerOf(7), handle, 0, Buffer.from('x'), 'unstable');
    await m.rest(60_000);
    await m.crash();
    await m.open();
    t.equal(await modeOf(), '777', 'also after a crash');
  },
);
