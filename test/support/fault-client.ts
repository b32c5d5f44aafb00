/** The admin call of a server or proxy with faults, from outside of its process. */
import type { FaultReport } from '../../src/store/faults/report.js';
import { ACCESS_KEY, codeOf, SECRET_KEY, sendRaw, sha256, sign } from '../store/embedded/support.js';

/** Who asks; the keys of the embedded server's tests unless told otherwise. */
export interface FaultKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

const TEST_KEYS: FaultKeys = { accessKeyId: ACCESS_KEY, secretAccessKey: SECRET_KEY };

/** The plan that stands, and what it has done. */
export async function faultReportOf(port: number, keys?: FaultKeys): Promise<FaultReport> {
  return faultCall(port, 'GET', '', keys);
}

/** Sets a plan, in YAML or JSON. Fails with the server's message for one that can't be followed. */
export async function setFaults(port: number, plan: string, keys?: FaultKeys): Promise<FaultReport> {
  return faultCall(port, 'PUT', plan, keys);
}

/** Ends the plan; resolves to what it did. */
export async function clearFaults(port: number, keys?: FaultKeys): Promise<FaultReport> {
  return faultCall(port, 'DELETE', '', keys);
}

async function faultCall(
  port: number,
  method: 'GET' | 'PUT' | 'DELETE',
  plan: string,
  { accessKeyId, secretAccessKey } = TEST_KEYS,
): Promise<FaultReport> {
  const request = { method, path: '/_s3nfsd/faults', body: Buffer.from(plan) };
  const { headers } = sign({ port }, request, {
    payload: sha256(request.body),
    accessKey: accessKeyId,
    secret: secretAccessKey,
  });
  const answer = await sendRaw({ port }, { ...request, headers });
  if (answer.status === 200) return JSON.parse(answer.body) as FaultReport;
  const message = /<Message>([^<]*)<\/Message>/.exec(answer.body)?.[1] ?? answer.body;
  throw new Error(`${codeOf(answer) ?? answer.status}: ${message}`);
}
