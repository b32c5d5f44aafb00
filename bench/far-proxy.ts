/**
 * A store that is far away: the fault proxy as a process of its own, with a wait before each answer's first byte and a speed for each connection.
 * Arguments: ENDPOINT WAIT SPEED, such as 30ms and 8MB/s, or '' for any speed. Tells its parent the endpoint.
 */
import { faultPlan, parseRule } from '../src/store/faults/parse-plan.js';
import { startFaultProxy } from '../src/store/faults/proxy.js';

const [to = '', wait = '', speed = ''] = process.argv.slice(2);
const rules = [`latency time=${wait}`, ...(speed === '' ? [] : [`bandwidth speed=${speed}`])].map((rule) =>
  parseRule(rule, rule),
);
const { endpoint } = await startFaultProxy({ to, host: '127.0.0.1', port: 0, plan: faultPlan(rules) });
process.on('disconnect', () => process.exit());
process.send?.({ endpoint });
