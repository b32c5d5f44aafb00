/** What the demonstration tells the person who started it. */
import type { DaemonReport } from './daemon.js';
import type { RunningStore } from './embedded-store.js';
import type { MountLines } from './mount-lines.js';

export interface DemoFacts {
  readonly daemon: DaemonReport;
  readonly mount: MountLines | undefined;
  readonly store: RunningStore['report'];
  /** The NFS port that was asked for. */
  readonly wantedPort: number;
  readonly directory: string;
}

export function demoText({ daemon, mount, store, wantedPort, directory }: DemoFacts): string {
  const short = mount?.linuxPortmapped;
  return `
s3nfsd serves the bucket ${store.buckets.join(', ')} over NFSv3 on ${daemon.addresses.join(' and ')}${
    wantedPort === daemon.nfsPort || wantedPort === 0 ? '' : ` (port ${wantedPort} was not to be had)`
  }.
Portmapper: ${portmapText(daemon.portmap)}

Mount it (as root; mkdir -p /mnt/s3 first):
  Linux${short === undefined ? '' : ', by portmapper'}
    ${[short, mount?.linux].filter((line) => line !== undefined).join('\n  Linux, every port named\n    ')}
  macOS
    ${mount?.macos ?? ''}

Look at the same bucket with the AWS CLI:
    AWS_ACCESS_KEY_ID=${store.accessKeyId} AWS_SECRET_ACCESS_KEY=${store.secretAccessKey} AWS_REGION=us-east-1 \\
      aws --endpoint-url ${store.endpoint} s3 ls s3://${store.buckets[0] ?? ''}/ --recursive

Serve a bucket of your own:
    node dist/src/main.js serve s3://my-bucket --region REGION [--endpoint-url URL]

Bucket, keys and state lie in ${directory}. Ctrl-C ends it; the files stay.
`;
}

function portmapText(portmap: DaemonReport['portmap']): string {
  switch (portmap.mode) {
    case 'embedded':
      return 'its own, on port 111';
    case 'system':
      return 'rpcbind of this system, where the daemon is registered';
    case 'off':
      return `none (${portmap.reason}); mount lines name every port`;
  }
}
