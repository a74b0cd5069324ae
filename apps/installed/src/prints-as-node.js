import { format } from 'node:util';

console.log = (...values) => void process.stdout.write(`${format(...values)}\n`);
