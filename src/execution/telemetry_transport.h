#pragma once

#include "execution/telemetry.h"
#include "http/client.h"
#include "system/system.h"

namespace lambdad::execution {

/// Delivers to servers inside a sandbox. HTTP: one request per batch, any 2xx counts. TCP: one connection per port,
/// kept open; a batch counts as delivered when it was written. `sockets` gives sockets of the sandbox's network.
/// Threading: the loop only. What it made may outlive its maker, not `system`.
TelemetryTransport make_telemetry_transport(System& system, http::SocketSource sockets);

}  // namespace lambdad::execution
