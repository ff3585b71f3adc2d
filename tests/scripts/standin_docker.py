"""Stands in for `docker` and `docker-compose` where no engine is at hand.

It starts nothing, answers as they would, and notes what it was asked. STANDIN, in JSON: `api`
(host:port of what runs), `key`, `plugin` (whether there is `docker compose`), `exited` (the status
of a one-shot container), `asked` (the file for the notes).
"""

import json
import os
import sys


def main(program: str, asked: list[str]) -> int:
    standin = json.loads(os.environ["STANDIN"])
    with open(standin["asked"], "a") as file:
        print(program, *asked, f"port={os.environ.get('BOTRIX_PORT')}", file=file)
    if program == "docker" and asked[0] == "compose" and not standin["plugin"]:
        print("docker: 'compose' is not a docker command.")
        return 1
    if asked[0] == "inspect":
        well = {"Status": "running", "ExitCode": 0, "Health": {"Status": "healthy"}}
        once = {"Status": "exited", "ExitCode": standin["exited"]}
        print(json.dumps([{"Name": "/api", "State": well}, {"Name": "/migrate", "State": once}]))
    answers = {"ps": "c0ffee\n", "port": standin["api"], "exec": standin["key"], "logs": "log\n"}
    print(*(answer for word, answer in answers.items() if word in asked), end="")
    return 0


sys.exit(main(os.path.basename(sys.argv[1]), sys.argv[2:]))
