# Sourced by tools/quickstart and tools/test, from the top of the repository: configure and build a
# preset with as many jobs as the machine carries.

# Jobs: one per core, but each with 1.5 GB of memory, which the largest generated files take.
jobs_for_machine() {
  local cores memory_mb
  cores=$(nproc)
  memory_mb=$(awk '/^MemAvailable:/ {print int($2 / 1024)}' /proc/meminfo)
  local by_memory=$((memory_mb / 1500))
  local jobs=$((by_memory < cores ? by_memory : cores))
  echo $((jobs < 1 ? 1 : jobs))
}

# configure PRESET: quiet when nothing changed, whole output when it fails.
configure() {
  local log
  mkdir -p "build/$1"
  log="build/$1/configure.log"
  if ! cmake --preset "$1" >"$log" 2>&1; then
    cat "$log" >&2
    echo "configuring the preset '$1' failed" >&2
    return 1
  fi
}

# build PRESET [TARGET ...]: all targets when none is named.
build() {
  local preset=$1
  shift
  local started=$SECONDS
  cmake --build --preset "$preset" --parallel "$(jobs_for_machine)" ${1:+--target "$@"}
  echo "build: $preset, $((SECONDS - started)) s"
}

# executables PRESET REGEX: the targets whose binary in bin/ matches as a whole.
executables() {
  ninja -C "build/$1" -t targets all |
    sed -nE "s#^bin/($2): CXX_EXECUTABLE_LINKER.*#\1#p" | sort -u
}
