"""The `jupyterhub` directory: creator.py has the verbs, state.py what a hub keeps for us."""
