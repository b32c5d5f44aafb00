import t from 'tap';
import fc from '../support/fast-check.js';
import { Beginnings } from '../../src/read/beginnings.js';

await t.test('nothing is assumed until a file was read on', async (t) => {
  const beginnings = new Beginnings();
  t.notOk(beginnings.likely);
  const file = {};
  beginnings.began(file);
  t.notOk(beginnings.likely);
  beginnings.wentOn(file);
  t.ok(beginnings.likely);
  beginnings.wentOn(file);
  beginnings.ended(file);
  t.ok(beginnings.likely, 'a file counts once');
});

await t.test('files that are begun and left are noticed, also when none of them is forgotten', async (t) => {
  const beginnings = new Beginnings();
  for (let at = 0; at < 30; at++) {
    const file = {};
    beginnings.began(file);
    beginnings.wentOn(file);
  }
  t.ok(beginnings.likely);
  for (let at = 0; at < 64; at++) beginnings.began({});
  t.ok(beginnings.likely, 'they may all still be read on');
  for (let at = 0; at < 10; at++) beginnings.began({});
  t.notOk(beginnings.likely);
});

await t.test('it follows what became of the last files', async (t) => {
  fc.assert(
    fc.property(fc.array(fc.boolean()), fc.boolean(), (before, then) => {
      const beginnings = new Beginnings();
      for (const on of [...before, ...Array.from({ length: 20 }, () => then)]) {
        const file = {};
        beginnings.began(file);
        if (on) beginnings.wentOn(file);
        else beginnings.ended(file);
      }
      return beginnings.likely === then;
    }),
  );
  t.pass('every run');
});
