#!/usr/bin/env python3
"""Print one bucket policy made of the files beside this one; standard library only.

    merge.py BUCKET --writer ARN [--reader ARN] [--lock-administrator ARN]

A bucket has one policy, so the roles' statements are joined; a role without an ARN is left out.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROLES = ("writer", "reader", "lock-administrator")


def merged(bucket: str, arns: dict[str, str]) -> dict[str, Any]:
    """Return the policy of a bucket.

    Args:
        bucket: Bucket name.
        arns: Amazon resource name of the user or role by `ROLES` name; others are left out.
    """
    statements: list[Any] = []
    for role in ROLES:
        if role in arns:
            text = Path(__file__).with_name(f"{role}.json").read_text(encoding="utf-8")
            text = text.replace("BUCKET", bucket)
            text = text.replace(f"{role.upper().replace('-', '_')}_ARN", arns[role])
            statements += json.loads(text)["Statement"]
    return {"Version": "2012-10-17", "Statement": statements}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bucket")
    for role in ROLES:
        parser.add_argument(f"--{role}", metavar="ARN", required=role == "writer")
    given = vars(parser.parse_args())
    arns = {role: given[role.replace("-", "_")] for role in ROLES}
    policy = merged(given["bucket"], {role: arn for role, arn in arns.items() if arn})
    print(json.dumps(policy, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
