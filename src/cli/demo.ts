/** `s3nfsd demo`: the embedded store with a bucket of real files, served over NFSv3 on loopback. What `npm start` runs. */
import { join } from 'node:path';
import { defaultsOf } from '../../config/option.js';
import { resolveOptions } from '../../config/resolve.js';
import { DEMO_OPTIONS, EXPORT_OPTIONS, SERVE_OPTIONS, type DemoValues } from '../../config/schema.js';
import {
  defaultStateDirectory,
  processFacts,
  type ProcessFacts,
  type ServeConfig,
} from '../../config/serve-config.js';
import { resolveExports } from '../../config/exports.js';
import { defaultMemoryLimitBytes } from '../../config/memory-default.js';
import { createLogger, type Logger } from '../telemetry/log.js';
import { createS3Store } from '../store/s3/s3-store.js';
import type { Command } from './command.js';
import { startDaemon } from './daemon.js';
import { demoText } from './demo-text.js';
import type { RunningStore } from './embedded-store.js';
import { freePort, isFree, presentAddresses } from './ports.js';
import { aborted } from './shutdown.js';
import { Teardown } from './teardown.js';
import { packageRoot } from './version.js';

const BUCKET = 'demo';
const REGION = 'us-east-1';

export const demoCommand: Command = {
  name: 'demo',
  summary: 'Try it: an S3 server with a bucket of files, served to this machine.',
  operands: '',
  options: DEMO_OPTIONS,
  examples: ['s3nfsd demo', 's3nfsd demo --dir ./try --port 0'],
  run: async (parsed, { env, stdout, stderr, shutdown }) => {
    const { values, warnings } = resolveOptions(DEMO_OPTIONS, { arguments: parsed, env });
    for (const warning of warnings) stderr(`s3nfsd: ${warning}`);
    const log = createLogger(values.logLevel);
    const facts = processFacts(env);
    const directory = values.dir ?? join(defaultStateDirectory(facts), 's3nfsd-demo');
    const started = new Teardown();
    try {
      // Not imported above: a daemon that serves has no use for it, and would hold it in memory.
      const { openEmbeddedStore } = await import('./embedded-store.js');
      const store = await openEmbeddedStore({
        directory: join(directory, 'buckets'),
        host: '127.0.0.1',
        port: values.storePort,
        buckets: [BUCKET],
        log,
      });
      started.add('embedded store', () => store.close());
      await seed(store, log);
      const config = await demoConfig(values, facts, directory, store);
      const daemon = await startDaemon(config, {
        log,
        credentials: store.credentials,
        volumeName: BUCKET,
        notice: (line) => stderr(`s3nfsd: ${line}`),
      });
      started.add('daemon', () => daemon.stop());
      stdout(
        demoText({
          daemon: daemon.report,
          mount: daemon.mountLines[0],
          store: store.report,
          wantedPort: values.port,
          directory,
        }),
      );
      stdout(`ready ${JSON.stringify({ ...daemon.report, store: store.report })}`);
      await aborted(shutdown);
    } finally {
      for (const failure of await started.end()) stderr(`s3nfsd: ${failure.message}`);
    }
  },
};

async function seed(store: RunningStore, log: Logger): Promise<void> {
  const { endpoint: endpointUrl } = store.report;
  const objects = createS3Store({
    bucket: BUCKET,
    endpointUrl,
    region: REGION,
    credentials: store.credentials,
    log,
  });
  try {
    const { seedBucket } = await import('./demo-seed.js');
    await seedBucket(objects, packageRoot());
  } finally {
    await objects.close();
  }
}

/** Ports that can't be had are no reason not to start: another is taken, and told. */
async function demoConfig(
  values: DemoValues,
  facts: ProcessFacts,
  directory: string,
  store: RunningStore,
): Promise<ServeConfig> {
  const listen = SERVE_OPTIONS.listen.default;
  const hosts = (await presentAddresses(listen)).map(({ host }) => host);
  const port = values.port !== 0 && (await isFree(hosts, values.port)) ? values.port : await freePort(hosts);
  const defaults = { ...defaultsOf(EXPORT_OPTIONS), endpointUrl: store.report.endpoint, region: REGION };
  return {
    exports: resolveExports([`s3://${BUCKET}`], 'the demonstration', defaults, { ...facts, squash: 'none' }),
    listen,
    port,
    mountPort: values.mountPort ?? undefined,
    portmap: values.portmap,
    stateDirectory: join(directory, 'state'),
    isStateEphemeral: SERVE_OPTIONS.stateEphemeral.default,
    handleSecretFile: undefined,
    memoryLimitBytes: values.memoryLimit ?? defaultMemoryLimitBytes(),
    spoolLimitBytes: SERVE_OPTIONS.spoolLimit.default,
    diskCacheDirectory: undefined,
    diskCacheLimitBytes: SERVE_OPTIONS.diskCacheLimit.default,
    partSizeBytes: SERVE_OPTIONS.partSize.default,
    maxRequests: SERVE_OPTIONS.maxRequests.default,
    journalRestMs: SERVE_OPTIONS.journalRest.default,
    janitorIntervalMs: SERVE_OPTIONS.janitorInterval.default,
    uploadInitiator: undefined,
    uploadMaxAgeMs: SERVE_OPTIONS.uploadMaxAge.default,
    conflictMaxAgeMs: undefined,
    sillyMaxAgeMs: SERVE_OPTIONS.sillyMaxAge.default,
    smallFilesAhead: SERVE_OPTIONS.smallFilesAhead.default === 'on',
    drainTimeoutMs: values.drainTimeout,
    logLevel: values.logLevel,
  };
}
