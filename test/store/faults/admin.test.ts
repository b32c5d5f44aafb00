/** The admin call: who may use it, what it sets, and what it tells. */
import t from 'tap';
import { startFaultProxy } from '../../../src/store/faults/proxy.js';
import { clearFaults, faultReportOf, setFaults } from '../../support/fault-client.js';
import { rawExchange } from '../../support/raw-http.js';
import {
  ACCESS_KEY,
  codeOf,
  REGION,
  SECRET_KEY,
  sendRaw,
  startServer,
  temporaryDirectory,
} from '../embedded/support.js';

const PLAN = `
seed: 5
rules:
  - fault: error
    code: SlowDown
    nth: 1..2
  - reset at=100
`;

await t.test('a plan is set, told with its counts, and cleared while the server runs', async (t) => {
  const store = await startServer(temporaryDirectory(t));
  t.teardown(() => store.close());
  const get = () => rawExchange(store.port, { method: 'GET', path: '/b/k' });
  t.match(await faultReportOf(store.port), { seed: null, requests: 0, rules: [], fired: {} });
  t.match(await setFaults(store.port, PLAN), { seed: 5, requests: 0, fired: {} });
  t.equal((await get()).status, 503);
  t.equal((await get()).status, 503);
  t.equal((await get()).status, 403, 'unsigned, by the server itself');
  const counts = {
    seed: 5,
    requests: 3,
    rules: [
      { rule: { fault: 'error', code: 'SlowDown', nth: '1..2' }, matched: 3, chosen: 2, fired: 2 },
      { rule: { fault: 'reset', at: '100' }, matched: 3, chosen: 1 },
    ],
    fired: { error: 2 },
  };
  t.match(await faultReportOf(store.port), counts);
  t.match(await clearFaults(store.port), counts, 'what it did is told once more');
  t.equal((await get()).status, 403);
  t.match(await faultReportOf(store.port), { seed: null, rules: [] });
});

await t.test('a plan that can’t be followed is refused and changes nothing', async (t) => {
  const store = await startServer(temporaryDirectory(t));
  t.teardown(() => store.close());
  await setFaults(store.port, PLAN);
  await t.rejects(setFaults(store.port, '- explode'), {
    message: /^InvalidRequest: rule 1: fault: expected one of latency, /,
  });
  t.match(await faultReportOf(store.port), { seed: 5 });
});

await t.test('it takes a signature by the store’s keys', async (t) => {
  const store = await startServer(temporaryDirectory(t));
  t.teardown(() => store.close());
  const wrong = { accessKeyId: ACCESS_KEY, secretAccessKey: 'not the secret' };
  await t.rejects(setFaults(store.port, PLAN, wrong), { message: /^SignatureDoesNotMatch/ });
  for (const method of ['GET', 'PUT', 'DELETE', 'POST']) {
    t.equal(codeOf(await sendRaw(store, { method, path: '/_s3nfsd/faults' })), 'AccessDenied', method);
  }
  t.match(await faultReportOf(store.port), { seed: null });
});

await t.test('it has no faults itself', async (t) => {
  const store = await startServer(temporaryDirectory(t));
  t.teardown(() => store.close());
  await setFaults(store.port, '- error\n- reset in=request');
  t.match(await faultReportOf(store.port), { requests: 0, fired: {} });
  await clearFaults(store.port);
});

await t.test('a proxy answers it to those whose keys it was given', async (t) => {
  const store = await startServer(temporaryDirectory(t));
  t.teardown(() => store.close());
  const keys = { accessKeyId: 'proxy', secretAccessKey: 'proxy-secret' };
  const proxy = await startFaultProxy({
    to: store.endpoint,
    host: '127.0.0.1',
    port: 0,
    admin: { ...keys, region: REGION },
  });
  t.teardown(() => proxy.close());
  await setFaults(proxy.port, PLAN, keys);
  t.match(await faultReportOf(proxy.port, keys), { seed: 5 });
  t.match(await faultReportOf(store.port), { seed: null }, 'the server behind has its own');
  await t.rejects(clearFaults(proxy.port, { accessKeyId: ACCESS_KEY, secretAccessKey: SECRET_KEY }), {
    message: /^InvalidAccessKeyId/,
  });
});
