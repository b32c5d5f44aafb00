/** Every option there is: its name, default, unit, other environment variables and help. Help and validation are made from this. */
import convict from 'convict';
import {
  choice,
  duration,
  flag,
  integer,
  listenAddresses,
  listOf,
  mode,
  networks,
  size,
  text,
  url,
} from './kinds.js';
import type { Kind } from './kinds.js';
import { FAULT_OPTIONS } from './fault-options.js';
import { envName, flagName, option, optional, type Options, type Values } from './option.js';

const MiB = 2 ** 20;
const GiB = 2 ** 30;

/** 2^32-2: the highest id that isn't "nobody chosen" (-1) on the wire. */
const ID_MAX = 0xffff_fffe;

/** S3's rules, and those before 2018 for the buckets that still have such names. */
export const BUCKET_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]$/;

const port: Kind<number> = {
  ...integer(0, 65535, 'PORT'),
  expected: 'a port from 0 to 65535 (0: any free one)',
};
const id = integer(0, ID_MAX, 'ID');
const KEPT_KEY = 'made once and kept in the directory';
const path = text('PATH', 'a path');

/** One string or mapping an export; what they must hold is told by config/exports.ts, which knows the item. */
const exportItems: Kind<readonly unknown[]> = {
  placeholder: 's3://BUCKET[/PREFIX/]',
  expected: 'a list of s3://bucket/prefix/ or of mappings with a source',
  unit: '',
  list: true,
  parse: (input) => {
    if (typeof input === 'string') return input.split(/[,\s]+/).filter((item) => item !== '');
    return Array.isArray(input) ? (input as readonly unknown[]) : undefined;
  },
  show: (value) => (value.length === 0 ? 'none' : value.map(String).join(', ')),
};

