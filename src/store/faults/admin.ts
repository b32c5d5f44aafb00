/**
 * The admin call: `GET`, `PUT` and `DELETE /_s3nfsd/faults` on the port of the server whose faults they are about, signed as its S3
 * requests are. No bucket can have that name. It has no faults of its own and is counted by none.
 */
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Answer } from '../embedded/call.js';
import { S3Error } from '../embedded/errors.js';
import { receiveSmall } from '../embedded/payload.js';
import { headersOf } from '../embedded/request-headers.js';
import { sendAnswer, sendError } from '../embedded/respond.js';
import { authorize, type Credentials } from '../embedded/sigv4.js';
import { parseTarget } from '../embedded/target.js';
import type { Logger } from '../../telemetry/log.js';
import type { FaultLayer } from './layer.js';
import { parseFaultPlan } from './parse-plan.js';
import { FaultPlanError } from './plan-fields.js';

const PATH = '/_s3nfsd/faults';

const PLAN_BYTES_MAX = 1024 * 1024;

/** Whether a request is for `answerFaultCall`. */
export function isFaultCall({ url }: IncomingMessage): boolean {
  return (
    url !== undefined && url.startsWith(PATH) && (url.length === PATH.length || url[PATH.length] === '?')
  );
}

export interface FaultCallOptions {
  readonly faults: FaultLayer;
  readonly credentials: Credentials;
  readonly log: Logger | undefined;
}

/** Answers with the report in JSON: of the plan that stands, of the one just set, or of the one just ended. */
export async function answerFaultCall(
  request: IncomingMessage,
  response: ServerResponse,
  expectsContinue: boolean,
  options: FaultCallOptions,
): Promise<void> {
  try {
    const begin = (): void => {
      if (expectsContinue) response.writeContinue();
    };
    await sendAnswer(request, response, await carryOut(request, begin, options));
  } catch (error) {
    if (!(error instanceof S3Error)) options.log?.error({ err: error }, 'admin call failed');
    if (response.headersSent || response.destroyed) {
      response.destroy();
      return;
    }
    if (expectsContinue) response.setHeader('connection', 'close');
    const told =
      error instanceof S3Error ? error : new S3Error('InternalError', undefined, {}, { cause: error });
    sendError(request, response, told, randomBytes(8).toString('hex').toUpperCase());
  }
}

async function carryOut(
  request: IncomingMessage,
  begin: () => void,
  { faults, credentials }: FaultCallOptions,
): Promise<Answer> {
  const headers = headersOf(request);
  const method = request.method ?? '';
  const target = parseTarget(request.url ?? '', headers.get('host') ?? '');
  const authorization = authorize({ method, target, headers }, credentials);
  switch (method) {
    case 'GET':
      return json(faults.report());
    case 'PUT': {
      const payload = { stream: request, headers, authorization, begin, count: () => undefined };
      const { body } = await receiveSmall(payload, PLAN_BYTES_MAX);
      faults.setPlan(planOf(body.toString('utf8')));
      return json(faults.report());
    }
    case 'DELETE': {
      const last = faults.report();
      faults.setPlan(undefined);
      return json(last);
    }
    default:
      throw new S3Error('MethodNotAllowed', undefined, { Method: method, ResourceType: 'FAULTS' });
  }
}

function planOf(text: string): ReturnType<typeof parseFaultPlan> {
  try {
    return parseFaultPlan(text);
  } catch (error) {
    if (!(error instanceof FaultPlanError)) throw error;
    throw new S3Error('InvalidRequest', error.message, {}, { cause: error });
  }
}

function json(value: unknown): Answer {
  return { status: 200, headers: { 'content-type': 'application/json' }, body: `${JSON.stringify(value)}\n` };
}
