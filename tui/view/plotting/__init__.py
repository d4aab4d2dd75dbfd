"""The only user of plotext: a chart's spec in, lines of spans out."""
