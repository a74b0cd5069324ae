import { defineConfig } from 'vitest/config';
import { vitestProjects } from './vitest.shared.ts';

const packages = ['atomics', 'channel', 'memory', 'thread', 'store'];

export default defineConfig({ test: { projects: packages.flatMap((name) => vitestProjects(name)) } });
