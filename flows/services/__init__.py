"""Real servers on this machine's loopback for tests and laptops: Apache Kafka and Redis, without Docker.

``python -m flows.services start|stop|status``, or ``start`` and ``stop`` of ``flows.services.control``.
"""
