/** The SDK as it comes (sdk-client.ts) as a process: a floor in the same language and with the same library. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Floor, Sample } from './measure.js';
import type { Store } from './stores/store.js';
import { cpuSeconds } from './usage.js';

/** Sizes in bytes. */
export type SdkRequest =
  | { readonly method: 'GET'; readonly key: string; readonly offset: number; readonly length: number }
  | { readonly method: 'HEAD'; readonly key: string }
  | { readonly method: 'PUT'; readonly key: string; readonly length: number }
  | { readonly method: 'LIST'; readonly query: string };

export interface SdkPlan {
  readonly requests: readonly SdkRequest[];
  readonly concurrency: number;
}

export class SdkClient {
  readonly #process: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#process = child;
  }

  static async start(endpoint: string, certificateFile?: string): Promise<SdkClient> {
    const certificate = certificateFile === undefined ? {} : { NODE_EXTRA_CA_CERTS: certificateFile };
    const child = fork(join(import.meta.dirname, 'sdk-client.js'), [endpoint], {
      env: { ...process.env, AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true', ...certificate },
    });
    await once(child, 'message');
    return new SdkClient(child);
  }

  /** Does the plan's requests. Fails when one fails. */
  async run(plan: SdkPlan): Promise<void> {
    this.#process.send(plan);
    const [{ error }] = (await once(this.#process, 'message')) as [{ error?: string }];
    if (error !== undefined) throw new Error(`the SDK failed: ${error}`);
  }

  cpuSeconds(): number {
    return cpuSeconds(this.#process.pid ?? 0);
  }

  async close(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exited = once(this.#process, 'exit');
    this.#process.disconnect();
    await exited;
  }
}

/** A floor of the SDK's own requests; its CPU stands as the client's. */
export function sdkFloor(
  sdk: SdkClient,
  store: Store,
  about: string,
  of: (round: number) => SdkPlan & { readonly units: number },
): Floor {
  return {
    about: `the SDK with its defaults, ${about}`,
    run: async (round): Promise<Sample> => {
      const { units, ...plan } = of(round);
      const before = await store.use();
      const cpuBefore = sdk.cpuSeconds();
      const beganMs = performance.now();
      await sdk.run(plan);
      const seconds = (performance.now() - beganMs) / 1000;
      const clientCpu = sdk.cpuSeconds() - cpuBefore;
      const after = await store.use();
      return { units, seconds, storeCpu: after.cpuSeconds - before.cpuSeconds, clientCpu };
    },
  };
}
