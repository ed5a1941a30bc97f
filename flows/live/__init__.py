"""Live: from Kafka to the sinks, and what operators need."""