/** Options that each export may set for itself; at the top level they are the defaults of all exports. */
export const EXPORT_OPTIONS = {
  readOnly: option<boolean>(flag, false, 'Refuse every change.'),
  allow: option(networks, [], 'Networks whose clients are let in. Needed to listen on more than loopback.'),
  squash: optional(
    choice('root', 'all', 'none'),
    'none while only loopback is listened to, otherwise root',
    'Whose ids are replaced by the uid and gid of the export: those of root, of all, of none.',
  ),
  uid: optional(
    id,
    "that of the process, or 65534 where that is root's and ids are squashed",
    'Owner of files that carry none.',
  ),
  gid: optional(
    id,
    "that of the process, or 65534 where that is root's and ids are squashed",
    'Group of files that carry none.',
  ),
  fileMode: option(mode, 0o644, 'Mode of files that carry none.'),
  dirMode: option(mode, 0o755, 'Mode of directories that carry none.'),
  metadataTtl: option(
    duration(0, Infinity),
    1000,
    'How long attributes and listings are trusted before S3 is asked again; 0: always ask.',
  ),
  negativeTtl: optional(
    duration(0, Infinity),
    'that of --metadata-ttl',
    'How long a name that was not there is taken for absent before S3 is asked again; 0: always ask.',
  ),
  exclusiveCreate: option<'daemon' | 'bucket'>(
    choice('daemon', 'bucket'),
    'daemon',
    'Among whom an exclusive create (O_EXCL) is exclusive: daemon, the clients of this daemon; bucket, all writers to the bucket, at the cost of a conditional PUT before each answer.',
  ),
  metadata: option<'objects' | 'state' | 'none'>(
    choice('objects', 'state', 'none'),
    'objects',
    'Where modes, owners and times that clients set are kept: objects, in the metadata of the objects; state, in the state directory only; none, as state, and metadata of objects is not read either, so that a listing tells all and no file needs a HEAD.',
  ),
  directoryMarkers: option<'on' | 'off'>(
    choice('on', 'off'),
    'on',
    'Whether directories get marker objects (KEY/, no bytes), which keep empty ones and carry modes and owners; off: the state directory keeps both.',
  ),
  readPolicy: option<'adaptive' | 'sequential' | 'random'>(
    choice('adaptive', 'sequential', 'random'),
    'adaptive',
    'What is fetched ahead of readers: adaptive follows what each does, sequential takes every READ for the start of a read to the end, random fetches only what is asked for.',
  ),
  commitPolicy: option<'publish' | 'journal'>(
    choice('publish', 'journal'),
    'publish',
    'What COMMIT and close() wait for: publish, the object in S3; journal, the synced spool and journal, and S3 gets it after --journal-rest.',
  ),
  renameCopyLimit: optional(
    size(0, Infinity),
    'none',
    'A rename of a file or directory that would copy more inside S3 is refused (XDEV): mv then copies through the client.',
  ),
  endpointUrl: optional(url, 'AWS', 'Endpoint of an S3-compatible store.', {
    alsoEnv: ['AWS_ENDPOINT_URL_S3', 'AWS_ENDPOINT_URL'],
  }),
  region: optional(
    text('REGION', 'a region such as eu-central-1', /^[A-Za-z0-9-]+$/),
    'that of the profile, else what S3 says; us-east-1 with an endpoint',
    'Region of the buckets.',
    { alsoEnv: ['AWS_REGION', 'AWS_DEFAULT_REGION'] },
  ),
  profile: optional(
    text('NAME', 'the name of a profile'),
    'default',
    'Profile of the shared AWS configuration.',
    {
      alsoEnv: ['AWS_PROFILE'],
    },
  ),
  forcePathStyle: optional(
    flag,
    'on when the endpoint is an IP address or localhost',
    'Address buckets as ENDPOINT/BUCKET instead of BUCKET.ENDPOINT.',
  ),
  noSignRequest: option<boolean>(flag, false, 'Send unsigned requests (public buckets).'),
  requestPayer: option<boolean>(flag, false, 'Agree to pay for requests to requester-pays buckets.'),
  expectedBucketOwner: optional(
    text('ACCOUNT', 'an account id of 12 digits', /^\d{12}$/),
    'not checked',
    'Account that must own the bucket.',
  ),
  dualStack: option<boolean>(flag, false, 'Use the endpoints of AWS that have IPv6 as well.'),
  caBundle: optional(path, 'that of Node', 'File of PEM certificates to trust instead.', {
    alsoEnv: ['AWS_CA_BUNDLE'],
  }),
  uploadChecksums: option<'crc32' | 'crc32c' | 'crc64nvme' | 'off'>(
    choice('crc32', 'crc32c', 'crc64nvme', 'off'),
    'crc32',
    'Checksum computed here and sent with uploads; off for stores that refuse it.',
  ),
  verifyReads: option<'auto' | 'on' | 'off'>(
    choice('auto', 'on', 'off'),
    'auto',
    "Check what is read against the store's checksums: small files before they are given out, larger ones once they were read through. auto: over plain HTTP.",
  ),
};

const LOG_LEVEL = option<'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent'>(
  choice('fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'),
  'warn',
  'Least severe events that are logged (JSON lines on standard error).',
);

const NETWORK_OPTIONS = {
  port: option(port, 2049, 'TCP port of NFS.'),
  mountPort: optional(port, 'the NFS port', 'TCP and UDP port of the MOUNT protocol.'),
  portmap: option<'auto' | 'embedded' | 'off'>(
    choice('auto', 'embedded', 'off'),
    'auto',
    'Portmapper on port 111: auto serves or registers with that of the system where it can, embedded must serve, off does not try.',
  ),
};

