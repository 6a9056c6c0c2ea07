#include "sandbox/network.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace lambdad::sandbox {

std::vector<Ipv4Network> closed_networks() {
  std::vector<Ipv4Network> closed{{0xa9fe0000, 16}, {0xa83f8110, 32}, {0x646464c8, 32}};
  ifaddrs* interfaces = nullptr;
  if (::getifaddrs(&interfaces) != 0) return closed;
  for (const ifaddrs* each = interfaces; each != nullptr; each = each->ifa_next) {
    if (each->ifa_addr == nullptr || each->ifa_addr->sa_family != AF_INET) continue;
    sockaddr_in address{};
    std::memcpy(&address, each->ifa_addr, sizeof address);
    const std::uint32_t number = ntohl(address.sin_addr.s_addr);
    // The loopback's means the sandbox's own inside.
    if (number >> 24 != 127) closed.push_back({number, 32});
  }
  ::freeifaddrs(interfaces);
  return closed;
}

Result<void> start_loopback() {
  UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq loopback{};
  std::strcpy(loopback.ifr_name, "lo");
  loopback.ifr_flags = IFF_UP | IFF_RUNNING;
  if (!socket || ::ioctl(socket.get(), SIOCSIFFLAGS, &loopback) != 0) {
    return system_error(errno, "starting the loopback interface of a sandbox");
  }
  return {};
}

Result<void> close_networks(const std::vector<Ipv4Network>& networks) {
  UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!socket) return system_error(errno, "closing networks to a sandbox");
  for (const Ipv4Network& network : networks) {
    struct Request {
      nlmsghdr header;
      rtmsg route;
      rtattr attribute;
      std::uint32_t address;
    } request{};
    request.header.nlmsg_len = sizeof request;
    request.header.nlmsg_type = RTM_NEWROUTE;
    request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
    request.route.rtm_family = AF_INET;
    request.route.rtm_dst_len = network.bits;
    request.route.rtm_table = RT_TABLE_MAIN;
    request.route.rtm_protocol = RTPROT_STATIC;
    request.route.rtm_scope = RT_SCOPE_UNIVERSE;
    request.route.rtm_type = RTN_UNREACHABLE;
    request.attribute.rta_len = RTA_LENGTH(sizeof request.address);
    request.attribute.rta_type = RTA_DST;
    request.address = htonl(network.address);
    if (::send(socket.get(), &request, sizeof request, 0) != static_cast<ssize_t>(sizeof request)) {
      return system_error(errno, "closing networks to a sandbox");
    }
    alignas(nlmsghdr) char answer[512];
    const ssize_t size = ::recv(socket.get(), answer, sizeof answer, 0);
    nlmsghdr header{};
    nlmsgerr outcome{};
    if (size < static_cast<ssize_t>(NLMSG_LENGTH(sizeof outcome))) {
      return fail(Errc::kInternal, "closing networks to a sandbox: no answer from the kernel");
    }
    std::memcpy(&header, answer, sizeof header);
    std::memcpy(&outcome, answer + NLMSG_HDRLEN, sizeof outcome);
    if (header.nlmsg_type != NLMSG_ERROR || outcome.error != 0) {
      return system_error(-outcome.error, "closing networks to a sandbox");
    }
  }
  return {};
}

Result<UniqueFd> listen_on_loopback(std::uint16_t& port) {
  UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int on = 1;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (!socket || ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      ::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(socket.get(), SOMAXCONN) != 0 ||
      ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    return system_error(errno, fmt::format("listening on 127.0.0.1:{}", port));
  }
  port = ntohs(address.sin_port);
  return socket;
}

}  // namespace lambdad::sandbox
