# Shared by quickstart, test and tools/check. Sourced with the repository's root as working directory.

# How many compilers at a time: the cores, but no more than memory carries (1.5 GB each). CMake's own variable wins.
build_jobs() {
  if [ -n "${CMAKE_BUILD_PARALLEL_LEVEL:-}" ]; then echo "$CMAKE_BUILD_PARALLEL_LEVEL"; return; fi
  awk -v cores="$(nproc)" '/^MemAvailable:/ { n = int($2 / 1572864); if (n > cores) n = cores; if (n < 1) n = 1; print n }' /proc/meminfo
}

# build_preset PRESET [TARGET...]: configures when needed and builds, with a line of progress every half minute.
# The whole output is in build/PRESET.log; its end is shown when it fails.
build_preset() {
  local preset=$1 log=build/$1.log pid shown=$SECONDS line
  shift
  mkdir -p build
  {
    cmake --preset "$preset" && cmake --build --preset "$preset" --parallel "$(build_jobs)" ${1:+--target "$@"}
  } </dev/null >"$log" 2>&1 &
  pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.5
    if [ $((SECONDS - shown)) -ge 30 ]; then
      shown=$SECONDS
      line=$(grep -o '^\[[0-9]*/[0-9]*\]' "$log" | tail -n 1) || true
      echo "  still building ${line}"
    fi
  done
  if ! wait "$pid"; then
    grep -n -E -A 12 'error:|FAILED:|CMake Error' "$log" | head -n 60 >&2
    echo "building $preset failed; all of it is in $log" >&2
    return 1
  fi
}