const RESOURCE_OPTIONS = {
  memoryLimit: optional(
    size(32 * MiB, Infinity),
    'a quarter of the memory (cgroup or machine), 64MiB to 1GiB',
    'Budget of all buffers for calls, reading and writing.',
  ),
  spoolLimit: option(
    size(0, Infinity),
    10 * GiB,
    'Disk space below the state directory for data not yet in S3.',
  ),
  diskCache: optional(
    path,
    'none: nothing is cached on disk',
    'Directory for blocks that were read; kept over restarts, for one daemon at a time.',
  ),
  diskCacheLimit: option(size(64 * MiB, Infinity), 10 * GiB, 'Disk space for those blocks.'),
  partSize: option(
    size(5 * MiB, 5 * GiB),
    8 * MiB,
    'Size of the first parts of an upload; files up to this are one PUT.',
  ),
  maxRequests: option(integer(1, 4096), 64, 'S3 requests under way at a time, for each store.'),
  smallFilesAhead: option<'on' | 'off'>(
    choice('on', 'off'),
    'on',
    'Fetch small files, and the first MiBs of larger ones, before they are read, for clients that read a directory file after file.',
  ),
};

export const SERVE_OPTIONS = {
  exports: option(exportItems, [], 'What is served; arguments of the command.'),
  listen: option(
    listenAddresses,
    [{ host: '127.0.0.1' }, { host: '::1', optional: true }],
    'Address to listen on, with or without a port.',
  ),
  ...NETWORK_OPTIONS,
  ...EXPORT_OPTIONS,
  stateDir: optional(
    path,
    '/var/lib/s3nfsd for root, otherwise $XDG_STATE_HOME/s3nfsd or ~/.local/state/s3nfsd',
    'Where handles, the journal and the spool live. Must persist.',
  ),
  stateEphemeral: option<boolean>(
    flag,
    false,
    'The state directory may go with the daemon: every COMMIT publishes, CREATE puts the empty object.',
  ),
  handleSecretFile: optional(
    path,
    'one made in the state directory',
    'File with the secret that authenticates file handles.',
  ),
  ...RESOURCE_OPTIONS,
  journalRest: option(
    duration(0, 3_600_000),
    1000,
    'With the commit policy journal: how long nothing is asked of a file before it is published.',
  ),
  janitorInterval: option(
    duration(0, 7 * 86_400_000),
    3_600_000,
    'How often unfinished uploads of this daemon, and old losers of conflicts, are looked for; 0: at the start alone.',
  ),
  uploadInitiator: optional(
    text('PRINCIPAL', 'an ARN or account id without spaces', /^\S+$/),
    'none: uploads that the state directory does not know are left alone',
    'Principal that no other program uses: uploads that S3 lists as initiated by it are aborted when they are old.',
  ),
  uploadMaxAge: option(
    duration(3_600_000, 3650 * 86_400_000),
    7 * 86_400_000,
    'Age at which such uploads are aborted.',
  ),
  conflictMaxAge: optional(
    duration(3_600_000, 3650 * 86_400_000),
    'never',
    'Age at which losers of conflicts that happen from now on are removed.',
  ),
  sillyMaxAge: option(
    duration(3_600_000, Infinity),
    7 * 86_400_000,
    'How long a file that was removed while a client had it open may be unused before it is let go.',
  ),
  drainTimeout: option(
    duration(0, 3_600_000),
    25_000,
    'Time to finish what is under way after SIGTERM or SIGINT.',
  ),
  logLevel: LOG_LEVEL,
};

/** `BASE--ZONE--x-s3`; no other bucket may end so (S3 user guide, "Directory bucket naming rules"). */
const DIRECTORY_BUCKET_NAME = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?--[a-z0-9]+(?:-[a-z0-9]+)+--x-s3$/;

const bucketNames: Kind<readonly string[]> = listOf('NAME', 'names of buckets', (name) => {
  const rule = name.endsWith('--x-s3') ? DIRECTORY_BUCKET_NAME : BUCKET_NAME;
  return rule.test(name) ? [name] : undefined;
});

