#include "sandbox/cgroups.h"

#include "gtest/gtest.h"

namespace lambdad::sandbox {
namespace {

TEST(CgroupPlaces, FindsTheOwnGroupInEachTreeOfAHybridHost) {
  const CgroupPlaces places = CgroupPlaces::parse(
      "30 20 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
      "31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
      "32 30 0:28 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n"
      "33 30 0:29 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
      "34 30 0:30 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
      "35 30 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
      "5:cpuset:/\n4:cpu,cpuacct:/a\n3:pids:/\n2:memory:/box/1\n0::/user.slice/x.scope\n");
  EXPECT_EQ(places.memory, "/sys/fs/cgroup/memory/box/1");
  EXPECT_EQ(places.pids, "/sys/fs/cgroup/pids");
  EXPECT_EQ(places.cpu, "/sys/fs/cgroup/cpu,cpuacct/a");
  EXPECT_EQ(places.freezer, "");
  EXPECT_EQ(places.unified, "/sys/fs/cgroup/unified/user.slice/x.scope");
}

TEST(CgroupPlaces, FindsTheOwnGroupOnAV2Host) {
  const CgroupPlaces places = CgroupPlaces::parse(
      "30 20 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n", "0::/system.slice/lambdad.service\n");
  EXPECT_EQ(places.unified, "/sys/fs/cgroup/system.slice/lambdad.service");
  EXPECT_EQ(places.memory, "");
}

TEST(CgroupPlaces, InAContainerOnlyWhatIsBelowTheMountCanBeUsed) {
  const char* mounts = "30 20 0:26 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
  EXPECT_EQ(CgroupPlaces::parse(mounts, "2:memory:/docker/abc/x\n").memory, "/sys/fs/cgroup/memory/x");
  EXPECT_EQ(CgroupPlaces::parse(mounts, "2:memory:/docker/abc\n").memory, "/sys/fs/cgroup/memory");
  EXPECT_EQ(CgroupPlaces::parse(mounts, "2:memory:/elsewhere\n").memory, "");
}

TEST(CgroupPlaces, NothingIsMountedOrNonsense) {
  for (const char* text : {"", "\n\n", "x", "1 2 3 4 5 6 - cgroup\n", " - cgroup2 x y", "0::", "::::"}) {
    const CgroupPlaces places = CgroupPlaces::parse(text, text);
    EXPECT_EQ(places.memory + places.pids + places.cpu + places.freezer, "");
  }
}

}  // namespace
}  // namespace lambdad::sandbox
