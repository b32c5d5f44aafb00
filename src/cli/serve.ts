/** `s3nfsd serve`: buckets over NFSv3 until a signal. */
import { resolveOptions } from '../../config/resolve.js';
import { SERVE_OPTIONS } from '../../config/schema.js';
import { processFacts, serveConfig } from '../../config/serve-config.js';
import { createLogger } from '../telemetry/log.js';
import type { Command } from './command.js';
import { startDaemon } from './daemon.js';
import { aborted } from './shutdown.js';

export const serveCommand: Command = {
  name: 'serve',
  summary: 'Serve S3 buckets over NFSv3.',
  operands: 's3://BUCKET[/PREFIX/] ...',
  options: SERVE_OPTIONS,
  positional: 'exports',
  examples: [
    's3nfsd serve s3://my-bucket --region eu-central-1',
    's3nfsd serve s3://my-bucket/data/ --read-only --listen 0.0.0.0 --allow 10.0.0.0/8',
    's3nfsd serve --config /etc/s3nfsd.yaml',
  ],
  run: async (parsed, { env, stdout, stderr, shutdown }) => {
    const resolved = resolveOptions(SERVE_OPTIONS, { arguments: parsed, positional: 'exports', env });
    for (const warning of resolved.warnings) stderr(`s3nfsd: ${warning}`);
    const config = serveConfig(resolved, processFacts(env));
    const daemon = await startDaemon(config, {
      log: createLogger(config.logLevel),
      notice: (line) => stderr(`s3nfsd: ${line}`),
    });
    const { mode, reason } = daemon.report.portmap;
    if (mode === 'off' && config.portmap !== 'off') {
      stderr(
        `s3nfsd: no portmapper (${reason ?? 'unknown'}): clients must name every port, as the mount lines do`,
      );
    }
    stdout(`ready ${JSON.stringify(daemon.report)}`);
    await aborted(shutdown);
    await daemon.stop();
  },
};
