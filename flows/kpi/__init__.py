"""Key figures: asked of ClickHouse, as tables, JSON and one page with charts. What they mean is in docs/kpi.md."""
