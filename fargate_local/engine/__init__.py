"""What happens to tasks and services after the API has answered."""
