"""`python -m functions [app-id ...]`: hosts these functions, or all of them, behind one Dapr sidecar."""

from __future__ import annotations

import sys

from pydantic import ValidationError

from functions.runtime.logs import configure
from functions.runtime.settings import Settings
from functions.runtime.triggers import load


def main(arguments: list[str]) -> int:
    try:
        settings = Settings()
        configure(settings.log_level)
        functions = load(arguments)
        from functions.runtime.host import Host

        Host(functions, settings).run()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0])
        print(f"{name if name.isupper() else 'TICKLER_' + name.upper()}: {first['msg']}", file=sys.stderr)
        return 2
    except (LookupError, ValueError, RuntimeError) as error:
        print(error.args[0], file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
