/// The system calls a function may make.
///
/// An allow list: what is not on it, and what kernels learn after it was written, fails with ENOSYS. What programs ask
/// for and understand a no to (mount, ptrace, bpf...) fails with EPERM. clone3 and io_uring fail with ENOSYS: libc then
/// uses clone, whose flags a filter can see, and libuv uses threads. A call of another architecture (i386, x32) kills.
/// Socket families other than unix, inet, inet6 and netlink fail with EAFNOSUPPORT: vsock is not part of a network
/// namespace, the others are surface without use.
#pragma once

#include <linux/filter.h>

#include <vector>

#include "base/error.h"

namespace lambdad::sandbox {

using SeccompProgram = std::vector<sock_filter>;

/// The filter as BPF, made once and loaded by each program before exec. Error: kUnavailable when this kernel or CPU
/// has no seccomp filters.
Result<SeccompProgram> make_seccomp_program();
/// Loads it into the calling thread, which must have no_new_privs. False with errno set.
bool load_seccomp_program(const SeccompProgram& program);

}  // namespace lambdad::sandbox
