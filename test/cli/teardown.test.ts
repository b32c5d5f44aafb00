import t from 'tap';
import { Teardown } from '../../src/cli/teardown.js';

await t.test('last in, first ended; a failure keeps nothing from being ended; once only', async (t) => {
  const ended: string[] = [];
  const teardown = new Teardown();
  teardown.add('state', async () => void ended.push('state'));
  teardown.add('spool', async () => {
    throw new Error('disk full');
  });
  teardown.add('server', async () => void ended.push('server'));
  const [failure, ...others] = await teardown.end();
  t.same(ended, ['server', 'state']);
  t.equal(failure?.message, 'spool: disk full');
  t.same(others, []);
  t.equal((await teardown.end())[0], failure);
  t.same(ended, ['server', 'state']);
});
