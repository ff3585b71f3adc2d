"""The `ldap` directory. creator.py has the verbs; profiles.py what one server does otherwise than
another; entries.py what an account becomes; answers.py what each result means. The protocol is
spoken here, since no library lets the address be checked: connection.py, messages.py, ber.py."""
