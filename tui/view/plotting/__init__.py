"""The only door to plotext: a chart's spec in, lines of spans out."""
