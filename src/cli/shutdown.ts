/** The process's signals as one AbortSignal. */
import { endProcess } from './end-process.js';

/**
 * Aborted by the first SIGTERM or SIGINT; the second ends the process at once with exit code 1, for whoever doesn't want to
 * wait for what is under way.
 */
export function shutdownSignal(): AbortSignal {
  const controller = new AbortController();
  const onSignal = (): void => {
    if (controller.signal.aborted) void endProcess(1);
    controller.abort();
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  return controller.signal;
}

/** Resolves when `signal` is aborted. */
export async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
