"""Fakes and canned values that tests share."""
