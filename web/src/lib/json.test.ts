import { expect, it } from 'vitest';
import { parseJson } from './json';

it('keeps every digit of a long whole number, and leaves everything else as it is', () => {
  const text = '{"id": 3527242430321524769, "list": [-9223372036854775808, 1], "ra": 150.12345678901234567, "big": 1e22, "said": "id 3527242430321524769 \\"x\\" 1234567890123456"}';
  expect(parseJson(text)).toEqual({
    id: '3527242430321524769',
    list: ['-9223372036854775808', 1],
    ra: 150.12345678901234567,
    big: 1e22,
    said: 'id 3527242430321524769 "x" 1234567890123456',
  });
});
