'use strict';

const { pathToFileURL } = require('node:url');

/** True for "pkg" and "@scope/pkg/file", false for paths, URLs, node:… and #imports. */
function isBare(specifier) {
  return !/^(\.{0,2}\/|\.{1,2}$|#|[a-zA-Z][a-zA-Z0-9+.-]*:)/.test(specifier);
}

/** Parents from which the usual walk up reaches `directories`, in order. */
function parents(directories) {
  return directories.map((directory) => pathToFileURL(directory.replace(/node_modules$/, '_.mjs')).href);
}

/** Hooks for module.registerHooks: the usual resolution first, then each of `directories`. */
function synchronous(directories) {
  const places = parents(directories);
  return {
    resolve(specifier, context, nextResolve) {
      try {
        return nextResolve(specifier, context);
      } catch (error) {
        if (error?.code !== 'ERR_MODULE_NOT_FOUND' || !isBare(specifier)) throw error;
        for (const parentURL of places) {
          try {
            return nextResolve(specifier, { ...context, parentURL });
          } catch {}
        }
        throw error;
      }
    },
  };
}

module.exports = { isBare, parents, synchronous };
