# Runs commands, measures how long they take and how much memory, and prints figures. For the scripts beside this file,
# which source it after bed.sh.
# shellcheck shell=bash

failed=0

title() { printf '\n%s\n' "$*"; }
command_line() { printf '  $ %s\n' "$*"; }
say() { printf '>> %s\n' "$*" >&2; }

load() { cut -d' ' -f1-3 /proc/loadavg; }

fail() { # WHAT LOG
  failed=1
  echo "  FAILED: $1"
  tail -n 40 "$2" >&2
}

# Runs a command in a process group of its own, which ends with this script.
attended() {
  local child status=0
  set -m
  "$@" </dev/null &
  child=$!
  set +m
  groups+=("$child")
  wait "$child" || status=$?
  unset 'groups[-1]'
  return "$status"
}

if /usr/bin/time --version 2>&1 | grep -q GNU; then
  memory_by='GNU time'
  weighed() { /usr/bin/time -q -f %M -o "$bed/memory" "$@"; }
else
  memory_by='VmHWM, looked at every 5 ms'
  weighed() {
    local child sampler status=0
    "$@" &
    child=$!
    while sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$child/status" >"$bed/sample" 2>/dev/null; do
      if [[ -s $bed/sample ]]; then mv "$bed/sample" "$bed/memory"; fi
      sleep 0.005
    done &
    sampler=$!
    wait "$child" || status=$?
    kill "$sampler" 2>/dev/null || true
    return "$status"
  }
fi

# Runs a command; keeps what it said and, a line a run, its seconds and its peak memory in kB, under that name.
measure() { # NAME COMMAND...
  local name=$1 begun ended
  shift
  rm -f "$bed/memory"
  begun=${EPOCHREALTIME//[!0-9]/}
  attended weighed "$@" >"$bed/log/$name.out" 2>"$bed/log/$name.err" || fail "$* (status $?)" "$bed/log/$name.err"
  ended=${EPOCHREALTIME//[!0-9]/}
  [[ -s $bed/memory ]] || echo 0 >"$bed/memory"
  awk -v micro=$((ended - begun)) 'END { printf "%.3f %d\n", micro / 1e6, $1 }' "$bed/memory" >>"$bed/$name.runs"
}

median() { sort -n | awk '{ value[NR] = $1 } END { print value[int((NR + 1) / 2)] }'; }
column() { awk -v column="$2" '{ print $column }' "$bed/$1.runs"; } # NAME COLUMN

# The median of the runs, and between which values they lie.
with_range() { # NAME COLUMN FORMAT DIVISOR
  column "$1" "$2" | sort -n | awk -v format="$3" -v divisor="$4" '{ value[NR] = $1 / divisor } END {
    printf format " (" format " to " format ")", value[int((NR + 1) / 2)], value[1], value[NR]
  }'
}

ratio() { # NAME OTHER COLUMN: how many times the first is the second
  awk -v a="$(column "$1" "$3" | median)" -v b="$(column "$2" "$3" | median)" 'BEGIN { printf "%.1f", a / b }'
}

row() { printf '  %-24s %-26s %-26s %s\n' "$@"; }
