#pragma once

#include <optional>
#include <string>

namespace lambdad {

/// Facts of the process and its user, read once by `daemon`; nothing else looks at the environment.
std::optional<std::string> environment_variable(const std::string& name);
std::string home_directory();  ///< empty when unknown
bool is_superuser();
/// `path` as seen from the root, with the current directory before it when it is relative. Links stay.
std::string absolute_path(const std::string& path);
/// Directory of the running program, without a trailing slash.
std::string program_directory();
/// A new empty directory below $TMPDIR or /tmp.
std::optional<std::string> make_temporary_directory(const std::string& prefix);
/// Raises the limit of open descriptors to what the system allows; returns it.
unsigned long raise_descriptor_limit();

}  // namespace lambdad
