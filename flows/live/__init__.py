"""The live engine: Kafka in; Kafka, ClickHouse and Redis out; with what operators need."""
