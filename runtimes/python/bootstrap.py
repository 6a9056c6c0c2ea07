"""Entry point of the managed Python runtimes; see runtimes/README.md for how it is launched.

Kept tiny because Python compiles the main script on every start; everything else is in packages with cached bytecode.
"""

import sys

from lambdad_runtime.bootstrap import main

main(sys.path[0])
