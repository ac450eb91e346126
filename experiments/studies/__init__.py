"""What each paper published, measured again."""
