"""The steps of the dataflow: decode, route, order, entities, decide."""
