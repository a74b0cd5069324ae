import { expect, test } from 'vitest';
import { LayoutSource } from '@heddle/tools/layout';
import * as constants from '../src/internal/layout.ts';

test('sizes, offsets and states are those of layout/memory.json', () => {
  expect({ ...constants }).toEqual(new LayoutSource('memory').constants);
});
