#!/bin/sh
# Ends a test's network (network.ts) when its standard input ends. That happens with the test and also when its process is
# interrupted, killed or timed out: nothing that was started inside outlives it.
name=$1 directory=$2
cat >/dev/null
# Guests are many processes, and all are inside. The list is empty only when the last is gone.
while pids=$(ip netns pids "$name" 2>/dev/null) && [ -n "$pids" ]; do
  # shellcheck disable=SC2086
  kill -KILL $pids 2>/dev/null
  sleep 0.02
done
ip netns delete "$name"
rm -rf "$directory"
