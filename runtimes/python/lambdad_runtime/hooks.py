"""Runs a callback right after a given module has been imported, without importing it first."""

import sys


class _Loader:
    """Stands in for a module's loader for one execution of the module, then puts the real one back."""

    def __init__(self, loader, callback):
        self._loader = loader
        self._callback = callback

    def __getattr__(self, name):
        return getattr(self._loader, name)

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._callback(module)


class PostImportFinder:
    """A meta path finder that finds nothing itself: it lets the others find, and wraps the loader of watched modules."""

    def __init__(self, callbacks):
        self._callbacks = callbacks

    def find_spec(self, name, path=None, target=None):
        callback = self._callbacks.pop(name, None)
        if callback is None:
            return None
        spec = None
        for finder in sys.meta_path:
            if finder is not self:
                spec = finder.find_spec(name, path, target)
                if spec is not None:
                    break
        if spec is None or spec.loader is None:
            self._callbacks[name] = callback
            return spec
        spec.loader = _Loader(spec.loader, callback)
        return spec


def after_import(callbacks):
    """`callbacks`: module name -> function taking the module. Called once each; at once for modules already loaded."""
    for name in [name for name in callbacks if name in sys.modules]:
        callbacks.pop(name)(sys.modules[name])
    sys.meta_path.insert(0, PostImportFinder(callbacks))
