"""What a frozen code knows, and whether one method knows more than another."""
