/** Directory buckets (S3 Express One Zone), known by their names. */

/** No other bucket may end so (S3 user guide, "General purpose bucket naming rules"). */
export function isDirectoryBucket(bucket: string): boolean {
  return bucket.endsWith('--x-s3');
}

const PARTS: ReadonlyMap<string, string> = new Map([
  ['n', 'north'],
  ['s', 'south'],
  ['e', 'east'],
  ['w', 'west'],
  ['c', 'central'],
  ['ne', 'northeast'],
  ['nw', 'northwest'],
  ['se', 'southeast'],
  ['sw', 'southwest'],
]);

/** The region of the zone in a directory bucket's name: `us-east-1` of `use1-az4`. Undefined for names that follow no such rule. */
export function regionOfZone(bucket: string): string | undefined {
  const [, area, direction, number] = /--([a-z]{2})([nsewc]{1,2})(\d)-[a-z0-9-]+--x-s3$/.exec(bucket) ?? [];
  const part = PARTS.get(direction ?? '');
  return area === undefined || part === undefined || number === undefined
    ? undefined
    : `${area}-${part}-${number}`;
}
