"""What panes are drawn from: lines of spans, a widget that shows them at the least cost, graphs, bars, tables."""
