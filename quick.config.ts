import { defineConfig } from 'tsup'
import base from './tsup.config.ts'
const [library, tools] = base as any[]
export default defineConfig([
  { ...library, format: ['esm'], dts: false, sourcemap: false, clean: true },
  { ...tools, entry: ['bench/main.ts'], sourcemap: false },
])
