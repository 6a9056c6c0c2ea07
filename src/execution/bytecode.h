#pragma once

#include <string>
#include <string_view>

#include "system/files.h"

namespace lambdad::execution {

/// Whether every Python module below `directory` (and one package deeper) has bytecode that Python `version` will use:
/// `__pycache__/NAME.cpython-XY.pyc` with the source's size and modification time in its header, or with a hash.
/// `version` is "3.11.2". The main script, bootstrap.py, has none, as Python compiles it at each start.
/// Source of the layout: PEP 3147, PEP 552. May be called on any thread.
bool bytecode_is_current(Files& files, const std::string& directory, std::string_view version);

}  // namespace lambdad::execution
