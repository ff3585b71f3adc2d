"""The `ldap` directory: escaping.py keeps names apart from the syntax of filters and DNs."""
