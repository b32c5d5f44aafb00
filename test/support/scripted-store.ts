/** An S3 store whose server answers as the test's script says. */
import type { Test } from 'tap';
import type { ObjectStore } from '../../src/store/object-store.js';
import type { S3StoreOptions } from '../../src/store/s3/options.js';
import { createS3Store } from '../../src/store/s3/s3-store.js';
import { createLogger } from '../../src/telemetry/log.js';
import { type Answer, ScriptedServer } from './scripted-server.js';

/** Both are closed when the test ends. Retries wait for 1 ms or 2, unless `options` tell otherwise. */
export async function scriptedStore(
  test: Test,
  script: readonly Answer[],
  options: Partial<S3StoreOptions> = {},
): Promise<{ readonly store: ObjectStore; readonly server: ScriptedServer }> {
  const server = await ScriptedServer.start(script);
  const store = createS3Store({
    bucket: 'bucket',
    region: 'us-east-1',
    endpointUrl: server.endpoint,
    credentials: { accessKeyId: 'test', secretAccessKey: 'very-secret' },
    log: createLogger('silent'),
    retry: { backoffMs: 1, throttledBackoffMs: 1, backoffMsMax: 2 },
    ...options,
  });
  test.teardown(async () => {
    await store.close();
    await server.close();
  });
  return { store, server };
}
