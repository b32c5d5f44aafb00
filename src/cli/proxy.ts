/** `s3nfsd proxy`: faults and shaping in front of any S3 server. */
import { readFileSync } from 'node:fs';
import { ConfigError } from '../../config/config-error.js';
import { resolveOptions } from '../../config/resolve.js';
import { PROXY_OPTIONS } from '../../config/schema.js';
import { createLogger } from '../telemetry/log.js';
import type { Command } from './command.js';
import { listenFailure } from './ports.js';
import { aborted } from './shutdown.js';

/** The admin call's region: whoever signs it for a proxy has no other to name. */
const ADMIN_REGION = 'us-east-1';

export const proxyCommand: Command = {
  name: 'proxy',
  summary: 'Stand before any S3 server with faults and shaping, to test clients.',
  operands: '',
  options: PROXY_OPTIONS,
  examples: [
    's3nfsd proxy --to http://127.0.0.1:9000 --port 9001 --latency 30ms --bandwidth 8MiB/s',
    "s3nfsd proxy --to https://s3.example.com --fault 'error code=SlowDown rate=5%'",
    's3nfsd proxy --to http://127.0.0.1:9000 --fault-plan plan.yaml --fault-seed 7',
  ],
  run: async (parsed, { env, stdout, stderr, shutdown }) => {
    const { values, warnings } = resolveOptions(PROXY_OPTIONS, { arguments: parsed, env });
    for (const warning of warnings) stderr(`s3nfsd: ${warning}`);
    if (values.to === null) throw new ConfigError('name the server to stand before: --to URL');
    const host = values.listen[0]?.host ?? '127.0.0.1';
    const port = values.listen[0]?.port ?? values.port;
    // Not imported above: a daemon that serves has no use for it, and would hold it in memory.
    const [{ startFaultProxy }, { faultPlanOf }] = await Promise.all([
      import('../store/faults/proxy.js'),
      import('./fault-plan.js'),
    ]);
    const proxy = await startFaultProxy({
      to: serverOf(values.to),
      host,
      port,
      plan: faultPlanOf(values),
      admin: adminOf(values.accessKeyId, values.secretAccessKey),
      certificateAuthorities: values.caBundle === null ? undefined : readBundle(values.caBundle),
      log: createLogger(values.logLevel),
    }).catch((error: unknown) => {
      throw listenFailure('S3', '--port', host, port, error);
    });
    stdout(`ready ${JSON.stringify({ endpoint: proxy.endpoint, to: values.to, pid: process.pid })}`);
    await aborted(shutdown);
    await proxy.close();
  },
};

/** Signatures cover the path, so that none can be put before it. */
function serverOf(to: string): string {
  if (new URL(to).pathname !== '/')
    throw new ConfigError(`option to: expected a URL without a path, got ${to}`);
  return to;
}

function adminOf(accessKeyId: string | null, secretAccessKey: string | null) {
  if (accessKeyId === null && secretAccessKey === null) return undefined;
  if (accessKeyId === null || secretAccessKey === null) {
    throw new ConfigError('give both --access-key-id and --secret-access-key, or neither');
  }
  return { accessKeyId, secretAccessKey, region: ADMIN_REGION };
}

function readBundle(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new ConfigError(`cannot read CA bundle ${path}: ${(error as NodeJS.ErrnoException).code}`, {
      cause: error,
    });
  }
}
