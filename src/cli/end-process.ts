/** The end of the process, whatever its threads are doing. */
import { setTimeout as delay } from 'node:timers/promises';

/** What is under way with files gets so many milliseconds more, looked at so often. */
const FILES_MS = 1_000;
const LOOK_MS = 20;

/**
 * Ends the process with this code, once nothing is under way with files. process.exit waits for libuv's threads (uv_library_shutdown), without end
 * where a disk doesn't answer one of them: then the process ends by SIGTERM, as one that doesn't handle that signal.
 */
export async function endProcess(code: number): Promise<never> {
  for (let waited = 0; waited < FILES_MS && filesInUse(); waited += LOOK_MS) await delay(LOOK_MS);
  if (filesInUse()) {
    process.removeAllListeners('SIGTERM');
    process.kill(process.pid, 'SIGTERM');
  }
  process.exit(code);
}

/** A call of node:fs is in one of libuv's threads, or waits for one. */
function filesInUse(): boolean {
  return process.getActiveResourcesInfo().some((name) => name.startsWith('FSReq') || name === 'CloseReq');
}
