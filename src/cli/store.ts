/** `s3nfsd store`: the embedded S3 server alone. */
import { join } from 'node:path';
import { resolveOptions } from '../../config/resolve.js';
import { STORE_OPTIONS } from '../../config/schema.js';
import { defaultStateDirectory, processFacts } from '../../config/serve-config.js';
import { createLogger } from '../telemetry/log.js';
import type { Command } from './command.js';
import { aborted } from './shutdown.js';

export const storeCommand: Command = {
  name: 'store',
  summary: 'Run the embedded S3 server on a directory.',
  operands: '',
  options: STORE_OPTIONS,
  examples: [
    's3nfsd store --dir ./buckets --bucket demo --port 9000',
    's3nfsd store --bucket demo --latency 30ms --bandwidth 8MiB/s',
    "s3nfsd store --bucket demo --fault 'error code=SlowDown rate=5%' --fault 'reset at=0..1MiB every=100'",
  ],
  run: async (parsed, { env, stdout, stderr, shutdown }) => {
    const { values, warnings } = resolveOptions(STORE_OPTIONS, { arguments: parsed, env });
    for (const warning of warnings) stderr(`s3nfsd: ${warning}`);
    // Not imported above: a daemon that serves has no use for it, and would hold it in memory.
    const [{ openEmbeddedStore }, { faultPlanOf }] = await Promise.all([
      import('./embedded-store.js'),
      import('./fault-plan.js'),
    ]);
    const store = await openEmbeddedStore({
      directory: values.dir ?? join(defaultStateDirectory(processFacts(env)), 'store'),
      host: values.listen[0]?.host ?? '127.0.0.1',
      port: values.listen[0]?.port ?? values.port,
      given: { accessKeyId: values.accessKeyId, secretAccessKey: values.secretAccessKey },
      buckets: values.bucket,
      faultPlan: faultPlanOf(values),
      log: createLogger(values.logLevel),
    });
    stdout(`ready ${JSON.stringify(store.report)}`);
    await aborted(shutdown);
    await store.close();
  },
};
