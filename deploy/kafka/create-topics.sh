#!/bin/sh
# Creates the topics that deploy/live.docker.yaml names, where they are missing.
set -eu
create() {
  topic=$1
  shift
  /opt/kafka/bin/kafka-topics.sh --bootstrap-server "$KAFKA" --create --if-not-exists --topic "$topic" \
    --partitions "$PARTITIONS" --replication-factor 1 "$@"
}
# Events: kept for a week, so that an engine that was stopped, or set back, can read on.
for stream in profile ticket label click txn feedback; do
  create "bank.$stream" --config retention.ms=604800000 --config compression.type=producer
done
# Decisions and dead letters: kept for four weeks.
for kind in ticket survey alert tag notify escalate suppressed dead-letters; do
  create "cem.$kind" --config retention.ms=2419200000 --config compression.type=producer
done
