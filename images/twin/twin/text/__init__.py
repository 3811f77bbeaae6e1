"""Words and scripts: how the whole house counts and splits text, whatever its language."""
