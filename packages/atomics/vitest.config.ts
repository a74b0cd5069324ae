import { defineConfig } from 'vitest/config';
import { vitestProjects } from '../../vitest.shared.ts';

export default defineConfig({ test: { projects: vitestProjects('atomics') } });
