// Bundles each rival as it would be deployed, into a folder of its own under the
// one that is named, each with the bootstrap that stands for Lambda's runtime.
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { build } from 'esbuild';

const out = path.resolve(process.argv[2]);
const here = import.meta.dirname;
const node = createRequire(import.meta.url).resolve(`node-linux-${process.arch}/bin/node`);
// What NestJS loads only where an application uses it.
const unused = ['@nestjs/microservices', '@nestjs/websockets', '@nestjs/microservices/*', '@nestjs/websockets/*', 'class-transformer', 'class-transformer/*', 'class-validator', '@fastify/static'];

for (const entry of ['powertools.mjs', 'durable.mjs', 'nestjs.ts']) {
  const name = path.parse(entry).name;
  await build({
    entryPoints: [path.join(here, entry)],
    outfile: path.join(out, name, 'code', 'index.mjs'),
    bundle: true, minify: true, keepNames: true, platform: 'node', format: 'esm', target: 'node24', external: unused, logLevel: 'error',
    tsconfigRaw: { compilerOptions: { experimentalDecorators: true } },
    banner: { js: "import { createRequire } from 'node:module'; import { dirname as dirOf } from 'node:path'; import { fileURLToPath as toPath } from 'node:url'; const require = createRequire(import.meta.url); const __filename = toPath(import.meta.url); const __dirname = dirOf(__filename);" },
  });
  const bootstrap = path.join(out, name, 'bootstrap');
  await mkdir(path.dirname(bootstrap), { recursive: true });
  await writeFile(bootstrap, `#!/bin/sh\nexec ${node} ${path.join(here, 'runtime.mjs')} ${path.join(out, name, 'code', 'index.mjs')}\n`);
  await chmod(bootstrap, 0o755);
}
