/** The one error of the configuration: what a person wrote and what would have been allowed, in one line. */

/** Where a value came from, as errors name it: `flag --port`, `environment variable S3NFSD_PORT`, `file /etc/s3nfsd.yaml`. */
export type Origin = string;

export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/** An option with a value that isn't allowed. `expected` completes "expected ...". */
export function invalidValue(option: string, origin: Origin, value: unknown, expected: string): ConfigError {
  return new ConfigError(
    `option ${option}: invalid value ${printable(value)} from ${origin}: expected ${expected}`,
  );
}

/** A value as a person would recognise it, on one line and not without end. */
function printable(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
