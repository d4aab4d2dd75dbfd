"""Front ends without a screen: a running session steered, watched and told about from outside, over the link alone."""
