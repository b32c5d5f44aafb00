/** Keys as listings with `encoding-type=url` spell them: form encoding, where `+` is a space. */
import type { Logger } from '../../telemetry/log.js';

const CODED = /[%+]/;

/** The key, or undefined for one that isn't UTF-8: no call could name it, so it is left out and logged. */
export function decodeListed(listed: string | undefined, encoded: boolean, log: Logger): string | undefined {
  if (listed === undefined) return undefined;
  if (!encoded || !CODED.test(listed)) return listed;
  try {
    return decodeURIComponent(listed.replaceAll('+', ' '));
  } catch (error) {
    log.warn({ listed, error: String(error) }, 'left out a key that is not UTF-8');
    return undefined;
  }
}
