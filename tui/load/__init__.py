"""Load: simulated users in processes of their own, and the only clocks that count."""
