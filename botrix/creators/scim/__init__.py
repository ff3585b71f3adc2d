"""The `scim` directory: creator.py has the verbs, answers.py what each answer means."""
