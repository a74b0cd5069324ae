/** This package's version, as in its `package.json`. Tabs that share a database have the same. */
export const VERSION = '0.1.0';