export const STORE_OPTIONS = {
  dir: optional(path, 'store below the state directory', 'Directory that holds the buckets.', {
    env: 'S3NFSD_STORE_DIR',
  }),
  listen: option(listenAddresses, [{ host: '127.0.0.1' }], 'Address to listen on: the first that is given.', {
    env: 'S3NFSD_STORE_LISTEN',
  }),
  port: option(port, 9000, 'TCP port of the S3 API.', { env: 'S3NFSD_STORE_PORT' }),
  bucket: option(
    bucketNames,
    [],
    'Bucket to make when it is missing; NAME--ZONE--x-s3 is a directory bucket.',
    { env: 'S3NFSD_STORE_BUCKET' },
  ),
  accessKeyId: optional(text('KEY', 'an access key id'), KEPT_KEY, 'Key that clients sign with.', {
    env: 'S3NFSD_STORE_ACCESS_KEY_ID',
  }),
  secretAccessKey: optional(text('SECRET', 'a secret access key'), KEPT_KEY, 'Secret of that key.', {
    env: 'S3NFSD_STORE_SECRET_ACCESS_KEY',
    sensitive: true,
  }),
  ...FAULT_OPTIONS,
  logLevel: LOG_LEVEL,
};

export const PROXY_OPTIONS = {
  to: optional(url, 'none: must be given', 'The S3 server behind, http or https.', {
    env: 'S3NFSD_PROXY_TO',
  }),
  listen: option(listenAddresses, [{ host: '127.0.0.1' }], 'Address to listen on: the first that is given.', {
    env: 'S3NFSD_PROXY_LISTEN',
  }),
  port: option(port, 9001, 'TCP port of the proxy.', { env: 'S3NFSD_PROXY_PORT' }),
  ...FAULT_OPTIONS,
  accessKeyId: optional(
    text('KEY', 'an access key id'),
    'none: no admin call',
    'Key that the admin call is signed with.',
    { env: 'S3NFSD_PROXY_ACCESS_KEY_ID' },
  ),
  secretAccessKey: optional(text('SECRET', 'a secret access key'), 'none', 'Secret of that key.', {
    env: 'S3NFSD_PROXY_SECRET_ACCESS_KEY',
    sensitive: true,
  }),
  caBundle: EXPORT_OPTIONS.caBundle,
  logLevel: LOG_LEVEL,
};

export const DEMO_OPTIONS = {
  dir: optional(
    path,
    's3nfsd-demo below the state directory',
    'Directory for the bucket, its keys and the state.',
    {
      env: 'S3NFSD_DEMO_DIR',
    },
  ),
  ...NETWORK_OPTIONS,
  storePort: option(port, 0, 'TCP port of the embedded S3 server.'),
  memoryLimit: RESOURCE_OPTIONS.memoryLimit,
  drainTimeout: SERVE_OPTIONS.drainTimeout,
  logLevel: LOG_LEVEL,
};

export type ServeValues = Values<typeof SERVE_OPTIONS>;
export type DemoValues = Values<typeof DEMO_OPTIONS>;

/**
 * A convict configuration of these options. Values are layered into it already read by their kinds, so that errors can name
 * where a value came from; convict's own environment and argument readers stay off.
 */
export function convictOf<O extends Options>(options: O): convict.Config<Values<O>> {
  const schema: Record<string, convict.SchemaObj> = {};
  for (const [name, option] of Object.entries(options)) {
    const { kind, doc, sensitive } = option;
    const value = option.default as unknown;
    schema[name] = {
      doc,
      default: value,
      nullable: value === null,
      format: (candidate: unknown) => {
        if (candidate === undefined || (candidate === null && value !== null)) {
          throw new TypeError(`option ${name}: expected ${kind.expected}`);
        }
      },
      env: envName(name, option),
      arg: flagName(name),
      unit: kind.unit,
      sensitive,
    };
  }
  return convict(schema as convict.Schema<Values<O>>, { env: {}, args: [] });
}

/** Every environment variable that means something to some command. */
export function knownVariables(): ReadonlySet<string> {
  const variables = new Set(['S3NFSD_CONFIG']);
  for (const options of [SERVE_OPTIONS, STORE_OPTIONS, PROXY_OPTIONS, DEMO_OPTIONS] as readonly Options[]) {
    for (const [name, option] of Object.entries(options)) variables.add(envName(name, option));
  }
  return variables;
}
