"""Charts as lines of spans, by the line API: eighths of blocks with a bright edge over an area that darkens.

`TimeWindow` and `Seen` say what is in view (one window for neighbouring charts), a `Curve` what a lane shows, `lanes`
draws several of them one below the other with their own zeros and tops, `time_rule` the line below them all. `area` is
the bare picture, for a tile or a trend. Nothing here knows a colour, a widget or a pane.
"""
