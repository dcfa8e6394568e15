"""What loaded programs have in common, and how that cuts them into segments."""
