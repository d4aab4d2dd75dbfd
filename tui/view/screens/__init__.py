"""The screens: each gets values and posts messages; none reads a file or a clock."""
