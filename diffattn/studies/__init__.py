"""Many runs, what they give, and what can be concluded."""
