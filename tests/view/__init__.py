"""Tests of the view, by Pilot and by snapshots."""
