/** What is served: sources such as s3://bucket/prefix/, each at its path, with the rules that apply to it. */
import { ConfigError, invalidValue, type Origin } from './config-error.js';
import type { Kind } from './kinds.js';
import { BUCKET_NAME, EXPORT_OPTIONS } from './schema.js';
import type { Values } from './option.js';
import { didYouMean } from './suggestion.js';

type ExportValues = Values<typeof EXPORT_OPTIONS>;

/** One export with everything that holds for it. */
export interface ExportOptions {
  /** Path to mount, such as `/bucket/prefix`. */
  readonly path: string;
  /** As AWS spells it: `s3://bucket/prefix/`. */
  readonly source: string;
  readonly bucket: string;
  /** Empty, or ends in a slash. */
  readonly prefix: string;
  readonly readOnly: boolean;
  /** Networks (CIDR). Empty: every client that reaches the server. */
  readonly allow: readonly string[];
  readonly squash: 'root' | 'all' | 'none';
  readonly uid: number;
  readonly gid: number;
  readonly fileMode: number;
  readonly dirMode: number;
  /** Infinity for `indefinite`. */
  readonly metadataTtlMs: number;
  /** Infinity for `indefinite`. */
  readonly negativeTtlMs: number;
  readonly exclusiveCreate: 'daemon' | 'bucket';
  /** Where modes, owners and times are kept, and whether those of objects are looked at. */
  readonly metadata: 'objects' | 'state' | 'none';
  /** Directories get marker objects (KEY/), which keep empty ones. */
  readonly directoryMarkers: boolean;
  /** What is fetched ahead of readers. */
  readonly readPolicy: 'adaptive' | 'sequential' | 'random';
  readonly commitPolicy: 'publish' | 'journal';
  /** Bytes. Absent: no limit. */
  readonly renameCopyLimit?: number;
  readonly endpointUrl?: string;
  readonly region?: string;
  readonly profile?: string;
  readonly forcePathStyle?: boolean;
  readonly noSignRequest: boolean;
  readonly requestPayer: boolean;
  readonly dualStack: boolean;
  readonly uploadChecksums: ExportValues['uploadChecksums'];
  readonly verifyReads: ExportValues['verifyReads'];
  readonly expectedBucketOwner?: string;
  /** Path of a file of PEM certificates. */
  readonly caBundle?: string;
}

/** What holds where neither the export nor the top level says anything. */
export interface ExportFallbacks {
  readonly uid: number;
  readonly gid: number;
  readonly squash: 'root' | 'none';
}

const SOURCE: Kind<string> = {
  placeholder: 's3://BUCKET[/PREFIX/]',
  expected: 's3://bucket or s3://bucket/prefix/',
  unit: '',
  list: false,
  parse: (input) => (typeof input === 'string' && parseSource(input) !== undefined ? input : undefined),
  show: (value) => value,
};

const EXPORT_PATH: Kind<string> = {
  placeholder: 'PATH',
  expected: 'an absolute path such as /data',
  unit: '',
  list: false,
  parse: (input) =>
    typeof input === 'string' &&
    input.length <= 1024 &&
    /^(?:\/(?!\.{1,2}(?:\/|$))[^/\0]{1,255})+$/.test(input)
      ? input
      : undefined,
  show: (value) => value,
};

/** Reads the items of `exports`; each mapping overrides `defaults` for itself. Fails with ConfigError. */
export function resolveExports(
  items: readonly unknown[],
  origin: Origin,
  defaults: ExportValues,
  fallbacks: ExportFallbacks,
): readonly ExportOptions[] {
  const exports = items.map((item, index) => {
    const name = `exports[${index}]`;
    if (typeof item === 'string') return exportOf({ source: item }, name, origin, defaults, fallbacks);
    if (typeof item === 'object' && item !== null && !Array.isArray(item)) {
      return exportOf(item as Readonly<Record<string, unknown>>, name, origin, defaults, fallbacks);
    }
    throw invalidValue(name, origin, item, 's3://bucket/prefix/ or a mapping with a source');
  });
  const seen = new Map<string, string>();
  for (const { path, source } of exports) {
    const other = seen.get(path);
    if (other !== undefined) {
      throw new ConfigError(
        `option exports: ${other} and ${source} from ${origin} have the same path ${path}`,
      );
    }
    seen.set(path, source);
  }
  return exports;
}

