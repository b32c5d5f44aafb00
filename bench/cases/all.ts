/** Every case, in the order in which they are run and reported. */
import type { Case } from '../measure.js';
import { cachedRead, cachedReadShort } from './cached-read.js';
import {
  sequentialReadFar,
  sequentialReadFarLong,
  sequentialReadFarUnshaped,
  sequentialWriteFar,
  smallReadFar,
} from './far-store.js';
import { firstByte, firstByteOfMany } from './first-byte.js';
import { listing } from './listing.js';
import { mediumFilesFar, mediumFilesFarUnshaped } from './medium-files.js';
import { randomRead } from './random-read.js';
import { sequentialRead, sequentialReadTls } from './sequential-read.js';
import { sequentialWrite } from './sequential-write.js';
import { access, getattr, lookup } from './small-calls.js';
import { smallCreate, smallRead, smallRemove } from './small-files.js';
import { smallFilesFar, smallFilesFarRandom } from './small-files-far.js';
import { streams } from './streams.js';
import { TREE_CASES } from './tree.js';
import { WIDE_LISTINGS } from './wide-listing.js';
import { XDR_CASES } from './xdr-codec.js';

export const CASES: readonly Case[] = [
  sequentialRead,
  sequentialReadTls,
  sequentialWrite,
  smallCreate,
  smallRemove,
  smallRead,
  randomRead,
  getattr,
  access,
  lookup,
  listing,
  ...WIDE_LISTINGS,
  ...TREE_CASES,
  sequentialReadFar,
  sequentialReadFarLong,
  sequentialReadFarUnshaped,
  sequentialWriteFar,
  smallReadFar,
  smallFilesFar,
  smallFilesFarRandom,
  mediumFilesFar,
  mediumFilesFarUnshaped,
  firstByte,
  firstByteOfMany,
  streams,
  cachedRead,
  cachedReadShort,
  ...XDR_CASES,
];
