// The resolver of node_path_resolver.cjs as a loader for Node before 22.15; `data` is the list of directories.
import { isBare, parents } from './node_path_resolver.cjs';

let places = [];

export async function initialize(directories) {
  places = parents(directories);
}

export async function resolve(specifier, context, nextResolve) {
  try {
    return await nextResolve(specifier, context);
  } catch (error) {
    if (error?.code !== 'ERR_MODULE_NOT_FOUND' || !isBare(specifier)) throw error;
    for (const parentURL of places) {
      try {
        return await nextResolve(specifier, { ...context, parentURL });
      } catch {}
    }
    throw error;
  }
}
