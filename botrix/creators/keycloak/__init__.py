"""The `keycloak` directory: creator.py has the verbs, users.py what goes to and fro, groups.py
looks groups up, realm.py and profile.py learn what a realm keeps, checking.py tells whether it can
be used.
"""
