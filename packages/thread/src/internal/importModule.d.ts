/** Imports the module at a URL; bundlers leave it alone. */
export declare function importModule(url: string): Promise<unknown>;