function exportOf(
  item: Readonly<Record<string, unknown>>,
  name: string,
  origin: Origin,
  defaults: ExportValues,
  fallbacks: ExportFallbacks,
): ExportOptions {
  const known = ['source', 'path', ...Object.keys(EXPORT_OPTIONS)];
  for (const key of Object.keys(item)) {
    if (!known.includes(key)) {
      throw new ConfigError(`unknown key ${key} in ${name} from ${origin}${didYouMean(key, known)}`);
    }
  }
  const own = <T>(key: string, kind: Kind<T>): T | undefined => {
    const input = item[key];
    if (input === undefined || input === null) return undefined;
    const value = kind.parse(input);
    if (value === undefined) throw invalidValue(`${name}.${key}`, origin, input, kind.expected);
    return value;
  };
  const of = <K extends keyof ExportValues>(key: K): ExportValues[K] => {
    const kind: Kind<NonNullable<ExportValues[K]>> = EXPORT_OPTIONS[key].kind as never;
    return own(key, kind) ?? defaults[key];
  };
  const source = parseSource(own('source', SOURCE) ?? '');
  if (source === undefined)
    throw invalidValue(`${name}.source`, origin, item['source'] ?? null, SOURCE.expected);
  const path = own('path', EXPORT_PATH) ?? defaultPath(source);
  if (EXPORT_PATH.parse(path) === undefined) {
    throw new ConfigError(
      `option ${name}.path: ${sourceText(source)} needs a path of its own, such as /data`,
    );
  }
  const squash = of('squash') ?? fallbacks.squash;
  return {
    path,
    source: sourceText(source),
    ...source,
    readOnly: of('readOnly'),
    allow: of('allow'),
    squash,
    uid: of('uid') ?? squashedTo(squash, fallbacks.uid),
    gid: of('gid') ?? squashedTo(squash, fallbacks.gid),
    fileMode: of('fileMode'),
    dirMode: of('dirMode'),
    metadataTtlMs: of('metadataTtl'),
    negativeTtlMs: of('negativeTtl') ?? of('metadataTtl'),
    exclusiveCreate: of('exclusiveCreate'),
    metadata: of('metadata'),
    directoryMarkers: of('directoryMarkers') === 'on',
    readPolicy: of('readPolicy'),
    commitPolicy: of('commitPolicy'),
    noSignRequest: of('noSignRequest'),
    requestPayer: of('requestPayer'),
    dualStack: of('dualStack'),
    uploadChecksums: of('uploadChecksums'),
    verifyReads: of('verifyReads'),
    ...present('renameCopyLimit', of('renameCopyLimit')),
    ...present('expectedBucketOwner', of('expectedBucketOwner')),
    ...present('caBundle', of('caBundle')),
    ...present('endpointUrl', of('endpointUrl')),
    ...present('region', of('region')),
    ...present('profile', of('profile')),
    ...present('forcePathStyle', of('forcePathStyle')),
  };
}

/** nobody and nogroup of most systems: what NFS servers have always replaced root by (exports(5), anonuid). */
const NOBODY = 65_534;

/** Squashing must not make anybody root unless that was asked for by name. */
function squashedTo(squash: ExportOptions['squash'], processId: number): number {
  return squash !== 'none' && processId === 0 ? NOBODY : processId;
}

/** exactOptionalPropertyTypes: a property that isn't there, rather than one that is undefined. */
function present<K extends string, V>(key: K, value: V | null): { readonly [P in K]?: V } {
  return (value === null ? {} : { [key]: value }) as { readonly [P in K]?: V };
}

interface Source {
  readonly bucket: string;
  readonly prefix: string;
}

/** `s3://bucket/prefix/`, or an access point as AWS CLI has it: `s3://arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME/prefix/`. */
export function parseSource(text: string): Source | undefined {
  const match = /^s3:\/\/(arn:[^/]+[:/]accesspoint\/[^/]+|[^/]+)(?:\/(.*))?$/s.exec(text);
  const bucket = match?.[1];
  if (bucket === undefined || !(bucket.startsWith('arn:') || BUCKET_NAME.test(bucket))) return undefined;
  const rest = match?.[2] ?? '';
  if (rest === '') return { bucket, prefix: '' };
  const prefix = rest.replace(/\/$/, '');
  const segments = prefix.split('/');
  // Such keys can't be paths, so no path could show what lies below them.
  if (
    segments.some(
      (segment) => segment === '' || segment === '.' || segment === '..' || segment.includes('\0'),
    )
  ) {
    return undefined;
  }
  return { bucket, prefix: `${prefix}/` };
}

function sourceText({ bucket, prefix }: Source): string {
  return `s3://${bucket}/${prefix}`.replace(/(?<=^s3:\/\/[^/]+)\/$/, '');
}

function defaultPath({ bucket, prefix }: Source): string {
  const name = bucket.startsWith('arn:') ? bucket.slice(bucket.lastIndexOf('/') + 1) : bucket;
  return `/${name}/${prefix}`.replace(/\/$/, '');
}
