/**
 * A plugin of Vite's for tests in browsers: a worker is served as one script, built when it is first asked for. The development server
 * serves a request for each module instead, again for each worker: a database has about ten workers of dozens of modules, and in Firefox
 * their requests took two thirds of a test's processor time.
 *
 * Each worker has modules of its own anyway, so bundling changes nothing that it could tell, unless it imports others at run time which
 * import the same modules: such workers must be left out.
 */
import { build, type Plugin, type ResolvedConfig } from 'vite';

/** Where built workers, and what they load, are served. */
const BASE = '/built-workers/';

/** How Vite asks for a worker's script. */
const WORKER_REQUEST = /[?&]worker_file\b/;

/** What is served, by its path behind {@link BASE}. */
type Files = Map<string, string | Uint8Array>;

/** @param bundled whether the worker with this script, a path in the file system, is served as one script */
export function workerBundles(bundled: (script: string) => boolean): Plugin {
  let config: ResolvedConfig;
  const files: Files = new Map();
  const locations = new Map<string, Promise<string>>();

  /** Builds a worker; gives the path under which it is served. */
  async function buildWorker(script: string): Promise<string> {
    const folder = `${locations.size}/`;
    const result = await build({
      configFile: false,
      root: config.root,
      base: BASE + folder,
      logLevel: 'error',
      resolve: { conditions: [...config.resolve.conditions] },
      worker: { format: 'es' },
      build: {
        write: false,
        target: 'esnext',
        minify: false,
        sourcemap: 'inline',
        assetsInlineLimit: 0,
        modulePreload: false,
        rolldownOptions: { input: script, output: { entryFileNames: 'worker.js' } },
      },
    });
    if (!('output' in result)) throw new TypeError(`${script} gave more than one bundle, or is being watched`);
    for (const file of result.output) files.set(folder + file.fileName, file.type === 'chunk' ? file.code : file.source);
    return `${BASE}${folder}worker.js`;
  }

  return {
    name: 'heddle:worker-bundles',
    configResolved: (resolved) => {
      config = resolved;
    },
    configureServer: ({ middlewares }) => {
      // Where Vitest watches, a worker must follow its modules' changes.
      if (config.server.watch !== null) return;
      const { headers } = config.server;
      middlewares.use((request, response, next) => {
        const url = request.url ?? '';
        const path = url.replace(/[?#].*/, '');
        const file = path.startsWith(BASE) ? files.get(path.slice(BASE.length)) : undefined;
        if (file !== undefined) {
          const type = path.endsWith('.wasm') ? 'application/wasm' : 'text/javascript';
          response.writeHead(200, { ...headers, 'Content-Type': type, 'Cache-Control': 'max-age=3600' }).end(file);
          return;
        }
        const script = path.startsWith('/@fs/') ? path.slice('/@fs'.length) : config.root + path;
        if (!WORKER_REQUEST.test(url) || !bundled(script)) {
          next();
          return;
        }
        let location = locations.get(script);
        if (!location) locations.set(script, (location = buildWorker(script)));
        location.then((place) => response.writeHead(302, { ...headers, Location: place }).end(), next);
      });
    },
  };
}
