"""What the lessons need beside the pizzeria: checks of exercises that answer in words."""
